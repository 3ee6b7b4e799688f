"""One team for each domain in SSO mode: refused in the admin and by the import, with the reason."""

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from teams.models import Domain, RoleMapping, Team
from tests.factories import make_account, make_domain, make_team
from tests.teams.admin_clients import client_of, errors, tags
from tests.teams.test_admin_aws import DOMAINS, domain_form
from tests.teams.test_admin_teams import LIST, filled
from tests.teams.test_loadteams import entry

pytestmark = pytest.mark.django_db

WHY = "a domain in SSO mode serves one team"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="domain")
def _domain() -> Domain:
    """A domain in SSO mode with one team."""
    domain = make_domain(domain_id="d-abc123", auth_mode="SSO")
    make_team("first", domain=domain, name="First")
    return domain


def test_a_second_team_is_refused(alice: Client, domain: Domain) -> None:
    (found,) = errors(alice.post(f"{LIST}add/", filled(domain) | tags()))["domain"]
    assert WHY in found
    assert "has the team “First” already" in found


def test_an_inactive_one_may_stay_and_is_not_made_active(alice: Client, domain: Domain) -> None:
    data = filled(domain) | tags()
    del data["is_active"]
    assert alice.post(f"{LIST}add/", data).status_code == 302
    team = Team.objects.get(name="Data Science")
    found = errors(alice.post(f"{LIST}{team.pk}/change/", {**data, "is_active": "on"}))
    assert WHY in found["domain"][0]


def test_the_only_team_is_saved_as_ever(alice: Client) -> None:
    domain = make_domain(auth_mode="SSO")
    assert alice.post(f"{LIST}add/", filled(domain) | tags()).status_code == 302


def test_a_domain_of_two_teams_does_not_become_one_with_identity_center(alice: Client) -> None:
    domain = make_team("first", domain=make_domain(domain_id="d-abc123"), name="First").domain
    second = make_team("second", domain=domain, name="Second")
    form = {**domain_form(domain.account, domain_id=domain.domain_id), "auth_mode": "SSO"}
    (found,) = errors(alice.post(f"{DOMAINS}{domain.pk}/change/", form))["auth_mode"]
    assert "“First”, “Second”" in found
    Team.objects.filter(pk=second.pk).update(is_active=False)
    assert alice.post(f"{DOMAINS}{domain.pk}/change/", form).status_code == 302


def test_only_identity_center_has_an_application(alice: Client) -> None:
    form = {**domain_form(make_account()), "assigns_application": "on"}
    assert "Only a domain in SSO mode" in errors(alice.post(f"{DOMAINS}add/", form))["assigns_application"][0]


def test_what_aws_said_of_another_domain_is_forgotten(alice: Client) -> None:
    domain = make_domain(domain_id="d-abc123", auth_mode="SSO", url="https://old.example", real_auth_mode="SSO")
    form = {**domain_form(domain.account, domain_id="d-other1"), "auth_mode": "SSO"}
    assert alice.post(f"{DOMAINS}{domain.pk}/change/", form).status_code == 302
    domain.refresh_from_db()
    assert (domain.domain_id, domain.url, domain.real_auth_mode) == ("d-other1", "", "")


def test_a_mapping_to_a_second_team_is_refused(alice: Client, domain: Domain) -> None:
    second = make_team("second", domain=domain)
    data = {"group": "g", "team": str(second.pk), "priority": "0", "source": "", "execution_role_arn": ""}
    assert WHY in errors(alice.post("/admin/teams/rolemapping/add/", data))["team"][0]
    Team.objects.filter(slug="first").update(is_active=False)
    assert "Nobody can work in this team" not in alice.post("/admin/teams/rolemapping/add/", data).content.decode()
    assert RoleMapping.objects.count() <= 1


def test_the_import_refuses_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    import json

    account = make_account(account_id="111122223333")
    make_domain(account, domain_id="d-abc123", auth_mode="SSO")
    path = tmp_path_factory.mktemp("import") / "teams.json"
    path.write_text(json.dumps({"Team1": entry(), "Team2": entry("team2")}))
    with pytest.raises(CommandError) as refused:
        call_command("loadteams", str(path), "--region", "eu-west-1")
    assert "Team2: DomainId: " in str(refused.value)
    assert WHY in str(refused.value)
    assert not Team.objects.exists()
