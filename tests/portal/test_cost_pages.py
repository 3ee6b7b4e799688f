"""What pages tell of costs and spent budgets, and to whom.

Alice owns team1, Bob belongs to it, Charlie belongs to team2; Ada is a portal admin, Otto an auditor.
"""

import csv
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from provisioning import tasks
from provisioning.costs import budgets, ledger, months
from provisioning.models import BudgetMonth, Profile
from teams.models import Team, TeamOwner, User
from tests.factories import make_team, make_user
from tests.portal.people import POLL, browser_of, join, log
from tests.provisioning.costs.rows import HOUR, at, make_cost, make_run
from tests.teams.admin_clients import client_of, events, inline

pytestmark = pytest.mark.django_db

COSTS = "/admin/costs/"
BUDGETS = "/admin/provisioning/budgetmonth/"
NAMES = ("alice", "bob", "charlie", "ada", "otto")


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1", contact="help@example.com")


@pytest.fixture(name="people")
def _people(team: Team) -> dict[str, User]:
    roles = {"ada": User.Role.ADMIN, "otto": User.Role.AUDITOR}
    people = {name: make_user(name, name=name.title(), role=roles.get(name, User.Role.NONE)) for name in NAMES}
    TeamOwner.objects.create(team=team, user=people["alice"])
    join(people["bob"], team)
    join(people["charlie"], make_team("team2", name="Team 2"))
    return people


@pytest.fixture(name="browsers")
def _browsers(people: dict[str, User]) -> dict[str, Client]:
    return {name: browser_of(user) for name, user in people.items()}


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return " ".join(unescape(response.content.decode()).split())


def spend(cost: str, user: User, team: Team) -> None:
    """Let an app of the present month have cost so much, and the budgets be looked at."""
    make_cost(cost, user=user, team=team, hour=timezone.now())
    budgets.check()


class TestLanding:
    def test_nothing_is_said_where_nothing_ran(self, browsers: dict[str, Client]) -> None:
        assert "this month" not in text(browsers["bob"].get("/"))

    def test_a_person_sees_what_their_own_apps_cost(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, settings: Settings
    ) -> None:
        settings.CURRENCY = "EUR"
        make_cost("1234.567", user=people["bob"], team=team, hour=timezone.now())
        make_cost("99", user=people["charlie"], team=team, hour=timezone.now())
        make_cost("99", user=people["bob"], team=team, hour=months.begins(months.of(timezone.now())) - HOUR)
        page = text(browsers["bob"].get("/"))
        assert "Your apps have cost about <b>1,234.57 EUR</b> this month." in page
        assert "1,234.57" not in text(browsers["charlie"].get("/"))
        Team.objects.filter(pk=team.pk).update(person_budget=2000)
        User.objects.filter(username="bob").update(monthly_budget=3000)
        page = text(browsers["bob"].get("/"))
        assert "<b>1,234.57 EUR</b> of 3,000.00 EUR this month; in Team 1 <b>1,234.57 EUR</b> of 2,000.00 EUR." in page

    def test_it_takes_no_query_more_and_polls_are_spared(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, django_assert_num_queries: Any
    ) -> None:
        spend("5", people["bob"], team)
        browsers["bob"].get("/")
        with django_assert_num_queries(2):
            assert "have cost" not in text(browsers["bob"].get("/", headers=POLL))
        # What they own, and which of their apps run.
        with django_assert_num_queries(2 + 2):
            assert "have cost" in text(browsers["bob"].get("/"))

    def test_the_tile_says_that_a_budget_is_spent(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team
    ) -> None:
        Team.objects.filter(pk=team.pk).update(monthly_budget=5)
        assert "Budget spent" not in text(browsers["bob"].get("/"))
        spend("5", people["bob"], team)
        for headers in ({}, POLL):
            assert "Budget spent" in text(browsers["bob"].get("/", headers=headers))
        assert "Budget spent" not in text(browsers["charlie"].get("/"))
        Team.objects.filter(pk=team.pk).update(monthly_budget=6)
        assert "Budget spent" not in text(browsers["bob"].get("/"))


class TestLaunch:
    @pytest.mark.parametrize("kind", ["team", "person here", "person"])
    def test_the_page_says_which_budget_and_whom_to_ask(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team, kind: str
    ) -> None:
        if kind == "person":
            User.objects.filter(username="bob").update(monthly_budget=5)
        else:
            Team.objects.filter(pk=team.pk).update(**{"monthly_budget" if kind == "team" else "person_budget": 5})
        spend("5.25", people["bob"], team)
        response = browsers["bob"].post("/teams/team1/open/")
        page = text(response, 403)
        whose = {
            "team": "The budget of the team Team 1",
            "person here": "Your budget in the team Team 1",
            "person": "Your budget for all teams",
        }
        assert f"{whose[kind]} is 5.00 USD a month, and 5.25 USD was spent." in page
        assert f"{months.after(months.of(timezone.now())):%B %Y} (UTC)" in page
        assert "help@example.com" in page
        assert inline(response) == []
        # Nothing was asked of the workers.
        assert not Profile.objects.exclude(state=Profile.State.WANTED).exists()
        (event,) = log(action="launch")
        assert (event.outcome, event.actor, event.team) == ("refused", "bob", "team1")
        browsers["bob"].post("/teams/team1/open/")
        assert len(log(action="launch")) == 1

    def test_others_learn_nothing_of_it(self, browsers: dict[str, Client], people: dict[str, User], team: Team) -> None:
        Team.objects.filter(pk=team.pk).update(monthly_budget=5)
        spend("5", people["bob"], team)
        for name in ("alice", "charlie", "ada"):
            assert "budget" not in text(browsers[name].post("/teams/team1/open/"), 404)

    def test_once_lifted_the_click_goes_on(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team
    ) -> None:
        Team.objects.filter(pk=team.pk).update(monthly_budget=5)
        spend("5", people["bob"], team)
        chosen = {"action": "lift", "_selected_action": str(BudgetMonth.objects.get().pk)}
        for name in ("bob", "charlie", "otto"):
            browsers[name].post(BUDGETS, chosen)
        assert browsers["bob"].post("/teams/team1/open/").status_code == 403
        assert "1 lifted until the month is over." in text(browsers["ada"].post(BUDGETS, chosen, follow=True))
        assert browsers["bob"].post("/teams/team1/open/").status_code == 303
        assert "1 left alone" in text(browsers["ada"].post(BUDGETS, chosen, follow=True))
        (event,) = log(action="budget_lifted")
        assert (event.actor, event.target, event.team) == ("ada", "team: team1", "team1")


class TestPeoplePage:
    def test_owners_see_what_their_team_costs(
        self, browsers: dict[str, Client], people: dict[str, User], team: Team
    ) -> None:
        page = "/teams/team1/people/"
        assert "Costs in" not in text(browsers["alice"].get(page))
        Team.objects.filter(pk=team.pk).update(monthly_budget=100, person_budget=20)
        make_cost("15", user=people["bob"], team=team, hour=timezone.now())
        make_cost("10", team=team, hour=timezone.now())
        make_cost("77", user=people["charlie"], team=Team.objects.get(slug="team2"), hour=timezone.now())
        response = browsers["alice"].get(page)
        shown = text(response)
        assert "cost about <b>25.00 USD</b>; the team’s budget is 100.00 USD a month (25 % used)." in shown
        assert "Each person may spend 20.00 USD." in shown
        assert "15.00 USD for 1.00 hours · 75 % of the budget" in shown
        assert "Nobody in particular" in shown
        assert "77.00" not in shown
        assert inline(response) == []
        for name in ("bob", "charlie"):
            assert browsers[name].get(page).status_code == 404


class TestAdminPage:
    @pytest.fixture(name="bill")
    def _bill(self, people: dict[str, User], team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two teams, two people and somebody unknown in November."""
        monkeypatch.setattr(timezone, "now", lambda: at(20))
        Team.objects.filter(pk=team.pk).update(monthly_budget=40, person_budget=10)
        User.objects.filter(username="bob").update(monthly_budget=50)
        other = Team.objects.get(slug="team2")
        make_cost("1.000001", user=people["bob"], team=team)
        make_cost("2.000002", user=people["bob"], team=other)
        make_cost("30", user=people["charlie"], team=team)
        make_cost("0.5")
        make_cost("99", user=people["bob"], team=team, hour=at(1) - HOUR)
        run = make_run(at(10), ended=at(10) + 2 * HOUR, user=people["bob"], team=team, instance_type="=1+1")
        ledger.count(at(20))
        assert run.hours.count() == 2

    @pytest.mark.usefixtures("bill")
    def test_a_month_by_team(self, browsers: dict[str, Client]) -> None:
        for name in ("ada", "otto"):
            response = browsers[name].get(COSTS)
            page = text(response)
            assert inline(response) == []
            assert "<strong>33.50 USD</strong> for 6.00 hours" in page
            assert "2 hours of apps had no price" in page
            assert "<td>40.00 USD</td><td>77 %</td>" in page
            assert "99.00 USD" not in page
        october = text(browsers["ada"].get(f"{COSTS}?month=2026-10"))
        assert "<strong>99.00 USD</strong>" in october
        assert '<option value="2026-10" selected>October 2026</option>' in october
        assert "Nothing ran." in text(browsers["ada"].get(f"{COSTS}?month=2025-01"))

    @pytest.mark.usefixtures("bill")
    @pytest.mark.parametrize(
        ("by", "expected"),
        [
            ("teams", [["team1", "Team 1", "4.00", "31.000001", "2", "40.00"]]),
            ("people", [["charlie", "Charlie", "1.00", "30.000000", "0", ""]]),
            ("people", [["bob", "Bob", "4.00", "3.000003", "2", "50.00"]]),
            ("people", [["", "", "1.00", "0.500000", "0", ""]]),
            ("members", [["team2", "bob", "Bob", "1.00", "2.000002", "0", ""]]),
            ("members", [["team1", "bob", "Bob", "3.00", "1.000001", "2", "10.00"]]),
            ("types", [["'=1+1", "eu-west-1", "2.00", "0.000000", "2"]]),
        ],
    )
    def test_everything_as_csv(self, browsers: dict[str, Client], by: str, expected: list[list[str]]) -> None:
        response = browsers["otto"].get(f"{COSTS}?by={by}&format=csv")
        assert response["Content-Disposition"] == f'attachment; filename="costs-{by}-2026-11.csv"'
        content = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
        rows = list(csv.reader(StringIO(content)))
        assert "cost (USD)" in rows[0]
        assert all(row in rows for row in expected)

    @pytest.mark.usefixtures("bill")
    def test_runs_are_told_one_by_one(self, browsers: dict[str, Client]) -> None:
        page = text(browsers["ada"].get(f"{COSTS}?by=apps"))
        assert page.count("<td>JupyterLab</td>") == 5
        assert "2026-11-10 02:00 UTC" in page

    @pytest.mark.parametrize("address", ["?month=2026-13", "?month=soon", "?month=2026-11-01&format=csv"])
    def test_what_is_no_month_is_said(self, browsers: dict[str, Client], address: str) -> None:
        assert "is not a month" in text(browsers["ada"].get(COSTS + address))

    def test_who_may_look(self, browsers: dict[str, Client]) -> None:
        for address in (COSTS, f"{COSTS}?format=csv", BUDGETS):
            for name in ("alice", "bob", "charlie"):
                assert browsers[name].get(address).status_code == 403
            assert Client().get(address).status_code == 302
            assert browsers["otto"].get(address).status_code == 200
        assert browsers["ada"].get(f"{COSTS}?by=everything").status_code == 404


class TestAdmin:
    def test_budgets_are_set_on_the_page_of_a_person_and_audited(self, people: dict[str, User]) -> None:
        ada = browser_of(people["ada"])
        bob = people["bob"]
        page = f"/admin/teams/user/{bob.pk}/change/"
        data = {"is_active": "on", "role": "", "monthly_budget": "50"}
        for name in ("memberships", "group_memberships", "profiles"):
            data |= {f"{name}-TOTAL_FORMS": "0", f"{name}-INITIAL_FORMS": "0"}
        assert ada.post(page, data).status_code == 302
        assert ada.post(page, {**data, "monthly_budget": "50.00"}).status_code == 302
        (event,) = events(action="changed")
        assert (event.target, event.data) == (
            "bob",
            {"before": {"monthly_budget": None}, "after": {"monthly_budget": "50"}},
        )
        assert "Ensure this value" in text(ada.post(page, {**data, "monthly_budget": "-1"}))
        assert browser_of(people["otto"]).post(page, data).status_code == 403

    def test_budgets_of_a_team_are_on_its_page(self, people: dict[str, User], team: Team) -> None:
        page = text(browser_of(people["ada"]).get(f"/admin/teams/team/{team.pk}/change/"))
        assert 'name="monthly_budget"' in page
        assert 'name="person_budget"' in page

    def test_alarms_are_listed_with_their_share(self, people: dict[str, User], team: Team) -> None:
        Team.objects.filter(pk=team.pk).update(monthly_budget=10)
        User.objects.filter(username="bob").update(monthly_budget=5)
        spend("9", people["bob"], team)
        otto = browser_of(people["otto"])
        page = text(otto.get(BUDGETS))
        assert "everybody in Team 1" in page
        assert "Bob in all teams" in page
        assert "9.00 USD of 10.00 USD" in page
        assert "90 %" in page
        row = BudgetMonth.objects.get(user=people["bob"])
        assert otto.get(f"{BUDGETS}{row.pk}/change/").status_code == 200
        history = otto.get(f"{BUDGETS}{row.pk}/history/")
        assert history["Location"].endswith("?target__exact=bob")

    def test_the_first_page_tells_of_missing_prices(self) -> None:
        alice = client_of("alice")
        assert "no price" not in text(alice.get("/admin/"))
        now = timezone.now()
        make_run(now - HOUR, seen=now, instance_type="ml.g5.xlarge")
        tasks.count_usage()
        assert "there is no price for ml.g5.xlarge." in text(alice.get("/admin/"))
