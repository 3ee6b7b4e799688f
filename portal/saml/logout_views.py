"""Logout messages of identity providers, and the pages that carry ours; without a signature nothing ends here."""

import base64
import logging
from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.contrib import messages
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from portal.saml import bindings, keys, logout, logout_messages, refusals, replay
from portal.saml.bindings import Received
from portal.saml.causes import Cause, Refused
from portal.saml.logout import Outgoing
from portal.saml.names import HTTP_REDIRECT
from portal.saml.state import SamlStateStore
from portal.saml.views import form_field

logger = logging.getLogger(__name__)


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def single_logout(request: HttpRequest) -> HttpResponse:
    """Take a provider's LogoutRequest or LogoutResponse, by redirect or by form, or refuse it with a page."""
    issuer, trusted = "", False
    try:
        received = _read(request)
        issuer, trusted = received.provider.entity_id, True
        if received.root.tag == bindings.TAGS["SAMLRequest"]:
            return _requested(request, received)
        return _answered(request, received)
    except Refused as refused:
        return refusals.answer_logout(Refused(refused.cause, issuer=issuer or refused.issuer, trusted=trusted))
    except DatabaseError as error:
        logger.error("A logout could not be stored: %s", type(error).__name__)  # noqa: TRY400
        return refusals.answer_logout(Refused(Cause.DATABASE_DOWN, issuer=issuer, trusted=trusted))
    except Exception as error:  # noqa: BLE001  (fail closed, and never with a 500)
        logger.error("A logout message raised %s.", type(error).__name__)  # noqa: TRY400
        return refusals.answer_logout(Refused(Cause.UNEXPECTED, issuer=issuer, trusted=trusted))


@never_cache
def send(request: HttpRequest, outgoing: Outgoing) -> HttpResponse:
    """Return a page that goes on to the provider by itself.

    Browsers apply form-action to every redirect after a form, so the way from our logout form to the provider's address
    leads over a page: a refresh for the Redirect binding, a form with an exception for its one address for the other.
    """
    context: dict[str, Any] = {"location": outgoing.location, "leaving": outgoing.name == "SAMLRequest"}
    if outgoing.binding == HTTP_REDIRECT:
        return render(request, "portal/saml_logout.html", {**context, "url": outgoing.url()})
    context |= {
        "name": outgoing.name,
        "message": base64.b64encode(outgoing.xml()).decode(),
        "relay_state": outgoing.relay_state,
    }
    parts = urlsplit(outgoing.location)

    @csp_update({"form-action": [f"{parts.scheme}://{parts.netloc}"]})
    def form(request: HttpRequest) -> HttpResponse:
        return render(request, "portal/saml_logout.html", context)

    page: Any = form(request)
    return page


def _read(request: HttpRequest) -> Received:
    if keys.current() is None:
        raise Refused(Cause.LOGOUT_WITHOUT_KEY)
    if request.method == "GET":
        return bindings.from_query(request.META.get("QUERY_STRING", ""))
    name, value = form_field(request, *bindings.TAGS)
    return bindings.from_form(name, value, request.POST.get("RelayState", ""))


def _requested(request: HttpRequest, received: Received) -> HttpResponse:
    asked = logout_messages.read_request(received)
    replay.spend_logout(issuer=received.provider.entity_id, request_id=asked.request_id)
    complete = logout.end_sessions(received.provider, asked)
    outgoing = logout.answer(
        received.provider, asked, binding=received.binding, relay_state=received.relay_state, complete=complete
    )
    if outgoing is None:
        return HttpResponseRedirect(reverse("landing"))
    if outgoing.binding == HTTP_REDIRECT:
        return HttpResponseRedirect(outgoing.url())
    return send(request, outgoing)


def _answered(request: HttpRequest, received: Received) -> HttpResponse:
    request_id, complete = logout_messages.read_response(received)
    store: SamlStateStore = request.saml_session  # type: ignore[attr-defined]
    logout.returned(store, request_id, received.provider)
    if complete:
        messages.success(request, "You are signed out here and at your identity provider.")
    else:
        messages.warning(
            request, "You are signed out here, but perhaps not everywhere: sign out of your company account, too."
        )
    return HttpResponseRedirect(reverse("landing"))
