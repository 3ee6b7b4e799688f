"""The pages on which people ask for access and owners give it.

Alice owns the team, Bob belongs to it, Charlie does neither, Ada is a portal admin, Otto an auditor.
"""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from teams import access, grants, memberships, requests
from teams.models import AccessRequest, AuditEvent, Grant, Group, GroupMembership, Team, TeamOwner, User
from tests.factories import make_mapping, make_team, make_user
from tests.portal.people import POLL, browser_of, join
from tests.teams.admin_clients import inline

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
PEOPLE = "/teams/team1/people/"
ASK = "/request/"


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1", description="Forecasting", is_requestable=True, contact="help@example.com")


@pytest.fixture(name="people")
def _people(team: Team) -> dict[str, User]:
    roles = {"ada": User.Role.ADMIN, "otto": User.Role.AUDITOR}
    names = ("alice", "bob", "charlie", "ada", "otto")
    people = {name: make_user(name, name=name.title(), role=roles.get(name, User.Role.NONE)) for name in names}
    TeamOwner.objects.create(team=team, user=people["alice"])
    join(people["bob"], team)
    return people


@pytest.fixture(name="browsers")
def _browsers(people: dict[str, User]) -> dict[str, Client]:
    return {name: browser_of(user) for name, user in people.items()}


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return " ".join(unescape(response.content.decode()).split())


def after(browser: Client, response: Any) -> str:
    """Return the page that a POST leads to."""
    assert response.status_code == 303
    return text(browser.get(response["Location"]))


def day(days: int) -> str:
    return (timezone.localdate() + days * DAY).isoformat()


def asked(user: User, team: Team) -> AccessRequest:
    return requests.ask(user=user, team=team, reason="For the launch")


class TestLanding:
    def test_who_can_ask_is_told_where(self, browsers: dict[str, Client], team: Team) -> None:
        assert 'href="/request/"' in text(browsers["charlie"].get("/"))
        assert 'href="/request/"' not in text(browsers["bob"].get("/"))
        Team.objects.update(is_requestable=False)
        assert 'href="/request/"' not in text(browsers["charlie"].get("/"))

    def test_an_owner_is_told_who_waits(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        assert "to join your teams" not in text(browsers["alice"].get("/"))
        asked(people["charlie"], team)
        assert "1 person asks to join your teams" in text(browsers["alice"].get("/"))
        asked(people["ada"], team)
        page = text(browsers["alice"].get("/"))
        assert "2 people ask to join your teams" in page
        assert f'href="{PEOPLE}"' in page

    @pytest.mark.parametrize("name", ["bob", "charlie"])
    def test_others_are_told_nothing(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, name: str
    ) -> None:
        asked(people["ada"], team)
        page = text(browsers[name].get("/"))
        assert "your teams:" not in page
        assert "/people/" not in page

    def test_owned_teams_and_running_apps_cost_one_query_each_and_polls_none(
        self, browsers: dict[str, Client], team: Team, people: dict[str, User], django_assert_num_queries: Any
    ) -> None:
        join(people["alice"], team)
        browsers["alice"].get("/")
        with django_assert_num_queries(2) as plain:
            browsers["alice"].get("/", headers=POLL)
        with django_assert_num_queries(len(plain) + 2):
            browsers["alice"].get("/")


class TestAsking:
    def test_the_page_lists_what_can_be_asked_for(self, browsers: dict[str, Client], team: Team) -> None:
        make_team("hidden", name="Hidden Team")
        make_team("over", name="Old Team", is_requestable=True, is_active=False)
        response = browsers["charlie"].get(ASK)
        page = text(response)
        assert "Team 1" in page
        assert "Forecasting" in page
        assert "help@example.com" in page
        assert "Hidden Team" not in page
        assert "Old Team" not in page
        # Who decides is nothing that everybody need know.
        assert "alice" not in page.lower()
        assert inline(response) == []
        assert "no-store" in response["Cache-Control"]

    def test_teams_one_is_in_are_not_listed(self, browsers: dict[str, Client]) -> None:
        assert "no team that you could ask for" in text(browsers["bob"].get(ASK))

    def test_asking_and_withdrawing(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        charlie = browsers["charlie"]
        page = after(charlie, charlie.post(ASK, {"do": "ask", "team": "team1", "reason": "For the launch"}))
        assert "You have asked to join Team 1." in page
        assert "Waiting" in page
        request = AccessRequest.objects.get()
        assert (request.user, request.team, request.reason) == (people["charlie"], team, "For the launch")
        (event,) = AuditEvent.objects.filter(action="access_requested")
        assert (event.actor, bool(event.request_id)) == ("charlie", True)
        page = after(charlie, charlie.post(ASK, {"do": "withdraw", "request": str(request.pk)}))
        assert "Your request was withdrawn." in page
        assert AccessRequest.objects.get().state == "withdrawn"

    def test_what_was_typed_comes_back_with_the_fault(self, browsers: dict[str, Client]) -> None:
        response = browsers["charlie"].post(ASK, {"do": "ask", "team": "team1", "reason": "<b>" + "x" * 500})
        page = text(response, 422)
        assert "500 characters" in page
        assert "<b>" in page
        assert b"<b>x" not in response.content
        assert "Give a reason." in text(browsers["charlie"].post(ASK, {"do": "ask", "team": "team1"}), 422)
        assert not AccessRequest.objects.exists()

    @pytest.mark.parametrize("slug", ["hidden", "nowhere", "", "\x00"])
    def test_hidden_teams_are_as_if_not_there(self, browsers: dict[str, Client], slug: str) -> None:
        make_team("hidden")
        data = {"do": "ask", "team": slug, "reason": "r"}
        assert browsers["charlie"].post(ASK, data).status_code == 404

    @pytest.mark.parametrize("number", ["", "0", "x", "-1", "9" * 30, "²"])
    def test_odd_numbers(self, browsers: dict[str, Client], number: str) -> None:
        assert browsers["charlie"].post(ASK, {"do": "withdraw", "request": number}).status_code == 404

    def test_nobody_withdraws_what_others_asked(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team
    ) -> None:
        request = asked(people["charlie"], team)
        for name in ("alice", "bob", "ada"):
            assert browsers[name].post(ASK, {"do": "withdraw", "request": str(request.pk)}).status_code == 404
        request.refresh_from_db()
        assert request.state == "pending"

    def test_decisions_are_told(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        requests.refuse(request=asked(people["charlie"], team), by=people["alice"], reason="Not your project")
        page = text(browsers["charlie"].get(ASK))
        assert "Refused" in page
        assert "Not your project" in page
        assert "Not your project" not in text(browsers["bob"].get(ASK))

    def test_a_search(self, browsers: dict[str, Client]) -> None:
        make_team("other", name="Other", is_requestable=True)
        page = text(browsers["charlie"].get(ASK, {"q": "forecast\x00"}))
        assert "Team 1" in page
        assert 'Ask to join<span class="visually-hidden"> Other' not in page

    def test_nobody_is_sent_to_sign_on(self, client: Client, team: Team) -> None:
        for response in (client.get(ASK), client.post(ASK, {"do": "ask", "team": "team1", "reason": "r"})):
            assert response.status_code == 303
            assert response["Location"] == "/saml2/login/?next=/request/"

    def test_a_forged_form_is_refused(self, people: dict[str, User]) -> None:
        browser = browser_of(people["charlie"], enforce_csrf_checks=True)
        assert browser.post(ASK, {"do": "ask", "team": "team1", "reason": "r"}).status_code == 403
        assert not AccessRequest.objects.exists()


class TestWhoSeesTheTeam:
    @pytest.mark.parametrize(
        ("name", "status"), [("alice", 200), ("ada", 200), ("otto", 200), ("bob", 404), ("charlie", 404)]
    )
    def test_owners_admins_and_auditors(self, browsers: dict[str, Client], name: str, status: int) -> None:
        assert browsers[name].get(PEOPLE).status_code == status
        assert browsers[name].get("/teams/nowhere/people/").status_code == 404

    def test_owners_of_other_teams_do_not(self, browsers: dict[str, Client], people: dict[str, User]) -> None:
        TeamOwner.objects.create(team=make_team(), user=people["charlie"])
        assert browsers["charlie"].get(PEOPLE).status_code == 404

    def test_nobody_is_sent_to_sign_on(self, client: Client, team: Team) -> None:
        assert client.get(PEOPLE)["Location"] == f"/saml2/login/?next={PEOPLE}"

    def test_an_auditor_only_reads(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        request = asked(people["charlie"], team)
        page = text(browsers["otto"].get(PEOPLE))
        assert "For the launch" in page
        assert "<form" not in page.partition("<main")[2]
        for data in forms(request, people["bob"]):
            assert browsers["otto"].post(PEOPLE, data).status_code == 403
        assert nothing_happened(request)

    @pytest.mark.parametrize("name", ["bob", "charlie"])
    def test_others_do_nothing_there(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, name: str
    ) -> None:
        request = asked(people["charlie"], team)
        for data in forms(request, people["bob"]):
            assert browsers[name].post(PEOPLE, data).status_code == 404
        assert nothing_happened(request)

    def test_a_forged_form_is_refused(self, people: dict[str, User], team: Team) -> None:
        request = asked(people["charlie"], team)
        browser = browser_of(people["alice"], enforce_csrf_checks=True)
        for data in forms(request, people["bob"]):
            assert browser.post(PEOPLE, data).status_code == 403
        assert nothing_happened(request)


def forms(request: AccessRequest, member: User) -> list[dict[str, str]]:
    """Return every form of the page, filled in."""
    return [
        {"do": "give", "who": "charlie", "until": day(30), "reason": "r"},
        {"do": "take_back", "user": str(member.pk), "reason": "r"},
        {"do": "approve", "request": str(request.pk), "until": day(30)},
        {"do": "refuse", "request": str(request.pk), "reason": "r"},
    ]


def nothing_happened(request: AccessRequest) -> bool:
    request.refresh_from_db()
    return request.state == "pending" and not Grant.objects.exists()


class TestRoster:
    def test_who_is_in_it_and_why(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        make_mapping("g-1", team)
        group = Group.objects.create(source="saml", external_id="g-1", name="Scientists")
        GroupMembership.objects.create(group=group, user=people["bob"])
        memberships.remap()
        grants.give(user=people["charlie"], team=team, until=timezone.now() + 9 * DAY, reason="Helps", by=people["ada"])
        response = browsers["alice"].get(PEOPLE)
        page = text(response)
        assert "group Scientists" in page
        assert "named by saml" in page
        bob = page.partition("bob")[2].partition("charlie")[0]
        assert "renewed" not in bob.partition("</li>")[0], "his group has no end"
        assert "given by hand" in page
        assert "Given by ada until" in page
        assert ": Helps" in page
        assert f"{timezone.localtime() + 9 * DAY:%-d %B %Y}" in page
        # What groups give is not the owner's to take back.
        assert page.count('value="take_back"') == 1
        assert inline(response) == []

    def test_who_is_no_longer_in_it_is_not_listed(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team
    ) -> None:
        User.objects.filter(username="bob").update(is_active=False)
        assert "Nobody is in this team." in text(browsers["alice"].get(PEOPLE))

    def test_a_large_team_is_searched(
        self, browsers: dict[str, Client], team: Team, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(201):
            join(make_user(f"member-{number:03}", name=f"Member {number:03}"), team)
        with django_assert_max_num_queries(9):
            page = text(browsers["alice"].get(PEOPLE))
        assert "There are more people" in page
        assert "member-198" in page
        assert "member-200" not in page
        page = text(browsers["alice"].get(PEOPLE, {"q": "MEMBER-200"}))
        assert "member-200" in page
        assert "member-000" not in page

    def test_names_are_escaped(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        User.objects.update(name="<script>alert(1)</script>")
        asked(people["charlie"], team)
        AccessRequest.objects.update(reason="<img src=x>")
        page = browsers["alice"].get(PEOPLE).content
        assert b"<script>alert" not in page
        assert b"<img src=x>" not in page


class TestDeciding:
    def test_approving(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        request = asked(people["charlie"], team)
        alice = browsers["alice"]
        assert f'value="{day(90)}"' in text(alice.get(PEOPLE))
        data = {"do": "approve", "request": str(request.pk), "until": day(90), "reason": ""}
        assert "Charlie has access to Team 1 until" in after(alice, alice.post(PEOPLE, data))
        assert [each.team for each in access.for_user(people["charlie"])] == [team]
        assert Grant.objects.get().valid_until == grants.end_of(timezone.localdate() + 90 * DAY)
        assert "has been approved already" in text(alice.post(PEOPLE, data), 422)

    def test_refusing_needs_a_reason(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        request = asked(people["charlie"], team)
        alice = browsers["alice"]
        data = {"do": "refuse", "request": str(request.pk)}
        assert "Give a reason." in text(alice.post(PEOPLE, {**data, "reason": ""}), 422)
        assert "was refused" in after(alice, alice.post(PEOPLE, {**data, "reason": "Not your project"}))
        assert access.for_user(people["charlie"]) == []

    @pytest.mark.parametrize("name", ["alice", "ada"])
    def test_nobody_decides_for_themselves(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, name: str
    ) -> None:
        request = asked(people[name], team)
        page = text(browsers[name].get(PEOPLE))
        assert "Somebody else has to decide" in page
        for data in forms(request, people["bob"])[2:]:
            text(browsers[name].post(PEOPLE, data), 422)
        assert nothing_happened(request)

    def test_a_request_for_another_team_is_not_there(
        self, browsers: dict[str, Client], people: dict[str, User]
    ) -> None:
        request = asked(people["charlie"], make_team(is_requestable=True))
        for data in forms(request, people["bob"])[2:]:
            assert browsers["alice"].post(PEOPLE, data).status_code == 404
        assert nothing_happened(request)

    @pytest.mark.parametrize("until", ["", "soon", "0000-00-00", "9999-12-31", "0001-01-01", "2020-01-01"])
    def test_odd_days(self, browsers: dict[str, Client], people: dict[str, User], team: Team, until: str) -> None:
        request = asked(people["charlie"], team)
        data = {"do": "approve", "request": str(request.pk), "until": until}
        text(browsers["alice"].post(PEOPLE, data), 422)
        assert nothing_happened(request)

    @pytest.mark.parametrize("data", [{}, {"do": "promote"}, {"do": "take_back", "user": "x", "reason": "r"}])
    def test_odd_forms(self, browsers: dict[str, Client], data: dict[str, str]) -> None:
        assert browsers["alice"].post(PEOPLE, data).status_code == 404


class TestGiving:
    @pytest.mark.parametrize(("name", "who"), [("alice", "charlie"), ("ada", "CHARLIE@example.com")])
    def test_adding_and_taking_back(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, name: str, who: str
    ) -> None:
        User.objects.filter(username="charlie").update(email="charlie@example.com")
        browser, charlie = browsers[name], people["charlie"]
        data = {"do": "give", "who": who, "until": day(30), "reason": "Helps out"}
        assert "Charlie has access to Team 1 until" in after(browser, browser.post(PEOPLE, data))
        assert [each.team for each in access.for_user(charlie)] == [team]
        (event,) = AuditEvent.objects.filter(action="access_given")
        assert (event.actor, event.target, event.reason) == (name, "charlie", "Helps out")
        data = {"do": "take_back", "user": str(charlie.pk), "reason": "Done"}
        assert "was taken back" in after(browser, browser.post(PEOPLE, data))
        assert access.for_user(charlie) == []
        # The row is gone by now, the fault is told all the same.
        assert "no access to Team 1 that was given by hand" in text(browser.post(PEOPLE, data), 422)

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"who": "nobody"}, "Nobody here has this user name"),
            ({"who": ""}, "Give a user name or a mail address."),
            ({"who": "alice"}, "Nobody gives access to themselves"),
            ({"until": "2020-01-01"}, "must be in the future"),
            ({"until": day(400)}, "365 days at most"),
            ({"reason": " "}, "Give a reason."),
        ],
    )
    def test_what_was_typed_comes_back_with_the_fault(
        self, browsers: dict[str, Client], changes: dict[str, str], fault: str
    ) -> None:
        data = {"do": "give", "who": "charlie", "until": day(30), "reason": "Helps & more", **changes}
        page = text(browsers["alice"].post(PEOPLE, data), 422)
        assert fault in page
        assert f'value="{data["until"]}"' in page
        assert not Grant.objects.exists()

    def test_nothing_is_given_to_an_inactive_team(self, browsers: dict[str, Client], team: Team) -> None:
        Team.objects.update(is_active=False)
        page = text(browsers["alice"].get(PEOPLE))
        assert "This team is not active" in page
        assert 'value="give"' not in page
        data = {"do": "give", "who": "charlie", "until": day(30), "reason": "r"}
        assert "is not active" in text(browsers["alice"].post(PEOPLE, data), 422)
