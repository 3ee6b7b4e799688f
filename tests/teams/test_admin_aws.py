"""AWS accounts and domains in the admin."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client

from teams.models import AuditEvent, AwsAccount, Domain
from teams.signals import access_changed
from tests.factories import make_account, make_domain, make_team
from tests.teams.admin_clients import client_of, errors, events

pytestmark = pytest.mark.django_db

ACCOUNTS = "/admin/teams/awsaccount/"
DOMAINS = "/admin/teams/domain/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="sent")
def _sent() -> Iterator[list[frozenset[int]]]:
    """Collect the team ids of every `access_changed`."""
    sent: list[frozenset[int]] = []

    def receive(team_ids: frozenset[int], **kwargs: object) -> None:
        sent.append(team_ids)

    access_changed.connect(receive)
    yield sent
    access_changed.disconnect(receive)


def account_form(**changes: str) -> dict[str, str]:
    return {"name": "Data", "account_id": "111122223333", "role_arn": "", "external_id": "", **changes}


def domain_form(account: AwsAccount, **changes: str) -> dict[str, str]:
    data = {"name": "", "account": str(account.pk), "region": "eu-west-1", "domain_id": "d-abc123", "auth_mode": "IAM"}
    return {**data, **changes}


def test_an_account_is_made_changed_and_deleted(alice: Client) -> None:
    role = "arn:aws:iam::111122223333:role/portal"
    assert alice.post(f"{ACCOUNTS}add/", account_form(role_arn=role)).status_code == 302
    account = AwsAccount.objects.get()
    changed = account_form(role_arn=role, external_id="shared-with-them")
    assert alice.post(f"{ACCOUNTS}{account.pk}/change/", changed).status_code == 302
    assert alice.post(f"{ACCOUNTS}{account.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not AwsAccount.objects.exists()
    log = events(target="AWS account: 111122223333", actor="alice")
    assert [event.action for event in log] == ["created", "changed", "deleted"]
    assert log[1].data == {"before": {"external_id": ""}, "after": {"external_id": "shared-with-them"}}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("account_id", "12", "An account id has 12 digits."),
        ("account_id", "١٢٣٤٥٦٧٨٩٠١٢", "An account id has 12 digits."),
        ("role_arn", "portal", ""),
        ("role_arn", "arn:aws:iam::999999999999:role/portal", "This role belongs to another account."),
        ("external_id", "a b", "2 to 1224 letters"),
    ],
)
def test_faults_of_an_account(alice: Client, field: str, value: str, message: str) -> None:
    found = errors(alice.post(f"{ACCOUNTS}add/", {**account_form(), field: value}))
    assert message in " ".join(found[field])


@pytest.mark.parametrize("switch", ["uses_source_identity", "session_tags"])
def test_what_sessions_carry_needs_sessions_of_people_in_a_role(alice: Client, switch: str) -> None:
    role = {"role_arn": "arn:aws:iam::111122223333:role/portal"}
    found = errors(alice.post(f"{ACCOUNTS}add/", account_form(**role, **{switch: "on"})))
    assert found["__all__"] == ["Source identity and session tags need sessions named after people."]
    found = errors(alice.post(f"{ACCOUNTS}add/", account_form(names_sessions="on", **{switch: "on"})))
    assert found["role_arn"] == ["Source identity and session tags belong to the sessions of a role."]
    form = account_form(**role, names_sessions="on", **{switch: "on"})
    assert alice.post(f"{ACCOUNTS}add/", form).status_code == 302
    assert events(actor="alice")[0].data["after"][switch] is True


def test_an_account_is_known_once(alice: Client) -> None:
    make_account(account_id="111122223333")
    assert "already exists" in errors(alice.post(f"{ACCOUNTS}add/", account_form()))["account_id"][0]


def test_the_number_of_an_account_with_domains_stays(alice: Client) -> None:
    account = make_domain().account
    found = errors(alice.post(f"{ACCOUNTS}{account.pk}/change/", account_form()))
    assert found["account_id"] == ["1 domain depends on this value. Add the other account instead."]


def test_an_account_with_domains_is_not_deleted(alice: Client) -> None:
    account = make_domain().account
    page = alice.post(f"{ACCOUNTS}{account.pk}/delete/", {"post": "yes"}).content.decode()
    assert "has 1 domain. Delete its domains first." in page
    assert AwsAccount.objects.exists()


def test_a_domain_is_made_changed_and_deleted(alice: Client) -> None:
    account = make_account(name="Data", account_id="111122223333")
    assert alice.post(f"{DOMAINS}add/", domain_form(account)).status_code == 302
    domain = Domain.objects.get()
    assert alice.post(f"{DOMAINS}{domain.pk}/change/", domain_form(account, region="eu-west-2")).status_code == 302
    assert alice.post(f"{DOMAINS}{domain.pk}/delete/", {"post": "yes"}).status_code == 302
    log = events(actor="alice")
    assert [(event.action, event.target) for event in log] == [
        ("created", "domain: d-abc123 in eu-west-1"),
        ("changed", "domain: d-abc123 in eu-west-2"),
        ("deleted", "domain: d-abc123 in eu-west-2"),
    ]
    assert log[0].data["after"]["account"] == "111122223333"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("domain_id", "D_1", ""),
        ("domain_id", "", "This field is required."),
        ("region", "Ireland", "A Region looks like “eu-west-1”."),
        ("account", "", "This field is required."),
        ("auth_mode", "LDAP", "Select a valid choice."),
    ],
)
def test_faults_of_a_domain(alice: Client, field: str, value: str, message: str) -> None:
    found = errors(alice.post(f"{DOMAINS}add/", {**domain_form(make_account()), field: value}))
    assert message in " ".join(found[field])


def test_a_domain_is_known_once(alice: Client) -> None:
    domain = make_domain(domain_id="d-abc123")
    found = errors(alice.post(f"{DOMAINS}add/", domain_form(domain.account)))
    assert found["__all__"] == ["Domain with this AWS account, Region and Domain id already exists."]


def test_a_domain_that_teams_use_stays_what_it_is_but_may_be_renamed(
    alice: Client,
    sent: list[frozenset[int]],
    committed: Callable[[], AbstractContextManager[Any]],
) -> None:
    team = make_team("team1")
    domain = team.domain
    form = domain_form(domain.account, domain_id=domain.domain_id)
    found = errors(alice.post(f"{DOMAINS}{domain.pk}/change/", {**form, "region": "eu-west-2"}))
    assert found["region"] == ["1 team depends on this value. Add the other domain and move them there."]
    with committed():
        assert alice.post(f"{DOMAINS}{domain.pk}/change/", {**form, "name": "Other"}).status_code == 302
    assert not sent
    with committed():
        assert alice.post(f"{DOMAINS}{domain.pk}/change/", {**form, "auth_mode": "SSO"}).status_code == 302
    assert sent == [frozenset({team.pk})]


def test_a_domain_with_teams_is_not_deleted(alice: Client) -> None:
    domain = make_team("team1").domain
    make_team("team2", domain=domain)
    page = alice.get(f"{DOMAINS}{domain.pk}/delete/").content.decode()
    assert "has 2 teams. Move its teams to another domain first." in page
    assert not events(action=AuditEvent.Action.DELETED)
