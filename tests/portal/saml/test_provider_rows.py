"""Identity providers as rows: seeded by the environment, read without a query per sign-on, in force without restart."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.demo.idp import Keys, Response, metadata
from portal.saml import providers, registry, sources, upkeep
from portal.saml.causes import Cause, Refused
from portal.saml.metadata import MetadataError, extract, parse
from teams.models import AuditEvent, IdentityProvider, Membership, User
from tests.factories import make_team
from tests.portal.saml.conftest import ISSUER, SSO, Browser, assert_refused
from tests.portal.saml.provider_rows import make_provider, several

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]

OTHER = "https://other.example.com/saml"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rows looked at without waiting."""
    monkeypatch.setattr(registry, "LOOK_EVERY", 0.0)


def test_the_environment_seeds_a_row(metadata_file: Path, keys: Keys) -> None:
    upkeep.seed()

    row = IdentityProvider.objects.get()
    assert (row.entity_id, row.name, row.realm, row.flavour) == (ISSUER, "idp.example.com", "default", "generic")
    assert (row.seeded, row.is_active, row.allow_unsolicited, row.gives_roles) == (True, True, True, True)
    assert row.certificates_until == keys.certificate.not_valid_after_utc
    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("imported", "system: SAML_IDP_METADATA")
    assert event.target == f"identity provider: {ISSUER}"
    assert "X509" not in str(event.data)


def test_seeding_again_changes_nothing(metadata_file: Path) -> None:
    upkeep.seed()
    before = IdentityProvider.objects.values().get()

    upkeep.seed()

    after = IdentityProvider.objects.values().get()
    assert {**after, "refreshed_at": None, "tried_at": None} == {**before, "refreshed_at": None, "tried_at": None}
    assert AuditEvent.objects.count() == 1


def test_what_admins_decided_outlives_a_restart(metadata_file: Path, other_keys: Keys, look_at_once: None) -> None:
    upkeep.seed()
    IdentityProvider.objects.update(name="Ours", realm="corp", is_active=False, flavour="okta", gives_roles=False)
    metadata_file.write_bytes(metadata(ISSUER, SSO, [other_keys.certificate_pem]))

    upkeep.seed()

    row = IdentityProvider.objects.get()
    assert (row.name, row.realm, row.is_active, row.flavour, row.gives_roles) == ("Ours", "corp", False, "okta", False)
    assert row.certificates_until == other_keys.certificate.not_valid_after_utc
    assert AuditEvent.objects.count() == 2


def test_every_provider_of_a_file_gets_a_row(metadata_file: Path, keys: Keys, other_keys: Keys) -> None:
    ours, theirs = (metadata(name, SSO, [each.certificate_pem]) for name, each in ((ISSUER, keys), (OTHER, other_keys)))
    metadata_file.write_bytes(several(ours, theirs))

    upkeep.seed()

    rows = {row.entity_id: row for row in IdentityProvider.objects.all()}
    assert rows.keys() == {ISSUER, OTHER}
    assert [each.entity_id for each in parse(rows[OTHER].metadata.encode())] == [OTHER]


def test_a_document_of_one_lives_no_longer_than_the_one_it_was_in(keys: Keys) -> None:
    group = several(metadata(ISSUER, SSO, [keys.certificate_pem])).replace(
        b"<md:EntitiesDescriptor", b'<md:EntitiesDescriptor validUntil="2030-01-01T00:00:00Z"', 1
    )

    (alone,) = parse(extract(group, ISSUER))

    assert alone.valid_until == datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(MetadataError, match="do not describe"):
        extract(group, OTHER)


def test_a_provider_of_an_admin_comes_under_the_environment(metadata_file: Path, other_keys: Keys) -> None:
    make_provider(ISSUER, other_keys, name="Pasted", allow_unsolicited=False)

    upkeep.seed()

    row = IdentityProvider.objects.get()
    assert (row.seeded, row.name, row.allow_unsolicited) == (True, "Pasted", True)


def test_without_a_database_the_copy_in_memory_will_do(
    metadata_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("the server is gone")

    monkeypatch.setattr(connection, "cursor", refuse)

    upkeep.seed()
    found = providers.default_provider()

    assert found
    assert found.entity_id == ISSUER
    assert "have no rows yet" in caplog.text


def test_nobody_signs_on_while_it_is_unknown_what_admins_decided(
    metadata_file: Path, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    """A database that has not answered since the start cannot say that a provider was switched off."""

    def refuse(*_: object) -> None:
        raise OperationalError("the server is gone")

    with monkeypatch.context() as down:
        down.setattr(connection, "cursor", refuse)
        with pytest.raises(Refused) as caught:
            providers.provider_for(ISSUER)
        assert caught.value.cause is Cause.DATABASE_DOWN
        assert Client().get("/saml2/login/", {"idp": ISSUER}).status_code == 503
        assert Client().get("/saml2/login/").status_code == 302

    assert providers.provider_for(ISSUER)


def test_what_is_known_outlives_the_database(
    metadata_file: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    make_provider(OTHER, keys)
    assert providers.provider_for(OTHER)

    def refuse(*_: object) -> None:
        raise OperationalError("the server is gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    assert providers.provider_for(OTHER)
    assert providers.provider_for(ISSUER)


@pytest.mark.django_db(transaction=True)
def test_before_the_first_migration_the_environment_decides(metadata_file: Path, at_once: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE teams_identityprovider RENAME TO elsewhere")
    try:
        upkeep.seed()
        assert providers.provider_for(ISSUER)
        assert providers.problems() == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO teams_identityprovider")


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_together_make_one_row(metadata_file: Path) -> None:
    sources.current()
    together = threading.Barrier(8)
    done: list[bool] = []

    def start() -> None:
        try:
            together.wait(10)
            upkeep.seed()
            done.append(True)
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    assert len(done) == 8
    assert IdentityProvider.objects.count() == 1
    assert AuditEvent.objects.count() == 1


def test_the_second_thread_waits_for_the_first_look(
    metadata_file: Path, other_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has just started knows no rows for a moment, which must not be taken for a lost database."""
    row = make_provider(OTHER, other_keys)
    looking, go_on = threading.Event(), threading.Event()

    def slow() -> dict[int, tuple[str, ...]]:
        looking.set()
        go_on.wait(10)
        return {row.pk: ("1",)}

    monkeypatch.setattr(registry, "_read_stamps", slow)
    monkeypatch.setattr(registry, "_read_rows", lambda _: [row])
    found: list[registry.Rows | None] = []
    threads = [threading.Thread(target=lambda: found.append(registry.rows())) for _ in range(4)]
    threads[0].start()
    assert looking.wait(10)
    for each in threads[1:]:
        each.start()
    go_on.set()
    for each in threads:
        each.join(10)

    assert [bool(each and OTHER in each) for each in found] == [True] * 4


def test_a_row_is_a_provider(browser: Browser, answer: Answer, keys: Keys, other_keys: Keys) -> None:
    make_provider(OTHER, other_keys, attribute_user="uid", realm="partner")

    response = browser.bring(answer({"uid": ["alice"]}, issuer=OTHER), keys=other_keys)

    assert response.status_code == 302
    assert User.objects.get().username == "partner/alice"
    assert browser.bring(answer(issuer=OTHER), keys=keys).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"is_active": False},
        {"entity_id": "https://elsewhere.example.com"},
        {"metadata": "<broken"},
        {"allow_unsolicited": False},
    ],
)
def test_a_change_is_in_force_without_a_restart(
    browser: Browser, answer: Answer, other_keys: Keys, at_once: None, change: dict[str, object]
) -> None:
    """Whoever makes it: not even a process of ours has to know."""
    make_provider(OTHER, other_keys)
    assert browser.bring(answer(issuer=OTHER), keys=other_keys).status_code == 302

    IdentityProvider.objects.update(**change)

    assert browser.bring(answer(issuer=OTHER), keys=other_keys).status_code == 403


def test_a_deleted_row_is_gone(other_keys: Keys, metadata_file: Path, at_once: None) -> None:
    row = make_provider(OTHER, other_keys)
    assert providers.provider_for(OTHER)
    row.delete()
    assert providers.provider_for(OTHER) is None


def test_another_name_of_the_team_counts_at_once(other_keys: Keys, metadata_file: Path, at_once: None) -> None:
    team = make_team("red")
    make_provider(OTHER, other_keys, only_team=team)
    found = providers.provider_for(OTHER)
    assert found
    assert found.only_team == "red-id"

    team.saml_id = "crimson"
    team.save()

    found = providers.provider_for(OTHER)
    assert found
    assert found.only_team == "crimson"


def test_rows_are_looked_at_every_few_seconds_only(
    other_keys: Keys, metadata_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_provider(OTHER, other_keys)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    providers.provider_for(OTHER)
    IdentityProvider.objects.update(is_active=False)

    with CaptureQueriesContext(connection) as queries:
        assert providers.provider_for(OTHER)
        assert providers.default_provider()
    assert list(queries) == []

    assert registry.LOOK_EVERY <= 5
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + registry.LOOK_EVERY)
    with CaptureQueriesContext(connection) as queries:
        assert providers.provider_for(OTHER) is None
    assert len(queries) == 2


def test_a_look_at_unchanged_rows_is_one_query(other_keys: Keys, metadata_file: Path, at_once: None) -> None:
    make_provider(OTHER, other_keys)
    providers.provider_for(OTHER)

    with CaptureQueriesContext(connection) as queries:
        providers.provider_for(OTHER)

    assert len(queries) == 1
    assert "metadata" not in queries[0]["sql"]


def test_a_broken_row_breaks_no_other(keys: Keys, other_keys: Keys, metadata_file: Path) -> None:
    broken = make_provider("https://broken.example.com", keys)
    IdentityProvider.objects.filter(pk=broken.pk).update(metadata="<broken")
    make_provider(OTHER, other_keys)

    assert providers.provider_for(OTHER)
    assert providers.provider_for("https://broken.example.com") is None


def test_switching_off_the_environments_provider_holds(
    browser: Browser, answer: Answer, metadata_file: Path, at_once: None
) -> None:
    upkeep.seed()
    IdentityProvider.objects.update(is_active=False)

    assert_refused(browser, browser.bring(answer()), Cause.METADATA_MISSING, status=503)
    assert Client().get("/saml2/login/").status_code == 503


def test_a_file_that_changes_is_noticed_beside_its_row(
    browser: Browser, answer: Answer, metadata_file: Path, other_keys: Keys, look_at_once: None
) -> None:
    upkeep.seed()
    assert browser.bring(answer()).status_code == 302

    metadata_file.write_bytes(metadata(ISSUER, SSO, [other_keys.certificate_pem]))

    assert browser.bring(answer()).status_code == 403
    assert browser.bring(answer(), keys=other_keys).status_code == 302


def test_what_the_file_no_longer_names_is_out_of_use(metadata_file: Path, other_keys: Keys, look_at_once: None) -> None:
    upkeep.seed()
    metadata_file.write_bytes(metadata(OTHER, SSO, [other_keys.certificate_pem]))

    assert providers.provider_for(ISSUER) is None
    assert providers.provider_for(OTHER)


def test_the_settings_decide_where_sign_on_may_start(
    metadata_file: Path, settings: LazySettings, browser: Browser, answer: Answer
) -> None:
    upkeep.seed()
    settings.SAML_ALLOW_UNSOLICITED = False

    assert browser.bring(answer()).status_code == 403


def test_the_environments_attribute_names_are_the_generic_ones(
    browser: Browser, answer: Answer, settings: LazySettings, other_keys: Keys, metadata_file: Path
) -> None:
    settings.SAML_ATTRIBUTE_USER = "employee"
    make_provider(OTHER, other_keys)

    browser.bring(answer({"employee": ["alice"], "ssouserid": ["mallory"]}, issuer=OTHER), keys=other_keys)

    assert User.objects.get().subject == "alice"


def test_two_realms_never_share_people(
    browser: Browser, other_browser: Browser, answer: Answer, other_keys: Keys
) -> None:
    make_provider(OTHER, other_keys, realm="partner")
    team = make_team("red")

    browser.bring(answer({"ssouserid": ["alice"], "teamid": ["red-id"]}))
    other_browser.bring(answer({"ssouserid": ["alice"]}, issuer=OTHER), keys=other_keys)

    ours, theirs = User.objects.get(realm="default"), User.objects.get(realm="partner")
    assert (ours.subject, theirs.subject) == ("alice", "alice")
    assert [each.user for each in Membership.objects.filter(team=team)] == [ours]


@pytest.mark.parametrize("subject", ["default/alice", "alice", "partner/alice", "/alice"])
def test_no_name_of_one_realm_is_somebody_of_another(
    browser: Browser, other_browser: Browser, answer: Answer, other_keys: Keys, subject: str
) -> None:
    make_provider(OTHER, other_keys, realm="partner")
    browser.bring(answer({"ssouserid": ["alice"]}))

    other_browser.bring(answer({"ssouserid": [subject]}, issuer=OTHER), keys=other_keys)

    assert User.objects.filter(realm="partner").count() == 1
    assert User.objects.filter(realm="default").count() == 1


def test_two_providers_of_one_realm_share_people(
    browser: Browser, other_browser: Browser, answer: Answer, other_keys: Keys
) -> None:
    make_provider(OTHER, other_keys)

    browser.bring(answer({"ssouserid": ["alice"]}))
    other_browser.bring(answer({"ssouserid": ["alice"]}, issuer=OTHER), keys=other_keys)

    assert User.objects.count() == 1


@pytest.mark.parametrize(("gives_roles", "role"), [(True, "admin"), (False, "")])
def test_only_some_providers_make_admins(
    browser: Browser, answer: Answer, other_keys: Keys, settings: LazySettings, gives_roles: bool, role: str
) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["admins"]
    make_provider(OTHER, other_keys, realm="partner", gives_roles=gives_roles)

    browser.bring(answer({"ssouserid": ["alice"], "groups": ["admins"]}, issuer=OTHER), keys=other_keys)

    assert User.objects.get().role == role


def test_metadata_of_a_row_end(browser: Browser, answer: Answer, other_keys: Keys) -> None:
    make_provider(OTHER, other_keys, until=datetime.now(UTC) - timedelta(minutes=1))

    response = browser.bring(answer(issuer=OTHER), keys=other_keys)

    assert_refused(browser, response, Cause.METADATA_EXPIRED)


def test_two_keys_of_a_row_during_a_rollover(browser: Browser, answer: Answer, keys: Keys, other_keys: Keys) -> None:
    make_provider(OTHER, keys, other_keys)

    assert browser.bring(answer(issuer=OTHER), keys=keys).status_code == 302
    assert browser.bring(answer(issuer=OTHER), keys=other_keys).status_code == 302
