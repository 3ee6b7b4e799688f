"""Clients of AWS, made once and shared by all threads; the only module that imports boto3.

A client costs milliseconds to make and a session tens of megabytes, so both are kept per process. A client is kept for
each (role, Region, service, purpose). Purposes have their own time limits: `launch`, where a person waits for one call,
`work`, where a row is tried again anyway, and `poll`, where AWS itself waits for up to 20 seconds. Nothing is retried
inside botocore, because the verbs that create have no client token; `studio` retries the one call that is harmless.

An account with a role is reached through that role only: when it cannot be assumed the call fails, and no other
credentials are ever used in its place. What the portal does by itself runs in one session of the role, named after the
portal. What it does for a person may run in a session named after them (`acting_as`): then only the credentials that
sign the call are the person's, clients and connections are everybody's.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import boto3
import botocore
import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, DeferredRefreshableCredentials

from provisioning.aws import errors
from provisioning.aws.loader import loader
from provisioning.aws.sessions import Kept, Sessions
from teams.models import AwsAccount

Purpose = Literal["launch", "work", "poll"]
# Seconds until a connection is made, and between two pieces of an answer.
TIMEOUTS: dict[Purpose, tuple[int, int]] = {"launch": (2, 5), "work": (3, 10), "poll": (3, 30)}
SESSION_NAME = "studio-portal"
# Role chaining, which a portal that runs under a role does, caps a session at one hour.
SESSION_SECONDS = 3600
USER_AGENT = f"studio-portal boto3/{boto3.__version__} botocore/{botocore.__version__}"


@dataclass(frozen=True)
class Account:
    """How to act in an AWS account: through `role_arn` with `external_id`, or with the portal's own credentials.

    `uses_source_identity`: sessions of the role carry their name as source identity too.
    """

    role_arn: str = ""
    external_id: str = field(default="", repr=False)
    uses_source_identity: bool = False

    @classmethod
    def of(cls, row: AwsAccount) -> "Account":
        """Return how to act in the account of a row."""
        return cls(row.role_arn, row.external_id, row.uses_source_identity)


@dataclass(frozen=True)
class Session:
    """A session of a role, as AWS's logs and policies see it: its name, and tags by key."""

    name: str = SESSION_NAME
    tags: tuple[tuple[str, str], ...] = ()


_Key = tuple[Account, str, str, Purpose]
_People = Sessions[tuple[Account, Session], Credentials]

_lock = threading.RLock()
_sessions: dict[Account, boto3.Session] = {}
_clients: dict[_Key, BaseClient] = {}
_people: _People = Sessions()
_signs: ContextVar[Credentials | None] = ContextVar("signs", default=None)


def get(account: Account, region: str, service: str, purpose: Purpose) -> Any:
    """Return the client of `service` in this account and Region, made on first use; makes no call."""
    key = (account, region, service, purpose)
    client = _clients.get(key)
    if client is None:
        # Sessions are not safe to share while they make clients; clients are.
        with _lock:
            client = _clients.get(key)
            if client is None:
                client = _clients[key] = _make(*key)
    return client


def warm(targets: Iterable[tuple[Account, str]], purpose: Purpose = "launch") -> None:
    """Make the SageMaker clients of these accounts and Regions ahead of the first request; makes no call."""
    for account, region in targets:
        get(account, region, "sagemaker", purpose)


@contextmanager
def acting_as(account: Account, region: str, session: Session | None) -> Iterator[None]:
    """Have the calls of this thread inside the block signed in a session of the account's role; None: the portal's own.

    Fetches the session's credentials where none are kept. Raises what `errors` names when AWS does not give them.
    """
    if session is None:
        yield
        return
    before = _signs.set(_people.get((account, session), lambda: _begin(account, region, session)))
    try:
        yield
    finally:
        _signs.reset(before)


def forget(account: Account, session: Session | None = None) -> None:
    """Drop the credentials of a session, or the account's own with its clients: the next call fetches new ones."""
    if session is not None:
        _people.drop((account, session))
        return
    with _lock:
        _sessions.pop(account, None)
        for key in [key for key in _clients if key[0] == account]:
            del _clients[key]


def reset() -> None:
    """Drop everything, so that changed `AWS_*` variables take effect."""
    with _lock:
        _sessions.clear()
        _clients.clear()
        _people.clear()


def _make(account: Account, region: str, service: str, purpose: Purpose) -> BaseClient:
    connect, read = TIMEOUTS[purpose]
    config = Config(
        connect_timeout=connect,
        read_timeout=read,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=64,
        tcp_keepalive=True,
        # botocore would put the header together anew for each call.
        user_agent=USER_AGENT,
    )
    with errors.translated():
        make: Callable[..., BaseClient] = _session(account, region).client
        made = make(service, region_name=region, config=config)
    made.meta.events.register("before-sign.sagemaker", _choose_credentials)
    return made


def _choose_credentials(request: Any, **_: Any) -> None:
    """Let botocore sign a request with the credentials of `acting_as`; without any it takes those of the client."""
    if (credentials := _signs.get()) is not None:
        request.context["signing"] = {**request.context.get("signing", {}), "request_credentials": credentials}


def _session(account: Account, region: str) -> boto3.Session:
    session = _sessions.get(account)
    if session is None:
        core = botocore.session.Session()
        core.register_component("data_loader", loader())
        if account.role_arn:
            # The role is the only source of credentials here.
            core.register_component("credential_provider", CredentialResolver([_AssumedRole(account, region)]))
        session = _sessions[account] = boto3.Session(botocore_session=core)
    return session


class _AssumedRole(CredentialProvider):
    """Gives the credentials of one role, fetched on first use and renewed some minutes before they run out."""

    METHOD = "assume-role"

    def __init__(self, account: Account, region: str) -> None:
        super().__init__()
        self.account = account
        self.region = region

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(self._fetch, self.METHOD)

    def _fetch(self) -> dict[str, str]:
        answer = _assume(self.account, self.region, Session())
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }


def _begin(account: Account, region: str, session: Session) -> Kept[Credentials]:
    answer = _assume(account, region, session)
    credentials = Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
    return Kept(credentials, answer["Expiration"])


def _assume(account: Account, region: str, session: Session) -> dict[str, Any]:
    """Begin a session of the account's role with the portal's own credentials; returns STS's `Credentials`."""
    request: dict[str, Any] = {
        "RoleArn": account.role_arn,
        "RoleSessionName": session.name,
        "DurationSeconds": SESSION_SECONDS,
    }
    if account.external_id:
        request["ExternalId"] = account.external_id
    if account.uses_source_identity:
        request["SourceIdentity"] = session.name
    if session.tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in session.tags]
    with errors.translated(f"The role {account.role_arn} could not be assumed."):
        answer: dict[str, Any] = get(Account(), region, "sts", "launch").assume_role(**request)["Credentials"]
    if answer["Expiration"] <= datetime.now(UTC):
        raise errors.CredentialsExpired("AWS gave credentials that have already expired; is the clock right?")
    return answer
