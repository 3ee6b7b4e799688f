"""The pace of calls that all workers share: by a fake clock, by several threads, without Redis."""

import os
import threading
import time

import pytest
from pytest_django import Settings

from provisioning import limits
from provisioning.aws.errors import Paced, Throttled

RATE = 20.0
STEP = 1 / (RATE * limits.MARGIN)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    limits.forget()


@pytest.fixture(name="no_redis")
def _no_redis(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    limits.forget()


def test_slots_follow_each_other_at_the_rate() -> None:
    waits = [limits.reserve("a", RATE, now=1000.0) for _ in range(5)]
    assert waits == pytest.approx([number * STEP for number in range(5)], abs=1e-4)


def test_time_that_passes_frees_slots_but_saves_none_up() -> None:
    for _ in range(5):
        limits.reserve("a", RATE, now=1000.0)
    assert limits.reserve("a", RATE, now=1000.0 + 3 * STEP) == pytest.approx(2 * STEP, abs=1e-4)
    assert limits.reserve("a", RATE, now=1060.0) == 0
    assert limits.reserve("a", RATE, now=1060.0) == pytest.approx(STEP, abs=1e-4)


def test_keys_have_clocks_of_their_own() -> None:
    limits.reserve("a", RATE, now=1000.0)
    assert limits.reserve("b", RATE, now=1000.0) == 0


def test_a_slot_that_is_too_far_away_is_not_taken() -> None:
    taken = [limits.reserve("a", RATE, now=1000.0) for _ in range(60)]
    assert sum(wait >= 0 for wait in taken) in {int(limits.MAX_WAIT / STEP), int(limits.MAX_WAIT / STEP) + 1}
    assert taken[-1] < -limits.MAX_WAIT
    assert limits.reserve("a", RATE, now=1001.0) > 0


def test_nobody_calls_while_aws_has_had_enough() -> None:
    limits.push_back("a", 10.0, now=1000.0)
    assert limits.reserve("a", RATE, now=1000.0) == pytest.approx(-10.0)
    assert limits.reserve("a", RATE, now=1009.0) == pytest.approx(1.0)
    limits.push_back("a", 0.5, now=1009.0)
    assert limits.reserve("a", RATE, now=1009.0) == pytest.approx(1.0 + STEP, abs=1e-4)


def test_who_would_wait_too_long_is_told_when_to_come_back() -> None:
    limits.push_back("a", 30.0)
    with pytest.raises(Paced) as caught:
        limits.wait("a", RATE)
    assert isinstance(caught.value, Throttled)
    assert caught.value.retry_after == pytest.approx(30.0, abs=2.0)


def test_threads_share_one_pace() -> None:
    waits: list[float] = []

    def take() -> None:
        waits.extend(limits.reserve("a", RATE, now=1000.0) for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([number * STEP for number in range(20)], abs=1e-4)


def test_the_clock_is_that_of_redis() -> None:
    assert limits.reserve("a", RATE) == 0
    assert 0 < limits.reserve("a", RATE) <= STEP + 1e-4


class TestPeopleFirst:
    def test_who_waits_does_not_wait_for_the_background(self) -> None:
        while limits.reserve("a", RATE, now=1000.0) >= 0:
            pass
        assert limits.reserve("a", RATE, first=True, now=1000.0) == 0

    def test_the_background_makes_room_for_each_of_them(self) -> None:
        for _ in range(5):
            assert limits.reserve("a", RATE, first=True, now=1000.0) == 0
        assert limits.reserve("a", RATE, now=1000.0) == pytest.approx(5 * STEP, abs=1e-4)

    def test_a_crowd_of_them_keeps_the_pace_too(self) -> None:
        waits = [limits.reserve("a", RATE, first=True, now=1000.0) for _ in range(100)]
        at_once = sum(wait == 0 for wait in waits)
        later = sum(0 < wait <= limits.MAX_WAIT for wait in waits)
        assert at_once == pytest.approx(limits.AHEAD / STEP, abs=1.1)
        assert later == pytest.approx(limits.MAX_WAIT / STEP, abs=1.1)
        assert all(wait < -limits.MAX_WAIT for wait in waits[at_once + later :])

    def test_a_shorter_patience(self) -> None:
        taken = [limits.reserve("a", RATE, most=0.5, now=1000.0) for _ in range(60)]
        assert sum(wait >= 0 for wait in taken) == int(0.5 / STEP) + 1


class TestLearning:
    def paces(self, moment: float) -> float:
        """The calls a second that are allowed at this moment."""
        first = limits.reserve("a", RATE, most=100.0, now=moment)
        return 1 / (limits.reserve("a", RATE, most=100.0, now=moment) - first)

    def test_throttled_once_the_pace_is_slower_and_recovers_over_a_minute(self) -> None:
        limits.slow_down("a", RATE, now=1000.0)
        assert self.paces(1000.0) == pytest.approx(RATE * limits.MARGIN * limits.SLOWER, rel=1e-3)
        assert self.paces(1030.0) == pytest.approx(RATE * limits.MARGIN * 0.95, rel=1e-3)
        assert self.paces(1090.0) == pytest.approx(RATE * limits.MARGIN, rel=1e-3)

    def test_many_at_the_same_moment_count_once(self) -> None:
        for part in range(10):
            limits.slow_down("a", RATE, now=1000.0 + part / 20)
        assert self.paces(1001.0) == pytest.approx(RATE * limits.MARGIN * limits.SLOWER, rel=1e-2)

    def test_it_never_comes_to_a_stop(self) -> None:
        for second in range(100):
            limits.slow_down("a", RATE, now=1000.0 + 2 * second)
        assert self.paces(1198.0) >= RATE * limits.MARGIN * limits.LEAST * 0.99

    def test_other_keys_learn_nothing(self) -> None:
        limits.slow_down("b", RATE, now=1000.0)
        assert self.paces(1000.0) == pytest.approx(RATE * limits.MARGIN, rel=1e-3)


def test_one_of_many_has_the_turn() -> None:
    assert [limits.turn("a", 60.0) for _ in range(5)] == [True, False, False, False, False]
    assert limits.turn("b", 60.0)


@pytest.mark.usefixtures("no_redis")
class TestWithoutRedis:
    def test_people_go_first_and_a_turn_is_had_once(self) -> None:
        while limits.reserve("a", RATE, now=1000.0) >= 0:
            pass
        assert limits.reserve("a", RATE, first=True, now=1000.0) == 0
        assert [limits.turn("a", 60.0), limits.turn("a", 60.0)] == [True, False]

    def test_each_process_keeps_a_slower_pace(self) -> None:
        waits = [limits.reserve("a", RATE, now=1000.0) for _ in range(4)]
        assert waits == pytest.approx([number * STEP / limits.LOCAL_SHARE for number in range(4)], abs=1e-4)

    def test_no_slot_far_away_is_taken(self) -> None:
        taken = [limits.reserve("a", RATE, now=1000.0) for _ in range(60)]
        assert taken[-1] < -limits.MAX_WAIT

    def test_pushing_back_works_too(self) -> None:
        limits.push_back("a", 10.0, now=1000.0)
        assert limits.reserve("a", RATE, now=1000.0) == pytest.approx(-10.0)

    def test_redis_is_asked_again_after_a_pause(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        limits.reserve("a", RATE)
        assert limits._paused_until > time.monotonic()
        assert limits._ask("return 1", "a", []) is None
        monkeypatch.setattr(limits, "_paused_until", 0.0)
        monkeypatch.setattr(limits, "_client", None)
        settings.REDIS_URL = os.environ["REDIS_URL"]
        assert limits._ask("return 1", "a", []) == 1
