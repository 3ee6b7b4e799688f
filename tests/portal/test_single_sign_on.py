"""The pages of a team whose Studio is entered through IAM Identity Center."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.demo.aws.server import Handle
from provisioning import ending
from provisioning.models import Profile
from teams.models import AuditEvent, Domain, Membership
from tests.factories import make_user
from tests.provisioning.sso_world import DOMAIN, SingleSignOn, single_sign_on

pytestmark = pytest.mark.django_db

OPEN = "/teams/team1/open/"


@pytest.fixture(name="world")
def _world(aws: Handle) -> SingleSignOn:
    world = single_sign_on(aws, assigns=False)
    world.steps(Profile.State.READY)
    world.aws.state.calls.clear()
    return world


def signed_on(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="portal.saml.backend.SamlBackend")
    return client


def launches() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=AuditEvent.Action.LAUNCH))


def test_a_click_goes_to_the_domains_address(world: SingleSignOn) -> None:
    found = signed_on(world.user).post(OPEN)
    assert (found.status_code, found["Location"]) == (303, f"{world.aws.url}/domains/{DOMAIN}")
    assert "no-store" in found["Cache-Control"]
    (told,) = launches()
    assert (told.actor, told.target, told.team, told.data["how"]) == ("user1", "user1-team1", "team1", "SSO domain")
    assert world.operations() == []


def test_charlie_gets_nowhere(world: SingleSignOn) -> None:
    assert signed_on(make_user("charlie")).post(OPEN).status_code == 404
    assert Client().post(OPEN)["Location"].startswith("/saml2/login/")
    assert launches() == []


@pytest.mark.parametrize("way", ["lapsed", "revoked", "retired"])
def test_access_that_ended_while_the_page_was_open(world: SingleSignOn, way: str) -> None:
    client = signed_on(world.user)
    assert client.get("/").status_code == 200
    if way == "lapsed":
        Membership.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
    else:
        Membership.objects.all().delete()
    if way == "retired":
        ending.end_access()
    found = client.post(OPEN)
    assert found.status_code == 404
    assert DOMAIN not in found.content.decode()
    assert launches() == []


def test_the_tile_says_how_it_opens_and_lets_the_form_lead_there(world: SingleSignOn) -> None:
    found = signed_on(world.user).get("/")
    assert "opens through IAM Identity Center" in found.content.decode()
    (rule,) = [each for each in found["Content-Security-Policy"].split("; ") if each.startswith("form-action")]
    assert rule.endswith(" https:")
    Domain.objects.update(auth_mode="IAM")
    found = signed_on(world.user).get("/")
    assert "IAM Identity Center" not in found.content.decode()
    assert "https:;" not in f"{found['Content-Security-Policy']};"


def test_until_the_address_is_known_the_progress_page_says_so(world: SingleSignOn) -> None:
    Domain.objects.update(url="")
    client = signed_on(world.user)
    assert client.post(OPEN)["Location"] == "/teams/team1/progress/"
    page = client.get("/teams/team1/progress/").content.decode()
    assert "AWS has not told the portal the address" in page
    assert "hx-get" in page
    assert "data-autosubmit" not in page
    world.look()
    assert "data-autosubmit" in client.get("/teams/team1/progress/").content.decode()


def test_a_mode_that_differs_is_for_an_admin_to_put_right(world: SingleSignOn) -> None:
    world.aws.state.domains[DOMAIN].auth_mode = "IAM"
    world.look()
    client = signed_on(world.user)
    assert client.post(OPEN)["Location"] == "/teams/team1/progress/"
    page = client.get("/teams/team1/progress/").content.decode()
    assert "An administrator has to look at it" in page
    assert "hx-get" not in page
    assert launches() == []


def test_a_conflict_says_what_is_in_the_way(world: SingleSignOn) -> None:
    world.change(state=Profile.State.CONFLICT, error_code="SsoUserTaken", error="x")
    assert "in the way of yours" in signed_on(world.user).get("/teams/team1/progress/").content.decode()
    ada = signed_on(make_user("ada", role="admin"))
    page = ada.get(f"/admin/provisioning/profile/{world.profile.pk}/change/").content.decode()
    assert "one profile for each person in this domain" in page


def test_the_admins_first_page_tells_of_it(world: SingleSignOn) -> None:
    ada = signed_on(make_user("ada", role="admin"))
    assert "AWS, and in SSO mode here" not in ada.get("/admin/").content.decode()
    Domain.objects.update(real_auth_mode="IAM")
    assert "is in IAM mode in AWS, and in SSO mode here" in ada.get("/admin/").content.decode()
    Domain.objects.update(real_auth_mode="SSO", url="", application_arn="", assigns_application=True)
    page = ada.get("/admin/").content.decode()
    assert "AWS tells no address" in page
    assert "AWS tells no application" in page
    page = ada.get(f"/admin/teams/domain/{world.domain.pk}/change/").content.decode()
    assert "have no effect" in page
