"""Real Celery processes over real Redis: what a killed worker or an emptied Redis leaves undone is still done."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import Client

from portal.demo.services import die_with_parent, start_redis
from provisioning.models import Profile
from teams.models import AuditEvent
from tests.factories import make_account, make_domain, make_team
from tests.fixtures import IdentityProvider

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 180


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll until the condition holds; fail after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


class Processes:
    """Celery processes that work on the test's own database."""

    def __init__(self, aws_url: str, log: Path, **environment: str) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._log = log
        base, _, query = os.environ["DATABASE_URL"].partition("?")
        self._environment = {
            **os.environ,
            "DATABASE_URL": f"{base.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}",
            "AWS_ENDPOINT_URL": aws_url,
            "WORKER_CONCURRENCY": "4",
            **environment,
        }

    def start(self, kind: str) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "portal", kind],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A test run that is ended outright leaves nothing behind either.
                preexec_fn=die_with_parent(),
            )
        self._running.append(process)
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._running.remove(process)

    def kill_all(self) -> None:
        for process in list(self._running):
            self.kill(process)


@pytest.fixture
def processes(aws: Any, tmp_path: Path) -> Iterator[Processes]:
    started = Processes(aws.url, tmp_path / "celery.log")
    yield started
    started.kill_all()


def test_a_killed_worker_and_an_emptied_redis_lose_nothing(
    aws: Any, idp: IdentityProvider, processes: Processes, client: Client
) -> None:
    domain = make_domain(make_account(account_id=aws.state.home_account), domain_id="d-demo0studio1")
    make_team("team1", domain=domain, saml_id="Team1")
    aws.personality.create_delay = 4.0
    worker = processes.start("worker")

    assert idp.sign_on(client, "user1", teamid=["Team1"]).status_code == 302
    # Made ahead at sign-on, before anybody clicked.
    wait_until(lambda: len(aws.calls("CreateUserProfile")) == 1)
    processes.kill(worker)
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    assert Profile.objects.get().state == Profile.State.CREATING

    processes.start("worker")
    processes.start("beat")
    wait_until(lambda: Profile.objects.get().state == Profile.State.READY)
    assert len(aws.calls("CreateUserProfile")) == 1
    assert AuditEvent.objects.filter(action=AuditEvent.Action.PROFILE_READY).count() == 1
    # Emptying Redis signs nobody out.
    response = client.post("/teams/team1/open/")
    assert response.status_code == 303
    assert response["Location"].startswith(aws.url)


def test_workers_go_on_when_redis_comes_back(aws: Any, idp: IdentityProvider, tmp_path: Path, client: Client) -> None:
    domain = make_domain(make_account(account_id=aws.state.home_account), domain_id="d-demo0studio1")
    make_team("team1", domain=domain, saml_id="Team1")
    broker = start_redis(tmp_path)
    processes = Processes(aws.url, tmp_path / "celery.log", REDIS_URL=broker.url)
    try:
        processes.start("worker")
        processes.start("beat")
        # The web process hints through another Redis, so that only the sweep can find these rows.
        idp.sign_on(client, "user1", teamid=["Team1"])
        wait_until(lambda: Profile.objects.filter(state=Profile.State.READY).count() == 1)
        broker.stop()
        idp.sign_on(Client(), "user2", teamid=["Team1"])
        broker = start_redis(tmp_path, port=int(broker.url.rpartition(":")[2].partition("/")[0]))
        wait_until(lambda: Profile.objects.filter(state=Profile.State.READY).count() == 2)
    finally:
        processes.kill_all()
        broker.stop()
