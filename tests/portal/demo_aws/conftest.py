"""A stand-in of its own for every test, and real boto3 clients that talk to it over HTTP."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.seed import DOMAIN, EVENT_QUEUE, IDENTITY_STORE, REGION
from portal.demo.aws.server import Handle, start

NAME = "user1-team1"
PROFILE = {"DomainId": DOMAIN, "UserProfileName": NAME}
HOME_KEYS = {"AccessKeyId": "AKIADEMO000000000000", "SecretAccessKey": "demo"}


@cache
def session() -> boto3.Session:
    """One session for all tests: loading the service models is what takes time."""
    return boto3.Session()


def connect(url: str, service: str = "sagemaker", keys: dict[str, str] | None = None, **options: Any) -> Any:
    """Return a boto3 client of the stand-in at `url` which does not retry unless told to."""
    keys = keys or HOME_KEYS
    # Typed clients are for names known beforehand.
    client: Any = session().client
    return client(
        service,
        endpoint_url=url,
        region_name=options.pop("region", REGION),
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False).merge(Config(**options)),
    )


@pytest.fixture
def standin() -> Iterator[Handle]:
    """A stand-in with the demo's accounts and domains."""
    handle = start()
    yield handle
    handle.stop()


@pytest.fixture
def studio(standin: Handle) -> Iterator[Any]:
    """A SageMaker client of the home account, which checks nothing itself."""
    client = connect(standin.url)
    yield client
    client.close()


@pytest.fixture
def sts(standin: Handle) -> Iterator[Any]:
    """An STS client of the home account, which checks nothing itself."""
    client = connect(standin.url, "sts")
    yield client
    client.close()


@pytest.fixture
def directory(standin: Handle) -> Iterator[Any]:
    """An identitystore client of the home account, which checks nothing itself."""
    client = connect(standin.url, "identitystore")
    yield client
    client.close()


@pytest.fixture
def sqs(standin: Handle) -> Iterator[Any]:
    """An SQS client of the home account, which checks nothing itself."""
    client = connect(standin.url, "sqs")
    yield client
    client.close()


@pytest.fixture
def store(standin: Handle) -> IdentityStore:
    """The demo's identity store."""
    return standin.state.identity_stores[IDENTITY_STORE]


@pytest.fixture
def queue_url(sqs: Any) -> str:
    """The URL of the queue with the identity store's events."""
    return str(sqs.get_queue_url(QueueName=EVENT_QUEUE)["QueueUrl"])


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    """Return the code and the text with which the call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
