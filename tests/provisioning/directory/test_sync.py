"""Full synchronisations: everything is read page by page and applied at once, or nothing is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from provisioning.directory import syncs
from provisioning.models import Directory, DirectoryPage, DirectorySync
from teams.models import Group, GroupMembership, User
from tests.provisioning.directory.conftest import State, Trigger, World, read_until

pytestmark = pytest.mark.django_db


class TestReading:
    def test_members_of_mapped_groups_get_in_before_they_ever_signed_on(self, world: World) -> None:
        team = world.map("scientists")
        world.fill(scientists=["user1", "user2"], others=["user3"])
        sync = world.sync()
        assert sync.state == State.APPLIED
        assert world.may_open("user1", team)
        assert world.may_open("user2", team)
        assert not User.objects.filter(subject=world.subject("user3")).exists()
        assert (sync.groups, sync.users, sync.members) == (2, 3, 2)
        user = User.objects.get(subject=world.subject("user1"))
        assert (user.email, user.known_by) == ("user1@example.com", "identity-center:company")

    def test_groups_may_be_mapped_by_id_and_by_name_for_this_source_or_any(self, world: World) -> None:
        world.fill(a=["user1"], b=["user1"], c=["user1"])
        by_id = world.map(world.store.find_group("a").group_id, "by-id")
        by_name = world.map("b", "by-name", source="identity-center:company")
        foreign = world.map("c", "foreign", source="identity-center:other")
        world.sync()
        assert world.may_open("user1", by_id)
        assert world.may_open("user1", by_name)
        assert not world.may_open("user1", foreign)

    def test_only_mapped_groups_are_read_and_all_names_are_known(self, world: World) -> None:
        world.map("a")
        world.fill(a=["user1"], b=["user1"])
        world.sync()
        assert len(world.calls("ListGroupMemberships")) == 1
        assert set(Group.objects.values_list("name", flat=True)) == {"a", "b"}

    def test_every_page_counts_short_and_empty_ones_too(self, world: World) -> None:
        team = world.map("scientists")
        world.fill(scientists=[f"user{number}" for number in range(250)])
        world.aws.personality.short_pages = True
        world.sync()
        assert len(world.members(team)) == 250

    def test_two_thousand_users_cost_as_many_calls_as_pages(self, world: World) -> None:
        team = world.map("everybody")
        world.fill(everybody=[f"user{number}" for number in range(2000)])
        world.sync()
        assert len(world.members(team)) == 2000
        assert len(world.calls()) == 1 + 20 + 20

    def test_the_ids_of_memberships_are_kept(self, world: World) -> None:
        world.map("scientists")
        world.fill(scientists=["user1"])
        world.sync()
        (row,) = world.store.contents.memberships
        assert GroupMembership.objects.get().external_id == row.membership_id

    def test_pages_are_gone_when_it_is_over(self, world: World) -> None:
        world.fill(a=["user1"])
        world.sync()
        assert not DirectoryPage.objects.exists()

    def test_it_is_audited(self, world: World) -> None:
        world.map("a")
        world.fill(a=["user1"])
        world.sync(by="alice")
        (row,) = world.audited("sync_applied")
        assert row.target == "directory: company"
        assert row.data["begun_by"] == "alice"
        assert row.data["changes"]["added"] == 1
        assert row.data["read"] == {"groups": 1, "members": 1, "users": 1}


class TestLeavers:
    def test_who_left_a_group_is_out_after_the_next_one(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1", "user2"])
        world.sync()
        world.store.remove_member("a", "user1", origin=None)
        world.sync()
        assert not world.may_open("user1", team)
        assert world.may_open("user2", team)

    def test_disabled_users_have_no_access_although_they_stay_in_groups(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1", "user2"])
        world.store.disable_user("user2", origin=None)
        world.sync()
        assert not world.may_open("user2", team)
        world.store.disable_user("user1", origin=None)
        world.store.enable_user("user2", origin=None)
        world.sync()
        assert not world.may_open("user1", team)
        assert world.may_open("user2", team)
        user = User.objects.get(subject=world.subject("user1"))
        assert (user.is_active, user.deactivated_by) == (False, "identity-center:company")

    def test_a_user_who_vanished_is_deactivated(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1", "user2"])
        world.sync()
        subject = world.subject("user1")
        world.store.delete_user("user1", origin=None)
        world.sync()
        assert not User.objects.get(subject=subject).is_active
        assert world.members(team) == {world.subject("user2")}

    def test_a_group_that_vanished_gives_nothing_any_more(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1"], b=["user1"])
        world.sync()
        world.store.delete_group("a", origin=None)
        world.sync()
        assert world.members(team) == set()
        assert set(Group.objects.values_list("name", flat=True)) == {"b"}

    def test_a_group_that_vanishes_while_it_is_read_is_empty(self, world: World) -> None:
        first, last = world.map("a"), world.map("b")
        world.fill(a=["user1"], b=["user1"])
        gone = max("a", "b", key=lambda name: world.store.find_group(name).group_id)
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "members")
        world.store.delete_group(gone, origin=None)
        assert world.finish(sync).state == State.APPLIED
        assert len(world.members(first) | world.members(last)) == 1
        assert [len(world.members(each)) for each in (first, last)].count(1) == 1

    def test_a_renamed_group_is_what_its_new_name_says(self, world: World) -> None:
        old, new = world.map("a"), world.map("b")
        world.fill(a=["user1"])
        world.sync()
        world.store.update_group("a", name="b", origin=None)
        world.sync()
        assert not world.may_open("user1", old)
        assert world.may_open("user1", new)


class TestInterruptions:
    def test_killed_in_the_middle_it_goes_on_where_it_was(self, world: World) -> None:
        team = world.map("everybody")
        world.fill(everybody=[f"user{number}" for number in range(500)])
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.sequence == 3)
        assert world.finish(sync).state == State.APPLIED
        assert len(world.members(team)) == 500
        assert len(world.calls()) == 1 + 5 + 5

    @pytest.mark.parametrize("outcome", ["ThrottlingException", 500, 503, "lost", "drop", "AccessDeniedException"])
    def test_a_call_that_fails_is_made_again(self, world: World, outcome: Any) -> None:
        team = world.map("a")
        world.fill(a=[f"user{number}" for number in range(120)])
        world.aws.personality.fail_next = {
            operation: [outcome] for operation in ("ListGroups", "ListUsers", "ListGroupMemberships")
        }
        assert world.sync().state == State.APPLIED
        assert len(world.members(team)) == 120
        assert Directory.objects.get().failing_since is None

    def test_a_directory_that_is_down_changes_nothing_and_is_noted(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1"])
        world.sync()
        world.store.remove_member("a", "user1", origin=None)
        world.aws.personality.down = True
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        following = syncs.step(sync.pk)
        assert following.seconds is not None
        assert following.seconds > 0
        sync.refresh_from_db()
        assert (sync.state, sync.attempts) == (State.READING, 1)
        directory = Directory.objects.get()
        assert directory.failing_since is not None
        assert directory.last_error
        assert world.may_open("user1", team)
        world.aws.personality.down = False
        assert world.finish(sync).state == State.APPLIED
        assert not world.may_open("user1", team)
        assert Directory.objects.get().failing_since is None

    def test_a_store_that_is_gone_is_not_an_empty_one(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1"])
        world.sync()
        del world.aws.state.identity_stores["d-1234567890"]
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        syncs.step(sync.pk)
        sync.refresh_from_db()
        assert sync.state == State.READING
        assert world.members(team)

    def test_after_hours_it_is_given_up_and_nothing_is_applied(self, world: World) -> None:
        team = world.map("a")
        world.fill(a=["user1"])
        world.sync()
        world.store.remove_member("a", "user1", origin=None)
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        DirectorySync.objects.filter(pk=sync.pk).update(started_at=timezone.now() - timedelta(hours=7))
        syncs.step(sync.pk)
        sync.refresh_from_db()
        assert sync.state == State.FAILED
        assert world.may_open("user1", team)
        syncs.start_due()
        assert DirectorySync.objects.filter(state=State.READING).count() == 1

    def test_a_list_whose_token_is_forgotten_is_begun_again(self, world: World) -> None:
        team = world.map("everybody")
        world.fill(everybody=[f"user{number}" for number in range(250)])
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        read_until(sync, lambda: sync.stage == "members" and bool(sync.token))
        DirectorySync.objects.filter(pk=sync.pk).update(token="long-forgotten")
        assert world.finish(sync).state == State.APPLIED
        assert len(world.members(team)) == 250
        assert sync.members == 250

    def test_a_directory_that_is_switched_off_is_not_read_any_more(self, world: World) -> None:
        world.fill(a=["user1"])
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        Directory.objects.update(is_active=False)
        syncs.step(sync.pk)
        sync.refresh_from_db()
        assert sync.state == State.DISCARDED
        assert world.calls() == []


class TestSchedule:
    def test_one_at_a_time(self, world: World) -> None:
        first, is_new = syncs.start(world.directory, Trigger.DEMAND)
        again, is_newer = syncs.start(world.directory, Trigger.SCHEDULE)
        assert (first.pk, is_new, is_newer) == (again.pk, True, False)

    def test_it_is_due_so_many_minutes_after_the_last(self, world: World) -> None:
        syncs.start_due()
        world.finish(DirectorySync.objects.get())
        syncs.start_due()
        assert DirectorySync.objects.count() == 1
        DirectorySync.objects.update(started_at=timezone.now() - timedelta(minutes=61))
        syncs.start_due()
        assert DirectorySync.objects.filter(state=State.READING, trigger=Trigger.SCHEDULE).count() == 1

    def test_a_claimed_one_is_left_alone_until_the_claim_runs_out(self, world: World) -> None:
        sync, _ = syncs.start(world.directory, Trigger.DEMAND)
        assert syncs.due(10) == [sync.pk]
        token = "12345678-1234-1234-1234-123456789012"
        DirectorySync.objects.update(claim=token, claimed_until=timezone.now() + timedelta(seconds=30))
        assert syncs.due(10) == []
        assert syncs.step(sync.pk).state == ""
        DirectorySync.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        assert syncs.due(10) == [sync.pk]


class TestSubjects:
    @pytest.mark.parametrize(
        ("attribute", "subject"),
        [("userName", "user1"), ("email", "user1@example.com"), ("externalId", "00u1")],
    )
    def test_another_attribute_may_be_the_subject(
        self, make_world: Callable[..., World], db: None, attribute: str, subject: str
    ) -> None:
        world = make_world(subject_attribute=attribute)
        team = world.map("a")
        world.fill(a=["user1"])
        world.store.update_user("user1", external_ids=[{"Issuer": "okta", "Id": "00u1"}], origin=None)
        world.sync()
        assert world.members(team) == {subject}

    def test_a_subject_that_two_users_have_opens_nothing(self, make_world: Callable[..., World], db: None) -> None:
        world = make_world(subject_attribute="externalId")
        team = world.map("a")
        world.fill(a=["user1", "user2", "user3"])
        # Two issuers may give the same id to different people.
        world.store.update_user("user1", external_ids=[{"Issuer": "one", "Id": "same"}], origin=None)
        world.store.update_user("user2", external_ids=[{"Issuer": "two", "Id": "same"}], origin=None)
        world.store.update_user("user3", external_ids=[{"Issuer": "one", "Id": "own"}], origin=None)
        world.sync()
        assert world.members(team) == {"own"}

    def test_users_without_the_attribute_are_passed_over(self, make_world: Callable[..., World], db: None) -> None:
        world = make_world(subject_attribute="externalId")
        team = world.map("a")
        world.fill(a=["user1"])
        assert world.sync().state == State.APPLIED
        assert world.members(team) == set()
