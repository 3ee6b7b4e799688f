"""Nothing is used twice: not an assertion, not a request, not at once, not without the shared cache."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from django.conf import LazySettings
from django.db import connections

from portal.demo.idp import Keys, Response, make_response
from portal.saml import replay
from portal.saml.causes import Cause, Refused
from teams.models import AuditEvent
from tests.portal.saml.conftest import Browser, assert_refused
from tests.portal.saml.forging import spoiled_after

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]
AT_ONCE = 8


def _refusals() -> list[str]:
    rows = AuditEvent.objects.filter(outcome=AuditEvent.Outcome.REFUSED)
    return [reason.partition(",")[0] for reason in rows.values_list("reason", flat=True)]


def test_an_assertion_is_taken_once(browser: Browser, other_browser: Browser, answer: Answer) -> None:
    good = answer()

    assert browser.bring(good).status_code == 302
    assert other_browser.bring(good).status_code == 403

    assert not other_browser.signed_on
    assert _refusals() == [Cause.REPLAYED]
    assert AuditEvent.objects.get(outcome=AuditEvent.Outcome.REFUSED).target == "alice"


def test_an_assertion_is_taken_once_in_whatever_envelope(
    browser: Browser, other_browser: Browser, answer: Answer, keys: Keys
) -> None:
    xml = make_response(keys, answer(sign="assertion"))

    browser.bring_xml(xml)
    other_browser.bring_xml(spoiled_after(xml, lambda root: root.set("ID", "_another")))

    assert _refusals() == [Cause.REPLAYED]


def test_a_request_is_answered_once_even_by_a_fresh_assertion(browser: Browser, answer: Answer) -> None:
    asked = browser.ask()
    cookie = browser.client.cookies["saml_session"].value
    assert browser.bring(answer(asked=asked)).status_code == 302

    browser.client.cookies["saml_session"] = cookie
    assert browser.bring(answer(asked=asked)).status_code == 403

    assert _refusals() == [Cause.REQUEST_USED]


def test_an_answered_request_is_no_longer_outstanding(browser: Browser, answer: Answer) -> None:
    asked = browser.ask()
    browser.bring(answer(asked=asked))

    browser.bring(answer(asked=asked))

    assert _refusals() == [Cause.IN_RESPONSE_TO_UNKNOWN]


def test_a_refused_answer_leaves_the_request_open(browser: Browser, answer: Answer) -> None:
    asked = browser.ask()
    browser.bring(answer(asked=asked, audience="https://other.example"))

    assert browser.bring(answer(asked=asked)).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_once_one_signs_on(answer: Answer, keys: Keys) -> None:
    good, barrier = answer(), Barrier(AT_ONCE)

    def bring(_: int) -> int:
        browser = Browser(keys)
        barrier.wait(10)
        try:
            return browser.bring(good).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = list(pool.map(bring, range(AT_ONCE)))

    assert sorted(statuses) == [302] + [403] * (AT_ONCE - 1)
    assert AuditEvent.objects.filter(action="sign_on", outcome="success").count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_people_sign_on_at_once(answer: Answer, keys: Keys) -> None:
    """The client that makes requests and the metadata are shared by all threads of a server."""
    barrier = Barrier(AT_ONCE)

    def sign_on(number: int) -> str:
        browser = Browser(keys)
        barrier.wait(10)
        try:
            for _ in range(3):
                asked = browser.ask(f"/teams/t{number}/progress/")
                response = browser.bring(answer({"ssouserid": [f"user-{number}"]}, asked=asked))
                browser.client.cookies.pop("portal_session", None)
            return response["Location"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        places = list(pool.map(sign_on, range(AT_ONCE)))

    assert places == [f"/teams/t{number}/progress/" for number in range(AT_ONCE)]
    assert AuditEvent.objects.filter(action="sign_on", outcome="success").count() == AT_ONCE * 3


def test_without_the_cache_nobody_signs_on(browser: Browser, answer: Answer, settings: LazySettings) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"socket_connect_timeout": 0.2},
        }
    }

    response = browser.bring(answer())

    assert_refused(browser, response, Cause.CACHE_DOWN, status=503)
    assert browser.bring_xml(b"<garbage/>").status_code == 403


def test_the_first_use_is_remembered_as_long_as_the_assertion_could_be_shown(
    browser: Browser, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[float] = []
    spend = replay.spend_assertion

    def watch(**values: object) -> None:
        spans.append((values["until"] - values["now"]).total_seconds())  # type: ignore[operator]
        spend(**values)  # type: ignore[arg-type]

    monkeypatch.setattr(replay, "spend_assertion", watch)
    browser.bring(answer())

    assert 470 < spans[0] <= 480


def test_issuer_and_id_do_not_run_together() -> None:
    now = datetime.now(UTC)
    until = now + timedelta(minutes=5)
    replay.spend_assertion(issuer="a", assertion_id="bc", now=now, until=until)
    replay.spend_assertion(issuer="ab", assertion_id="c", now=now, until=until)

    with pytest.raises(Refused):
        replay.spend_assertion(issuer="ab", assertion_id="c", now=now, until=until)
