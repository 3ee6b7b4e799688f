"""A real consumer process over the queue of a directory: from an event to a closed door, through kills and stops."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.server import Handle
from provisioning.directory import syncs
from provisioning.models import DeadLetter, Directory, DirectorySync, Profile
from teams import access
from teams.models import Team, User
from tests.factories import make_account, make_domain, make_mapping, make_team
from tests.fixtures import IdentityProvider

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 120
STORE, QUEUE = "d-1234567890", "directory-events"


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until the condition holds; fail after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


@pytest.fixture(name="store")
def _store(aws: Handle) -> IdentityStore:
    """A store with user1 in the group of team1, which is synchronised; the events go to a queue."""
    aws.state.add_queue(QUEUE, visibility_timeout=5)
    store = aws.state.add_identity_store(STORE, event_queue=QUEUE)
    store.load(users=["user1", "user2"], groups=["scientists"], members=[("scientists", "user1")])
    domain = make_domain(make_account(account_id=aws.state.home_account), domain_id="d-demo0studio1")
    make_mapping("scientists", make_team("team1", domain=domain))
    directory = Directory.objects.create(
        name="Company",
        slug="company",
        identity_store_id=STORE,
        region="eu-west-1",
        queue_url=f"{aws.url}/{aws.state.home_account}/{QUEUE}",
    )
    sync, _ = syncs.start(directory, DirectorySync.Trigger.DEMAND)
    syncs.step(sync.pk)
    assert User.objects.get().subject == store.find_user("user1").user_id
    return store


@pytest.fixture(name="start")
def _start(aws: Handle, idp: IdentityProvider, tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts consumers with this test's database and AWS; none of them outlives the test."""
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    environment = {
        **os.environ,
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}",
        "AWS_ENDPOINT_URL": aws.url,
    }
    running: list[subprocess.Popen[bytes]] = []

    def start(**changes: str) -> "subprocess.Popen[bytes]":
        with (tmp_path / "consumer.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "directoryevents"],
                cwd=ROOT,
                env={**environment, **changes},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def opens(client: Client) -> int:
    return client.post("/teams/team1/open/").status_code


def ready() -> None:
    """Let the profile be there, so that the door leads into Studio at once."""
    user, team = User.objects.get(), Team.objects.get()
    Profile.objects.update_or_create(
        user=user, team=team, defaults={"domain": team.domain, "name": "user1-team1", "state": Profile.State.WANTED}
    )


def in_queue(aws: Handle) -> int:
    return sum(len(each.messages) for each in aws.state.queues.values() if each.name == QUEUE)


@pytest.mark.parametrize("origin", ["console", "api", "scim"])
def test_from_an_event_to_a_closed_door_and_back(
    aws: Handle, idp: IdentityProvider, store: IdentityStore, start: Callable[..., Any], client: Client, origin: Any
) -> None:
    idp.sign_on(client, store.find_user("user1").user_id)
    ready()
    assert opens(client) != 404
    start()
    store.remove_member("scientists", "user1", origin)
    wait_until(lambda: opens(client) == 404)
    wait_until(lambda: in_queue(aws) == 0)
    store.add_member("scientists", "user1", origin)
    wait_until(lambda: opens(client) != 404)


def test_a_killed_consumer_loses_nothing_and_a_stopped_one_ends_in_time(
    aws: Handle, store: IdentityStore, start: Callable[..., Any]
) -> None:
    user, team = User.objects.get(), Team.objects.get()
    aws.personality.slow = {"DescribeGroup": 3.0}
    first = start()
    store.remove_member("scientists", "user1", "console")
    # It has noted what is dirty, and is killed while it reads.
    wait_until(lambda: in_queue(aws) == 0 and Directory.objects.get().marks.exists())
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert access.find(user, team.slug) is not None
    aws.personality.slow = 0.0
    # In production the claim runs out by itself.
    Directory.objects.get().marks.update(claimed_until=timezone.now())
    second = start()
    wait_until(lambda: access.find(user, team.slug) is None)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=DEADLINE) == 0


def test_without_redis_events_are_followed_all_the_same(
    aws: Handle, store: IdentityStore, start: Callable[..., Any]
) -> None:
    user, team = User.objects.get(), Team.objects.get()
    start(REDIS_URL="redis://127.0.0.1:1/0")
    queue = next(each for each in aws.state.queues.values() if each.name == QUEUE)
    queue.send("rubbish", now=aws.state.clock.now(), sender="somebody")
    store.remove_member("scientists", "user1", "api")
    wait_until(lambda: access.find(user, team.slug) is None)
    assert DeadLetter.objects.count() == 1


def test_a_directory_that_is_added_while_it_runs_is_noticed(
    aws: Handle, store: IdentityStore, start: Callable[..., Any]
) -> None:
    user, team = User.objects.get(), Team.objects.get()
    Directory.objects.update(is_active=False)
    start()
    store.remove_member("scientists", "user1", "scim")
    Directory.objects.update(is_active=True)
    wait_until(lambda: access.find(user, team.slug) is None)
