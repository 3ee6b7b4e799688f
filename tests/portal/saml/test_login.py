"""Starting a sign-on here: the request, the cookie that remembers it, and our metadata."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import etree

from portal.demo.idp import Response
from portal.demo.idp.authn_request import read
from portal.saml import state
from portal.saml.causes import Cause
from portal.saml.names import HTTP_POST, HTTP_REDIRECT, MD
from portal.saml.state import MAX_REQUESTS, Outstanding, SamlStateStore
from portal.saml.views import on_site_path
from teams.models import AuditEvent
from tests.portal.saml.conftest import ACS, ISSUER, PORTAL, SSO, Browser

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]


@pytest.fixture
def production(settings: LazySettings) -> Iterator[LazySettings]:
    """The settings of a portal with an https address."""
    settings.LOOPBACK_HTTP = False
    settings.PORTAL_URL = "https://portal.example.com"
    settings.SAML_ENTITY_ID = "https://portal.example.com/saml2/metadata/"
    return settings


def test_the_request_says_who_asks_and_where_to_answer(client: Client, metadata_file: Path) -> None:
    response = client.get("/saml2/login/", {"next": "/teams/red/progress/"})

    assert response.status_code == 302
    assert response["Location"].startswith(f"{SSO}?")
    query = parse_qs(urlsplit(response["Location"]).query)
    request = read(query["SAMLRequest"][0], deflated=True)
    assert (request.issuer, request.acs_url) == (f"{PORTAL}/saml2/metadata/", ACS)
    assert query["RelayState"] == ["/teams/red/progress/"]
    assert "no-store" in response["Cache-Control"]


def test_addresses_come_from_the_setting_and_not_from_the_host_header(
    client: Client, metadata_file: Path, settings: LazySettings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    location = client.get("/saml2/login/", headers={"host": "evil.example"})["Location"]
    metadata = client.get("/saml2/metadata/", headers={"host": "evil.example"}).content.decode()

    request = read(parse_qs(urlsplit(location).query)["SAMLRequest"][0], deflated=True)
    assert request.acs_url == ACS
    assert "evil" not in metadata


def test_a_visitor_writes_nothing(client: Client, metadata_file: Path) -> None:
    client.get("/saml2/login/")
    with CaptureQueriesContext(connection) as queries:
        client.get("/saml2/login/")

    assert list(queries) == []
    assert "portal_session" not in client.cookies
    assert not Session.objects.exists()
    assert not AuditEvent.objects.exists()


def test_the_cookie_on_loopback(client: Client, metadata_file: Path) -> None:
    cookie = client.get("/saml2/login/").cookies["saml_session"]

    assert (cookie["secure"], cookie["samesite"], cookie["httponly"]) == ("", "", True)
    assert (cookie["path"], cookie["max-age"]) == ("/saml2/", 600)


def test_the_cookie_in_production(metadata_file: Path, production: LazySettings) -> None:
    production.ALLOWED_HOSTS = ["portal.example.com"]

    cookie = Client().get("/saml2/login/", secure=True, headers={"host": "portal.example.com"}).cookies["saml_session"]

    assert (cookie["secure"], cookie["samesite"], cookie["httponly"]) == (True, "None", True)


def test_the_cookie_stays_small(client: Client, metadata_file: Path) -> None:
    for number in range(12):
        client.get("/saml2/login/", {"next": f"/teams/{number}/?{'x' * 280}"})

    assert len(client.cookies["saml_session"].value) < 3800


def test_the_oldest_requests_are_forgotten(browser: Browser, answer: Answer) -> None:
    asked = [browser.ask() for _ in range(MAX_REQUESTS + 1)]

    assert browser.bring(answer(asked=asked[0])).status_code == 403
    assert browser.bring(answer(asked=asked[-1])).status_code == 302


def test_several_sign_ons_may_be_under_way(browser: Browser, answer: Answer) -> None:
    asked = [browser.ask(f"/teams/{number}/progress/") for number in range(3)]

    assert browser.bring(answer(asked=asked[1]))["Location"] == "/teams/1/progress/"
    assert browser.bring(answer(asked=asked[0]))["Location"] == "/teams/0/progress/"


def test_a_request_is_too_old_after_ten_minutes(
    browser: Browser, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = browser.ask()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 601)

    browser.bring(answer(asked=asked))

    assert AuditEvent.objects.get().reason.startswith(Cause.IN_RESPONSE_TO_UNKNOWN)


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "x",
        "x" * 5000,
        "a:b:c",
        signing.dumps({"requests": {"_x": [ISSUER, "/", 9999999999]}}),
        signing.dumps({"requests": {"_x": [ISSUER, "/", 9999999999]}}, salt="portal.saml.state", key="another"),
        signing.dumps([1], salt="portal.saml.state"),
    ],
    ids=["empty", "short", "long", "colons", "another salt", "another key", "no mapping"],
)
def test_a_forged_cookie_is_an_empty_one(browser: Browser, answer: Answer, cookie: str) -> None:
    browser.client.cookies["saml_session"] = cookie

    response = browser.bring(answer(asked="_x"))

    assert response.status_code == 403
    assert AuditEvent.objects.get().reason.startswith(Cause.IN_RESPONSE_TO_UNKNOWN)


def test_the_state_forgets_what_is_answered() -> None:
    store = SamlStateStore(None)
    for name in ("a", "b"):
        state.remember(store, Outstanding(request_id=name, issuer="i", next_path="/"))

    state.forget(store, "a")

    assert state.find(store, "a") is None
    assert state.find(store, "b") == Outstanding(request_id="b", issuer="i", next_path="/")


def _metadata(binding: str, location: str = SSO) -> bytes:
    from portal.demo.idp import create_keys, metadata

    root = etree.fromstring(metadata(ISSUER, location, [create_keys("x").certificate_pem]))
    for service in root.findall(f".//{MD}SingleSignOnService"):
        if service.get("Binding") != binding:
            service.getparent().remove(service)  # type: ignore[union-attr]
    return etree.tostring(root)


def test_a_provider_that_only_takes_post_gets_a_form(client: Client, metadata_file: Path, look_at_once: None) -> None:
    metadata_file.write_bytes(_metadata(HTTP_POST))

    response = client.get("/saml2/login/", {"next": '/"><script>'})

    assert response.status_code == 200
    page = response.content.decode()
    assert f'action="{SSO}"' in page
    assert "<script>" not in page
    policy = next(part for part in response["Content-Security-Policy"].split(";") if "form-action" in part)
    assert "https://idp.example.com" in policy.split()
    assert "https:" not in policy.split()


def test_the_request_is_appended_to_an_address_with_a_query(
    client: Client, metadata_file: Path, look_at_once: None
) -> None:
    metadata_file.write_bytes(_metadata(HTTP_REDIRECT, f"{SSO}?tenant=1"))

    assert client.get("/saml2/login/")["Location"].startswith(f"{SSO}?tenant=1&SAMLRequest=")


def test_a_provider_without_an_address_says_so(client: Client, metadata_file: Path, look_at_once: None) -> None:
    metadata_file.write_bytes(_metadata("none"))

    assert client.get("/saml2/login/").status_code == 403
    assert AuditEvent.objects.get().reason.startswith(Cause.NO_SIGN_ON_ADDRESS)


def test_without_metadata_there_is_a_page(client: Client, settings: LazySettings, tmp_path: Path) -> None:
    settings.SAML_IDP_METADATA = str(tmp_path / "none.xml")

    response = client.get("/saml2/login/")

    assert response.status_code == 503
    assert "not possible right now" in response.content.decode()


def test_an_unknown_provider_is_refused(client: Client, metadata_file: Path) -> None:
    assert client.get("/saml2/login/", {"idp": "https://evil.example"}).status_code == 403
    assert client.get("/saml2/login/", {"idp": ISSUER}).status_code == 302


def test_our_metadata_say_who_we_are(client: Client, metadata_file: Path) -> None:
    response = client.get("/saml2/metadata/")

    root = etree.fromstring(response.content)
    service = root.find(f"{MD}SPSSODescriptor/{MD}AssertionConsumerService")
    role = root.find(f"{MD}SPSSODescriptor")
    assert root.get("entityID") == f"{PORTAL}/saml2/metadata/"
    assert service is not None
    assert (service.get("Location"), service.get("Binding")) == (ACS, HTTP_POST)
    assert role is not None
    assert (role.get("WantAssertionsSigned"), role.get("AuthnRequestsSigned")) == ("true", "false")
    assert response["Content-Type"].startswith(("text/xml", "application/samlmetadata+xml"))


def test_our_metadata_follow_the_settings(production: LazySettings, metadata_file: Path) -> None:
    production.SAML_ENTITY_ID = "urn:our:portal"

    content = Client().get("/saml2/metadata/", secure=True).content.decode()

    assert 'entityID="urn:our:portal"' in content
    assert "https://portal.example.com/saml2/acs/" in content


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("/", "/"),
        ("/teams/red/", "/teams/red/"),
        ("/a?b=c&d=e", "/a?b=c&d=e"),
        (f"{PORTAL}/a", "/a"),
        ("a", "/"),
        ("/a#b", "/a"),
        ("https://127.0.0.1:8000/a", "/a"),
        ("http://localhost:8000/a", "/"),
        ("/a\nb", "/"),
        ("/.//evil.example", "/.//evil.example"),
        ("", "/"),
        ("?x", "/?x"),
    ],
)
def test_only_paths_of_this_site_are_followed(address: str, path: str) -> None:
    assert on_site_path(address) == path


def test_https_is_kept(production: LazySettings) -> None:
    assert on_site_path("http://portal.example.com/a") == "/"
    assert on_site_path("https://portal.example.com/a") == "/a"
