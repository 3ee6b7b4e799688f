"""Validation against the service model, signatures, and the log of calls."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from portal.demo.aws.seed import DOMAIN
from portal.demo.aws.server import BODY_BYTES, Handle
from portal.demo.aws.services import SERVICES
from portal.demo.aws.validation import _compiled
from tests.portal.demo_aws.conftest import PROFILE, connect, refusal

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIADEMO000000000000/20260102/eu-west-1/{service}/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, Signature=" + "0" * 64
)


def post(url: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any], str]:
    """Send a hand-made request; return status, body and request id."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, {"X-Amz-Date": "20260102T030405Z", **named})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer), answer.headers["x-amzn-RequestId"]
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.loads(answer.read() or b"{}"), answer.headers["x-amzn-RequestId"]


def target(operation: str, service: str = "sagemaker") -> dict[str, str]:
    """Return the headers of a signed SageMaker call."""
    return {
        "X_Amz_Target": f"SageMaker.{operation}",
        "Content_Type": "application/x-amz-json-1.1",
        "Authorization": SIGNED.format(service=service),
    }


def test_a_name_that_breaks_two_rules(studio: Any) -> None:
    name = "a_" + "b" * 62
    code, message = refusal(studio.describe_user_profile, DomainId=DOMAIN, UserProfileName=name)
    assert code == "ValidationException"
    assert message == (
        f"2 validation errors detected: Value '{name}' at 'userProfileName' failed to satisfy constraint: "
        f"Member must have length less than or equal to 63; Value '{name}' at 'userProfileName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )


@pytest.mark.parametrize("name", ["", "-a", "a-", "a.b", "a@b", "a b", "ä", "a\n", "a" * 64])
def test_names_that_are_refused(studio: Any, name: str) -> None:
    assert refusal(studio.create_user_profile, DomainId=DOMAIN, UserProfileName=name)[0] == "ValidationException"


def test_what_is_missing_is_named(studio: Any) -> None:
    message = refusal(studio.create_user_profile, UserProfileName="a")[1]
    assert message == (
        "1 validation error detected: Value null at 'domainId' failed to satisfy constraint: Member must not be null"
    )


def test_nested_values_are_checked(studio: Any) -> None:
    settings = {
        "ExecutionRole": "arn:aws:iam::1:role/too-few-digits",
        "StudioWebPortal": "MAYBE",
        "JupyterLabAppSettings": {"AppLifecycleManagement": {"IdleSettings": {"IdleTimeoutInMinutes": 59}}},
    }
    message = refusal(studio.create_user_profile, **PROFILE, UserSettings=settings)[1]
    assert message.startswith("3 validation errors detected: ")
    assert (
        "at 'userSettings.executionRole' failed to satisfy constraint: Member must satisfy regular expression"
        in message
    )
    assert (
        "at 'userSettings.studioWebPortal' failed to satisfy constraint: Member must satisfy enum value set: ["
        in message
    )
    path = "userSettings.jupyterLabAppSettings.appLifecycleManagement.idleSettings.idleTimeoutInMinutes"
    assert f"Value '59' at '{path}' failed to satisfy constraint: Member must have value greater" in message
    groups = {"SecurityGroups": [f"sg-{n}" for n in range(6)]}
    message = refusal(studio.create_user_profile, **PROFILE, UserSettings=groups)[1]
    assert "at 'userSettings.securityGroups' failed to satisfy constraint: Member must have length less than" in message


def test_a_map_is_checked(standin: Handle) -> None:
    settings = {"CustomPosixUserConfig": {"Uid": 1, "Gid": 1}, "Unheard": 1}
    body = json.dumps({**PROFILE, "UserSettings": settings}).encode()
    status, answer, _ = post(standin.url, body, **target("CreateUserProfile"))
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert "Unheard" in answer["message"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"DomainId": 5}', b'{"DomainId": {}}', b'{"UserSettings": []}', b'{"Tags": {}}', b'{"Unknown": 1}'],
)
def test_what_cannot_be_read(standin: Handle, body: bytes) -> None:
    status, answer, request_id = post(standin.url, body, **target("CreateUserProfile"))
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert re.fullmatch(r"[0-9a-f-]{36}", request_id)


def test_null_is_absent(standin: Handle) -> None:
    body = json.dumps({**PROFILE, "Tags": None}).encode()
    assert post(standin.url, body, **target("CreateUserProfile"))[0] == 200


@pytest.mark.parametrize(("body", "fits"), [(b'{"MaxResults": true}', False), (b'{"MaxResults": 1}', True)])
def test_true_is_no_number(standin: Handle, body: bytes, fits: bool) -> None:
    assert (post(standin.url, body, **target("ListDomains"))[0] == 200) is fits


def test_operations_that_are_unknown(standin: Handle) -> None:
    assert post(standin.url, b"{}", **target("CreateModel"))[1]["__type"] == "UnknownOperationException"
    headers = {**target("ListDomains"), "X_Amz_Target": "DynamoDB_20120810.ListTables"}
    status, answer, _ = post(standin.url, b"{}", **headers)
    assert (status, answer["__type"]) == (404, "UnknownOperationException")
    sts = connect(standin.url, "sts")
    assert refusal(sts.get_session_token)[0] == "InvalidAction"
    sts.close()


def test_requests_must_be_signed(standin: Handle) -> None:
    def code(**changes: str) -> str:
        headers = {name: value for name, value in {**target("ListDomains"), **changes}.items() if value}
        status, answer, _ = post(standin.url, b"{}", **headers)
        assert status == 400
        return str(answer["__type"])

    signed = SIGNED.format(service="sagemaker")
    assert code(Authorization="") == "MissingAuthenticationTokenException"
    assert code(Authorization="Bearer abc") == "IncompleteSignatureException"
    assert code(Authorization=signed.replace("host;", "")) == "IncompleteSignatureException"
    assert code(Authorization=signed.replace("20260102", "20250102")) == "IncompleteSignatureException"
    assert code(Authorization=SIGNED.format(service="sts")) == "InvalidSignatureException"
    assert post(standin.url, b"{}", **target("ListDomains"))[0] == 200


def test_a_body_that_is_too_large(standin: Handle) -> None:
    request = urllib.request.Request(standin.url, b"", {"Content-Length": str(BODY_BYTES + 1), **target("ListDomains")})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        assert answer.code == 413


def patterns(shape: Any, seen: set[str]) -> Iterator[str]:
    """Return the patterns of a shape and of everything below it."""
    if shape is None or shape.name in seen:
        return
    seen.add(shape.name)
    if pattern := shape.metadata.get("pattern"):
        yield pattern
    below = [getattr(shape, name) for name in ("member", "key", "value") if hasattr(shape, name)]
    for member in [*below, *getattr(shape, "members", {}).values()]:
        yield from patterns(member, seen)


def test_every_pattern_of_the_operations_can_be_used() -> None:
    seen: set[str] = set()
    for service in SERVICES:
        for operation in service.operations:
            for pattern in patterns(service.operation_model(operation).input_shape, seen):
                assert _compiled(pattern)
    assert {"RoleArn", "UserSettings", "tagKeyType"} <= seen


def test_calls_are_remembered(standin: Handle, studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    refusal(studio.create_user_profile, **PROFILE)
    first, second = standin.calls("CreateUserProfile")
    assert (first.service, first.outcome, second.outcome) == ("sagemaker", "ok", "ResourceInUse")
    assert first.params == PROFILE
    assert first.caller.endswith(":user/studio-portal")
    assert len(standin.calls()) == 2
