"""Sessions end at a fixed time, for want of use, when they should, and their cookies are safe."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from portal.celery import app
from portal.sessions import NOTED_EVERY_SECONDS, SessionStore
from portal.tasks import clear_sessions
from teams.models import Team, User
from tests.factories import make_team, make_user
from tests.fixtures import IdentityProvider
from tests.portal.people import POLL, browser_of, is_signed_on, join
from tests.portal.test_checks import production, run

pytestmark = pytest.mark.django_db

HOUR = 3600


@pytest.fixture
def team() -> Team:
    return make_team("team1")


@pytest.fixture
def alice(team: Team) -> User:
    return join(make_user("alice"), team)


def stored(browser: Client) -> SessionStore:
    """Return the session as the database has it."""
    cache.clear()
    return SessionStore(browser.cookies["portal_session"].value)


def unused_for(browser: Client, seconds: int) -> None:
    """Have this browser's session last used that long ago."""
    session = stored(browser)
    session["last_used"] -= seconds
    session.save()


class TestIdle:
    def test_a_session_that_nobody_uses_ends(self, alice: User, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = HOUR
        browser = browser_of(alice)
        unused_for(browser, HOUR - 60)
        assert is_signed_on(browser)
        unused_for(browser, HOUR + 60)
        assert not is_signed_on(browser)
        assert not Session.objects.exists()
        assert browser.cookies["portal_session"].value == ""

    def test_it_opens_nothing_any_more(self, alice: User, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = HOUR
        browser = browser_of(alice)
        unused_for(browser, HOUR + 60)
        assert browser.post("/teams/team1/open/")["Location"].startswith("/saml2/login/")

    def test_use_keeps_it(self, alice: User, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = HOUR
        browser = browser_of(alice)
        for _ in range(3):
            unused_for(browser, HOUR - 60)
            assert is_signed_on(browser)

    @pytest.mark.parametrize(
        ("path", "headers"), [("/", POLL), ("/teams/team1/progress/", POLL), ("/teams/team1/progress/", {})]
    )
    def test_a_page_that_asks_by_itself_does_not(
        self, alice: User, settings: Settings, path: str, headers: dict[str, str]
    ) -> None:
        settings.SESSION_IDLE_SECONDS = HOUR
        browser = browser_of(alice)
        unused_for(browser, HOUR - 60)
        before = stored(browser)["last_used"]
        assert browser.get(path, headers=headers).status_code == 200
        assert stored(browser)["last_used"] == before

    def test_it_is_written_once_in_minutes(
        self, alice: User, settings: Settings, django_assert_num_queries: Callable[..., Any]
    ) -> None:
        browser = browser_of(alice)

        def writes() -> int:
            from django.db import connection
            from django.test.utils import CaptureQueriesContext

            with CaptureQueriesContext(connection) as queries:
                browser.get("/")
            return sum(query["sql"].startswith(("UPDATE", "INSERT", "DELETE")) for query in queries.captured_queries)

        assert writes() == 0
        unused_for(browser, NOTED_EVERY_SECONDS + 1)
        assert [writes(), writes()] == [1, 0]

    def test_zero_switches_it_off(self, alice: User, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = 0
        browser = browser_of(alice)
        unused_for(browser, 10 * 24 * HOUR)
        assert is_signed_on(browser)

    def test_an_old_copy_in_the_cache_ends_no_session_in_use(self, alice: User, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = HOUR
        browser = browser_of(alice)
        session = stored(browser)
        old = {**session.load(), "last_used": session["last_used"] - 2 * HOUR}
        cache.set(session.cache_key, old)
        assert is_signed_on(browser)

    def test_a_clock_that_was_put_back_keeps_no_session(self, alice: User, settings: Settings) -> None:
        settings.SESSION_IDLE_SECONDS = HOUR
        browser = browser_of(alice)
        unused_for(browser, -2 * HOUR)
        assert not is_signed_on(browser)

    def test_a_session_that_ended_in_another_tab_is_not_brought_back(self, alice: User, settings: Settings) -> None:
        browser, other_tab = browser_of(alice), Client()
        other_tab.cookies = browser.cookies
        unused_for(browser, NOTED_EVERY_SECONDS + 1)
        kept = stored(browser)
        kept.load()
        other_tab.post("/logout/")
        assert not Session.objects.filter(pk=kept.session_key).exists()
        from portal.sessions import note_use

        note_use(kept)
        assert not Session.objects.filter(pk=kept.session_key).exists()


class TestEnd:
    def test_use_does_not_move_it(self, alice: User, settings: Settings) -> None:
        settings.SESSION_COOKIE_AGE = HOUR
        browser = browser_of(alice)
        end = stored(browser)["_session_expiry"]
        unused_for(browser, NOTED_EVERY_SECONDS + 1)
        assert is_signed_on(browser)
        session = stored(browser)
        session["anything"] = "else"
        session.save()
        assert stored(browser)["_session_expiry"] == end
        assert Session.objects.get().expire_date <= datetime.fromisoformat(end)

    def test_after_it_there_is_no_session_even_from_the_cache(self, alice: User) -> None:
        browser = browser_of(alice)
        session = stored(browser)
        over = {**session.load(), "_session_expiry": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}
        cache.set(session.cache_key, over)
        Session.objects.update(expire_date=datetime.now(UTC) - timedelta(seconds=1))
        assert not is_signed_on(browser)

    def test_the_identity_providers_end_is_kept(self, client: Client, idp: IdentityProvider) -> None:
        end = datetime.now(UTC) + timedelta(minutes=10)
        message = idp.response(spoil={"session_not_on_or_after": end})
        assert client.post("/saml2/acs/", {"SAMLResponse": message}).status_code == 302
        assert abs(datetime.fromisoformat(stored(client)["_session_expiry"]) - end) < timedelta(seconds=2)
        assert int(client.cookies["portal_session"]["max-age"]) <= 600

    def test_a_sign_on_changes_the_key(self, client: Client, idp: IdentityProvider) -> None:
        # A key that somebody else may have put into this browser.
        planted = SessionStore()
        planted["planted"] = True
        planted.save()
        client.cookies["portal_session"] = planted.session_key or ""
        idp.sign_on(client, "alice")
        assert client.cookies["portal_session"].value != planted.session_key
        assert "planted" not in stored(client)
        assert not Session.objects.filter(pk=planted.session_key).exists()


class TestCleanUp:
    def test_rows_that_are_over_go(self, alice: User) -> None:
        browser_of(alice)
        over = browser_of(alice)
        Session.objects.filter(pk=over.cookies["portal_session"].value).update(
            expire_date=datetime.now(UTC) - timedelta(days=1)
        )
        clear_sessions()
        assert Session.objects.count() == 1

    def test_beat_asks_for_it(self) -> None:
        app.loader.import_default_modules()
        entry = app.conf.beat_schedule["clear_sessions"]
        assert entry["task"] in app.tasks
        assert entry["schedule"].remaining_estimate(datetime.now(UTC)) <= timedelta(days=1)


_SHOW = """
import django, json
django.setup()
from django.conf import settings
names = ["SECURE", "HTTPONLY", "SAMESITE"]
kinds = ["SESSION", "CSRF"]
print(json.dumps({kind: [getattr(settings, f"{kind}_COOKIE_{name}") for name in names] for kind in kinds}))
"""


class TestCookies:
    @pytest.mark.parametrize(
        ("url", "secure"), [("https://portal.example.com", True), ("http://127.0.0.1:8000", False)]
    )
    def test_their_attributes(self, idp: IdentityProvider, url: str, secure: bool) -> None:
        environment = production(Path(idp.metadata_file), PORTAL_URL=url, DJANGO_SETTINGS_MODULE="portal.settings")
        result = run(["-c", _SHOW], environment)
        assert json.loads(result.stdout) == {"SESSION": [secure, True, "Lax"], "CSRF": [secure, True, "Lax"]}

    def test_as_the_browser_gets_them(self, client: Client, idp: IdentityProvider, settings: Settings) -> None:
        settings.SESSION_COOKIE_SECURE = True
        idp.sign_on(client, "alice")
        cookie = client.cookies["portal_session"]
        assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "Lax", "/")
        assert cookie["domain"] == ""
