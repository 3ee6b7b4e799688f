"""`/t/<slug>/`: the address of a team that people keep, and where a sign-on for one team ends."""

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from provisioning.models import Profile
from teams.models import Membership, Team, User
from tests.factories import make_mapping, make_team, make_user
from tests.fixtures import IdentityProvider
from tests.portal.people import browser_of, join

pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Team:
    return make_team("team1", name="Team 1")


@pytest.fixture
def alice(team: Team) -> User:
    return join(make_user("alice"), team)


def bring(
    client: Client, idp: IdentityProvider, *, relay_state: str | None = None, **attributes: Sequence[str]
) -> str | None:
    """Sign alice on at the identity provider and return where she ends."""
    message = idp.response("alice@example.com", attributes={"ssouserid": ["alice"], **attributes})
    form = {"SAMLResponse": message} | ({} if relay_state is None else {"RelayState": relay_state})
    response = client.post("/saml2/acs/", form)
    assert response.status_code == 302
    return response["Location"]


class TestLink:
    def test_a_member_gets_a_page_that_posts_the_launch(self, alice: User) -> None:
        page = browser_of(alice).get("/t/team1/").content.decode()
        form = re.search(r"<form[^>]*data-autosubmit[^>]*>.*?</form>", page, re.DOTALL)
        assert form
        assert 'method="post" action="/teams/team1/open/"' in form[0]
        assert "csrfmiddlewaretoken" in form[0]
        assert re.search(r'<button[^>]*type="submit"', form[0]), "works without JavaScript"

    def test_going_back_leads_to_the_teams_and_not_into_a_loop(self, alice: User) -> None:
        assert 'data-return="/"' in browser_of(alice).get("/t/team1/").content.decode()

    def test_the_page_is_not_kept(self, alice: User) -> None:
        assert "no-store" in browser_of(alice).get("/t/team1/")["Cache-Control"]

    def test_looking_starts_nothing(self, alice: User) -> None:
        before = list(Profile.objects.values())
        browser_of(alice).get("/t/team1/")
        assert list(Profile.objects.values()) == before

    def test_its_form_leads_to_progress_where_the_profile_is_not_ready(self, alice: User) -> None:
        browser = browser_of(alice)
        response = browser.post("/teams/team1/open/")
        assert (response.status_code, response["Location"]) == (303, "/teams/team1/progress/")

    def test_it_takes_no_post(self, alice: User) -> None:
        assert browser_of(alice).post("/t/team1/").status_code == 405

    def test_nobody_is_sent_to_sign_on_and_comes_back(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        response = client.get("/t/team1/")
        assert (response.status_code, response["Location"]) == (303, "/saml2/login/?next=/t/team1/")
        assert "team1" not in response.content.decode()
        sent = client.get(response["Location"])
        assert "RelayState=%2Ft%2Fteam1%2F" in sent["Location"]

    def test_bob_and_charlie_find_nothing(self, alice: User) -> None:
        bob, charlie = join(make_user("bob"), make_team("team2")), make_user("charlie")
        for user in (bob, charlie):
            browser = browser_of(user)
            assert browser.get("/t/team1/").status_code == 404
            assert browser.get("/t/no-such-team/").status_code == 404

    def test_access_that_ended_finds_nothing(self, alice: User) -> None:
        browser = browser_of(alice)
        Membership.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
        assert browser.get("/t/team1/").status_code == 404

    def test_an_inactive_team_is_not_found(self, alice: User) -> None:
        Team.objects.update(is_active=False)
        assert browser_of(alice).get("/t/team1/").status_code == 404


class TestSignOn:
    def test_one_team_is_where_it_ends(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        assert bring(client, idp, teamid=["team1-id"]) == "/t/team1/"
        assert client.get("/t/team1/").status_code == 200

    def test_with_a_relay_state_of_nothing_as_well(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        assert bring(client, idp, relay_state="", teamid=["team1-id"]) == "/t/team1/"

    def test_several_teams_end_at_the_tiles(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        make_team("team2")
        assert bring(client, idp, teamid=["team1-id", "team2-id"]) == "/"

    def test_no_team_ends_at_the_tiles(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        make_mapping("staff", team)
        assert bring(client, idp, groups=["staff"]) == "/"

    @pytest.mark.parametrize("teamid", ["no-such", "team1", "TEAM1-ID"])
    def test_a_team_that_is_not_known_ends_at_the_tiles(
        self, client: Client, team: Team, idp: IdentityProvider, teamid: str
    ) -> None:
        assert bring(client, idp, teamid=[teamid]) == "/"

    def test_an_inactive_team_ends_at_the_tiles(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        Team.objects.update(is_active=False)
        assert bring(client, idp, teamid=["team1-id"]) == "/"

    def test_what_was_asked_for_wins(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        assert bring(client, idp, relay_state="/admin/", teamid=["team1-id"]) == "/admin/"

    def test_a_relay_state_of_a_link_ends_there(self, client: Client, team: Team, idp: IdentityProvider) -> None:
        make_mapping("staff", team)
        assert bring(client, idp, relay_state="/t/team1/", groups=["staff"]) == "/t/team1/"
        assert client.get("/t/team1/").status_code == 200

    def test_a_link_to_somebody_elses_team_is_not_found_after_sign_on(
        self, client: Client, team: Team, idp: IdentityProvider
    ) -> None:
        make_team("team2")
        assert bring(client, idp, relay_state="/t/team2/", teamid=["team1-id"]) == "/t/team2/"
        assert client.get("/t/team2/").status_code == 404

    @pytest.mark.parametrize("relay_state", ["team1", "team1-id", "t/team1/", "https://evil.example/t/team1/"])
    def test_only_paths_of_this_site_count_as_relay_state(
        self, client: Client, team: Team, idp: IdentityProvider, relay_state: str
    ) -> None:
        make_mapping("staff", team)
        assert bring(client, idp, relay_state=relay_state, groups=["staff"]) == "/"
