"""The sweep: what is due is found by rows alone; new mappings are followed; old rows go."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from provisioning import queue, tasks
from provisioning.directory import marks, syncs, upkeep
from provisioning.models import DeadLetter, Directory, DirectorySync, DirtyMark
from teams import memberships
from tests.provisioning.directory.conftest import State, Trigger, World

pytestmark = pytest.mark.django_db


@pytest.fixture(name="sent", autouse=True)
def _sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The hints that would have gone to Redis."""
    found: list[tuple[str, Any]] = []

    def enqueue(task: str, *args: Any, **_: Any) -> bool:
        found.append((task.rpartition(".")[2], *args))
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return found


def test_rows_alone_lead_from_nothing_to_members(world: World, sent: list[Any]) -> None:
    door = world.map("a")
    world.fill(a=["user1"])
    tasks.sweep_directories()
    sync = DirectorySync.objects.get()
    assert sent == [("synchronise", sync.pk)]
    tasks.synchronise(sync.pk)
    assert world.may_open("user1", door)
    assert sent == [("synchronise", sync.pk)]
    (row,) = world.audited("sync_applied")
    assert row.actor == "system: synchronise"


def test_a_step_that_failed_asks_for_the_next_one(world: World, sent: list[Any]) -> None:
    sync, _ = syncs.start(world.directory, Trigger.DEMAND)
    world.aws.personality.fail_next = {"ListGroups": [500]}
    tasks.synchronise(sync.pk)
    assert sent == [("synchronise", sync.pk)]


def test_marks_are_handed_out_once_for_each_directory(world: World, sent: list[Any]) -> None:
    world.sync()
    sent.clear()
    marks.note(world.directory.pk, [("group", f"g{number}") for number in range(5)])
    tasks.sweep_directories()
    assert sent == [("work_off_marks", world.directory.pk)]


def test_an_inactive_directory_is_left_alone(world: World, sent: list[Any]) -> None:
    marks.note(world.directory.pk, [("everything", "")])
    Directory.objects.update(is_active=False)
    tasks.sweep_directories()
    assert sent == []


class TestNewMappings:
    @pytest.mark.parametrize("by", ["name", "id"])
    def test_a_group_that_nobody_read_is_read_soon(self, world: World, by: str) -> None:
        world.fill(a=["user1"], b=["user1", "user2"])
        world.map("a")
        world.sync()
        door = world.map("b" if by == "name" else world.store.find_group("b").group_id, "team-b")
        memberships.remap(team_ids=[door.pk])
        assert world.members(door) == set()
        tasks.sweep_directories()
        tasks.work_off_marks(world.directory.pk)
        assert len(world.members(door)) == 2

    def test_it_is_read_once(self, world: World) -> None:
        world.fill(a=["user1"], b=["user1"])
        world.sync()
        world.map("b")
        assert upkeep.note_unread(world.directory) == 1
        assert upkeep.note_unread(world.directory) == 0
        tasks.work_off_marks(world.directory.pk)
        assert upkeep.note_unread(world.directory) == 0

    def test_other_sources_and_unknown_groups_are_no_reason(self, world: World) -> None:
        world.fill(a=["user1"])
        world.sync()
        world.map("a", source="identity-center:other")
        world.map("nowhere")
        assert upkeep.note_unread(world.directory) == 0


class TestPurge:
    def test_old_rows_go_and_needed_ones_stay(self, world: World) -> None:
        old = timezone.now() - timedelta(days=100)
        world.sync()
        world.sync()
        DirectorySync.objects.update(finished_at=old)
        directory = world.directory
        DirtyMark.objects.create(directory=directory, kind="group", external_id="1", done_at=old, read_at=old)
        DirtyMark.objects.create(directory=directory, kind="group", external_id="2", done_at=timezone.now())
        DirtyMark.objects.create(directory=directory, kind="group", external_id="3", noted_at=old)
        DeadLetter.objects.create(directory=directory, message_id="1", reason="x", received_at=old)
        DeadLetter.objects.create(directory=directory, message_id="2", reason="x")
        tasks.purge_directories()
        assert DirectorySync.objects.count() == 1
        assert set(DirtyMark.objects.values_list("external_id", flat=True)) == {"2", "3"}
        assert set(DeadLetter.objects.values_list("message_id", flat=True)) == {"2"}

    def test_what_an_open_synchronisation_must_leave_alone_stays_known(self, world: World) -> None:
        old = timezone.now() - timedelta(days=20)
        DirectorySync.objects.create(
            directory=world.directory, trigger=Trigger.DEMAND, state=State.HELD, started_at=old - timedelta(days=1)
        )
        DirtyMark.objects.create(directory=world.directory, kind="group", external_id="1", done_at=old, read_at=old)
        tasks.purge_directories()
        assert DirtyMark.objects.count() == 1
