"""Hints survive a Redis that is down: nobody waits, nobody storms, and the sweep needs only the rows."""

import logging
import time
from collections.abc import Iterator

import pytest
from celery import current_app

from provisioning import queue


@pytest.fixture(autouse=True)
def _never_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_paused_until", 0.0)


@pytest.fixture(name="redis_down")
def _redis_down() -> Iterator[None]:
    """Let the broker be a port where nothing listens."""
    before = current_app.conf.broker_url
    current_app.conf.update(broker_url="redis://127.0.0.1:1/0")
    yield
    current_app.conf.update(broker_url=before)


def test_a_hint_is_sent() -> None:
    assert queue.enqueue_ensure(0, countdown=3600)


def test_redis_down_costs_no_time_and_one_warning(redis_down: None, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            assert not queue.enqueue_ensure(1)
    assert time.monotonic() - started < 3
    assert len([row for row in caplog.records if row.name == "provisioning.queue"]) == 1


def test_after_a_pause_it_is_tried_again(redis_down: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not queue.enqueue_ensure(1)
    monkeypatch.setattr(queue, "_paused_until", time.monotonic() - 1)
    assert not queue.enqueue_ensure(1)
    assert queue._paused_until > time.monotonic()


def test_the_requests_id_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    from teams import audit

    sent: list[tuple] = []
    monkeypatch.setattr(queue, "enqueue", lambda *args, **more: sent.append(args))
    with audit.context(request_id="r-1"):
        queue.enqueue_ensure(7)
    assert sent == [(queue.ENSURE, 7, "r-1")]
