"""Memberships and their audit rows commit together or not at all; two at once never deadlock."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from teams import access, audit, evidence, memberships, users
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, Group, GroupMembership, Membership, RoleMapping, User
from tests.factories import make_mapping, make_team, make_user
from tests.teams.sources import say_groups, say_teams

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 15  # every wait of a test ends


class BrokenError(Exception):
    """What a test breaks with."""


def break_with(*args: object, **kwargs: object) -> None:
    raise BrokenError


def nothing_was_kept() -> bool:
    return not (Membership.objects.exists() or GroupMembership.objects.exists() or AuditEvent.objects.exists())


def memberships_told() -> QuerySet[AuditEvent]:
    """Return the audit rows about memberships; the floor above writes its own when these commit."""
    return AuditEvent.objects.filter(action__startswith="membership_")


class TestBothHalvesOrNone:
    def test_no_membership_without_its_audit_row(
        self, monkeypatch: pytest.MonkeyPatch, told: list[frozenset[int]]
    ) -> None:
        user, team = make_user(), make_team()
        make_mapping("staff", team)
        monkeypatch.setattr(audit, "record_many", break_with)
        with pytest.raises(BrokenError):
            say_groups(user, "staff")
        assert nothing_was_kept()
        assert told == []

    def test_no_audit_row_without_its_membership(
        self, monkeypatch: pytest.MonkeyPatch, told: list[frozenset[int]]
    ) -> None:
        user, team = make_user(), make_team()

        def sign_on_and_break() -> None:
            with transaction.atomic():
                say_teams(user, team)
                assert memberships_told().count() == 1
                break_with()

        with pytest.raises(BrokenError):
            sign_on_and_break()
        assert nothing_was_kept()
        assert told == []

    def test_no_lost_membership_without_its_audit_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        user, team = make_user(), make_team()
        mapping = make_mapping("staff", team)
        say_groups(user, "staff")
        monkeypatch.setattr(audit, "record_many", break_with)
        steps: list[Callable[[], object]] = [
            lambda: say_groups(user),
            lambda: memberships.drop_mapping(mapping, by="admin"),
            lambda: memberships.drop_team(team, by="admin"),
        ]
        for step in steps:
            with pytest.raises(BrokenError):
                step()
        assert access.find(user, team.slug) is not None
        assert GroupMembership.objects.exists()
        assert memberships_told().count() == 1

    def test_no_audit_rows_when_the_statement_itself_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        user, team = make_user(), make_team()
        make_mapping("staff", team)
        monkeypatch.setattr(evidence, "settle", break_with)
        with pytest.raises(BrokenError):
            say_groups(user, "staff")
        assert nothing_was_kept()

    def test_no_portal_role_without_its_audit_row(self, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        settings.PORTAL_ADMIN_GROUPS = ["admins"]
        make_user("alice")
        monkeypatch.setattr(audit, "record", break_with)
        with pytest.raises(BrokenError):
            users.sign_on(realm="default", subject="alice", name=None, email=None, groups=frozenset({"admins"}))
        assert User.objects.get().role == ""


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls in threads that start together; return what they return, raise what they raise."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            barrier.wait(SECONDS)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(run, call) for call in calls]
        return [future.result(SECONDS) for future in futures]


def until_waiting(number: int) -> None:
    """Return as soon as so many connections to this test's database wait for a lock."""
    waiting = (
        "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE NOT granted AND datname = current_database()"
    )
    deadline = time.monotonic() + SECONDS
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(waiting)
            if cursor.fetchone()[0] >= number:
                return
    pytest.fail(f"There were never {number} connections waiting for a lock.")


class TestTwoAtOnce:
    def test_eight_statements_about_one_person_add_one_membership(self) -> None:
        user, team = make_user(), make_team()
        make_mapping("staff", team)
        applied = at_once(*[lambda: say_groups(user, "staff", "chess")] * 8)
        assert sorted(len(each.added) for each in applied) == [0] * 7 + [1]
        assert Membership.objects.count() == 1
        assert memberships_told().count() == 1

    def test_the_log_tells_every_change_in_turn(self) -> None:
        user, team = make_user(), make_team()
        make_mapping("staff", team)
        at_once(*[lambda: say_groups(user, "staff"), lambda: say_groups(user)] * 6)
        actions = list(memberships_told().order_by("id").values_list("action", flat=True))
        assert (
            actions == ["membership_added", "membership_removed"] * (len(actions) // 2) + actions[len(actions) & ~1 :]
        )
        assert Membership.objects.exists() is (len(actions) % 2 == 1)

    def test_people_who_bring_the_same_new_groups_do_not_deadlock(self) -> None:
        """All stop at a group that somebody else is adding; with what they hold by then they would block each other."""
        people = [make_user() for _ in range(6)]
        names = [f"g{number}" for number in range(40)]

        added = Event()

        def add_one() -> None:
            with transaction.atomic():
                Group.objects.create(source="saml", external_id="g20")
                added.set()
                until_waiting(len(people))

        def sign_on(user: User) -> None:
            assert added.wait(SECONDS)
            say_groups(user, *names)

        at_once(add_one, *[partial(sign_on, user) for user in people])
        assert Group.objects.count() == 40
        assert GroupMembership.objects.count() == 240

    def test_new_names_and_sign_ons_do_not_deadlock(self) -> None:
        people = [make_user() for _ in range(6)]
        team = make_team()
        make_mapping("B", team)
        for user in people:
            say_groups(user, "g=A", "h=A")
        at_once(*[lambda user=user: say_groups(user, "h=B", "g=B") for user in people])
        assert {user.pk for user in people if access.find(user, team.slug)} == {user.pk for user in people}
        assert set(Group.objects.values_list("name", flat=True)) == {"B"}

    def test_a_mapping_made_during_sign_ons_misses_nobody(self) -> None:
        people = [make_user() for _ in range(6)]
        team = make_team()

        def edit() -> None:
            with transaction.atomic():
                memberships.hold()
                make_mapping("staff", team)
                memberships.remap(team_ids=[team.pk])

        at_once(edit, *[lambda user=user: say_groups(user, "staff") for user in people])
        assert Membership.objects.count() == len(people)
        assert memberships_told().count() == len(people)

    def test_a_mapping_edited_and_dropped_during_sign_ons(self) -> None:
        people = [make_user() for _ in range(5)]
        team = make_team()
        mapping = make_mapping("staff", team)

        def edit() -> None:
            with transaction.atomic():
                memberships.hold()
                RoleMapping.objects.filter(pk=mapping.pk).update(group="chess")
                memberships.remap(team_ids=[team.pk])
            memberships.drop_mapping(mapping, by="admin")

        at_once(edit, *[lambda user=user: say_groups(user, "staff", "chess") for user in people])
        assert not Membership.objects.exists()
        counts = [AuditEvent.objects.filter(action=f"membership_{what}").count() for what in ("added", "removed")]
        assert counts[0] == counts[1]

    def test_a_sign_on_waits_for_the_change_it_would_miss(self) -> None:
        user, team = make_user(), make_team()
        held, go = Event(), Event()

        def edit() -> None:
            with transaction.atomic():
                memberships.hold()
                make_mapping("staff", team)
                held.set()
                assert go.wait(SECONDS)
                memberships.remap(team_ids=[team.pk])

        def sign_on() -> None:
            assert held.wait(SECONDS)
            say_groups(user, "staff")

        def release() -> None:
            assert held.wait(SECONDS)
            until_waiting(1)
            go.set()

        at_once(edit, sign_on, release)
        assert access.find(user, team.slug) is not None

    def test_different_people_do_not_wait_for_each_other(self) -> None:
        alice, bob, team = make_user(), make_user(), make_team()
        with transaction.atomic():
            say_teams(alice, team)
            at_once(lambda: say_teams(bob, team))
        assert Membership.objects.count() == 2

    def test_two_browsers_of_a_new_person_make_one_user(self) -> None:
        def sign_on() -> User:
            return users.sign_on(realm="default", subject="alice", name="Alice", email="alice@example.com", groups=None)

        found = at_once(*[sign_on] * 8)
        assert len({user.pk for user in found}) == 1
        assert User.objects.count() == 1

    def test_two_browsers_that_bring_a_role_audit_it_once(self, settings: Any) -> None:
        settings.PORTAL_ADMIN_GROUPS = ["admins"]
        make_user("alice")

        def sign_on() -> User:
            return users.sign_on(realm="default", subject="alice", name=None, email=None, groups=frozenset({"admins"}))

        assert {user.role for user in at_once(*[sign_on] * 4)} == {"admin"}
        assert AuditEvent.objects.filter(action="role_changed").count() == 1


def test_observations_may_share_a_transaction_with_other_work() -> None:
    user, team = make_user(), make_team()
    with transaction.atomic():
        say_teams(user, team)
        memberships.remap()
        memberships.apply(UserObservation(user=user, source="saml", groups=frozenset({GroupRef("g", "Name")})))
        memberships.apply(UserObservation(user=user, source="saml", groups=frozenset({GroupRef("g", "Other")})))
    assert Group.objects.get().name == "Other"
