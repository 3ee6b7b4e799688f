"""The consumer: events in any order, late, twice, failed, unknown or rubbish; what is dirty is read again."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from portal.demo.aws import events as made
from provisioning import tasks
from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError
from provisioning.aws.sqs import Message, Queue
from provisioning.directory import consumer, marks, rereading, syncs
from provisioning.directory.consumer import Consumer
from provisioning.directory.working import work_off
from provisioning.models import DeadLetter, Directory, DirectorySync, DirtyMark
from teams.models import GroupMembership, Team, User
from tests.provisioning.directory.conftest import State, Trigger, World, read_until

pytestmark = pytest.mark.django_db

ORIGINS: tuple[Any, ...] = ("console", "api", "scim")


@pytest.fixture(name="town")
def _town(world: World) -> World:
    """Two people in group a, one in group b; synchronised, and no event yet."""
    world.fill(a=["user1", "user2"], b=["user3"])
    world.map("a", "team-a")
    world.map("b", "team-b")
    world.sync()
    world.aws.state.calls.clear()
    return world


def team(slug: str) -> Team:
    return Team.objects.get(slug=slug)


class TestDoors:
    @pytest.mark.parametrize("origin", ORIGINS)
    def test_who_is_taken_out_is_out(self, town: World, origin: Any) -> None:
        town.store.remove_member("a", "user1", origin)
        assert town.consume() == 1
        assert not town.may_open("user1", team("team-a"))
        assert town.may_open("user2", team("team-a"))
        assert town.in_queue == 0

    @pytest.mark.parametrize("origin", ORIGINS)
    def test_who_is_put_in_is_in_known_before_or_not(self, town: World, origin: Any) -> None:
        town.store.add_member("a", "user3", origin)
        town.store.add_user("new", email="new@example.com", origin=origin)
        town.store.add_member("b", "new", origin)
        town.consume()
        assert town.may_open("user3", team("team-a"))
        assert town.may_open("new", team("team-b"))
        user = User.objects.get(subject=town.subject("new"))
        assert (user.email, user.known_by) == ("new@example.com", "identity-center:company")
        # What was read of them lately is newer than a synchronisation that began before.
        assert town.sync().state == State.APPLIED
        assert town.may_open("new", team("team-b"))

    @pytest.mark.parametrize("origin", ["console", "scim"])
    def test_a_disabled_user_is_out_of_everything_until_enabled(self, town: World, origin: Any) -> None:
        town.store.disable_user("user1", origin=origin)
        town.consume()
        assert not town.may_open("user1", team("team-a"))
        assert not User.objects.get(subject=town.subject("user1")).is_active
        town.store.enable_user("user1", origin=origin)
        town.consume()
        assert town.may_open("user1", team("team-a"))

    @pytest.mark.parametrize("origin", ORIGINS)
    def test_a_deleted_user_is_out_although_no_event_names_a_group(self, town: World, origin: Any) -> None:
        subject = town.subject("user1")
        town.store.delete_user("user1", origin=origin)
        town.consume()
        assert town.members(team("team-a")) == {town.subject("user2")}
        assert not User.objects.get(subject=subject).is_active
        assert not GroupMembership.objects.filter(user__subject=subject).exists()

    @pytest.mark.parametrize("origin", ORIGINS)
    def test_a_deleted_group_opens_nothing(self, town: World, origin: Any) -> None:
        town.store.delete_group("b", origin=origin)
        town.consume()
        assert town.members(team("team-b")) == set()

    @pytest.mark.parametrize("origin", ORIGINS)
    def test_a_renamed_group_is_what_its_new_name_says(self, town: World, origin: Any) -> None:
        new = town.map("c", "team-c")
        town.store.update_group("a", name="c", origin=origin)
        town.consume()
        assert town.members(team("team-a")) == set()
        assert len(town.members(new)) == 2

    def test_a_user_who_is_somewhere_else_too_keeps_that(self, town: World) -> None:
        town.store.add_member("b", "user1", None)
        town.sync()
        town.store.remove_member("a", "user1", "api")
        town.consume()
        assert not town.may_open("user1", team("team-a"))
        assert town.may_open("user1", team("team-b"))

    def test_a_change_of_name_alone_changes_no_access(self, town: World) -> None:
        town.store.update_user("user1", display_name="Ada", origin="console")
        town.consume()
        assert User.objects.get(subject=town.subject("user1")).name == "Ada"
        assert town.may_open("user1", team("team-a"))

    def test_unmapped_groups_are_not_read(self, town: World) -> None:
        town.fill(z=["user1"])
        town.store.remove_member("z", "user1", "console")
        town.consume()
        assert town.calls("ListGroupMemberships") == []


class TestOrder:
    def test_late_twice_and_backwards_the_end_is_the_same(self, town: World) -> None:
        town.aws.personality.update({"directory_rate": 0, "events_duplicated": 1.0})
        for origin in ORIGINS:
            town.store.remove_member("a", "user1", origin)
            town.store.add_member("a", "user1", origin)
        queue = next(iter(each for each in town.aws.state.queues.values() if each.name == "directory-events"))
        queue.messages = dict(reversed(queue.messages.items()))
        town.store.remove_member("a", "user2", None)
        town.consume()
        assert town.members(team("team-a")) == {town.subject("user1")}
        old = made.add_member(town.store.store_id, town.store.find_group("a").group_id, town.subject("user2"))
        town.send(json.dumps(old))
        town.consume()
        assert not town.may_open("user2", team("team-a"))

    def test_an_event_before_the_first_synchronisation_does_no_harm(self, world: World) -> None:
        world.fill(a=["user1"])
        door = world.map("a")
        world.store.remove_member("a", "user1", "api")
        world.store.add_member("a", "user1", "console")
        world.consume()
        assert world.may_open("user1", door)
        world.sync()
        assert world.may_open("user1", door)

    def test_a_failed_call_reads_nothing(self, town: World) -> None:
        town.send(json.dumps(made.remove_member(town.store.store_id, town.store.find_group("a").group_id,
                                                town.subject("user1"), error_code="AccessDenied")))  # fmt: skip
        assert town.consume() == 1
        assert town.calls() == []
        assert town.in_queue == 0

    def test_another_directory_is_none_of_our_business(self, town: World) -> None:
        town.send(json.dumps(made.remove_member("d-0000000000", town.store.find_group("a").group_id, "x")))
        assert town.consume() == 1
        assert town.calls() == []


class TestMembershipIds:
    def test_one_that_gave_nothing_here_is_passed_over(self, town: World) -> None:
        town.fill(z=["user1"])
        town.store.remove_member("z", "user1", "api")
        town.consume()
        assert town.calls() == []
        assert town.marks() == []

    def test_with_memberships_without_ids_everything_is_read(self, town: World) -> None:
        GroupMembership.objects.update(external_id="")
        town.store.remove_member("a", "user1", "api")
        town.consume()
        town.finish(DirectorySync.objects.get(state=State.READING))
        assert not town.may_open("user1", team("team-a"))

    def test_one_that_a_synchronisation_under_way_has_read_is_remembered(self, town: World) -> None:
        """Put in, read, taken out again before it was applied: only the id tells, and nobody knows it yet."""
        town.store.add_member("a", "user3", None)
        sync, _ = syncs.start(town.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "users")
        town.store.remove_member("a", "user3", "api")
        town.consume()
        assert [kind for kind, _ in town.marks()] == ["membership"]
        town.finish(sync)
        assert town.may_open("user3", team("team-a"))
        work_off(town.directory.pk, seconds=5)
        assert not town.may_open("user3", team("team-a"))
        assert town.marks() == []


class TestNewerAndOlder:
    def test_a_synchronisation_leaves_alone_what_was_read_again_since(self, town: World) -> None:
        sync, _ = syncs.start(town.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "users")
        town.store.remove_member("a", "user1", "console")
        town.store.disable_user("user3", origin="console")
        town.store.add_user("new")
        town.store.add_member("a", "new", "console")
        town.consume()
        assert town.finish(sync).state == State.APPLIED
        assert not town.may_open("user1", team("team-a"))
        assert not town.may_open("user3", team("team-b"))
        assert town.may_open("new", team("team-a"))

    def test_what_was_read_before_a_synchronisation_was_applied_is_read_again(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reading begins, a synchronisation is applied, the reading ends: nobody knows which one is newer."""
        original, readings = rereading._read_group, list[Any]()

        def slow(claimed: Any) -> Any:
            found = original(claimed)
            if not readings:
                town.store.remove_member("a", "user2", None)
                town.sync()
            readings.append(found)
            return found

        monkeypatch.setattr(rereading, "_read_group", slow)
        town.store.remove_member("a", "user1", "console")
        town.consume()
        assert len(readings) == 2
        assert town.members(team("team-a")) == set()

    def test_what_changes_while_it_is_read_is_read_once_more(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original, readings = rereading._read_group, list[Any]()

        def slow(claimed: Any) -> Any:
            found = original(claimed)
            if not readings:
                town.store.remove_member("a", "user2", None)
                marks.note(town.directory.pk, [("group", town.store.find_group("a").group_id)])
            readings.append(found)
            return found

        monkeypatch.setattr(rereading, "_read_group", slow)
        town.store.remove_member("a", "user1", "console")
        town.consume()
        assert len(readings) == 2
        assert town.members(team("team-a")) == set()


class TestTrouble:
    @pytest.mark.parametrize("outcome", ["ThrottlingException", 500, "lost", "drop", "AccessDeniedException"])
    def test_a_reading_that_fails_is_made_again_later(self, town: World, outcome: Any) -> None:
        town.aws.personality.fail_next = {"DescribeGroup": [outcome]}
        town.store.remove_member("a", "user1", "console")
        town.consume()
        assert town.may_open("user1", team("team-a"))
        (mark,) = DirtyMark.objects.filter(done_at__isnull=True)
        assert mark.attempts == 1
        assert mark.error
        assert mark.due_at > timezone.now()
        assert town.in_queue == 0
        DirtyMark.objects.update(due_at=timezone.now())
        work_off(town.directory.pk, seconds=5)
        assert not town.may_open("user1", team("team-a"))
        assert town.marks() == []
        assert Directory.objects.get().failing_since is None

    def test_a_store_that_does_not_answer_takes_nobody_out(self, town: World) -> None:
        del town.aws.state.identity_stores["d-1234567890"]
        group = made.scim_patch_group("t", GroupMembership.objects.filter(group__name="a")[0].group.external_id)
        town.send(json.dumps(group))
        town.send(json.dumps(made.console_user("DeleteUser", "d-1234567890", User.objects.all()[0].subject)))
        town.consume()
        assert len(town.members(team("team-a"))) == 2
        assert len(town.marks()) == 2
        assert Directory.objects.get().failing_since is not None

    def test_nothing_is_deleted_that_was_not_noted(self, town: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise OperationalError("the connection is lost")

        town.store.remove_member("a", "user1", "console")
        with monkeypatch.context() as patched:
            patched.setattr(marks, "note", broken)
            with pytest.raises(OperationalError):
                town.consume()
        assert town.in_queue == 1
        assert town.marks() == []
        town.aws.state.clock.advance(200)
        town.consume()
        assert not town.may_open("user1", team("team-a"))

    @pytest.mark.parametrize("outcome", [500, "lost", "drop", "ReceiptHandleIsInvalid"])
    def test_what_could_not_be_deleted_comes_again_and_says_nothing_new(self, town: World, outcome: Any) -> None:
        town.aws.personality.fail_next = {"DeleteMessageBatch": [outcome]}
        town.store.remove_member("a", "user1", "console")
        town.consume()
        assert not town.may_open("user1", team("team-a"))
        town.aws.state.clock.advance(200)
        town.consume()
        assert town.in_queue == 0

    def test_a_queue_that_is_gone_or_closed_is_noted(self, town: World) -> None:
        Directory.objects.update(queue_url=f"{town.aws.url}/111122223333/nowhere")
        directory = Directory.objects.get()
        stop = threading.Event()
        works = Consumer(directory.pk, stop)
        with pytest.raises(AwsError):
            works.turn(directory, listen=0)
        stop.set()
        works._failed(AwsError("The specified queue does not exist.", code="QueueDoesNotExist"))
        directory.refresh_from_db()
        assert directory.queue_failing_since is not None
        assert "QueueDoesNotExist" in directory.queue_error

    def test_marks_of_a_dead_consumer_are_found_by_any_worker(self, town: World) -> None:
        town.store.remove_member("a", "user1", "console")
        messages = Queue(Account(), "eu-west-1", town.directory.queue_url)
        consumer.note(town.directory, messages.receive(wait=0))
        assert town.may_open("user1", team("team-a"))
        tasks.work_off_marks(town.directory.pk)
        assert not town.may_open("user1", team("team-a"))


class TestBacklog:
    def test_ten_thousand_events_make_few_readings(self, town: World) -> None:
        group = town.store.find_group("a").group_id
        town.store.remove_member("a", "user1", None)
        bodies = [
            json.dumps(made.add_member(town.store.store_id, group, "94e80458-9021-70ea-08fa-c3a10a1d8a92")),
            json.dumps(made.scim_patch_group("t", town.store.find_group("b").group_id)),
        ]
        # Most of them as if they had been received already, because the stand-in takes its time with each.
        for start in range(0, 9_000, 1_000):
            batch = [Message(str(start + number), bodies[number % 2], "") for number in range(1_000)]
            consumer.note(town.directory, batch)
        for number in range(1_000):
            town.send(bodies[number % 2])
        assert len(town.marks()) == 2
        town.consume()
        assert town.in_queue == 0
        assert town.marks() == []
        assert not town.may_open("user1", team("team-a"))
        assert len(town.calls()) <= 10

    def test_very_many_dirty_groups_and_people_are_read_all_at_once(self, town: World) -> None:
        town.store.remove_member("a", "user1", None)
        town.store.disable_user("user3", origin=None)
        ids = [f"94e80458-9021-70ea-08fa-{number:012d}" for number in range(5_000)]
        bodies = [made.console_user("UpdateUser", town.store.store_id, each) for each in ids]
        bodies += [made.scim_patch_group("t", each) for each in ids]
        bodies += [made.console_user("DisableUser", town.store.store_id, town.subject("user3"))]
        bodies += [made.scim_patch_group("t", town.store.find_group("a").group_id)]
        consumer.note(town.directory, [Message(str(number), json.dumps(each), "")
                                       for number, each in enumerate(bodies)])  # fmt: skip
        work_off(town.directory.pk, seconds=10)
        assert not town.may_open("user1", team("team-a"))
        town.finish(DirectorySync.objects.get(state=State.READING))
        assert not town.may_open("user3", team("team-b"))
        assert town.marks() == []
        assert len(town.calls()) <= 10

    def test_events_that_name_nothing_begin_one_synchronisation_in_five_minutes(self, town: World) -> None:
        DirectorySync.objects.update(started_at=timezone.now() - timedelta(minutes=1))
        unclear = made.console_group("ReplaceGroups", town.store.store_id, "HIDDEN")
        for _ in range(3):
            town.send(json.dumps(unclear))
            town.consume()
        (sync,) = DirectorySync.objects.filter(trigger=Trigger.EVENTS)
        town.finish(sync)
        town.send(json.dumps(unclear))
        town.consume()
        assert DirectorySync.objects.filter(trigger=Trigger.EVENTS).count() == 1
        (mark,) = DirtyMark.objects.filter(kind="everything", done_at__isnull=True)
        assert mark.due_at > timezone.now() + timedelta(minutes=3)


class TestDeadLetters:
    def test_rubbish_is_kept_with_the_reason_and_does_not_stop_the_rest(self, town: World) -> None:
        town.send("rubbish")
        town.send('{"password": "hunter2", "SAMLResponse": "PHNhbWxwOlJlc3BvbnNlIHhtbG5zOnNhbWxw"}')
        town.send("\ufffd\u0001 " + "x" * 200_000)
        town.store.remove_member("a", "user1", "console")
        assert town.consume() == 4
        assert not town.may_open("user1", team("team-a"))
        letters = list(DeadLetter.objects.order_by("id"))
        assert len(letters) == 3
        assert all(letter.reason and letter.message_id for letter in letters)
        assert "hunter2" not in letters[1].body
        assert "PHNhbWxw" not in letters[1].body
        assert max(len(letter.body) for letter in letters) <= 16 * 1024
        assert town.in_queue == 0

    def test_the_same_message_is_kept_once(self, town: World) -> None:
        town.aws.personality.fail_next = {"DeleteMessageBatch": [500]}
        town.send("rubbish")
        town.consume()
        town.aws.state.clock.advance(200)
        town.consume()
        assert DeadLetter.objects.count() == 1


class TestManyStrangers:
    def test_too_many_at_once_are_left_to_a_synchronisation(self, town: World) -> None:
        town.store.load(users=[f"new{number}" for number in range(120)],
                        members=[("b", f"new{number}") for number in range(120)])  # fmt: skip
        town.send(json.dumps(made.scim_patch_group("t", town.store.find_group("b").group_id, "ADD")))
        town.consume()
        assert len(town.members(team("team-b"))) == 101
        town.finish(DirectorySync.objects.get(state=State.READING))
        assert len(town.members(team("team-b"))) == 121


class TestOtherSubjects:
    @pytest.fixture(name="by_name")
    def _by_name(self, make_world: Callable[..., World], db: None) -> World:
        world = make_world(subject_attribute="userName")
        world.fill(a=["user1", "user2"])
        world.map("a", "team-a")
        world.sync()
        return world

    def test_events_find_people_by_their_ids_all_the_same(self, by_name: World) -> None:
        by_name.store.remove_member("a", "user1", "api")
        by_name.store.add_user("user3", origin=None)
        by_name.store.add_member("a", "user3", "console")
        by_name.consume()
        assert by_name.members(team("team-a")) == {"user2", "user3"}
        by_name.store.disable_user("user3", origin="scim")
        by_name.consume()
        assert by_name.members(team("team-a")) == {"user2"}

    def test_somebody_who_is_gone_is_found_by_what_was_kept(self, by_name: World) -> None:
        by_name.store.delete_user("user1", origin="api")
        by_name.consume()
        assert by_name.members(team("team-a")) == {"user2"}
        assert not User.objects.get(subject="user1").is_active
