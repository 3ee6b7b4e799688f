"""Owners, access given by hand and requests in the admin. Alice is a portal admin, Bob an auditor, Charlie neither."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from teams import access, grants, requests
from teams.models import AccessRequest, AuditEvent, Grant, Team, TeamOwner, User
from tests.factories import make_team, make_user
from tests.teams.admin_clients import client_of, errors, events, inline, owners, tags
from tests.teams.test_admin_teams import as_it_is

pytestmark = pytest.mark.django_db

GRANTS = "/admin/teams/grant/"
REQUESTS = "/admin/teams/accessrequest/"
DAY = timedelta(days=1)


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1", is_requestable=True)


def filled(team: Team, **changes: str) -> dict[str, str]:
    until = (timezone.localdate() + 30 * DAY).isoformat()
    return {"who": "user1", "team": str(team.pk), "until": until, "reason": "Helps out", **changes}


def given(team: Team, name: str = "user1") -> Grant:
    by = make_user(role=User.Role.ADMIN)
    return grants.give(user=make_user(name), team=team, until=timezone.now() + 30 * DAY, reason="r", by=by)


class TestOwners:
    def page(self, team: Team) -> str:
        return f"/admin/teams/team/{team.pk}/change/"

    def test_owners_are_named_by_user_name_and_audited_with_the_team(self, alice: Client, team: Team) -> None:
        make_user("user1")
        make_user("user2")
        data = as_it_is(team) | tags() | owners("user2", " user1 ")
        assert alice.post(self.page(team), data | {"is_requestable": "on"}).status_code == 302
        assert set(team.owners.values_list("user__username", flat=True)) == {"user1", "user2"}
        (event,) = events(action=AuditEvent.Action.CHANGED)
        assert event.data == {"before": {"owners": []}, "after": {"owners": ["user1", "user2"]}}
        page = alice.get(self.page(team)).content.decode()
        assert 'value="user1"' in page
        assert 'aria-label="Owner: user name"' in page

    def test_owners_are_taken_away(self, alice: Client, team: Team) -> None:
        row = TeamOwner.objects.create(team=team, user=make_user("user1"))
        data = as_it_is(team) | tags() | owners("user1", pks=(row.pk,)) | {"is_requestable": "on"}
        alice.post(self.page(team), data)
        assert events() == []
        alice.post(self.page(team), data | {"owners-0-DELETE": "on"})
        assert not TeamOwner.objects.exists()
        (event,) = events(action=AuditEvent.Action.CHANGED)
        assert event.data == {"before": {"owners": ["user1"]}, "after": {"owners": []}}

    @pytest.mark.parametrize(("names", "fault"), [(("nobody",), "Nobody has this user name"), (("user1",) * 2, "dupl")])
    def test_who_cannot_be_an_owner(self, alice: Client, team: Team, names: tuple[str, ...], fault: str) -> None:
        make_user("user1")
        response = alice.post(self.page(team), as_it_is(team) | tags() | owners(*names))
        assert response.status_code == 200
        assert fault in response.content.decode()
        assert not TeamOwner.objects.exists()

    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_others_must_not(self, team: Team, name: str) -> None:
        make_user("user1")
        response = client_of(name).post(self.page(team), as_it_is(team) | tags() | owners("user1"))
        assert response.status_code in {302, 403}
        assert not TeamOwner.objects.exists()

    def test_a_team_says_what_happens_when_access_ends(self, alice: Client, team: Team) -> None:
        alice.post(self.page(team), as_it_is(team, grace_days="30", keeps_profiles="on") | tags())
        team.refresh_from_db()
        assert (team.grace_days, team.keeps_profiles, team.is_requestable) == (30, True, False)


class TestGive:
    def test_access_is_given_by_the_service(self, alice: Client, team: Team) -> None:
        user = make_user("user1")
        response = alice.post(f"{GRANTS}add/", filled(team))
        assert response.status_code == 302
        assert [each.team for each in access.for_user(user)] == [team]
        grant = Grant.objects.get()
        assert (grant.given_by, grant.reason) == ("alice", "Helps out")
        assert grant.valid_until == grants.end_of(timezone.localdate() + 30 * DAY)
        assert [(event.actor, event.target) for event in events(action="access_given")] == [("alice", "user1")]
        # No second entry of the admin's own beside it.
        assert events(action="created") == []

    def test_giving_again_changes_it(self, alice: Client, team: Team) -> None:
        given(team)
        assert alice.post(f"{GRANTS}add/", filled(team, reason="Anew")).status_code == 302
        assert Grant.objects.get().reason == "Anew"

    @pytest.mark.parametrize(
        ("changes", "field", "fault"),
        [
            ({"who": "nobody"}, "who", "Nobody here has"),
            ({"who": "alice"}, "__all__", "themselves"),
            ({"until": "2020-01-01"}, "__all__", "in the future"),
            ({"until": "9999-12-31"}, "__all__", "days at most"),
            ({"until": "0001-01-01"}, "__all__", "in the future"),
            ({"until": "x"}, "until", "valid date"),
            ({"reason": "\u200b"}, "reason", "Give a reason"),
            ({"team": "0"}, "team", "valid choice"),
        ],
    )
    def test_what_is_refused(self, alice: Client, team: Team, changes: dict[str, str], field: str, fault: str) -> None:
        make_user("user1")
        found = errors(alice.post(f"{GRANTS}add/", filled(team) | changes))
        assert fault in " ".join(found[field])
        assert not Grant.objects.exists()

    @pytest.mark.parametrize(("name", "status"), [("bob", 403), ("charlie", 403), ("anonymous", 302)])
    def test_others_must_not(self, team: Team, name: str, status: int) -> None:
        make_user("user1")
        assert client_of(name).post(f"{GRANTS}add/", filled(team)).status_code == status
        assert not Grant.objects.exists()

    def test_what_is_given_is_read_only(self, alice: Client, team: Team) -> None:
        grant = given(team)
        page = alice.get(f"{GRANTS}{grant.pk}/change/")
        assert b"user1" in page.content or b"User" in page.content
        assert b'name="_save"' not in page.content
        for address in ("change/", "delete/"):
            assert alice.post(f"{GRANTS}{grant.pk}/{address}", {"post": "yes"}).status_code == 403
        assert Grant.objects.filter(pk=grant.pk, reason="r").exists()


class TestTakeBack:
    def take(self, client: Client, grant: Grant, reason: str) -> Any:
        data = {"action": "take_back", "_selected_action": [str(grant.pk)], "reason": reason}
        return client.post(GRANTS, data, follow=True)

    def test_with_a_reason(self, alice: Client, team: Team) -> None:
        grant = given(team)
        assert b"Taken back: 1." in self.take(alice, grant, "The project is over").content
        assert access.for_user(grant.user) == []
        (event,) = events(action="access_taken")
        assert (event.actor, event.target, event.reason) == ("alice", "user1", "The project is over")

    def test_not_without(self, alice: Client, team: Team) -> None:
        grant = given(team)
        assert b"Nothing was taken back: Give a reason." in self.take(alice, grant, "").content
        assert len(access.for_user(grant.user)) == 1

    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_others_must_not(self, team: Team, name: str) -> None:
        grant = given(team)
        self.take(client_of(name), grant, "r")
        assert len(access.for_user(grant.user)) == 1


class TestRequests:
    def test_requests_are_read(self, team: Team) -> None:
        request = requests.ask(user=make_user("user1"), team=team, reason="For the launch")
        for address in (REQUESTS, f"{REQUESTS}{request.pk}/change/"):
            response = client_of("bob").get(address)
            assert b"For the launch" in response.content
            assert inline(response) == []

    @pytest.mark.parametrize("name", ["alice", "bob", "charlie"])
    def test_nobody_writes_them_there(self, team: Team, name: str) -> None:
        request = requests.ask(user=make_user("user1"), team=team, reason="r")
        for address in ("add/", f"{request.pk}/change/", f"{request.pk}/delete/"):
            assert client_of(name).post(f"{REQUESTS}{address}", {"state": "approved"}).status_code == 403
        assert AccessRequest.objects.get().state == "pending"

    def test_they_are_found(self, alice: Client, team: Team) -> None:
        requests.ask(user=make_user("user1"), team=team, reason="r")
        for query, number in (("q=user1", 1), ("q=nobody", 0), ("state__exact=pending", 1)):
            assert len(alice.get(f"{REQUESTS}?{query}").context["cl"].result_list) == number
