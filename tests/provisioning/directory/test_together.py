"""Several at once: two workers at one synchronisation, consumers at the same marks, people who sign on meanwhile."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from provisioning.directory import marks, syncs
from provisioning.directory.working import work_off
from provisioning.models import DirectorySync
from teams.models import User
from tests.fixtures import IdentityProvider
from tests.provisioning.directory.conftest import State, Trigger, World

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*work: Callable[[], Any]) -> None:
    """Do all of it in threads with connections of their own; fails when any of them does."""
    barrier, failures = threading.Barrier(len(work)), []

    def run(each: Callable[[], Any]) -> None:
        try:
            barrier.wait()
            each()
        except Exception as error:  # noqa: BLE001  (told by the thread that waits)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_synchronisation_is_begun_once_and_read_by_one_worker_at_a_time(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    door = world.map("a")
    world.fill(a=[f"user{number}" for number in range(150)])
    at_once(*[lambda: syncs.start(world.directory, Trigger.DEMAND)] * 6)
    sync = DirectorySync.objects.get()
    world.aws.personality.slow = 0.05
    at_once(*[lambda: syncs.step(sync.pk)] * 4)
    world.finish(sync)
    assert len(world.members(door)) == 150
    assert len(world.calls()) == 1 + 2 + 2


def test_a_synchronisation_and_sign_ons_of_the_same_people_get_along(
    make_world: Callable[..., World], idp: IdentityProvider
) -> None:
    world = make_world()
    door = world.map("a")
    names = [f"user{number}" for number in range(12)]
    world.fill(a=names)
    subjects = [world.subject(name) for name in names]
    sync, _ = syncs.start(world.directory, Trigger.DEMAND)

    def sign_on(mine: list[str]) -> None:
        for subject in mine:
            assert idp.sign_on(Client(), subject, groups=["elsewhere"]).status_code == 302

    at_once(lambda: syncs.step(sync.pk), lambda: sign_on(subjects[:6]), lambda: sign_on(subjects[6:]))
    assert world.finish(sync).state == State.APPLIED
    assert world.members(door) == set(subjects)
    assert User.objects.count() == 12


def test_every_mark_is_worked_off_by_one(make_world: Callable[..., World]) -> None:
    world = make_world()
    groups = {f"g{number}": [f"user{number}"] for number in range(8)}
    doors = [world.map(name) for name in groups]
    world.fill(**groups)
    world.sync()
    for name, (member,) in groups.items():
        world.store.remove_member(name, member, None)
    world.aws.state.calls.clear()
    marks.note(world.directory.pk, [("group", world.store.find_group(name).group_id) for name in groups])
    at_once(*[lambda: work_off(world.directory.pk, seconds=30)] * 4)
    assert all(world.members(door) == set() for door in doors)
    assert len(world.calls("DescribeGroup")) == 8


def test_synchronisations_events_and_sign_ons_end_in_what_the_directory_says(
    make_world: Callable[..., World], idp: IdentityProvider
) -> None:
    world = make_world()
    door = world.map("a")
    world.fill(a=["user0", "user1", "user2", "user3"])
    world.sync()
    subjects = [world.subject(f"user{number}") for number in range(4)]

    def change() -> None:
        for number in range(4):
            world.store.remove_member("a", f"user{number}", "api")
            world.consume()
            world.store.add_member("a", f"user{number}", "console")
            world.consume()
        world.store.remove_member("a", "user0", "api")

    def synchronise() -> None:
        for _ in range(3):
            world.sync()

    at_once(change, synchronise, lambda: [idp.sign_on(Client(), each, groups=["x"]) for each in subjects])
    for _ in range(5):
        world.consume()
    DirectorySync.objects.filter(state=State.READING).delete()
    world.directory.marks.update(due_at=world.directory.created_at)
    work_off(world.directory.pk, seconds=30)
    assert world.members(door) == set(subjects[1:])
