"""Budgets: warned at 80 %, spent at 100 %, each told once; apps stopped and launches refused until it ends.

Alice owns team1, Bob belongs to it, Charlie belongs to team2 only.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from provisioning import launch, running, tasks
from provisioning.costs import budgets, months
from provisioning.models import BudgetMonth, RunningApp
from teams.models import AuditEvent, Membership, Team, User
from tests.factories import make_team, make_user
from tests.provisioning.costs.rows import HOUR, NOW, at, make_cost, make_price, make_run

pytestmark = pytest.mark.django_db

NOVEMBER = months.of(NOW)


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1")


@pytest.fixture(name="bob")
def _bob(team: Team) -> User:
    bob = make_user("bob")
    Membership.objects.create(user=bob, team=team, source="saml")
    return bob


@pytest.fixture(name="_november")
def _november_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be NOW for whoever asks."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def told() -> list[tuple[str, str]]:
    """What the log has of budgets: action and target, oldest first."""
    rows = AuditEvent.objects.filter(action__startswith="budget_").order_by("id")
    return list(rows.values_list("action", "target"))


def is_refused(user: User, slug: str = "team1") -> bool:
    target = launch.find(user, slug)
    assert target is not None
    return target.budget_spent


class TestSteps:
    @pytest.mark.parametrize(
        ("cost", "expected"),
        [("79.99", []), ("80", ["budget_warned"]), ("99.999999", ["budget_warned"]), ("100", ["budget_exceeded"])],
    )
    def test_at_which_share_what_happens(self, team: Team, cost: str, expected: list[str]) -> None:
        Team.objects.update(monthly_budget=100)
        make_cost(cost, team=team)
        budgets.check(NOW)
        assert told() == [(action, "team: team1") for action in expected]
        assert BudgetMonth.objects.filter(exceeded_at__isnull=False).exists() == (expected == ["budget_exceeded"])

    def test_each_step_is_told_once(self, team: Team) -> None:
        Team.objects.update(monthly_budget=100)
        make_cost("50", team=team)
        for cost in ("0", "30", "1", "18.99", "0.01", "5"):
            make_cost(cost, team=team)
            budgets.check(NOW)
            budgets.check(NOW + HOUR)
        assert [action for action, _target in told()] == ["budget_warned", "budget_exceeded"]
        row = BudgetMonth.objects.get()
        assert (row.budget, row.spent, row.month) == (Decimal(100), Decimal(105), NOVEMBER)
        event = AuditEvent.objects.get(action="budget_exceeded")
        assert (event.team, event.data) == ("team1", {"month": "2026-11", "budget": "100.00", "spent": "100.000000"})

    def test_three_kinds_of_budgets_count_what_they_are_about(self, team: Team, bob: User) -> None:
        other = make_team("team2", monthly_budget=1000, person_budget=15)
        Team.objects.filter(pk=team.pk).update(monthly_budget=60, person_budget=30)
        User.objects.filter(pk=bob.pk).update(monthly_budget=40)
        charlie = make_user("charlie", monthly_budget=100)
        make_cost("30", user=bob, team=team)
        make_cost("10", user=bob, team=other)
        make_cost("20", user=charlie, team=team)
        make_cost("500", user=bob, team=team, hour=at(1) - HOUR)
        make_cost("500", user=bob, team=team, hour=months.ends(NOVEMBER))
        make_cost("7")
        budgets.check(NOW)
        found = {(row.team_id, row.user_id): row.spent for row in BudgetMonth.objects.all()}
        assert found == {(team.pk, None): 50, (team.pk, bob.pk): 30, (None, bob.pk): 40}
        assert set(told()) == {("budget_warned", "team: team1"), ("budget_exceeded", "bob")}

    def test_a_currency_of_many_digits_fits(self, team: Team, bob: User) -> None:
        Team.objects.update(monthly_budget=100_000_000)
        for _ in range(101):
            make_cost("999999", user=bob, team=team)
        budgets.check(NOW)
        assert told() == [("budget_exceeded", "team: team1")]

    def test_without_budgets_nothing_is_noted(self, team: Team, bob: User) -> None:
        make_cost("1000", user=bob, team=team)
        budgets.check(NOW)
        assert not BudgetMonth.objects.exists()

    def test_a_budget_of_nothing_lasts_until_something_costs(self, team: Team, bob: User) -> None:
        Team.objects.update(monthly_budget=0)
        make_cost("0", user=bob, team=team)
        budgets.check(NOW)
        assert told() == []
        make_cost("0.000001", user=bob, team=team)
        budgets.check(NOW)
        assert told() == [("budget_exceeded", "team: team1")]

    def test_it_takes_as_many_queries_for_many_people(
        self, team: Team, django_assert_num_queries: Callable[..., Any]
    ) -> None:
        Team.objects.update(person_budget=100)
        for _ in range(10):
            make_cost("10", user=make_user(), team=team)
        with django_assert_num_queries(6):
            budgets.check(NOW)


@pytest.mark.usefixtures("_november")
class TestLaunch:
    @pytest.fixture(autouse=True)
    def _spent(self, team: Team, bob: User) -> None:
        make_cost("100", user=bob, team=team)

    @pytest.mark.parametrize("kind", ["team", "person here", "person"])
    def test_a_spent_budget_refuses_whom_it_is_about(self, team: Team, bob: User, kind: str) -> None:
        if kind == "person":
            User.objects.filter(pk=bob.pk).update(monthly_budget=100)
        else:
            Team.objects.update(**{"monthly_budget" if kind == "team" else "person_budget": 100})
        dora = make_user("dora")
        charlie, team2 = make_user("charlie"), make_team("team2")
        for user, where in ((dora, team), (charlie, team2), (bob, team2)):
            Membership.objects.create(user=user, team=where, source="saml")
        assert not is_refused(bob)
        budgets.check()
        assert is_refused(bob)
        assert is_refused(bob, "team2") == (kind == "person")
        assert is_refused(dora) == (kind == "team")
        assert not is_refused(charlie, "team2")
        assert [row.team_id for row in budgets.reasons(bob, team)] == [None if kind == "person" else team.pk]

    def test_raising_or_dropping_the_budget_lets_people_in_at_once(self, team: Team, bob: User) -> None:
        Team.objects.update(monthly_budget=100)
        budgets.check()
        for budget in (Decimal("100.01"), None):
            Team.objects.update(monthly_budget=budget)
            assert not is_refused(bob)
            Team.objects.update(monthly_budget=100)
            assert is_refused(bob)

    def test_a_raised_budget_that_is_spent_too_is_told_again(self, team: Team, bob: User) -> None:
        Team.objects.update(monthly_budget=100)
        budgets.check()
        BudgetMonth.objects.update(end_told_at=NOW)
        Team.objects.update(monthly_budget=120)
        budgets.check()
        row = BudgetMonth.objects.get()
        assert (row.exceeded_at, row.end_told_at, row.warned_at) == (None, None, NOW)
        make_cost("20", user=bob, team=team)
        budgets.check()
        assert [action for action, _target in told()] == ["budget_exceeded"] * 2
        Team.objects.update(monthly_budget=None)
        budgets.check()
        assert not BudgetMonth.objects.exists()

    def test_lifting_lasts_for_the_month_and_is_told_once(self, team: Team, bob: User) -> None:
        Team.objects.update(monthly_budget=100)
        budgets.check()
        row = BudgetMonth.objects.get()
        assert budgets.lift(row, by="ada")
        assert not budgets.lift(row, by="otto")
        assert not is_refused(bob)
        make_cost("50", user=bob, team=team)
        budgets.check()
        assert not is_refused(bob)
        assert told()[-1] == ("budget_lifted", "team: team1")
        assert [action for action, _target in told()].count("budget_lifted") == 1
        row.refresh_from_db()
        assert (row.lifted_by, row.spent) == ("ada", Decimal(150))

    def test_the_turn_of_the_month_lets_people_in(self, team: Team, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
        Team.objects.update(monthly_budget=100)
        budgets.check()
        december = months.ends(NOVEMBER)
        monkeypatch.setattr(timezone, "now", lambda: december - timedelta(seconds=1))
        assert is_refused(bob)
        monkeypatch.setattr(timezone, "now", lambda: december)
        assert not is_refused(bob)
        budgets.check()
        assert BudgetMonth.objects.get().month == NOVEMBER


@pytest.mark.usefixtures("_november")
class TestApps:
    def test_apps_are_stopped_also_those_that_begin_later(self, team: Team, bob: User) -> None:
        Team.objects.filter(pk=team.pk).update(person_budget=10)
        dora, other = make_user("dora"), make_team("team2")
        make_cost("10", user=bob, team=team)
        his = make_run(NOW, user=bob, team=team)
        later = timezone.now() + HOUR
        late = make_run(NOW, user=bob, team=team, stop_at=later, stop_reason="idle", stop_by="rule")
        left = [make_run(NOW, user=dora, team=team), make_run(NOW, user=bob, team=other), make_run(NOW)]
        left += [make_run(NOW, ended=NOW, user=bob, team=team)]
        left += [make_run(NOW, user=bob, team=team, stop_at=NOW - HOUR, stop_reason="idle", stop_by="rule")]
        budgets.check(NOW)
        for app in (his, late):
            app.refresh_from_db()
            assert (app.stop_reason, app.stop_by) == (RunningApp.Reason.BUDGET, "system: budget")
            assert app.stop_at is not None
            assert app.stop_at < later
        assert not RunningApp.objects.filter(pk__in=[app.pk for app in left], stop_reason="budget").exists()
        new = make_run(NOW, user=bob, team=team)
        budgets.check(NOW)
        new.refresh_from_db()
        assert new.stop_reason == RunningApp.Reason.BUDGET

    @pytest.mark.parametrize("way", ["lifted", "raised"])
    def test_none_is_stopped_once_the_budget_is_lifted_or_raised(self, team: Team, bob: User, way: str) -> None:
        Team.objects.update(monthly_budget=10)
        make_cost("10", user=bob, team=team)
        budgets.check(NOW)
        if way == "lifted":
            budgets.lift(BudgetMonth.objects.get(), by="ada")
        else:
            Team.objects.update(monthly_budget=20)
        app = make_run(NOW, user=bob, team=team)
        budgets.check(NOW)
        app.refresh_from_db()
        assert app.stop_at is None

    @pytest.mark.parametrize("way", ["lifted", "raised", "turned"])
    def test_what_aws_was_not_asked_to_stop_yet_goes_on_when_the_budget_is_no_longer_spent(
        self, team: Team, bob: User, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        Team.objects.update(monthly_budget=10)
        make_cost("10", user=bob, team=team)
        waits, asked, other = (make_run(NOW, user=bob, team=team) for _ in range(3))
        running.stop(other, by="bob", reason=RunningApp.Reason.PERSON)
        budgets.check(NOW)
        RunningApp.objects.filter(pk=asked.pk).update(stop_asked_at=NOW)
        now = NOW
        if way == "lifted":
            budgets.lift(BudgetMonth.objects.get(), by="ada")
        elif way == "raised":
            Team.objects.update(monthly_budget=20)
        else:
            now = months.ends(NOVEMBER)
            monkeypatch.setattr(timezone, "now", lambda: now)
        budgets.check(now)
        reasons = dict(RunningApp.objects.values_list("pk", "stop_reason"))
        assert (reasons[waits.pk], reasons[asked.pk], reasons[other.pk]) == ("", "budget", "person")


def test_the_task_counts_and_then_looks_at_budgets(team: Team, bob: User) -> None:
    Team.objects.update(monthly_budget=1)
    make_price("100000")
    now = timezone.now()
    run = make_run(now - HOUR, seen=now, user=bob, team=team)
    tasks.count_usage()
    run.refresh_from_db()
    assert run.counted_until == now
    # At the very beginning of a month the hour may belong to the last one; a minute of it is enough.
    assert run.stop_reason == "budget" or now - months.begins(months.of(now)) < timedelta(seconds=1)
    assert is_refused(bob) == bool(run.stop_reason)
    assert {event.actor for event in AuditEvent.objects.filter(action="budget_exceeded")} <= {"system: count_usage"}


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_tell_it_once() -> None:
    team = make_team("team1", monthly_budget=10, person_budget=5)
    for _ in range(5):
        make_cost("6", user=make_user(), team=team)
    failures: list[BaseException] = []
    together = threading.Barrier(3)

    def work() -> None:
        try:
            together.wait(timeout=30)
            budgets.check(NOW)
        except BaseException as error:  # noqa: BLE001  (told by the main thread)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert failures == []
    assert sorted(action for action, _target in told()) == ["budget_exceeded"] * 6
