"""Too many removals at once wait for an admin, who applies them or throws them away; a dry run changes nothing."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from provisioning.directory import finishing, syncs
from provisioning.directory.finishing import NotHeldError
from provisioning.directory.working import work_off
from provisioning.models import Directory, DirectoryPage, DirectorySync
from teams import audit
from teams.models import Group, Team, User
from tests.provisioning.directory.conftest import State, Trigger, World, read_until

pytestmark = pytest.mark.django_db

PEOPLE = [f"user{number}" for number in range(20)]


@pytest.fixture(name="door")
def _door(world: World) -> Team:
    """A team with twenty people, of whom at most four may lose access at once."""
    Directory.objects.update(limit_share=20, limit_number=3)
    world.fill(a=PEOPLE)
    door = world.map("a")
    world.sync()
    return door


def lose(world: World, number: int) -> None:
    for name in PEOPLE[:number]:
        world.store.remove_member("a", name, None)


class TestLimit:
    def test_within_the_limit_it_is_applied(self, world: World, door: Team) -> None:
        lose(world, 4)
        assert world.sync().state == State.APPLIED
        assert len(world.members(door)) == 16

    def test_beyond_it_nothing_changes_and_the_list_is_there(self, world: World, door: Team) -> None:
        lose(world, 5)
        sync = world.sync()
        assert sync.state == State.HELD
        assert len(world.members(door)) == 20
        assert sync.plan["people_losing"] == 5
        named = {line["username"] for line in lines(sync)}
        assert named == {world.subject(name) for name in PEOPLE[:5]}
        (row,) = world.audited("sync_held")
        assert "5 people" in row.reason
        assert not world.audited("membership_removed")

    def test_the_number_counts_where_it_is_more_than_the_share(self, world: World, door: Team) -> None:
        Directory.objects.update(limit_number=10)
        lose(world, 10)
        assert world.sync().state == State.APPLIED

    def test_an_empty_answer_takes_nobody_out(self, world: World, door: Team) -> None:
        world.store.delete_group("a", origin=None)
        sync = world.sync()
        assert sync.state == State.HELD
        assert len(world.members(door)) == 20
        assert {line["group"] for line in lines(sync)} == {"a"}

    def test_users_who_are_disabled_all_at_once_are_held_too(self, world: World, door: Team) -> None:
        for name in PEOPLE:
            world.store.disable_user(name, origin=None)
        assert world.sync().state == State.HELD
        assert len(world.members(door)) == 20

    @pytest.mark.parametrize("origin", ["console", "api", "scim"])
    def test_events_cannot_get_round_it(self, world: World, door: Team, origin: Any) -> None:
        world.store.delete_group("a", origin=origin)
        world.consume()
        assert len(world.members(door)) == 20
        sync = DirectorySync.objects.get(state=State.READING)
        assert sync.trigger == Trigger.EVENTS
        assert world.finish(sync).state == State.HELD
        assert len(world.members(door)) == 20
        finishing.apply_held(sync.pk, by="alice")
        assert world.members(door) == set()


def lines(sync: DirectorySync) -> list[dict[str, str]]:
    """The lines of a plan, by name."""
    return [dict(line) for line in sync.plan["lines"]]


class TestDecisions:
    @pytest.fixture(name="held")
    def _held(self, world: World, door: Team) -> DirectorySync:
        lose(world, 10)
        return world.sync()

    def test_applied_by_an_admin(self, world: World, door: Team, held: DirectorySync) -> None:
        with audit.context(actor="alice"):
            finishing.apply_held(held.pk, by="alice")
        held.refresh_from_db()
        assert (held.state, held.decided_by) == (State.APPLIED, "alice")
        assert len(world.members(door)) == 10
        assert world.audited("sync_applied")[-1].actor == "alice"
        assert len(world.audited("membership_removed")) == 10
        assert not DirectoryPage.objects.exists()

    def test_thrown_away_by_an_admin(self, world: World, door: Team, held: DirectorySync) -> None:
        with audit.context(actor="alice"):
            finishing.throw_away(held.pk, by="alice")
        held.refresh_from_db()
        assert (held.state, held.decided_by) == (State.DISCARDED, "alice")
        assert len(world.members(door)) == 20
        assert [row.actor for row in world.audited("sync_discarded")] == ["alice"]
        assert not DirectoryPage.objects.exists()

    @pytest.mark.parametrize("first", [finishing.apply_held, finishing.throw_away])
    def test_decided_once(self, world: World, held: DirectorySync, first: Any) -> None:
        first(held.pk, by="alice")
        for second in (finishing.apply_held, finishing.throw_away):
            with pytest.raises(NotHeldError):
                second(held.pk, by="bob")

    def test_a_newer_one_takes_its_place(self, world: World, door: Team, held: DirectorySync) -> None:
        for name in PEOPLE[:10]:
            world.store.add_member("a", name, None)
        assert world.sync().state == State.APPLIED
        held.refresh_from_db()
        assert held.state == State.DISCARDED
        assert len(world.members(door)) == 20

    def test_what_was_read_again_meanwhile_stays_as_it_is(self, world: World, door: Team, held: DirectorySync) -> None:
        """Between holding back and applying, everybody but one was put back, and events told of it."""
        for name in PEOPLE[1:10]:
            world.store.add_member("a", name, "console")
        world.consume()
        finishing.apply_held(held.pk, by="alice")
        assert world.members(door) == {world.subject(name) for name in PEOPLE[1:]}

    def test_a_membership_that_ended_while_it_was_held_is_found(self, world: World, door: Team) -> None:
        world.store.add_user("late", origin=None)
        world.store.add_member("a", "late", None)
        lose(world, 10)
        held = world.sync()
        assert held.state == State.HELD
        world.store.remove_member("a", "late", "api")
        world.consume()
        finishing.apply_held(held.pk, by="alice")
        work_off(world.directory.pk, seconds=5)
        assert world.subject("late") not in world.members(door)

    def test_a_directory_that_becomes_another_one_forgets_it(self, world: World, held: DirectorySync) -> None:
        finishing.discard_open(world.directory, reason="It is another store now.")
        held.refresh_from_db()
        assert held.state == State.DISCARDED


class TestDryRun:
    def test_it_prints_the_plan_and_changes_nothing(self, world: World, door: Team) -> None:
        lose(world, 2)
        world.store.add_user("new", origin=None)
        world.store.add_member("a", "new", None)
        told = run("company", "--dry-run")
        assert "would be changed: 1 memberships added, 2 removed" in told
        assert f"removed {world.subject('user0')} a-team (a)" in told
        assert len(world.members(door)) == 20
        assert not User.objects.filter(subject=world.subject("new")).exists()
        assert DirectorySync.objects.latest("id").state == State.PLANNED
        assert len(world.audited("sync_applied")) == 1

    def test_it_says_what_would_be_held_back(self, world: World, door: Team) -> None:
        lose(world, 10)
        told = run("company", "--dry-run")
        assert "more than the limit" in told
        assert len(world.members(door)) == 20

    def test_it_does_not_disturb_one_that_is_under_way(self, world: World, door: Team) -> None:
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "users")
        run("company", "--dry-run")
        assert world.finish(sync).state == State.APPLIED

    def test_without_it_the_command_applies(self, world: World, door: Team) -> None:
        lose(world, 2)
        assert "2 removed" in run("company")
        assert len(world.members(door)) == 18

    def test_held_back_it_fails_loudly(self, world: World, door: Team) -> None:
        lose(world, 10)
        with pytest.raises(CommandError, match="company"):
            run()
        assert len(world.members(door)) == 20

    def test_an_unknown_directory_is_refused(self, world: World) -> None:
        with pytest.raises(CommandError, match="nowhere"):
            run("nowhere")
        Directory.objects.update(is_active=False)
        with pytest.raises(CommandError):
            run("company")

    def test_a_first_look_creates_nothing(self, world: World) -> None:
        world.fill(a=["user1"])
        world.map("a")
        assert "1 memberships added" in run("--dry-run")
        assert not Group.objects.exists()


def run(*arguments: str) -> str:
    """Run `syncdirectory` and return what it printed."""
    out = StringIO()
    call_command("syncdirectory", *arguments, stdout=out, stderr=out)
    return out.getvalue()
