"""AWS's words and botocore's exceptions become seven words of our own, without secrets."""

from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from provisioning.aws import errors


def answer(code: str, message: str = "m", status: int = 400, **more: Any) -> boto.ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "r-1", "HTTPHeaders": more.pop("headers", {})},
        **more,
    }
    return boto.ClientError(response, "Operation")  # type: ignore[arg-type]


def raised(error: Exception) -> errors.AwsError:
    with pytest.raises(errors.AwsError) as caught, errors.translated():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("ResourceNotFound"), errors.NotFound),
        (answer("ResourceNotFoundException"), errors.NotFound),
        (answer("ValidationException", "RecordNotFound"), errors.NotFound),
        (answer("ValidationException", "UserProfile [x] does not exist."), errors.NotFound),
        (answer("ValidationException", "App [x] has already been deleted."), errors.NotFound),
        (answer("ValidationException", "App [x] previously failed and was automatically deleted."), errors.NotFound),
        (answer("ValidationException", "1 validation error detected"), errors.Invalid),
        (answer("ValidationException", "UserProfile x already exists."), errors.AlreadyExists),
        (answer("ResourceInUse"), errors.AlreadyExists),
        (answer("ConflictException"), errors.AlreadyExists),
        (answer("ResourceLimitExceeded"), errors.QuotaExceeded),
        (answer("ThrottlingException"), errors.Throttled),
        (answer("Throttling"), errors.Throttled),
        (answer("RequestLimitExceeded"), errors.Throttled),
        (answer("TooManyRequestsException", status=429), errors.Throttled),
        (answer("Unheard", status=429), errors.Throttled),
        (answer("AccessDenied", status=403), errors.Denied),
        (answer("AccessDeniedException"), errors.Denied),
        (answer("Unheard", status=403), errors.Denied),
        (answer("UnrecognizedClientException"), errors.Denied),
        (answer("InvalidClientTokenId", status=403), errors.Denied),
        (answer("ExpiredTokenException"), errors.CredentialsExpired),
        (answer("ExpiredToken", status=403), errors.CredentialsExpired),
        (answer("InternalFailure", status=500), errors.Transient),
        (answer("ServiceUnavailable", status=503), errors.Transient),
        (answer("Unheard", status=502), errors.Transient),
        (answer("RequestTimeout"), errors.Transient),
        (answer("Unheard"), errors.Invalid),
        (answer(""), errors.Invalid),
        (boto.ConnectTimeoutError(endpoint_url="u"), errors.Transient),
        (boto.ReadTimeoutError(endpoint_url="u"), errors.Transient),
        (boto.EndpointConnectionError(endpoint_url="u"), errors.ConnectionBroken),
        (boto.ConnectionClosedError(endpoint_url="u"), errors.ConnectionBroken),
        (boto.SSLError(endpoint_url="u", error=OSError("e")), errors.Transient),
        (boto.HTTPClientError(error="e"), errors.Transient),
        (ResponseParserError("cannot be parsed"), errors.Transient),
        (ConnectionResetError(), errors.Transient),
        (boto.NoCredentialsError(), errors.Denied),
        (boto.PartialCredentialsError(provider="p", cred_var="v"), errors.Denied),
        (boto.ParamValidationError(report="r"), errors.Invalid),
        (boto.NoRegionError(), errors.Invalid),
    ],
)
def test_kinds(error: Exception, kind: type[errors.AwsError]) -> None:
    assert type(raised(error)) is kind


def test_code_message_and_request_id_are_kept() -> None:
    error = raised(answer("ResourceInUse", "UserProfile [x] already exists."))
    assert (error.code, error.message, error.request_id) == ("ResourceInUse", "UserProfile [x] already exists.", "r-1")
    assert str(error) == error.message


def test_the_missing_permission_stays_readable() -> None:
    message = (
        "User: arn:aws:sts::111122223333:assumed-role/Portal/studio-portal is not authorized to perform: iam:PassRole "
        "on resource: arn:aws:iam::111122223333:role/Team1 because no identity-based policy allows the action"
    )
    assert raised(answer("AccessDeniedException", message)).message == message


@pytest.mark.parametrize(
    ("error", "secret"),
    [
        (answer("AccessDenied", "no. Encoded authorization failure message: " + "Ab1_" * 200), "Ab1_Ab1_"),
        (answer("Unheard", "see https://d-x.studio.eu-west-1.sagemaker.aws/auth?token=abcdef"), "abcdef"),
        (answer("Unheard", "see https://example.com/?X-Amz-Signature=abcdef"), "abcdef"),
        (answer("Unheard", "key AKIAABCDEFGHIJKLMNOP is bad"), "AKIAABCDEFGHIJKLMNOP"),
        (boto.EndpointConnectionError(endpoint_url="http://user:secret1@host/?token=abcdef"), "abcdef"),
        (boto.HTTPClientError(error="http://host/?token=abcdef"), "abcdef"),
    ],
)
def test_messages_hold_no_secrets(error: Exception, secret: str) -> None:
    found = raised(error)
    assert secret not in found.message
    assert secret not in repr(found)
    assert found.__cause__ is None
    assert found.__suppress_context__


def test_how_long_to_wait_is_read_where_aws_says_so() -> None:
    assert raised(answer("ThrottlingException", RetryAfterSeconds=7)).retry_after == 7
    assert raised(answer("ThrottlingException", headers={"retry-after": "3"})).retry_after == 3
    assert raised(answer("ThrottlingException", headers={"retry-after": "soon"})).retry_after is None


def test_missing_credentials_come_with_a_hint() -> None:
    assert "AWS_ACCESS_KEY_ID" in raised(boto.NoCredentialsError()).message


def test_our_own_errors_pass_unchanged() -> None:
    mine = errors.NotFound("gone")
    assert raised(mine) is mine
