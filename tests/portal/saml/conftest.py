"""An identity provider whose metadata the portal trusts, and a browser that brings its answers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client

from portal.demo.idp import Keys, Response, create_keys, encode, make_response, metadata, response_for
from portal.demo.idp.authn_request import read
from portal.saml import sources
from portal.saml.causes import Cause
from teams.models import AuditEvent, Membership, User

PORTAL = "http://127.0.0.1:8000"
ACS = f"{PORTAL}/saml2/acs/"
ISSUER = "https://idp.example.com/saml"
SSO = "https://idp.example.com/sso"


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The identity provider's signing key."""
    return create_keys("idp")


@pytest.fixture(scope="session")
def other_keys() -> Keys:
    """A key that nobody trusts."""
    return create_keys("other")


@pytest.fixture
def metadata_file(tmp_path: Path, keys: Keys, settings: LazySettings) -> Path:
    """The metadata that the portal is told to use."""
    path = tmp_path / "idp.xml"
    path.write_bytes(metadata(ISSUER, SSO, [keys.certificate_pem]))
    settings.SAML_IDP_METADATA = str(path)
    return path


@pytest.fixture
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a changed metadata file noticed without waiting."""
    monkeypatch.setattr(sources, "LOOK_EVERY", 0.0)


@pytest.fixture
def answer(metadata_file: Path) -> Callable[..., Response]:
    """Make the answer that the portal accepts, with some fields replaced."""

    def make(attributes: dict[str, list[str]] | None = None, *, asked: str | None = None, **fields: Any) -> Response:
        good = response_for(
            issuer=ISSUER,
            portal_url=PORTAL,
            name_id="alice@example.com",
            in_response_to=asked,
            attributes={"ssouserid": ["alice"]} if attributes is None else attributes,
        )
        return replace(good, **fields)

    return make


class Browser:
    """Django's test client, bringing answers to the assertion consumer service."""

    def __init__(self, keys: Keys) -> None:
        self.client = Client()
        self.keys = keys

    def bring(self, answer: Response, *, keys: Keys | None = None, **form: str) -> HttpResponse:
        """Post an answer signed by the identity provider."""
        return self.bring_xml(make_response(keys or self.keys, answer), **form)

    def bring_xml(self, xml: bytes, **form: str) -> HttpResponse:
        """Post a message as it is."""
        return self.post(SAMLResponse=encode(xml), **form)

    def post(self, **form: str) -> HttpResponse:
        """Post a form to the assertion consumer service as browsers do."""
        kind = "application/x-www-form-urlencoded"
        response: Any = self.client.post("/saml2/acs/", urlencode(form), content_type=kind)
        return response

    def ask(self, next_path: str = "/") -> str:
        """Begin a sign-on here and return the id of the request that the identity provider gets."""
        response = self.client.get("/saml2/login/", {"next": next_path})
        query = parse_qs(urlsplit(response["Location"]).query)
        return read(query["SAMLRequest"][0], deflated=True).id

    @property
    def signed_on(self) -> bool:
        """Whether this browser holds a session of somebody."""
        return "portal_session" in self.client.cookies and "_auth_user_id" in self.client.session


@pytest.fixture
def browser(keys: Keys) -> Browser:
    """A browser that has not been here before."""
    return Browser(keys)


@pytest.fixture
def other_browser(keys: Keys) -> Browser:
    """Another one."""
    return Browser(keys)


def assert_refused(browser: Browser, response: Any, cause: Cause, *, status: int = 403) -> None:
    """The page tells what to do, the audit the cause; nobody is signed on and nothing else is stored."""
    event = AuditEvent.objects.filter(action=AuditEvent.Action.SIGN_ON).first()
    assert event is not None, f"no audit row: {response.status_code}"
    assert (event.outcome, event.reason.partition(",")[0]) == ("refused", cause.value)
    assert response.status_code == status
    assert event.request_id[:12] in response.content.decode()
    assert "Location" not in response
    assert not browser.signed_on
    assert not Session.objects.exists()
    assert not Membership.objects.exists()
    assert not User.objects.exclude(is_active=False).exists()
