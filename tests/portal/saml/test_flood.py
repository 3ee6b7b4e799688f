"""A flood of forged messages costs little, and honest people behind the same address still sign on."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from lxml import etree

from portal.demo.idp import Keys, Response, create_keys, encode, make_response
from portal.demo.idp.encryption import encrypt_assertion
from portal.saml import crypto, envelope
from teams.models import AuditEvent
from tests.portal.saml import sp_keys
from tests.portal.saml.conftest import ISSUER, Browser
from tests.portal.test_sessions import NO_REDIS

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]
LIMIT = 10
GARBAGE = encode(b"<samlp:Response>garbage</samlp:Response>")


@pytest.fixture(autouse=True)
def _limit(settings: LazySettings, metadata_file: Any) -> None:
    settings.SAML_REFUSALS_PER_MINUTE = LIMIT
    settings.TRUSTED_PROXY_COUNT = 1


def post(browser: Browser, field: str, address: str = "198.51.100.1") -> Any:
    return browser.client.post("/saml2/acs/", {"SAMLResponse": field}, headers={"X-Forwarded-For": address})


def flood(browser: Browser, address: str = "198.51.100.1", *, field: str = GARBAGE) -> list[int]:
    """Send one message more than are borne and return the answers."""
    return [post(browser, field, address).status_code for _ in range(LIMIT + 1)]


def test_garbage_is_answered_in_full_up_to_the_limit_and_shortly_above_it(browser: Browser) -> None:
    assert flood(browser) == [403] * (LIMIT + 1)
    response = post(browser, GARBAGE)
    assert response.status_code == 429
    assert response["Retry-After"] == "60"
    assert response["X-Request-ID"][:12] in response.content.decode()
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    "field",
    [
        "",
        "%%%",
        "x" * 500_000,
        GARBAGE,
        encode(b"\xff\xfe"),
        encode(b"<a><Issuer>https://unknown.example</Issuer><SignatureValue/></a>"),
        encode(f"<a><Issuer>{ISSUER}</Issuer></a>".encode()),
        encode(f"<a><Issuer>{ISSUER}.evil</Issuer><SignatureValue/></a>".encode()),
        encode(b"<Issuer " * 20_000),
    ],
    ids=["empty", "not base64", "too large", "garbage", "not UTF-8", "unknown", "not signed", "like ours", "no end"],
)
def test_what_cannot_be_honest_is_not_parsed(browser: Browser, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flood(browser)

    def parse(_: bytes) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(envelope, "parse", parse)
    # The empty field is refused before anything is looked at.
    assert post(browser, field).status_code == (429 if field else 403)


def test_an_honest_sign_on_from_the_same_address_succeeds(
    browser: Browser, other_browser: Browser, answer: Answer, keys: Keys
) -> None:
    flood(browser)
    assert post(browser, GARBAGE).status_code == 429

    response = post(other_browser, encode(make_response(keys, answer())))

    assert response.status_code == 302
    assert other_browser.signed_on


@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_an_honest_sign_on_succeeds_whatever_is_signed(
    browser: Browser, other_browser: Browser, answer: Answer, keys: Keys, sign: str
) -> None:
    flood(browser)
    assert post(other_browser, encode(make_response(keys, answer(sign=sign)))).status_code == 302


def test_an_honest_sign_on_that_began_here_succeeds(
    browser: Browser, other_browser: Browser, answer: Answer, keys: Keys
) -> None:
    flood(browser)
    asked = other_browser.ask()
    assert post(other_browser, encode(make_response(keys, answer(asked=asked)))).status_code == 302


def test_an_honest_encrypted_sign_on_succeeds(
    browser: Browser,
    other_browser: Browser,
    answer: Answer,
    keys: Keys,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    ours = create_keys("portal")
    sp_keys.use(settings, tmp_path, ours, create_keys("portal next"))
    root = etree.fromstring(make_response(keys, answer(sign="assertion")))
    encrypt_assertion(root, ours.certificate)
    flood(browser)
    assert post(other_browser, encode(etree.tostring(root))).status_code == 302


def test_somebody_whose_provider_is_set_up_wrongly_still_reads_why(
    browser: Browser, answer: Answer, keys: Keys
) -> None:
    flood(browser)
    response = post(browser, encode(make_response(keys, answer(audience="https://other.example"))))
    assert response.status_code == 403
    assert "do not agree on their settings" in response.content.decode()


def test_a_forged_message_is_verified_once(
    browser: Browser, answer: Answer, other_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = encode(make_response(other_keys, answer()))
    assert flood(browser, field=forged) == [403] * (LIMIT + 1)

    def verify(*_: Any) -> None:
        raise AssertionError("verified")

    monkeypatch.setattr(crypto, "verify", verify)
    assert post(browser, forged).status_code == 429


def test_another_forged_message_is_refused_as_always(browser: Browser, answer: Answer, other_keys: Keys) -> None:
    flood(browser)
    response = post(browser, encode(make_response(other_keys, answer())))
    assert response.status_code == 403
    assert not browser.signed_on
    assert not Session.objects.exists()


def test_another_network_is_not_touched(browser: Browser) -> None:
    flood(browser)
    assert post(browser, GARBAGE, "198.51.100.2").status_code == 403


def test_an_ipv6_network_is_one_neighbour(browser: Browser) -> None:
    for number in range(LIMIT + 1):
        post(browser, GARBAGE, f"2001:db8::{number + 1:x}")
    assert post(browser, GARBAGE, "2001:db8::ffff").status_code == 429
    assert post(browser, GARBAGE, "2001:db8:0:1::1").status_code == 403
    assert AuditEvent.objects.count() == 2


def test_refusals_of_what_a_known_key_signed_do_not_count(browser: Browser, answer: Answer, keys: Keys) -> None:
    for _ in range(LIMIT + 2):
        assert post(browser, encode(make_response(keys, answer(audience="https://other.example")))).status_code == 403
    assert post(browser, GARBAGE).status_code == 403


def test_the_log_tells_of_it_once(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    flood(browser)
    flood(browser)
    told = [record.getMessage() for record in caplog.records if record.name == "portal.saml.flood"]
    assert told == [f"More than {LIMIT} refusals a minute from 198.51.100.1: garbage is answered 429."]
    each = [record for record in caplog.records if record.name == "portal.saml.refusals"]
    assert len(each) == LIMIT + 1
    assert AuditEvent.objects.count() == 1
    assert all(record.levelno == logging.WARNING for record in each)


def test_without_the_cache_everything_is_refused_as_always(
    browser: Browser, answer: Answer, keys: Keys, settings: LazySettings
) -> None:
    settings.CACHES = NO_REDIS
    assert post(browser, GARBAGE).status_code == 403
    assert post(browser, encode(make_response(keys, answer()))).status_code == 503
    assert not browser.signed_on
