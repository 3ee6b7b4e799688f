"""What a request brings: its body within bounds, its parameters, and the version that it wants to meet."""

from typing import Any

from django.http import HttpRequest
from django.utils.http import parse_etags
from scim2_models import (
    InvalidSyntaxException,
    PayloadTooLargeException,
    PreconditionFailedException,
    ResponseParameters,
    SearchRequest,
)

from portal.scim import filters
from teams import strict_json

# A group of 100,000 members, named by id alone.
MAX_BODY_BYTES = 8 * 1024 * 1024
_SELECTIONS = ("attributes", "excludedAttributes")
_SEARCHES = {name.lower(): name for name in (*_SELECTIONS, "filter", "sortBy", "sortOrder", "startIndex", "count")}


def body(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object that was sent.

    Raises PayloadTooLargeException above `MAX_BODY_BYTES`, InvalidSyntaxException for what is no JSON object.
    """
    content = _stream(request).read(MAX_BODY_BYTES + 1)
    if len(content) > MAX_BODY_BYTES:
        raise PayloadTooLargeException(detail=f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        found = strict_json.read(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InvalidSyntaxException(detail="The body is not in UTF-8.") from None
    except ValueError as error:
        raise InvalidSyntaxException(detail=str(error)) from None
    if not isinstance(found, dict):
        raise InvalidSyntaxException(detail="The body is not a JSON object.")
    return found


def _stream(request: HttpRequest) -> Any:
    """Return what to read the body from; of one that comes in chunks, without its length, Django reads nothing."""
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    # Only a server that says so ends the stream with the body.
    return request.META["wsgi.input"] if chunked and request.META.get("wsgi.input_terminated") else request


def selection(request: HttpRequest, model: Any) -> ResponseParameters[Any]:
    """Return which attributes the answer is to have."""
    given = {name: request.GET[name] for name in _SELECTIONS if name in request.GET}
    return ResponseParameters[model].model_validate(given)


def search(request: HttpRequest, model: Any) -> SearchRequest[Any]:
    """Return what is asked of a list, from the address or, for `.search`, from the body."""
    sent: dict[str, Any] = body(request) if request.method == "POST" else request.GET.dict()
    given = {_SEARCHES[name.lower()]: value for name, value in sent.items() if name.lower() in _SEARCHES}
    asked = given.get("filter")
    if isinstance(asked, str):
        given["filter"] = filters.rewritten(asked)
    return SearchRequest[model].model_validate(given)


def require_version(request: HttpRequest, etag: str) -> None:
    """Raise PreconditionFailedException unless the resource is at a version that `If-Match` names."""
    wanted = parse_etags(request.headers.get("If-Match", ""))
    if wanted and "*" not in wanted and not _names(wanted, etag):
        raise PreconditionFailedException


def has_version(request: HttpRequest, etag: str) -> bool:
    """Whether the client has this version already, by `If-None-Match`."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or _names(known, etag)


def _names(etags: list[str], etag: str) -> bool:
    # Weak comparison (RFC 9110, 8.8.3.2): all our tags are weak.
    return etag.removeprefix("W/") in {each.removeprefix("W/") for each in etags}
