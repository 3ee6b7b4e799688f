"""Responses in SCIM's form. Nothing here knows the SCIM library, so that strangers are refused without it."""

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

MEDIA_TYPE = "application/scim+json"
BASE_PATH = "/scim/v2"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
# What fits into so many pieces is answered whole; longer answers are sent while they are read.
_WHOLE_PIECES = 64
_DETAIL = 400


def location(*parts: str) -> str:
    """Return the absolute address of a resource, or of the service."""
    return "/".join((f"{settings.PORTAL_URL}{BASE_PATH}", *parts))


def document(value: Any, status: int = 200) -> HttpResponse:
    """Answer a JSON value."""
    return _plain(HttpResponse(json.dumps(value), status=status, content_type=MEDIA_TYPE))


def streamed(pieces: Iterator[str], status: int = 200) -> HttpResponseBase:
    """Answer a JSON text that comes in pieces, without holding more than a few of them at a time."""
    first = list(islice(pieces, _WHOLE_PIECES))
    if len(first) < _WHOLE_PIECES:
        return _plain(HttpResponse("".join(first), status=status, content_type=MEDIA_TYPE))
    return _plain(StreamingHttpResponse(chain(first, pieces), status=status, content_type=MEDIA_TYPE))


def empty(status: int = 204) -> Any:
    """Answer nothing but a status."""
    response = _plain(HttpResponse(status=status))
    del response["Content-Type"]
    return response


def error(status: int, detail: str, scim_type: str = "") -> HttpResponse:
    """Answer an error; `detail` is put on one line and cut."""
    told = {"schemas": [_ERROR], "status": str(int(status)), "detail": " ".join(detail.split())[:_DETAIL]}
    return document(told | ({"scimType": scim_type} if scim_type else {}), status)


def _plain(response: Any) -> Any:
    response["Cache-Control"] = "no-store"
    return response
