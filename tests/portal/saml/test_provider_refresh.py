"""Metadata by URL: refreshed by a worker, and the last good copy kept."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings

from portal.demo.idp import Keys, Response, create_keys, metadata
from portal.saml import fetch, registry, upkeep
from portal.tasks import refresh_identity_providers
from teams.models import AuditEvent, IdentityProvider
from tests.portal.saml.conftest import SSO, Browser
from tests.portal.saml.provider_rows import make_provider, several
from tests.portal.saml.remote import Remote

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]

OTHER = "https://other.example.com/saml"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(name="remote")
def _remote(settings: LazySettings, keys: Keys) -> Iterator[Remote]:
    """The web server of an identity provider."""
    settings.SAML_METADATA_ALLOW_PRIVATE = True
    remote = Remote(metadata(OTHER, SSO, [keys.certificate_pem]))
    yield remote
    remote.stop()


@pytest.fixture(name="row")
def _row(remote: Remote, keys: Keys, settings: LazySettings) -> IdentityProvider:
    """A provider by URL that was asked long ago."""
    settings.SAML_IDP_METADATA = ""
    row = make_provider(OTHER, keys, metadata_url=remote.url)
    IdentityProvider.objects.update(tried_at=LONG_AGO, refreshed_at=LONG_AGO)
    row.refresh_from_db()
    return row


def test_a_worker_refreshes_what_is_due(
    row: IdentityProvider,
    remote: Remote,
    other_keys: Keys,
    browser: Browser,
    answer: Answer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "LOOK_EVERY", 0.0)
    remote.body = metadata(OTHER, SSO, [other_keys.certificate_pem])

    refresh_identity_providers.run()

    row.refresh_from_db()
    assert row.refresh_error == ""
    assert row.refreshed_at
    assert row.refreshed_at > LONG_AGO
    assert row.certificates_until == other_keys.certificate.not_valid_after_utc
    (event,) = AuditEvent.objects.filter(action="metadata_refreshed")
    assert (event.actor, event.outcome) == ("system: refresh_identity_providers", "success")
    assert set(event.data["after"]) - {"certificates_until"} == {"metadata", "certificates"}
    assert browser.bring(answer(issuer=OTHER), keys=other_keys).status_code == 302


def test_what_stayed_the_same_is_no_news(row: IdentityProvider, remote: Remote) -> None:
    assert upkeep.refresh(row.pk) == ""

    assert remote.asked == 1
    assert not AuditEvent.objects.exists()


def test_a_refresh_waits_an_hour_and_after_a_failure_minutes(row: IdentityProvider, remote: Remote) -> None:
    assert upkeep.due() == [row.pk]
    upkeep.refresh(row.pk)
    assert upkeep.due() == []

    IdentityProvider.objects.update(tried_at=datetime.now(UTC) - timedelta(minutes=6))
    assert upkeep.due() == []
    IdentityProvider.objects.update(refresh_error="answered 500")
    assert upkeep.due() == [row.pk]
    IdentityProvider.objects.update(is_active=False)
    assert upkeep.due() == []


def test_only_addresses_are_asked(keys: Keys, settings: LazySettings) -> None:
    settings.SAML_IDP_METADATA = ""
    row = make_provider(OTHER, keys)
    IdentityProvider.objects.update(tried_at=LONG_AGO)

    assert upkeep.due() == []
    assert upkeep.refresh(row.pk) == ""


def test_two_workers_ask_once(row: IdentityProvider, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = IdentityProvider.objects.get()
    upkeep.refresh(row.pk)

    assert not upkeep._claim(stale)
    claim = upkeep._claim
    monkeypatch.setattr(upkeep, "_claim", lambda _: claim(stale))
    upkeep.refresh(row.pk)

    assert remote.asked == 1


def test_a_provider_that_was_deleted_meanwhile_is_left_alone(row: IdentityProvider, remote: Remote) -> None:
    row.delete()

    assert upkeep.refresh(row.pk or 0) == ""
    assert remote.asked == 0


def _expired() -> bytes:
    past = datetime.now(UTC) - timedelta(days=1)
    return metadata(OTHER, SSO, [create_keys("old", expires=past).certificate_pem])


def _out_of_date(keys: Keys) -> bytes:
    return metadata(OTHER, SSO, [keys.certificate_pem], valid_until=datetime.now(UTC) - timedelta(days=1))


BAD: dict[str, Callable[[Keys], bytes]] = {
    "not well-formed": lambda keys: b"<half",
    "a DTD": lambda keys: b"<!DOCTYPE a>" + metadata(OTHER, SSO, [keys.certificate_pem]),
    "another provider: https://elsewhere": lambda keys: metadata("https://elsewhere", SSO, [keys.certificate_pem]),
    "certificate in the metadata has expired": lambda keys: _expired(),
    "metadata have expired": _out_of_date,
    "no SAML 2.0 identity provider": lambda keys: b"<html/>",
    "too much": lambda keys: b"x" * (fetch.MAX_BYTES + 1),
}


@pytest.mark.parametrize("wrong", BAD)
def test_what_is_no_good_leaves_the_last_good_copy(
    row: IdentityProvider, remote: Remote, keys: Keys, browser: Browser, answer: Answer, wrong: str
) -> None:
    before = row.metadata
    remote.body = BAD[wrong](keys)

    assert wrong in upkeep.refresh(row.pk)

    row.refresh_from_db()
    assert (row.metadata, row.refreshed_at, row.certificates_until) == (
        before,
        LONG_AGO,
        keys.certificate.not_valid_after_utc,
    )
    assert wrong in row.refresh_error
    assert browser.bring(answer(issuer=OTHER)).status_code == 302


def test_a_failure_is_told_once_and_so_is_its_end(row: IdentityProvider, remote: Remote) -> None:
    remote.status = 503
    for _ in range(3):
        upkeep.refresh(row.pk)
    (event,) = AuditEvent.objects.all()
    assert (event.action, event.outcome) == ("metadata_refreshed", "failed")
    assert "answered 503" in event.reason

    remote.status = 200
    upkeep.refresh(row.pk)
    assert AuditEvent.objects.count() == 2
    assert AuditEvent.objects.order_by("-id")[0].outcome == "success"


def test_one_of_several_is_found(row: IdentityProvider, remote: Remote, keys: Keys, other_keys: Keys) -> None:
    remote.body = several(
        metadata("https://first.example.com", SSO, [keys.certificate_pem]),
        metadata(OTHER, SSO, [other_keys.certificate_pem]),
    )

    assert upkeep.refresh(row.pk) == ""

    row.refresh_from_db()
    assert "first.example.com" not in row.metadata
    assert row.certificates_until == other_keys.certificate.not_valid_after_utc


def test_who_changes_the_row_meanwhile_wins(
    row: IdentityProvider, remote: Remote, other_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.body = metadata(OTHER, SSO, [other_keys.certificate_pem])
    real = fetch.fetch

    def slow(url: str) -> bytes:
        IdentityProvider.objects.update(metadata_url="", metadata="pasted meanwhile")
        return real(url)

    monkeypatch.setattr(fetch, "fetch", slow)

    upkeep.refresh(row.pk)

    assert IdentityProvider.objects.get().metadata == "pasted meanwhile"
    assert not AuditEvent.objects.exists()


def test_a_worker_follows_the_file_of_the_environment(metadata_file: object, keys: Keys) -> None:
    refresh_identity_providers.run()

    assert IdentityProvider.objects.get().seeded


def test_the_address_of_the_environment_is_refreshed_like_any_other(
    remote: Remote, settings: LazySettings, other_keys: Keys
) -> None:
    from portal.saml import providers

    settings.SAML_IDP_METADATA = remote.url
    assert providers.problems() == []
    upkeep.seed()
    row = IdentityProvider.objects.get()
    assert (row.seeded, row.metadata_url) == (True, remote.url)
    remote.body = metadata(OTHER, SSO, [other_keys.certificate_pem])

    upkeep.refresh(row.pk)
    # A process that started before has the older copy in memory.
    upkeep.seed()

    found = providers.provider_for(OTHER)
    assert found
    assert found.certificates == (other_keys.certificate,)
