"""Sign-on: our request, the identity provider's answer, our metadata: djangosaml2's views with checks of our own."""

from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from django.views.generic import View
from djangosaml2 import views as djangosaml2

from portal.saml import choose, client, flood, refusals, sp_metadata, state
from portal.saml.causes import Cause, Refused
from portal.saml.names import HTTP_POST, HTTP_REDIRECT
from portal.saml.providers import Provider, default_provider, offered, provider_for
from portal.saml.sign_on import landing_path, sign_on
from portal.saml.state import Outstanding

_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_HOME = "/"


def on_site_path(address: str) -> str:
    """Return the path and query of an address on this portal, `/` for every other address.

    The host is that of PORTAL_URL; the request's own Host header decides nothing.
    """
    host = urlsplit(settings.PORTAL_URL).netloc
    if (
        len(address) > state.MAX_NEXT_LENGTH
        or not address.isprintable()
        or not url_has_allowed_host_and_scheme(address, allowed_hosts={host}, require_https=not settings.LOOPBACK_HTTP)
    ):
        return _HOME
    parts = urlsplit(address)
    path = parts.path if parts.path.startswith("/") else _HOME
    # A path of two slashes would be read as a host again.
    path = "/" + path.lstrip("/\\")
    return f"{path}?{parts.query}" if parts.query else path


@method_decorator(never_cache, name="dispatch")
class LoginView(djangosaml2.LoginView):  # type: ignore[misc]
    """Sends the browser to the identity provider; nothing is stored but a cookie."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Skip djangosaml2's widening of the Content-Security-Policy; the POST form names its one address itself."""
        return View.dispatch(self, request, *args, **kwargs)  # type: ignore[return-value]

    def get(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Answer with a redirect, or with a form where the provider only takes POST."""
        next_path = on_site_path(request.GET.get("next") or request.GET.get("RelayState") or _HOME)
        entity_id = request.GET.get("idp")
        # Whoever names a provider wants what it says: with an application for each team, the second team's evidence.
        if not entity_id and self.should_prevent_auth(request):
            return HttpResponseRedirect(next_path)
        try:
            if not entity_id and len(several := offered()) > 1:
                return choose.page(request, several, next_path)
            return self._send(request, self._provider(entity_id), next_path)
        except Refused as refused:
            return refusals.answer(refused)

    def _provider(self, entity_id: str | None) -> Provider:
        provider = provider_for(entity_id) if entity_id else default_provider()
        if provider is None:
            raise Refused(Cause.ISSUER_UNKNOWN if entity_id else Cause.METADATA_MISSING)
        if provider.expired:
            raise Refused(Cause.METADATA_EXPIRED, issuer=provider.entity_id)
        if not provider.sign_on_locations:
            raise Refused(Cause.NO_SIGN_ON_ADDRESS, issuer=provider.entity_id)
        return provider

    def _send(self, request: HttpRequest, provider: Provider, next_path: str) -> HttpResponse:
        location = provider.sign_on_locations.get(HTTP_REDIRECT) or provider.sign_on_locations[HTTP_POST]
        sent = client.authn_request(location)
        store: state.SamlStateStore = request.saml_session  # type: ignore[attr-defined]
        state.remember(store, Outstanding(request_id=sent.request_id, issuer=provider.entity_id, next_path=next_path))
        if HTTP_REDIRECT in provider.sign_on_locations:
            return HttpResponseRedirect(sent.redirect_url(next_path))
        return _post_form(request, sent, next_path)


def _post_form(request: HttpRequest, sent: client.AuthnRequest, next_path: str) -> HttpResponse:
    context = {
        "location": sent.location,
        "message": sent.form_value(),
        "relay_state": sent.relay_state(next_path),
    }
    parts = urlsplit(sent.location)

    @csp_update({"form-action": [f"{parts.scheme}://{parts.netloc}"]})
    def form(request: HttpRequest) -> HttpResponse:
        return render(request, "portal/saml_post.html", context)

    answer: Any = form(request)
    return answer


@method_decorator((csrf_exempt, never_cache), name="dispatch")
class AssertionConsumerServiceView(djangosaml2.AssertionConsumerServiceView):  # type: ignore[misc]
    """Takes the identity provider's response and signs the person on, or refuses with a page."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Answer with a redirect into the portal under a new session, or with a refusal that leaves no session."""
        store: state.SamlStateStore = request.saml_session  # type: ignore[attr-defined]
        try:
            verified = flood.read(form_field(request, "SAMLResponse")[1], store)
            user = sign_on(request, verified)
        except Refused as refused:
            return refusals.answer(refused)
        asked = on_site_path(request.POST.get("RelayState", _HOME))
        if verified.outstanding:
            state.forget(store, verified.outstanding.request_id)
            # Some identity providers lose the RelayState; the cookie has not.
            asked = asked if asked != _HOME else on_site_path(verified.outstanding.next_path)
        return HttpResponseRedirect(asked if asked != _HOME else landing_path(user, verified))

    def http_method_not_allowed(self, _request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Answer 405 with a page: people come here by going back or by a bookmark."""
        return refusals.method_not_allowed(["POST"])


class _NoFiles(FileUploadHandler):
    """Refuses uploads before anything is written to a disk."""

    def new_file(self, *_: Any, **__: Any) -> None:
        raise Refused(Cause.FORM_TYPE)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        raise Refused(Cause.FORM_TYPE)

    def file_complete(self, file_size: int) -> None:
        raise Refused(Cause.FORM_TYPE)


def form_field(request: HttpRequest, *names: str) -> tuple[str, str]:
    """Return the name and value of the one message of these names in a form, which is read only as far as it may be."""
    if request.content_type not in _FORMS:
        raise Refused(Cause.FORM_TYPE)
    request.upload_handlers = [_NoFiles(request)]
    try:
        found = [(name, value) for name in names for value in request.POST.getlist(name)]
    except RequestDataTooBig:
        raise Refused(Cause.TOO_LARGE) from None
    except (BadRequest, LookupError):
        # A character encoding that forms are not written in.
        raise Refused(Cause.FORM_TYPE) from None
    except (SuspiciousOperation, MultiPartParserError, OSError, ValueError):
        raise Refused(Cause.NO_MESSAGE) from None
    if len(found) != 1 or not found[0][1]:
        raise Refused(Cause.NO_MESSAGE)
    return found[0]


@require_safe
@cache_control(public=True, max_age=300)
def metadata(_request: HttpRequest) -> HttpResponse:
    """Tell identity providers our entity ID, our certificates and where to send their answers."""
    return HttpResponse(sp_metadata.document(), content_type=sp_metadata.CONTENT_TYPE)
