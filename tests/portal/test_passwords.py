"""Passwords of local accounts: off unless they are switched on, and then not to be guessed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from portal import passwords
from portal.demo.environment import Ports, product
from portal.demo.home import Home
from teams.models import User
from tests.portal.people import browser_of, is_signed_on, log
from tests.portal.test_checks import ROOT, production
from tests.portal.test_sessions import NO_REDIS

pytestmark = pytest.mark.django_db

MODEL = "django.contrib.auth.backends.ModelBackend"
RIGHT = "correct horse battery"


@pytest.fixture(autouse=True)
def root() -> User:
    return User.objects.create_superuser("root", RIGHT)


@pytest.fixture
def _switched_on(settings: Settings) -> None:
    settings.ADMIN_PASSWORD_LOGIN = True
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, MODEL]


def attempt(password: str, *, username: str = "root", address: str = "192.0.2.7") -> tuple[int, Client]:
    """Try a password in a new browser; 302 is success."""
    browser = Client(REMOTE_ADDR=address)
    data = {"username": username, "password": password, "next": "/admin/"}
    return int(browser.post("/admin/login/", data).status_code), browser


class TestOff:
    def test_no_backend_takes_passwords(self, settings: Settings) -> None:
        assert not settings.ADMIN_PASSWORD_LOGIN
        assert MODEL not in settings.AUTHENTICATION_BACKENDS

    def test_the_page_offers_the_company_account_only(self, client: Client) -> None:
        page = client.get("/admin/login/?next=/admin/teams/team/").content.decode()
        assert "/saml2/login/?next=%2Fadmin%2Fteams%2Fteam%2F" in page
        assert "Local account" not in page
        assert "<input" not in page

    def test_the_right_password_is_refused(self) -> None:
        status, browser = attempt(RIGHT)
        assert status == 403
        assert "portal_session" not in browser.cookies
        assert not is_signed_on(browser)

    def test_an_attempt_writes_nothing(self) -> None:
        attempt(RIGHT)
        attempt("wrong")
        assert not log()

    def test_a_session_by_password_ends_when_they_are_switched_off(self, settings: Settings, root: User) -> None:
        browser = Client()
        settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, MODEL]
        browser.force_login(root, backend=MODEL)
        assert is_signed_on(browser)
        settings.AUTHENTICATION_BACKENDS = settings.AUTHENTICATION_BACKENDS[:-1]
        assert not is_signed_on(browser)


@pytest.mark.parametrize(
    ("changes", "on"),
    [
        ({}, False),
        ({"ADMIN_PASSWORD_LOGIN": "off"}, False),
        ({"ADMIN_PASSWORD_LOGIN": "on"}, True),
        ({"PORTAL_URL": "http://127.0.0.1:8000"}, True),
        ({"PORTAL_URL": "http://127.0.0.1:8000", "ADMIN_PASSWORD_LOGIN": "off"}, False),
    ],
    ids=["production", "off", "on", "loopback", "loopback and off"],
)
def test_the_setting_decides(idp: Any, changes: dict[str, str], on: bool) -> None:
    show = "from portal import settings; print(settings.AUTHENTICATION_BACKENDS)"
    environment = production(Path(idp.metadata_file), **changes)
    result = subprocess.run([sys.executable, "-c", show], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (MODEL in result.stdout) is on


def test_the_demo_has_none(tmp_path: Path) -> None:
    environment = product(Home(tmp_path), Ports(), database_url=os.environ["DATABASE_URL"], redis_url="redis://x")
    assert environment["ADMIN_PASSWORD_LOGIN"] == "off"


@pytest.mark.usefixtures("_switched_on")
class TestGuessing:
    def test_five_wrong_passwords_are_enough(self) -> None:
        assert [attempt("wrong")[0] for _ in range(5)] == [200] * 5
        status, browser = attempt(RIGHT)
        assert status == 429
        assert not is_signed_on(browser)

    def test_the_sixth_is_told_and_audited_once(self) -> None:
        for _ in range(5):
            attempt("wrong")
        browser = Client(REMOTE_ADDR="192.0.2.7")
        page = browser.post("/admin/login/", {"username": "root", "password": "wrong"}).content.decode()
        assert "Too many wrong passwords" in page
        assert "Sign on with your company account" in page
        attempt("wrong")
        refused = log(outcome="refused")
        assert [event.reason.partition(" ")[0] for event in refused] == ["wrong"] * 5 + ["too"]
        assert (refused[-1].target, refused[-1].address) == ("root", "192.0.2.7")

    def test_the_owner_at_another_address_is_not_locked_out(self) -> None:
        for _ in range(10):
            attempt("wrong")
        assert attempt(RIGHT, address="198.51.100.1")[0] == 302

    def test_the_right_password_starts_the_count_anew(self) -> None:
        for _ in range(3):
            assert [attempt("wrong")[0] for _ in range(4)] == [200] * 4
            assert attempt(RIGHT)[0] == 302

    def test_many_names_from_one_network_are_stopped(self) -> None:
        tried = [attempt("wrong", username=f"name{number}")[0] for number in range(passwords.PER_NETWORK + 1)]
        assert tried == [200] * passwords.PER_NETWORK + [429]

    def test_an_ipv6_network_is_one_neighbour(self) -> None:
        for number in range(5):
            attempt("wrong", address=f"2001:db8::{number + 1}")
        assert attempt(RIGHT, address="2001:db8::99")[0] == 429
        assert attempt(RIGHT, address="2001:db8:0:1::1")[0] == 302

    def test_many_networks_for_one_account_are_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "PER_ACCOUNT", 8)
        tried = [attempt("wrong", address=f"198.51.100.{number}")[0] for number in range(1, 10)]
        assert tried == [200] * 8 + [429]

    def test_how_a_name_is_spelt_does_not_matter(self) -> None:
        for name in ("root", "ROOT", "Root", "rOot", "roOt"):
            attempt("wrong", username=name)
        assert attempt(RIGHT)[0] == 429

    def test_without_the_cache_no_password_is_tried(self, settings: Settings) -> None:
        settings.CACHES = NO_REDIS
        status, browser = attempt(RIGHT)
        assert status == 503
        assert not is_signed_on(browser)

    def test_sign_on_by_saml_is_not_touched(self, idp: Any) -> None:
        for _ in range(6):
            attempt("wrong")
        browser = Client(REMOTE_ADDR="192.0.2.7")
        assert idp.sign_on(browser, "alice").status_code == 302
        assert is_signed_on(browser)

    def test_somebody_without_a_role_does_not_get_in(self) -> None:
        User.objects.update(role="")
        assert attempt(RIGHT)[0] == 200

    def test_auditors_and_others_are_not_asked_again(self) -> None:
        browser = browser_of(User.objects.get())
        assert browser.get("/admin/login/")["Location"] == "/admin/"
