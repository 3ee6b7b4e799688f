"""Configuration that is missing or contradicts itself stops the start, with a name and a hint."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from portal import checks

ROOT = Path(__file__).resolve().parents[2]


def ids(messages: list[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages), "every message has a hint"
    return [message.id for message in messages]


def test_unreadable_values_are_reported(settings: Settings) -> None:
    settings.PROBLEMS = [("portal.E002", "DATABASE_URL is not set.", "Set it.")]
    assert ids(checks.check_unreadable()) == ["portal.E002"]


@pytest.mark.parametrize("key", ["short", "a" * 60, "django-insecure-" + "abcdefghij" * 5])
def test_weak_secret_key(settings: Settings, key: str) -> None:
    settings.SECRET_KEY = key
    assert ids(checks.check_secret_key()) == ["portal.E003"]


def test_strong_secret_key(settings: Settings) -> None:
    settings.SECRET_KEY = "8f2kq0s9dmz7x1c4v6b3n5a8f2kq0s9dmz7x1c4v6b3n5a8f2kq0s9"
    assert checks.check_secret_key() == []


@pytest.mark.parametrize(
    ("url", "loopback", "expected"),
    [
        ("", False, ["portal.E004"]),
        ("http://portal.example.com", False, ["portal.E004"]),
        ("ftp://portal.example.com", False, ["portal.E004"]),
        ("https://portal.example.com/studio", False, ["portal.E005"]),
        ("https://user@portal.example.com", False, ["portal.E005"]),
        ("https://other.example.com", False, ["portal.E006"]),
        ("https://portal.example.com", False, []),
        ("https://portal.example.com:8443", False, []),
        ("http://127.0.0.1:8000", True, []),
    ],
)
def test_portal_url(settings: Settings, url: str, loopback: bool, expected: list[str]) -> None:
    settings.PORTAL_URL = url
    settings.LOOPBACK_HTTP = loopback
    settings.ALLOWED_HOSTS = ["portal.example.com", "127.0.0.1"]
    assert ids(checks.check_portal_url()) == expected


@pytest.mark.parametrize("hosts", [["*"], [".example.com"], ["portal.example.com"]])
def test_every_way_to_allow_the_host(settings: Settings, hosts: list[str]) -> None:
    settings.PORTAL_URL = "https://portal.example.com"
    settings.ALLOWED_HOSTS = hosts
    assert checks.check_portal_url() == []


def test_other_databases_are_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")
    assert ids(checks.check_services()) == ["portal.E007"]


@pytest.mark.parametrize("url", ["", "http://redis", "memcached://redis"])
def test_redis_is_needed(settings: Settings, url: str) -> None:
    settings.REDIS_URL = url
    assert ids(checks.check_services()) == ["portal.E008"]


def test_debug_in_public(settings: Settings) -> None:
    settings.DEBUG = True
    settings.LOOPBACK_HTTP = False
    assert ids(checks.check_debug()) == ["portal.E009"]
    settings.LOOPBACK_HTTP = True
    assert checks.check_debug() == []


def test_identity_provider_without_metadata(settings: Settings, tmp_path: Path) -> None:
    settings.SAML_IDP_METADATA = str(tmp_path / "missing.xml")
    assert ids(checks.check_identity_provider()) == ["portal.E010"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SESSION_COOKIE_AGE", 0),
        ("SESSION_IDLE_SECONDS", 60),
        ("SAML_REFUSALS_PER_MINUTE", 0),
        ("SAML_MAX_MESSAGE_BYTES", 10**9),
        ("TRUSTED_PROXY_COUNT", -1),
        ("APPS_SCAN_MINUTES", -1),
        ("APPS_ACTIVITY_MINUTES", -1),
        ("ACCESS_MAX_DAYS", 0),
        ("ACCESS_REMINDER_DAYS", 1000),
        ("EMAIL_TIMEOUT", 0),
    ],
)
def test_numbers_out_of_range(settings: Settings, name: str, value: int) -> None:
    setattr(settings, name, value)
    assert ids(checks.check_ranges()) == ["portal.E011"]


@pytest.mark.parametrize("currency", ["", "usd", "EURO", "€", "US\n"])
def test_what_is_no_currency(settings: Settings, currency: str) -> None:
    settings.CURRENCY = currency
    assert ids(checks.check_currency()) == ["portal.E024"]
    settings.CURRENCY = "EUR"
    assert checks.check_currency() == []


def test_region_is_missed(settings: Settings) -> None:
    settings.AWS_REGION = ""
    assert ids(checks.check_region()) == ["portal.W001"]


def test_mail_that_is_off_is_told_of(settings: Settings) -> None:
    settings.MAIL_IS_ON = False
    assert ids(checks.check_mail()) == ["portal.W003"]


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("studio-portal@example.com", []),
        ("Studio Portal <studio-portal@example.com>", []),
        ("studio-portal", ["portal.E021"]),
        ("portal@example.com\nBcc: eve@example.com", ["portal.E021"]),
    ],
)
def test_the_sender_of_mail(settings: Settings, sender: str, expected: list[str]) -> None:
    settings.MAIL_IS_ON = True
    settings.DEFAULT_FROM_EMAIL = sender
    assert ids(checks.check_mail()) == expected


def production(metadata: Path, **changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "REDIS_URL": os.environ["REDIS_URL"],
        "SECRET_KEY": "8f2kq0s9dmz7x1c4v6b3n5a8f2kq0s9dmz7x1c4v6b3n5a8f2kq0s9",
        "PORTAL_URL": "https://portal.example.com",
        "ALLOWED_HOSTS": "portal.example.com",
        "TRUSTED_PROXY_COUNT": "1",
        "SAML_IDP_METADATA": str(metadata),
        "AWS_REGION": "eu-west-1",
        "EMAIL_URL": "smtp+tls://portal:not-for-any-page@mail.example.com:587",
        "PYTHONWARNINGS": "error::DeprecationWarning:portal",
        **changes,
    }


def run(arguments: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_production_configuration_passes_djangos_deployment_checks(idp: Any) -> None:
    result = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], production(idp.metadata_file))
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


@pytest.mark.parametrize(
    "start",
    [
        ["-m", "gunicorn", "portal.wsgi", "--bind", "127.0.0.1:0", "--workers", "1"],
        ["-m", "celery", "-A", "portal", "worker"],
        ["-m", "celery", "-A", "portal", "beat"],
    ],
    ids=["web", "worker", "beat"],
)
def test_no_process_starts_with_a_broken_configuration(idp: Any, start: list[str]) -> None:
    environment = production(idp.metadata_file, PORTAL_URL="http://portal.example.com")
    del environment["REDIS_URL"]
    result = run(start, environment)
    assert result.returncode != 0
    assert "portal.E004: PORTAL_URL must begin with https://." in result.stderr
    assert "portal.E008" in result.stderr
    assert "Traceback" not in result.stderr


def test_mail_settings_come_from_one_address_whose_password_no_setting_shows(idp: Any) -> None:
    code = (
        "from django.conf import settings as s; print(s.MAIL_IS_ON, s.EMAIL_HOST, s.EMAIL_PORT, s.EMAIL_USE_TLS,"
        " s.EMAIL_HOST_USER, s.DEFAULT_FROM_EMAIL, hasattr(s, 'EMAIL_URL'))"
    )
    result = run(["manage.py", "shell", "-v", "0", "-c", code], production(idp.metadata_file))
    assert result.stdout.split() == [
        *("True", "mail.example.com", "587", "True", "portal", "studio-portal@portal.example.com", "False")
    ], result.stderr


def test_a_mail_address_that_cannot_be_read(idp: Any) -> None:
    environment = production(idp.metadata_file, EMAIL_URL="gopher://portal:not-for-any-page@mail.example.com")
    result = run(["manage.py", "check", "--deploy"], environment)
    assert "portal.E020" in result.stderr
    assert "not-for-any-page" not in result.stdout + result.stderr
