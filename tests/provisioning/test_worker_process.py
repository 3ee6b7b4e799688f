"""A real Celery worker, killed outright in the middle of a call, with Redis emptied on top."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from celery import current_app
from django.conf import settings
from django.db import connection
from django.utils import timezone

from portal.demo.aws.server import Handle
from provisioning import queue, tasks
from provisioning.models import Profile
from tests.provisioning.conftest import World

State = Profile.State
PATIENCE = 180.0

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        connection.close()
        time.sleep(0.05)


@pytest.fixture(name="start_worker")
def _start_worker(
    aws: Handle, idp: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts workers with this test's database, Redis and AWS; none of them outlives the test."""
    monkeypatch.setattr(queue, "_paused_until", 0.0)
    url = urlsplit(os.environ["DATABASE_URL"])
    database = urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}"))
    environment = {**os.environ, "DATABASE_URL": database, "WORKER_CONCURRENCY": "4"}
    command = [sys.executable, "-m", "celery", "-A", "portal", "worker", "--without-gossip", "--without-mingle"]
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, env=environment, cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
    empty_redis()


def empty_redis() -> None:
    redis.Redis.from_url(settings.REDIS_URL).flushdb()


def test_a_killed_worker_and_an_emptied_redis_lose_nothing(
    make_world: Callable[..., World], start_worker: Callable[[], subprocess.Popen[bytes]], aws: Handle
) -> None:
    world = make_world()
    aws.personality.slow = {"CreateUserProfile": 2.0}
    worker = start_worker()
    queue.enqueue_ensure(world.profile.pk)
    wait_for(lambda: world.profile.state == State.CREATING and world.profile.claim)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    empty_redis()
    aws.personality.slow = 0.0
    tasks.sweep()
    assert world.profile.claim is not None
    # In production the claim runs out by itself, and beat sends the sweep.
    world.change(claimed_until=timezone.now())
    start_worker()
    # A hint of the sweep's is good for seconds only, and here no beat repeats it.
    wait_for(lambda: current_app.control.ping(timeout=1.0))
    tasks.sweep()
    wait_for(lambda: world.profile.state == State.READY)
    assert world.profile.managed
    assert len(aws.state.all_profiles()) == 1
    assert world.in_aws.tags["managed-by"] == "studio-portal"
