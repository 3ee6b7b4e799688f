"""The way in for an emergency: once, shortly, audited, and without anything but the database."""

import base64
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from portal import breakglass
from portal.sessions import SessionStore
from teams.models import AuditEvent, User
from tests.factories import make_user
from tests.portal.people import browser_of, is_signed_on, log
from tests.portal.test_sessions import NO_REDIS

pytestmark = pytest.mark.django_db

WHY = "The identity provider is down"


def link(username: str = "root", *, reason: str = WHY, minutes: int = 60) -> str:
    """Run the command as an operator does and return the path that it prints, with the token."""
    out = StringIO()
    call_command("breakglass", username, "--reason", reason, "--minutes", str(minutes), stdout=out, stderr=StringIO())
    printed = out.getvalue().strip()
    assert printed.startswith("http://127.0.0.1:8000/breakglass/?token=")
    return printed.removeprefix("http://127.0.0.1:8000")


def token_of(path: str) -> str:
    return path.partition("token=")[2].replace("%3A", ":")


def use(browser: Client, path: str) -> Any:
    return browser.post("/breakglass/", {"token": token_of(path)})


def refused(browser: Client, path: str) -> bool:
    """Whether neither looking at a link nor using it does anything."""
    answers = [browser.get(path), use(browser, path)]
    assert not is_signed_on(browser)
    return all(each.status_code == 403 and b"not signed on" in each.content for each in answers)


class TestSignOn:
    def test_an_account_is_made_and_signed_on(self, client: Client) -> None:
        path = link()
        page = client.get(path)
        assert page.status_code == 200
        assert WHY in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        assert not is_signed_on(client), "looking uses nothing"
        response = use(client, path)
        assert (response.status_code, response["Location"]) == (303, "/admin/")
        user = User.objects.get()
        assert (user.realm, user.username, user.role) == ("local", "root", "admin")
        assert not user.has_usable_password()
        admin = client.get("/admin/teams/user/").content.decode()
        assert "Emergency session as root" in admin
        assert "Emergency session as root" in client.get("/").content.decode()

    def test_both_steps_are_audited_with_the_reason(self, client: Client) -> None:
        client.post("/breakglass/", {"token": token_of(link(minutes=5))}, REMOTE_ADDR="192.0.2.7")
        made, used = log()
        actor = "system: breakglass"
        assert (made.action, made.actor, made.target, made.reason) == ("created", actor, "root", WHY)
        assert made.data == {"what": "one-time sign-on", "account": "created", "minutes": 5}
        assert (used.action, used.outcome, used.actor, used.target) == ("sign_on", "success", actor, "root")
        assert (used.reason, used.address) == (WHY, "192.0.2.7")

    def test_the_session_ends_after_the_minutes(self, client: Client) -> None:
        use(client, link(minutes=5))
        session = SessionStore(client.cookies["portal_session"].value)
        left = datetime.fromisoformat(session["_session_expiry"]) - timezone.now()
        assert timedelta(minutes=4) < left <= timedelta(minutes=5)
        session["_session_expiry"] = (timezone.now() - timedelta(seconds=1)).isoformat()
        session.save()
        assert not is_signed_on(client)

    def test_the_key_of_the_session_is_new(self) -> None:
        browser = browser_of(make_user("alice"))
        before = browser.cookies["portal_session"].value
        use(browser, link())
        assert browser.cookies["portal_session"].value != before
        assert browser.get("/").context["user"].username == "root"

    def test_it_works_without_redis_and_without_passwords(self, client: Client, settings: Settings) -> None:
        settings.CACHES = NO_REDIS
        path = link()
        assert use(client, path).status_code == 303
        assert client.get("/admin/").status_code == 200
        assert use(Client(), path).status_code == 403

    def test_it_works_without_the_identity_providers_metadata(self, client: Client, settings: Settings) -> None:
        settings.SAML_IDP_METADATA = "/nowhere/metadata.xml"
        assert use(client, link()).status_code == 303
        assert client.get("/admin/").status_code == 200

    def test_a_page_of_another_site_cannot_use_it(self) -> None:
        browser = Client(enforce_csrf_checks=True)
        path = link()
        assert use(browser, path).status_code == 403
        assert use(Client(), path).status_code == 303


class TestOnce:
    def test_the_second_use_is_refused(self, client: Client) -> None:
        path = link()
        assert use(client, path).status_code == 303
        assert refused(Client(), path)
        assert is_signed_on(client)

    def test_a_newer_link_ends_the_older_and_its_session(self, client: Client) -> None:
        first = link()
        use(client, first)
        second = link()
        assert not is_signed_on(client)
        third = link()
        assert refused(Client(), second)
        assert use(client, third).status_code == 303

    def test_after_ten_minutes_it_is_refused(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        path = link()
        monkeypatch.setattr(breakglass, "LINK_SECONDS", -1)
        assert refused(client, path)

    def test_refusals_are_audited_once_a_minute(self, client: Client) -> None:
        path = link()
        use(client, path)
        for _ in range(5):
            use(Client(), path)
        (event,) = log(outcome="refused")
        assert (event.action, event.actor) == ("sign_on", "anonymous")
        assert event.reason == "The link has been used, or a newer one has been made."


@pytest.mark.django_db(transaction=True)
def test_of_eight_at_once_one_is_first() -> None:
    path = link()

    def attempt(_: int) -> int:
        try:
            return int(use(Client(), path).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(attempt, range(8)))
    assert answers == [303] + [403] * 7
    assert len(log(action="sign_on", outcome="success")) == 1


class TestForgery:
    def test_nonsense_is_refused(self, client: Client) -> None:
        link()
        for token in ("", "x", "a:b:c", "x" * 5000, "\x00"):
            assert client.get("/breakglass/", {"token": token}).status_code == 403
            assert client.post("/breakglass/", {"token": token}).status_code == 403
        assert client.get("/breakglass/").status_code == 403

    def test_a_changed_link_is_refused(self, client: Client) -> None:
        payload, stamp, signature = token_of(link(minutes=1)).split(":")
        said = json.loads(base64.urlsafe_b64decode(payload + "=="))
        longer = base64.urlsafe_b64encode(json.dumps({**said, "minutes": 600}).encode()).decode().rstrip("=")
        assert refused(client, f"/breakglass/?token={longer}:{stamp}:{signature}")

    def test_the_link_of_another_portal_is_refused(self, client: Client, settings: Settings) -> None:
        path = link()
        settings.PORTAL_URL = "http://127.0.0.1:9000"
        assert refused(client, path)

    def test_one_signed_with_a_stolen_key_alone_is_refused(self, client: Client) -> None:
        from django.core import signing

        link()
        user = User.objects.get()
        event = AuditEvent.objects.get()
        guess = {"user": user.pk, "minutes": 60, "event": event.pk, "proof": "0" * 64}
        token = signing.dumps(guess, salt=breakglass._salt())
        assert refused(client, f"/breakglass/?token={token}")

    @pytest.mark.parametrize("change", [{"is_active": False}, {"role": ""}, {"role": "auditor"}, {"realm": "default"}])
    def test_an_account_that_changed_meanwhile_is_not_signed_on(self, client: Client, change: dict[str, Any]) -> None:
        path = link()
        User.objects.update(**change)
        assert refused(client, path)


class TestAccount:
    def test_a_disabled_account_is_enabled_without_its_password(self, client: Client) -> None:
        user = User.objects.create_superuser("root", "correct horse battery")
        User.objects.update(is_active=False, role="")
        assert use(client, link()).status_code == 303
        user.refresh_from_db()
        assert (user.is_active, user.role, user.has_usable_password()) == (True, "admin", False)
        assert log(action="created")[0].data["account"] == "enabled"

    def test_an_account_in_use_keeps_its_password(self, client: Client) -> None:
        user = User.objects.create_superuser("root", "correct horse battery")
        assert use(client, link()).status_code == 303
        user.refresh_from_db()
        assert user.check_password("correct horse battery")

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["alice", "--reason", WHY], "person of an identity provider"),
            (["root", "--reason", " "], "Say why"),
            (["root", "--reason", WHY, "--minutes", "0"], "1 to 720 minutes"),
            (["root", "--reason", WHY, "--minutes", "721"], "1 to 720 minutes"),
            (["", "--reason", WHY], "cannot be a user name"),
            (["a\u202eb", "--reason", WHY], "cannot be a user name"),
            (["root"], "--reason"),
        ],
    )
    def test_what_the_command_refuses(self, arguments: list[str], told: str) -> None:
        make_user("alice")
        with pytest.raises(CommandError, match=told):
            call_command("breakglass", *arguments, stdout=StringIO(), stderr=StringIO())
        assert User.objects.count() == 1
        assert not AuditEvent.objects.exists()

    def test_without_a_key_there_is_no_link(self, settings: Settings) -> None:
        settings.SECRET_KEY = "short"
        with pytest.raises(CommandError, match=r"portal\.E003"):
            link()


def test_the_link_reaches_standard_output_and_nothing_else(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    err = StringIO()
    out = StringIO()
    call_command("breakglass", "root", "--reason", WHY, stdout=out, stderr=err)
    path = urlsplit(out.getvalue().strip())
    token = path.query.removeprefix("token=").replace("%3A", ":")
    client.get(f"{path.path}?{path.query}")
    use(client, f"{path.path}?{path.query}")
    use(Client(), f"{path.path}?{path.query}")
    signature = token.rpartition(":")[2]
    assert signature not in err.getvalue()
    assert signature not in caplog.text
    assert signature not in str([event.__dict__ for event in AuditEvent.objects.all()])
