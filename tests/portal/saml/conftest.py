"""An identity provider whose metadata the portal trusts, and a browser that brings its answers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.http import HttpResponse
from django.test import Client

from portal.demo.idp import Keys, Response, create_keys, encode, make_response, metadata, response_for
from portal.saml import sources

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
            issuer=ISSUER, portal_url=PORTAL, name_id="alice@example.com", in_response_to=asked,
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
        from urllib.parse import urlencode

        return self.client.post("/saml2/acs/", urlencode(form), content_type="application/x-www-form-urlencoded")

    @property
    def signed_on(self) -> bool:
        """Whether this browser holds a session of somebody."""
        return "_auth_user_id" in self.client.session if "portal_session" in self.client.cookies else False


@pytest.fixture
def browser(keys: Keys) -> Browser:
    """A browser that has not been here before."""
    return Browser(keys)


@pytest.fixture
def browsers(keys: Keys) -> Iterator[Callable[[], Browser]]:
    """More browsers."""
    yield lambda: Browser(keys)
