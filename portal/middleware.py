"""Who asks, from where, in which request: the context that the audit log and the log lines carry."""

import ipaddress
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from teams import audit

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestContextMiddleware:
    """Opens an audit context for the request and answers its id as `X-Request-ID`."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request.META["REQUEST_ID"] = uuid.uuid4().hex
        with audit.context(request_id=request_id, address=client_address(request)):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class ActorMiddleware:
    """Names the signed-on person as actor, lazily, so that pages without audit rows load no user."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with audit.context(actor=lambda: request.user.get_username()):
            return self.get_response(request)


def client_address(request: HttpRequest) -> str | None:
    """Return the address of the browser: the one that the outermost trusted proxy saw, None when it is not an address.

    Only the last `TRUSTED_PROXY_COUNT` entries of X-Forwarded-For were written by our own proxies; what stands before
    them is the caller's own word.
    """
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.TRUSTED_PROXY_COUNT
    if count:
        forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        if len(forwarded) >= count:
            address = forwarded[-count]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None
