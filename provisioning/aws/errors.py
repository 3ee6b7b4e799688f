"""What may go wrong with a call, in seven words, so that callers decide to retry or to stop without knowing botocore.

Messages are fit for people and for the audit log: no credentials, no tokens, no query strings. The codes that AWS uses
but does not model for SageMaker (`ThrottlingException`, `ValidationException`, `AccessDeniedException`) are told apart
by name, as `ClientError` carries them.
"""

# ruff: noqa: N818  (the words are those of the whole floor: Transient, Throttled, NotFound …)

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from teams import scrubbing


class AwsError(Exception):
    """A call that failed: `code` is AWS's or botocore's own word, `request_id` is empty when AWS never answered.

    `resource` is the kind of thing that AWS did not find (`GROUP`, `USER`, `IDENTITY_STORE`), where it says so.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        resource: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).__name__
        self.request_id = request_id
        self.retry_after = retry_after
        self.resource = resource


class Transient(AwsError):
    """AWS could not be reached, or failed by itself; whether the call took effect is unknown."""


class CredentialsExpired(Transient):
    """The credentials ran out; new ones are fetched with the next call."""


class ConnectionBroken(Transient):
    """The connection could not be made or broke at once; no time was lost."""


class Throttled(AwsError):
    """Too many calls; `retry_after` in seconds where AWS says so."""


class Paced(Throttled):
    """The portal's own limit: the call was not made, and may be in `retry_after` seconds."""


class NotFound(AwsError):
    """The thing named does not exist (any more)."""


class AlreadyExists(AwsError):
    """The name is taken, or the thing is busy with another change."""


class Denied(AwsError):
    """The portal's identity may not do this; the message names the permission that is missing."""


class QuotaExceeded(AwsError):
    """A quota of the account is used up; permanent until somebody raises it."""


class Invalid(AwsError):
    """AWS does not accept the values; repeating the call does not help."""


# Codes as AWS writes them, without the `Exception` that some of its services put behind.
_NOT_FOUND = {
    *("ResourceNotFound", "NotFound", "RecordNotFound"),
    # A queue, in its old form and in its new one.
    *("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"),
    # IAM, Service Quotas.
    *("NoSuchEntity", "NoSuchResource"),
}
_IN_USE = {"ResourceInUse", "Conflict", "ResourceConflict", "ResourceAlreadyExists", "AlreadyExists"}
_QUOTA = {"ResourceLimitExceeded", "ServiceQuotaExceeded"}
_THROTTLED = {
    *("Throttling", "Throttled", "RequestThrottled", "LimitExceeded", "RequestLimitExceeded", "TooManyRequests"),
    *(
        "SlowDown",
        "OverLimit",
        "KmsThrottled",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
        "ProvisionedThroughputExceeded",
    ),
}
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired"}
_UNKNOWN_IDENTITY = {
    *("UnrecognizedClient", "InvalidClientTokenId", "InvalidAccessKeyId", "InvalidSignature", "SignatureDoesNotMatch"),
    *("IncompleteSignature", "MissingAuthenticationToken"),
}
_DENIED = {
    "AccessDenied",
    "KmsAccessDenied",
    "UnauthorizedOperation",
    "NotAuthorized",
    "OptInRequired",
    "RegionDisabled",
}
_TRANSIENT = {
    *("RequestTimeout", "RequestExpired", "InternalFailure", "InternalError", "InternalServerError", "InternalServer"),
    "ServiceUnavailable",
}

_KINDS: tuple[tuple[set[str], type[AwsError]], ...] = (
    (_NOT_FOUND, NotFound),
    (_IN_USE, AlreadyExists),
    (_QUOTA, QuotaExceeded),
    (_THROTTLED, Throttled),
    (_EXPIRED, CredentialsExpired),
    (_UNKNOWN_IDENTITY | _DENIED, Denied),
    (_TRANSIENT, Transient),
)

# An app that is deleted twice “has already been deleted”, one that failed “was automatically deleted”.
_ABSENT = re.compile(
    r"RecordNotFound|does not exist|could not be found|not found|has already been deleted|was automatically deleted",
    re.IGNORECASE,
)
_EXISTS = re.compile(r"already exists|already in use", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*")
_ENCODED = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)


@contextmanager
def translated(what: str = "") -> Iterator[None]:
    """Turn every exception of botocore inside the block into one of this module; `what` failed, as a sentence."""
    try:
        yield
    except boto.ClientError as error:
        raise _about(what, from_answer(error)) from None
    except (boto.BotoCoreError, ResponseParserError, OSError) as error:
        raise _about(what, from_transport(error)) from None


def _about(what: str, error: AwsError) -> AwsError:
    error.message = f"{what} {error.message}".lstrip()
    error.args = (error.message,)
    return error


def from_answer(error: boto.ClientError) -> AwsError:
    """Return what an error answer of AWS means."""
    answer = error.response
    code = str(answer.get("Error", {}).get("Code", "") or "Unknown")
    message = readable(str(answer.get("Error", {}).get("Message", "") or "") or f"AWS answered {code}.")
    metadata = answer.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0) or 0)
    kind = _kind(code, message, status)
    if kind is CredentialsExpired:
        message = "The portal's AWS credentials have expired; new ones are being fetched."
    elif code.removesuffix("Exception") in _UNKNOWN_IDENTITY:
        message = f"AWS does not accept the portal's credentials ({code}); check the access key or role it runs with."
    headers = metadata.get("HTTPHeaders", {}) or {}
    return kind(
        message,
        code=code,
        request_id=str(metadata.get("RequestId", "") or headers.get("x-amzn-requestid", "")),
        retry_after=_seconds(answer.get("RetryAfterSeconds") or headers.get("retry-after")),
        resource=str(answer.get("ResourceType", "") or ""),
    )


def _kind(code: str, message: str, status: int) -> type[AwsError]:
    for codes, kind in _KINDS:
        if code.removesuffix("Exception") in codes:
            return kind
    if status == 429:
        return Throttled
    if status >= 500:
        return Transient
    if code == "ValidationException" and _EXISTS.search(message):
        return AlreadyExists
    if code == "ValidationException" and _ABSENT.search(message):
        return NotFound
    return Denied if status in {401, 403} else Invalid


def from_transport(error: Exception) -> AwsError:
    """Return what a failure without an answer of AWS means."""
    code = type(error).__name__
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
        return Denied(
            "The portal has no AWS credentials; give its processes a role or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY.",
            code=code,
        )
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return Transient("AWS did not answer in time.", code=code)
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectionClosedError):
        return ConnectionBroken("AWS could not be reached.", code=code)
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError | OSError):
        return Transient("AWS could not be reached.", code=code)
    if isinstance(error, ResponseParserError):
        return Transient("AWS's answer could not be read.", code=code)
    return Invalid(readable(str(error)) or code, code=code)


def readable(message: str) -> str:
    """Return AWS's message without encoded blobs, query strings and secrets, on one line."""
    message = _QUERY.sub(r"\1", _ENCODED.sub("", message))
    return " ".join(scrubbing.scrub_text(message).split())


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 3600 else None
