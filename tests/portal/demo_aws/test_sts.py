"""STS: who calls, and who may become whom."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from portal.demo.aws.seed import ACCOUNT, OTHER_ACCOUNT, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import connect, refusal

WANTED = {"RoleArn": OTHER_PORTAL_ROLE, "RoleSessionName": "alice", "ExternalId": OTHER_EXTERNAL_ID}


def test_the_portals_own_keys(standin: Handle, sts: Any) -> None:
    identity = sts.get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/studio-portal")
    keys = {"AccessKeyId": f"AKIADEMO{OTHER_ACCOUNT}", "SecretAccessKey": "demo"}
    other = connect(standin.url, "sts", keys)
    assert other.get_caller_identity()["Account"] == OTHER_ACCOUNT
    other.close()


def test_a_role_is_assumed(standin: Handle, sts: Any) -> None:
    answer = sts.assume_role(
        **WANTED, Tags=[{"Key": "team", "Value": "one"}], SourceIdentity="alice", DurationSeconds=900
    )
    arn = f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/StudioPortal/alice"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    assert answer["SourceIdentity"] == "alice"
    assert abs(answer["Credentials"]["Expiration"].timestamp() - standin.state.clock.now() - 900) < 60
    assert next(iter(standin.state.sessions.values())).tags == {"team": "one"}
    assumed = connect(standin.url, "sts", answer["Credentials"])
    assert assumed.get_caller_identity()["Arn"] == arn
    assumed.close()


def test_every_refusal_reads_the_same(standin: Handle, sts: Any) -> None:
    unknown = f"arn:aws:iam::{OTHER_ACCOUNT}:role/Unknown"
    for params in (
        {**WANTED, "ExternalId": "wrong"},
        {name: value for name, value in WANTED.items() if name != "ExternalId"},
        {**WANTED, "RoleArn": unknown},
        {**WANTED, "RoleArn": "arn:aws:iam::999999999999:role/StudioPortal"},
        {**WANTED, "RoleArn": "not an ARN but long enough"},
    ):
        with pytest.raises(ClientError) as caught:
            sts.assume_role(**params)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
        assert caught.value.response["Error"]["Message"] == (
            f"User: arn:aws:iam::{ACCOUNT}:user/studio-portal is not authorized to perform: sts:AssumeRole "
            f"on resource: {params['RoleArn']}"
        )
    assert OTHER_EXTERNAL_ID not in repr(standin.state.calls)


def test_a_role_without_an_external_id(standin: Handle, sts: Any) -> None:
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/Open"
    standin.state.add_role(role, max_session=7200)
    assert sts.assume_role(RoleArn=role, RoleSessionName="portal", DurationSeconds=7200)["Credentials"]
    code, message = refusal(sts.assume_role, RoleArn=role, RoleSessionName="portal", DurationSeconds=7201)
    assert code == "ValidationError"
    assert "MaxSessionDuration" in message


def test_chained_roles(standin: Handle, sts: Any) -> None:
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/Open"
    standin.state.add_role(role, max_session=43200)
    keys = sts.assume_role(**WANTED, SourceIdentity="alice")["Credentials"]
    chained = connect(standin.url, "sts", keys)
    code, message = refusal(chained.assume_role, RoleArn=role, RoleSessionName="portal", DurationSeconds=3601)
    assert code == "ValidationError"
    assert "role chaining" in message
    assert chained.assume_role(RoleArn=role, RoleSessionName="portal")["SourceIdentity"] == "alice"
    assert (
        refusal(chained.assume_role, RoleArn=role, RoleSessionName="portal", SourceIdentity="bob")[0] == "AccessDenied"
    )
    chained.close()


def test_keys_expire(standin: Handle, sts: Any) -> None:
    keys = sts.assume_role(**WANTED)["Credentials"]
    studio, again = connect(standin.url, keys=keys), connect(standin.url, "sts", keys)
    assert len(studio.list_domains()["Domains"]) == 1
    standin.state.clock.advance(3601)
    assert refusal(studio.list_domains)[0] == "ExpiredTokenException"
    assert refusal(again.get_caller_identity)[0] == "ExpiredToken"
    standin.state.clock.advance(3600)
    sts.assume_role(**WANTED)
    assert refusal(studio.list_domains)[0] == "UnrecognizedClientException"
    studio.close()
    again.close()


@pytest.mark.parametrize(
    "change",
    [
        {"AccessKeyId": "AKIADEMO999999999999"},
        {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"},
        {"SessionToken": "stolen"},
    ],
)
def test_keys_that_are_unknown(standin: Handle, change: dict[str, str]) -> None:
    keys = {"AccessKeyId": "AKIADEMO000000000000", "SecretAccessKey": "demo", **change}
    studio, sts = connect(standin.url, keys=keys), connect(standin.url, "sts", keys)
    assert refusal(studio.list_domains)[0] == "UnrecognizedClientException"
    assert refusal(sts.get_caller_identity)[0] == "InvalidClientTokenId"
    studio.close()
    sts.close()


def test_a_session_needs_its_token(standin: Handle, sts: Any) -> None:
    keys = sts.assume_role(**WANTED)["Credentials"]
    studio = connect(standin.url, keys={**keys, "SessionToken": "other"})
    assert refusal(studio.list_domains)[0] == "UnrecognizedClientException"
    studio.close()


def test_requests_are_validated(sts: Any) -> None:
    code, message = refusal(sts.assume_role, RoleArn=OTHER_PORTAL_ROLE, RoleSessionName="a b", DurationSeconds=60)
    assert code == "ValidationError"
    assert message.startswith("2 validation errors detected: ")
    assert "Value 'a b' at 'roleSessionName'" in message
    assert "Value '60' at 'durationSeconds' failed to satisfy constraint: Member must have value greater" in message
    long = [{"Key": "k", "Value": "v" * 257}]
    assert "'tags.1.member.value'" in refusal(sts.assume_role, **WANTED, Tags=long)[1]
    assert refusal(sts.assume_role, **WANTED, DurationSeconds="soon")[0] == "MalformedInput"


def test_throttling_is_called_throttling(standin: Handle, sts: Any) -> None:
    standin.personality.fail_next["GetCallerIdentity"] = ["ThrottlingException"]
    assert refusal(sts.get_caller_identity) == ("Throttling", "Rate exceeded")
