"""Of two readings the newer one counts, whatever the order in which they are applied; people come back, and move."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from provisioning.aws import errors, identity
from provisioning.aws.identity import IdentityStore, MembershipRow, Page
from provisioning.directory import marks, rereading, stores, syncs, upkeep
from provisioning.directory.working import work_off
from provisioning.models import DirectorySync, DirtyMark
from teams import memberships
from teams.models import GroupMembership, RoleMapping, Team, User
from tests.factories import make_mapping
from tests.provisioning.directory.conftest import State, Trigger, World, read_until

pytestmark = pytest.mark.django_db


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


def mark(world: World, kind: str, name: str) -> int:
    row = world.store.find_group(name).group_id if kind == "group" else world.store.find_user(name).user_id
    marks.note(world.directory.pk, [(kind, row)])
    return DirtyMark.objects.get(kind=kind, external_id=row, done_at=None).pk


def meanwhile(monkeypatch: pytest.MonkeyPatch, reading: str, act: Callable[[], None]) -> None:
    """Have something happen once between a reading of the store and its being applied."""
    original, done = getattr(rereading, reading), list[bool]()

    def slow(claimed: Any) -> Any:
        found = original(claimed)
        if not done:
            done.append(True)
            act()
        return found

    monkeypatch.setattr(rereading, reading, slow)


def read_now(world: World, kind: str, name: str) -> None:
    """Let another worker read it and apply that."""
    claimed = marks.claim(mark(world, kind, name))
    assert claimed is not None
    rereading.read(claimed)


class TestOlderReadings:
    def test_a_group_does_not_let_in_again_who_was_read_since(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def leave() -> None:
            town.store.remove_member("a", "user1", None)
            read_now(town, "user", "user1")
            assert not town.may_open("user1", team("team-a"))

        meanwhile(monkeypatch, "_read_group", leave)
        claimed = marks.claim(mark(town, "group", "a"))
        assert claimed is not None
        rereading.read(claimed)
        assert not town.may_open("user1", team("team-a"))
        assert work_off(town.directory.pk, seconds=5)
        assert town.members(team("team-a")) == {town.subject("user2")}

    def test_a_group_does_not_make_somebody_who_was_switched_off_since(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def leave() -> None:
            town.store.disable_user("new", origin=None)
            read_now(town, "user", "new")

        town.store.add_user("new", origin=None)
        town.store.add_member("a", "new", None)
        meanwhile(monkeypatch, "_read_group", leave)
        mark(town, "group", "a")
        assert work_off(town.directory.pk, seconds=5)
        assert not town.may_open("new", team("team-a"))

    def test_a_user_does_not_enter_a_group_that_was_read_since(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def leave() -> None:
            town.store.remove_member("a", "user1", None)
            read_now(town, "group", "a")
            assert not town.may_open("user1", team("team-a"))

        meanwhile(monkeypatch, "_read_user", leave)
        claimed = marks.claim(mark(town, "user", "user1"))
        assert claimed is not None
        rereading.read(claimed)
        assert not town.may_open("user1", team("team-a"))
        assert work_off(town.directory.pk, seconds=5)
        assert not town.may_open("user1", team("team-a"))

    def test_two_groups_that_a_stranger_joined_are_both_theirs(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        town.store.add_user("new", origin=None)
        town.store.add_member("a", "new", None)
        town.store.add_member("b", "new", None)
        meanwhile(monkeypatch, "_read_group", lambda: read_now(town, "group", "b"))
        mark(town, "group", "a")
        assert work_off(town.directory.pk, seconds=5)
        assert town.may_open("new", team("team-a"))
        assert town.may_open("new", team("team-b"))

    def test_a_synchronisation_does_not_bring_an_old_name_back(self, town: World) -> None:
        renamed = town.map(town.store.find_group("a").group_id, "by-id")
        sync, _ = syncs.start(town.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "users")
        town.store.update_group("a", name="c", origin="console")
        town.consume()
        assert town.members(team("team-a")) == set()
        assert town.finish(sync).state == State.APPLIED
        assert town.members(team("team-a")) == set()
        assert len(town.members(renamed)) == 2

    def test_who_is_deleted_while_everything_is_read_is_out(self, town: World) -> None:
        sync, _ = syncs.start(town.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "users")
        subject = town.subject("user1")
        town.store.delete_user("user1", origin=None)
        town.finish(sync)
        assert town.members(team("team-a")) == {town.subject("user2")}
        assert not User.objects.get(subject=subject).is_active

    def test_a_group_that_vanishes_behind_its_first_page_is_empty(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = world.map("a")
        world.fill(a=["user1", "user2", "user3"])
        monkeypatch.setattr(identity, "PAGE", 1)
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.members == 1)
        world.store.delete_group("a", origin=None)
        assert world.finish(sync).state == State.APPLIED
        assert world.members(door) == set()


class TestMappings:
    def test_a_group_that_an_event_named_before_its_mapping_is_read(self, town: World) -> None:
        town.fill(z=["user1"])
        town.sync()
        town.store.add_member("z", "user2", "console")
        town.consume()
        door = town.map("z", "team-z")
        assert upkeep.note_unread(town.directory) == 1
        work_off(town.directory.pk, seconds=5)
        assert len(town.members(door)) == 2
        assert upkeep.note_unread(town.directory) == 0

    def test_a_mapping_that_was_gone_for_a_while_gives_what_the_group_has_now(self, town: World) -> None:
        memberships.drop_mapping(RoleMapping.objects.get(group="a"))
        town.store.remove_member("a", "user1", "console")
        town.consume()
        make_mapping("a", team("team-a"))
        assert upkeep.note_unread(town.directory) == 1
        work_off(town.directory.pk, seconds=5)
        assert town.members(team("team-a")) == {town.subject("user2")}


class TestComingBack:
    @pytest.mark.parametrize("stays", [True, False])
    def test_who_is_enabled_again_is_let_in_by_an_event_of_a_group(self, town: World, *, stays: bool) -> None:
        town.store.disable_user("user1", origin="console")
        if not stays:
            town.store.remove_member("a", "user1", "console")
        town.consume()
        assert not town.may_open("user1", team("team-a"))
        town.store.enable_user("user1", origin=None)
        if stays:
            town.store.add_member("a", "user3", "console")
        else:
            town.store.add_member("a", "user1", "console")
        town.consume()
        assert town.may_open("user1", team("team-a"))

    def test_an_older_reading_lets_nobody_in_who_was_switched_off_since(
        self, town: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def leave() -> None:
            town.store.disable_user("user1", origin=None)
            read_now(town, "user", "user1")

        town.store.disable_user("user1", origin="console")
        town.consume()
        town.store.enable_user("user1", origin=None)
        meanwhile(monkeypatch, "_read_group", leave)
        mark(town, "group", "a")
        assert work_off(town.directory.pk, seconds=5)
        assert not town.may_open("user1", team("team-a"))


class TestSubjects:
    @pytest.fixture(name="named")
    def _named(self, make_world: Callable[..., World], db: None) -> World:
        world = make_world(subject_attribute="userName")
        world.map("a")
        world.fill(a=["user1", "user2"])
        world.sync()
        return world

    @pytest.mark.parametrize("told", ["console", None])
    def test_who_is_deleted_and_made_anew_is_no_riddle(self, named: World, told: Any) -> None:
        named.store.delete_user("user1", origin=told)
        named.consume()
        named.store.add_user("user1", origin=told)
        named.store.add_member("a", "user1", told)
        named.consume()
        if told is None:
            named.sync()
        assert named.members(team("a-team")) == {"user1", "user2"}
        assert User.objects.get(subject="user1").is_active

    def test_it_is_no_riddle_either_where_the_new_one_is_told_of_first(self, named: World) -> None:
        gone = named.store.find_user("user1").user_id
        named.store.delete_user("user1", origin=None)
        named.store.add_user("user1", origin="console")
        named.store.add_member("a", "user1", "console")
        named.consume()
        marks.note(named.directory.pk, [("user", gone)])
        assert work_off(named.directory.pk, seconds=5)
        assert named.members(team("a-team")) == {"user1", "user2"}
        assert User.objects.get(subject="user1").is_active

    def test_a_new_user_name_takes_the_old_one_out(self, named: World) -> None:
        named.store.update_user("user1", user_name="renamed", origin="console")
        named.consume()
        assert named.members(team("a-team")) == {"renamed", "user2"}
        assert not User.objects.get(subject="user1").is_active

    def test_two_with_one_subject_do_not_keep_each_other_busy(self, named: World) -> None:
        named.store.update_user("user1", external_ids=[{"Issuer": "one", "Id": "same"}], origin=None)
        named.store.update_user("user2", external_ids=[{"Issuer": "two", "Id": "same"}], origin=None)
        named.directory.subject_attribute = "externalId"
        named.directory.save()
        named.sync()
        for name in ("user1", "user2"):
            mark(named, "user", name)
        assert work_off(named.directory.pk, seconds=5)
        assert named.marks() == []
        assert named.members(team("a-team")) == set()


class TestOddAnswers:
    def test_members_that_are_no_users_are_passed_over(
        self, make_world: Callable[..., World], db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make_world(subject_attribute="userName")
        door = world.map("a")
        world.fill(a=["user1"])
        world.sync()
        original = IdentityStore.members_page

        def with_a_group(store: IdentityStore, group_id: str, token: str = "") -> Page[MembershipRow]:
            page = original(store, group_id, token)
            return Page((MembershipRow("m", group_id, ""), *page.rows), page.next_token)

        monkeypatch.setattr(IdentityStore, "members_page", with_a_group)
        world.store.add_user("user2", origin=None)
        world.store.add_member("a", "user2", "console")
        world.consume()
        assert world.marks() == []
        assert world.members(door) == {"user1", "user2"}
        assert world.sync().state == State.APPLIED
        assert world.members(door) == {"user1", "user2"}

    def test_what_aws_calls_invalid_again_and_again_is_left_to_a_synchronisation(self, town: World) -> None:
        town.aws.personality.fail_next = {"DescribeGroup": ["ValidationException"] * 4}
        town.store.remove_member("a", "user1", "console")
        town.consume()
        for _ in range(3):
            DirtyMark.objects.update(due_at=timezone.now())
            work_off(town.directory.pk, seconds=5)
        sync = DirectorySync.objects.get(state=State.READING)
        town.finish(sync)
        assert not town.may_open("user1", team("team-a"))
        assert town.marks() == []
        assert GroupMembership.objects.count() == 2


def test_an_answer_without_ids_is_not_believed(town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: Any, **__: Any) -> dict[str, Any]:
        return {"Groups": [{"DisplayName": "a"}], "Users": [{"UserName": "x"}]}

    store = stores.store_of(town.directory)
    monkeypatch.setattr(IdentityStore, "_call", empty)
    for page in (store.groups_page, store.users_page):
        with pytest.raises(errors.Transient):
            page()
