"""Mail about budgets: the people concerned and the owners, once for each step.

Alice owns the team, Bob belongs to it, Charlie belongs to another team; Ada is a portal admin.
"""

from datetime import timedelta

import pytest
from django.core import mail as outgoing
from django.core.mail import EmailMessage
from django.utils import timezone
from pytest_django import Settings

from portal import tasks
from provisioning.costs import budgets, months
from provisioning.models import BudgetMonth
from teams.models import Team, TeamOwner, User
from tests.factories import make_team, make_user
from tests.provisioning.costs.rows import NOW, make_cost

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _mail_is_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MAIL_IS_ON = True
    settings.PORTAL_URL = "https://portal.example.com"
    settings.CURRENCY = "EUR"
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1", contact="help@example.com")


@pytest.fixture(name="people", autouse=True)
def _people(team: Team) -> dict[str, User]:
    make_user("ada", email="ada@example.com", role=User.Role.ADMIN)
    names = ("alice", "bob", "charlie")
    people = {name: make_user(name, name=name.title(), email=f"{name}@example.com") for name in names}
    TeamOwner.objects.create(team=team, user=people["alice"])
    return people


def sent() -> list[EmailMessage]:
    """Look at the budgets, have a worker send what is due, and return it."""
    budgets.check()
    tasks.send_mail()
    found, outgoing.outbox = list(outgoing.outbox), []
    return found


def test_a_persons_budget(team: Team, people: dict[str, User]) -> None:
    Team.objects.update(person_budget=10)
    make_cost("8.123456", user=people["bob"], team=team)
    (warning,) = sent()
    assert (warning.to, warning.bcc) == (["bob@example.com"], ["alice@example.com"])
    assert warning.subject == "Your budget in the team Team 1 is nearly spent"
    assert "Your budget in the team Team 1 is 10.00 EUR a month, and 81 % of it are spent: 8.12 EUR" in warning.body
    assert "help@example.com" in warning.body
    assert sent() == []
    make_cost("3", user=people["bob"], team=team)
    (end,) = sent()
    assert end.to == ["bob@example.com"]
    assert end.subject == "Your budget in the team Team 1 is spent"
    assert "10.00 EUR a month is spent: 11.12 EUR by the apps of Bob" in end.body
    assert "1 December 2026" in end.body
    assert sent() == []


def test_a_budget_for_all_teams_concerns_the_person_alone(team: Team, people: dict[str, User]) -> None:
    User.objects.filter(pk=people["bob"].pk).update(monthly_budget=5)
    make_cost("5", user=people["bob"], team=team)
    (end,) = sent()
    assert (end.to, end.bcc, end.subject) == (["bob@example.com"], [], "Your budget is spent")


def test_a_teams_budget_concerns_its_owners_and_whoever_spent_of_it(team: Team, people: dict[str, User]) -> None:
    Team.objects.filter(pk=team.pk).update(monthly_budget=5)
    make_cost("5", user=people["bob"], team=team)
    make_cost("5", user=people["charlie"], team=make_team())
    make_cost("9", user=people["charlie"], team=team, hour=months.ends(months.of(NOW)))
    (end,) = sent()
    assert (end.to, end.bcc) == (["alice@example.com"], ["bob@example.com"])
    assert end.subject == "The budget of the team Team 1 is spent"


def test_without_owners_the_admins_are_told(team: Team, people: dict[str, User]) -> None:
    TeamOwner.objects.all().delete()
    Team.objects.update(monthly_budget=5)
    make_cost("4", user=people["bob"], team=team)
    assert sent()[0].to == ["ada@example.com"]


@pytest.mark.parametrize("reason", ["lifted", "old", "left", "other month"])
def test_what_is_no_news_any_more_is_not_told(team: Team, people: dict[str, User], reason: str) -> None:
    Team.objects.update(person_budget=5)
    make_cost("5", user=people["bob"], team=team)
    budgets.check()
    if reason == "lifted":
        budgets.lift(BudgetMonth.objects.get(), by="ada")
    elif reason == "old":
        BudgetMonth.objects.update(exceeded_at=NOW - timedelta(days=4))
    elif reason == "left":
        User.objects.filter(username="bob").update(is_active=False)
    else:
        BudgetMonth.objects.update(month="2026-10-01")
    tasks.send_mail()
    assert outgoing.outbox == []


def test_two_budgets_spent_at_once_are_two_mails_and_none_warns(team: Team, people: dict[str, User]) -> None:
    Team.objects.update(person_budget=5, monthly_budget=5)
    make_cost("50", user=people["bob"], team=team)
    assert sorted(each.subject for each in sent()) == [
        "The budget of the team Team 1 is spent",
        "Your budget in the team Team 1 is spent",
    ]
