"""Warnings before an identity provider stops working: on the admin's first page and in the health signal."""

import html
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client

from portal.demo.idp import Keys, create_keys, metadata
from portal.saml import registry, standing, upkeep
from portal.saml.standing import Standing
from teams.models import IdentityProvider
from tests.portal.saml.conftest import ISSUER, SSO
from tests.portal.saml.provider_rows import make_provider
from tests.teams.admin_clients import client_of

pytestmark = pytest.mark.django_db

OTHER = "https://other.example.com/saml"


def _in(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def _keys(days: float) -> Keys:
    return create_keys("idp", expires=_in(days))


@pytest.fixture(autouse=True)
def _nothing_from_the_environment(settings: LazySettings) -> None:
    settings.SAML_IDP_METADATA = ""


def _health(client: Client) -> str:
    response = client.get("/healthz")
    assert response.status_code == 200
    return response.json()["identity_providers"]


@pytest.mark.parametrize(
    ("days", "until", "word"),
    [
        ([90], None, "ok"),
        ([90], 90, "ok"),
        ([29], None, "expiring"),
        ([31], None, "ok"),
        ([90, 29], None, "expiring"),
        ([90, -1], None, "ok"),
        ([-1], None, "expired"),
        ([-1, -5], None, "expired"),
        ([90], 29, "expiring"),
        ([90], -1, "expired"),
    ],
)
def test_how_a_provider_stands(client: Client, days: list[float], until: float | None, word: str) -> None:
    make_provider(OTHER, *map(_keys, days), until=None if until is None else _in(until))

    assert _health(client) == word


def test_the_worst_of_several_counts_and_inactive_ones_do_not(client: Client) -> None:
    make_provider("urn:good", _keys(90))
    make_provider("urn:soon", _keys(10))
    assert _health(client) == "expiring"

    make_provider("urn:bad", _keys(-1), is_active=False)
    registry.forget()
    assert _health(client) == "expiring"
    IdentityProvider.objects.filter(entity_id="urn:bad").update(is_active=True)
    registry.forget()
    assert _health(client) == "expired"


def test_without_any_provider_nobody_signs_on(client: Client) -> None:
    assert _health(client) == "expired"


def test_the_environments_file_counts_without_a_row(client: Client, metadata_file: Path, look_at_once: None) -> None:
    metadata_file.write_bytes(metadata(ISSUER, SSO, [_keys(5).certificate_pem]))

    assert _health(client) == "expiring"


def test_the_health_signal_needs_no_database_of_its_own(
    client: Client, metadata_file: Path, monkeypatch: pytest.MonkeyPatch, look_at_once: None
) -> None:
    metadata_file.write_bytes(metadata(ISSUER, SSO, [_keys(90).certificate_pem]))

    def refuse() -> object:
        raise OperationalError("the server is gone")

    monkeypatch.setattr(registry, "_read_stamps", refuse)

    assert _health(client) == "ok"


def _front_page(who: str = "alice") -> str:
    return html.unescape(client_of(who).get("/admin/").content.decode())


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_the_first_page_warns(who: str) -> None:
    row = make_provider(OTHER, _keys(10), _keys(90), name="Partner", until=_in(20))

    page = _front_page(who)

    assert f"A signing certificate of Partner expires on {_in(10):%Y-%m-%d}" in page
    assert f"The metadata of Partner expire on {_in(20):%Y-%m-%d}" in page
    assert f"/admin/teams/identityprovider/{row.pk}/change/" in page
    assert 'class="warning"' in page
    assert 'class="error"' not in page


def test_the_first_page_alarms() -> None:
    make_provider(OTHER, _keys(-1), name="Partner", until=_in(-1))

    page = _front_page()

    assert "All signing certificates of Partner have expired" in page
    assert "The metadata of Partner have expired" in page
    assert page.count('class="error"') == 2


@pytest.mark.parametrize(("hours", "error", "warned"), [(25, "answered 500", 1), (23, "answered 500", 0), (25, "", 0)])
def test_failing_to_refresh_is_warned_of_after_a_day(hours: int, error: str, warned: int) -> None:
    make_provider(OTHER, _keys(90), name="Partner", metadata_url="https://other.example.com/")
    IdentityProvider.objects.update(refreshed_at=_in(-hours / 24), refresh_error=error)

    found = standing.notices()

    assert len(found) == warned
    assert all("Partner have not been refreshed for more than a day: answered 500" in each.text for each in found)


def test_all_is_well() -> None:
    make_provider(OTHER, _keys(90))

    assert standing.notices() == []
    assert "messagelist" not in _front_page()


def test_a_seeded_file_is_watched_as_it_is_now(metadata_file: Path, look_at_once: None) -> None:
    metadata_file.write_bytes(metadata(ISSUER, SSO, [_keys(90).certificate_pem]))
    upkeep.seed()
    assert standing.overall() is Standing.OK

    metadata_file.write_bytes(metadata(ISSUER, SSO, [_keys(3).certificate_pem]))
    assert standing.overall() is Standing.EXPIRING
