"""Who asks, from where, in which request: the context that the audit log and the log lines carry."""

import ipaddress
import uuid
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from portal import sessions
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


class SessionUseMiddleware:
    """Notes that a session is in use, which keeps it from ending for want of use.

    A page that asks by itself is nobody's use: neither an htmx poll (htmx does nothing else here) nor the progress
    page, which refreshes itself where there is no JavaScript.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        page = request.resolver_match.view_name if request.resolver_match else ""
        by_itself = bool(request.headers.get("HX-Request")) or page == "progress"
        # A session that no view looked at is not loaded for this.
        if request.session.accessed and not by_itself and response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            sessions.note_use(request.session)
        return response


def client_network(address: str | None) -> str:
    """Return what counts as one neighbour for rate limits: an IPv4 address, or the /64 that an IPv6 address is from.

    Whoever has one IPv6 address commonly has all 2^64 of its network. Callers without an address share one name.
    """
    if address is None:
        return "unknown"
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


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
