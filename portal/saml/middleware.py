"""`request.saml_session`: the state of sign-ons that this browser has started, kept in a cookie of its own."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from portal.saml.state import COOKIE_NAME, COOKIE_PATH, MAX_AGE, SamlStateStore


class SamlStateMiddleware:
    """Reads the cookie when it is asked for and writes it only when a view changed it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        store = SamlStateStore(request.COOKIES.get(COOKIE_NAME))
        request.saml_session = store  # type: ignore[attr-defined]
        response = self.get_response(request)
        if store.accessed:
            patch_vary_headers(response, ("Cookie",))
        if store.modified and response.status_code < 500:
            _write(response, store)
        return response


def _write(response: HttpResponse, store: SamlStateStore) -> None:
    """Set the cookie so that it comes along when the identity provider's page posts the response; delete an empty one.

    That needs `SameSite=None`, which browsers accept on `Secure` cookies only. On loopback without TLS the attribute is
    left out: browsers then send a cookie younger than two minutes with a cross-site POST.
    """
    if not store.keys():
        response.delete_cookie(COOKIE_NAME, path=COOKIE_PATH, samesite=None if settings.LOOPBACK_HTTP else "None")
        return
    store.save()
    response.set_cookie(
        COOKIE_NAME,
        store.session_key or "",
        max_age=MAX_AGE,
        path=COOKIE_PATH,
        secure=not settings.LOOPBACK_HTTP,
        httponly=True,
        samesite=None if settings.LOOPBACK_HTTP else "None",
    )
