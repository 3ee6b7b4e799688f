"""The ledger counts each second of each run once, whatever scans, workers and corrections do."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pytest_django import Settings

from provisioning.costs import ledger
from provisioning.models import BudgetMonth, Price, RunningApp, UsageHour
from tests.factories import make_domain, make_team, make_user
from tests.provisioning.costs.rows import HOUR, MINUTE, NOW, at, costs, hours, make_cost, make_price, make_run

pytestmark = pytest.mark.django_db

START = at(16, 8, 40)


class TestHours:
    def test_a_run_that_is_over_is_counted_to_its_end(self) -> None:
        run = make_run(START, ended=at(16, 10, 15), seen=at(16, 10, 10))
        assert ledger.count(NOW) == 1
        assert hours(run) == {at(16, 8): 1200, at(16, 9): 3600, at(16, 10): 900}

    def test_one_that_runs_is_counted_as_far_as_it_was_seen(self) -> None:
        run = make_run(START, seen=at(16, 9, 10))
        ledger.count(NOW)
        assert hours(run) == {at(16, 8): 1200, at(16, 9): 600}
        RunningApp.objects.update(seen_at=at(16, 10, 5))
        ledger.count(NOW)
        assert hours(run) == {at(16, 8): 1200, at(16, 9): 3600, at(16, 10): 300}

    def test_counting_again_changes_nothing_and_finds_nothing_to_do(self) -> None:
        run = make_run(START, ended=at(16, 9))
        make_run(START, seen=at(16, 9))
        assert ledger.count(NOW) == 2
        before = list(UsageHour.objects.order_by("pk").values())
        assert ledger.count(NOW) == 0
        RunningApp.objects.update(counted_until=None)
        assert ledger.count(NOW) == 2
        assert list(UsageHour.objects.order_by("pk").values()) == before
        assert hours(run) == {at(16, 8): 1200}

    @pytest.mark.parametrize("ended", [at(16, 9, 30), at(16, 9), at(16, 8, 50), START, at(16, 8)])
    def test_an_end_that_turns_out_earlier_takes_back_what_is_beyond(self, ended: datetime) -> None:
        make_price("1")
        run = make_run(START, seen=at(16, 10, 20))
        ledger.count(NOW)
        RunningApp.objects.update(ended_at=ended)
        ledger.count(NOW)
        assert sum(hours(run).values()) == max((ended - START).total_seconds(), 0)
        assert sum(costs(run)) == pytest.approx(Decimal(sum(hours(run).values())) / 3600, abs=Decimal("0.00001"))
        assert ledger.count(NOW) == 0

    def test_the_seconds_of_the_hours_add_up_to_those_of_the_run(self) -> None:
        begins = at(16, 8, 59, 59) + timedelta(milliseconds=600)
        run = make_run(begins, ended=at(16, 10, 0, 0) + timedelta(milliseconds=700))
        ledger.count(NOW)
        assert hours(run) == {at(16, 8): 1, at(16, 9): 3600}

    def test_nothing_is_counted_that_lies_ahead(self) -> None:
        run = make_run(START, ended=NOW + 5 * HOUR)
        ledger.count(NOW)
        assert sum(hours(run).values()) == (NOW - START).total_seconds()

    def test_a_worker_whose_clock_is_behind_takes_nothing_back(self) -> None:
        run = make_run(START, seen=NOW)
        ledger.count(NOW)
        before = hours(run)
        ledger.count(NOW - 20 * MINUTE)
        assert hours(run) == before

    def test_hours_carry_person_and_team_also_when_they_are_learnt_late(self) -> None:
        team, user = make_team(), make_user()
        run = make_run(START, seen=at(16, 8, 50), domain=team.domain)
        ledger.count(NOW)
        RunningApp.objects.update(user=user, team=team, seen_at=at(16, 9, 10))
        ledger.count(NOW)
        assert set(UsageHour.objects.filter(app=run).values_list("user", "team")) == {(user.pk, team.pk)}

    def test_the_portals_own_time_zone_moves_no_hour(self, settings: Settings) -> None:
        settings.TIME_ZONE = "Asia/Kolkata"
        run = make_run(START, ended=at(16, 9, 15))
        ledger.count(NOW)
        assert hours(run) == {at(16, 8): 1200, at(16, 9): 900}

    def test_many_runs_take_two_queries_for_each_batch(self, django_assert_num_queries: Callable[..., Any]) -> None:
        make_price("0.05")
        domain = make_domain()
        for _ in range(12):
            make_run(at(1), seen=at(3), domain=domain)
        ledger.BATCH, usual = 5, ledger.BATCH
        try:
            # A savepoint around each of the four batches, the last of which is empty.
            with django_assert_num_queries(4 * 2 + 3 * 2 + 1):
                assert ledger.count(NOW) == 12
        finally:
            ledger.BATCH = usual
        assert UsageHour.objects.count() == 12 * 48


class TestPrices:
    def test_the_region_wins_over_the_general_price(self) -> None:
        make_price("1")
        make_price("2", region="eu-west-1")
        make_price("3", region="us-east-1")
        here = make_run(START, ended=START + 20 * MINUTE)
        there = make_run(START, ended=START + 20 * MINUTE, domain=make_domain(region="eu-central-1"))
        ledger.count(NOW)
        assert costs(here) == [Decimal("0.666667")]
        assert costs(there) == [Decimal("0.333333")]

    def test_an_hour_keeps_the_price_it_was_counted_with_first(self) -> None:
        price = make_price("1")
        run = make_run(at(16, 8), seen=at(16, 8, 30))
        ledger.count(NOW)
        Price.objects.filter(pk=price.pk).update(per_hour=10)
        RunningApp.objects.update(seen_at=at(16, 10))
        ledger.count(NOW)
        assert costs(run) == [Decimal(1), Decimal(10)]
        Price.objects.all().delete()
        RunningApp.objects.update(ended_at=at(16, 9, 30))
        ledger.count(NOW)
        assert costs(run) == [Decimal(1), Decimal(5)]

    def test_what_has_no_price_costs_nothing_until_it_has_one_in_the_same_month(self) -> None:
        november = make_run(at(16, 8), ended=at(16, 9))
        running = make_run(at(16, 8), seen=at(16, 9), instance_type="ml.g5.xlarge")
        october = make_run(at(1) - 2 * HOUR, ended=at(1) + HOUR)
        ledger.count(NOW)
        assert costs(november) == costs(running) == [Decimal(0)]
        assert not UsageHour.objects.exclude(per_hour=None).exists()
        make_price("2")
        ledger.count(NOW)
        assert costs(november) == [Decimal(2)]
        assert costs(running) == [Decimal(0)]
        # What was told of a month that is over stays told.
        assert costs(october) == [Decimal(0), Decimal(0), Decimal(2)]
        assert ledger.count(NOW) == 0

    def test_a_price_of_nothing_is_a_price(self) -> None:
        make_price("0", "system")
        run = make_run(at(16, 8), ended=at(16, 9), instance_type="system")
        ledger.count(NOW)
        make_price("5", "system", "eu-west-1")
        ledger.count(NOW)
        assert costs(run) == [Decimal(0)]


class TestPurge:
    def test_old_hours_go_and_do_not_come_back(self, settings: Settings) -> None:
        settings.USAGE_DAYS = 62
        team = make_team()
        old = make_cost("1", team=team, hour=NOW - timedelta(days=63)).app
        long = make_run(NOW - timedelta(days=70), seen=NOW - HOUR)
        kept = make_cost("1", team=team)
        BudgetMonth.objects.create(month=at(1).date().replace(month=8), team=team, budget=1, spent=1)
        BudgetMonth.objects.create(month=at(1).date(), team=team, budget=1, spent=1)
        ledger.count(NOW)
        assert ledger.purge(NOW) == 1
        assert not RunningApp.objects.filter(pk=old.pk).exists()
        assert UsageHour.objects.filter(pk=kept.pk).exists()
        assert BudgetMonth.objects.count() == 1
        assert len(hours(long)) == 62 * 24
        RunningApp.objects.filter(pk=long.pk).update(seen_at=NOW)
        ledger.count(NOW)
        assert min(hours(long)) >= NOW - timedelta(days=62, hours=1)


# What scans do to a run, in minutes since the last step; the model is one subtraction.
STEPS = st.lists(st.tuples(st.sampled_from(("seen", "ended", "corrected", "count")), st.integers(0, 200)), max_size=12)


@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 59), steps=STEPS)
def test_whatever_scans_do_the_ledger_has_the_time_from_start_to_end(
    start: int, steps: list[tuple[str, int]], db: None
) -> None:
    with transaction.atomic():
        run = make_run(at(2, 3, start), seen=at(2, 3, start))
        until = run.started_at
        for what, minutes in [*steps, ("count", 0)]:
            if what == "seen" and run.ended_at is None:
                run.seen_at = until = run.seen_at + minutes * MINUTE
            elif what == "ended" and run.ended_at is None:
                run.ended_at = until = run.seen_at + minutes * MINUTE
            elif what == "corrected" and run.ended_at is not None:
                run.ended_at = until = max(run.ended_at - minutes * MINUTE, run.started_at)
            if what != "count":
                run.save(update_fields=["seen_at", "ended_at"])
                continue
            ledger.count(NOW)
            found = hours(run)
            assert sum(found.values()) == (until - run.started_at).total_seconds()
            assert all(0 < seconds <= 3600 for seconds in found.values())
            assert all(run.started_at < hour + HOUR and hour < until for hour in found)
        transaction.set_rollback(True)


class TestTogether:
    @pytest.mark.django_db(transaction=True)
    def test_two_workers_at_once_count_everything_once(self) -> None:
        make_price("1")
        runs = [make_run(at(14, 0, number), seen=NOW) for number in range(30)]
        failures: list[BaseException] = []
        together = threading.Barrier(3)

        def work() -> None:
            try:
                together.wait(timeout=30)
                for _ in range(3):
                    ledger.count(NOW)
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
        assert not any(thread.is_alive() for thread in threads)
        ledger.count(NOW)
        for run in runs:
            assert sum(hours(run).values()) == (NOW - run.started_at).total_seconds()
            assert len(hours(run)) == len(set(hours(run)))

    @pytest.mark.django_db(transaction=True)
    def test_what_a_worker_holds_when_it_dies_is_counted_by_the_next(self) -> None:
        held, free = make_run(at(16, 8), ended=at(16, 9)), make_run(at(16, 8), ended=at(16, 9))
        with pytest.raises(KeyboardInterrupt), transaction.atomic():  # noqa: PT012
            ledger._count_batch(NOW, 0)
            found: list[int] = []

            def other() -> None:
                found.append(ledger.count(NOW))
                connection.close()

            thread = threading.Thread(target=other)
            thread.start()
            thread.join(timeout=30)
            # It does not wait for what somebody else is at.
            assert found == [0]
            raise KeyboardInterrupt
        assert not UsageHour.objects.exists()
        assert ledger.count(NOW) == 2
        assert hours(held) == hours(free) == {at(16, 8): 3600}
