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


@pytest.mark.usefixtures("no_redis")
class TestWithoutRedis:
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
