"""The doors to the rows: prepare, request, retry, look again; and what changes of access set off."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from provisioning import profiles, queue
from provisioning.models import Profile
from provisioning.receivers import MAX_HINTS
from provisioning.rows import CLAIM
from teams.models import AuditEvent, Membership, Team, User
from teams.signals import access_changed
from tests.factories import make_domain, make_mapping, make_team, make_user, role_arn

State = Profile.State

pytestmark = pytest.mark.django_db


def join(user: User, team: Team, **fields: Any) -> None:
    Membership.objects.create(user=user, team=team, source="saml", **fields)


@pytest.fixture(name="hints")
def _hints(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sent: list[int] = []
    monkeypatch.setattr(queue, "enqueue_ensure", lambda profile_id, **_: sent.append(profile_id))
    return sent


@pytest.fixture(name="profile")
def _profile() -> Profile:
    """User1's wanted profile in team1."""
    user, team = make_user("user1"), make_team("team1")
    join(user, team)
    profiles.prepare([user.pk])
    return Profile.objects.get()


def change(profile: Profile, **fields: Any) -> None:
    Profile.objects.filter(pk=profile.pk).update(**fields)
    profile.refresh_from_db()


def make_ready(profile: Profile) -> None:
    change(
        profile, state=State.READY, due_at=None, execution_role_arn=profile.team.execution_role_arn, arn="arn",
        error_code="", error="",
    )  # fmt: skip


class TestPrepare:
    def test_a_row_for_each_team_with_live_access(self) -> None:
        user, domain = make_user("user1"), make_domain()
        for slug in ("team1", "team2"):
            join(user, make_team(slug, domain=domain))
        join(user, make_team("over"), valid_until=timezone.now() - timedelta(seconds=1))
        join(user, make_team("inactive", is_active=False))
        join(make_user("user2"), make_team("others"))
        ids = profiles.prepare([user.pk])
        rows = Profile.objects.all()
        assert {row.name for row in rows} == {"user1-team1", "user1-team2"}
        assert {row.pk for row in rows} == set(ids)
        assert {row.state for row in rows} == {State.WANTED}
        assert all(row.due_at for row in rows)
        assert {row.domain for row in rows} == {domain}

    def test_each_row_is_told_in_the_log(self, profile: Profile) -> None:
        row = AuditEvent.objects.get()
        assert (row.action, row.target, row.team) == ("profile_requested", "user1-team1", "team1")

    def test_it_is_repeatable(self, profile: Profile) -> None:
        assert profiles.prepare([profile.user_id]) == []
        assert profiles.prepare() == []
        assert Profile.objects.count() == AuditEvent.objects.count() == 1

    def test_several_reasons_for_access_are_one_profile(self) -> None:
        user, team = make_user(), make_team()
        join(user, team)
        Membership.objects.create(user=user, team=team, source="saml:other")
        assert len(profiles.prepare([user.pk])) == 1

    def test_everybody_at_once_with_few_queries(self) -> None:
        team = make_team("team1")
        for number in range(60):
            join(make_user(f"person{number}"), team)
        with CaptureQueriesContext(connection) as few:
            assert len(profiles.prepare()) == 60
        assert len(few) <= 12
        assert AuditEvent.objects.filter(action="profile_requested").count() == 60

    def test_nobody(self) -> None:
        assert profiles.prepare([]) == []

    def test_a_ready_profile_whose_role_changed_is_due(self, profile: Profile) -> None:
        make_ready(profile)
        assert profiles.prepare([profile.user_id]) == []
        Team.objects.update(execution_role_arn=role_arn(profile.domain, "other-role"))
        assert profiles.prepare([profile.user_id]) == [profile.pk]
        profile.refresh_from_db()
        assert profile.due_at is not None

    def test_a_name_that_another_row_has_is_never_shared(self, profile: Profile) -> None:
        change(profile, name="user2-team1")
        other = make_user("user2")
        join(other, profile.team)
        assert profiles.prepare([other.pk]) == []
        assert Profile.objects.count() == 1


class TestRequest:
    def ask(self, profile: Profile, hints: list[int], capture: Callable[..., Any]) -> Profile:
        hints.clear()
        with capture(execute=True):
            profiles.request(user_id=profile.user_id, team_id=profile.team_id)
        return Profile.objects.get()

    @pytest.fixture(autouse=True)
    def _capture(self, django_capture_on_commit_callbacks: Any, hints: list[int]) -> None:
        self.capture, self.hints = django_capture_on_commit_callbacks, hints

    def test_a_wanted_one_is_hinted_at(self, profile: Profile) -> None:
        self.ask(profile, self.hints, self.capture)
        assert self.hints == [profile.pk]

    def test_a_missing_row_is_made(self, profile: Profile) -> None:
        Profile.objects.all().delete()
        made = self.ask(profile, self.hints, self.capture)
        assert self.hints == [made.pk]

    def test_a_failed_one_is_tried_again_but_not_at_every_click(self, profile: Profile) -> None:
        later = timezone.now() + timedelta(minutes=15)
        change(profile, state=State.FAILED, error="e", due_at=later, changed_at=timezone.now())
        assert self.ask(profile, self.hints, self.capture).state == State.FAILED
        assert self.hints == []
        change(profile, changed_at=timezone.now() - timedelta(seconds=31))
        again = self.ask(profile, self.hints, self.capture)
        assert again.state == State.WANTED
        assert self.hints == [profile.pk]

    def test_a_conflict_is_left_to_an_admin(self, profile: Profile) -> None:
        change(profile, state=State.CONFLICT, due_at=None, changed_at=timezone.now() - timedelta(days=1))
        assert self.ask(profile, self.hints, self.capture).state == State.CONFLICT
        assert self.hints == []

    def test_a_ready_one_with_the_right_role_stays_ready(self, profile: Profile) -> None:
        make_ready(profile)
        assert self.ask(profile, self.hints, self.capture).state == State.READY
        assert self.hints == []

    def test_a_ready_one_with_yesterdays_role_is_looked_at(self, profile: Profile) -> None:
        make_ready(profile)
        Team.objects.update(execution_role_arn=role_arn(profile.domain, "other-role"))
        assert self.ask(profile, self.hints, self.capture).state == State.WANTED
        assert self.hints == [profile.pk]

    def test_one_that_is_being_waited_for_is_not_hurried(self, profile: Profile) -> None:
        change(profile, state=State.CREATING, due_at=timezone.now() + timedelta(seconds=5))
        assert self.ask(profile, self.hints, self.capture).state == State.CREATING
        assert self.hints == []


class TestRetry:
    @pytest.mark.parametrize("state", [State.FAILED, State.CONFLICT])
    def test_it_starts_afresh_and_is_told(self, profile: Profile, hints: list[int], state: str) -> None:
        change(profile, state=state, error="e", error_code="c", attempts=7, repairs=3, due_at=None)
        assert profiles.retry(profile, by="admin")
        profile.refresh_from_db()
        assert (profile.state, profile.error, profile.attempts, profile.repairs) == (State.WANTED, "", 0, 0)
        row = AuditEvent.objects.get(action="profile_retried")
        assert (row.actor, row.target, row.data["state"]) == ("admin", "user1-team1", state)

    def test_a_ready_one_is_left_alone(self, profile: Profile) -> None:
        make_ready(profile)
        assert not profiles.retry(profile, by="admin")
        assert not AuditEvent.objects.filter(action="profile_retried").exists()

    def test_one_that_a_worker_holds_is_left_alone(self, profile: Profile) -> None:
        change(
            profile, state=State.FAILED, claim="12345678-1234-1234-1234-123456789012",
            claimed_until=timezone.now() + CLAIM,
        )  # fmt: skip
        assert not profiles.retry(profile, by="admin")

    def test_one_that_is_due_anyway_is_left_alone(self, profile: Profile) -> None:
        assert not profiles.retry(profile, by="admin")


class TestDue:
    def test_those_that_wait_longest_come_first(self) -> None:
        team = make_team("team1")
        for number in range(3):
            join(make_user(f"person{number}"), team)
        profiles.prepare()
        names = [f"person{number}-team1" for number in (2, 0, 1)]
        for age, name in enumerate(names):
            Profile.objects.filter(name=name).update(due_at=timezone.now() - timedelta(minutes=10 - age))
        found = Profile.objects.in_bulk(profiles.due(2))
        assert [found[pk].name for pk in profiles.due(2)] == names[:2]

    def test_what_is_not_due_or_has_nothing_to_do_is_not_there(self, profile: Profile) -> None:
        change(profile, due_at=timezone.now() + timedelta(minutes=1))
        assert profiles.due(10) == []
        change(profile, due_at=None)
        assert profiles.due(10) == []


class TestReceivers:
    def send(self, capture: Any, **ids: Any) -> None:
        with capture(execute=True):
            access_changed.send(sender=None, **{"user_ids": frozenset(), "team_ids": frozenset()} | ids)

    def test_a_change_of_access_makes_rows_and_hints(
        self, hints: list[int], django_capture_on_commit_callbacks: Any
    ) -> None:
        user = make_user("user1")
        join(user, make_team("team1"))
        self.send(django_capture_on_commit_callbacks, user_ids=frozenset({user.pk}))
        assert hints == [Profile.objects.get().pk]

    def test_a_change_of_a_team_makes_its_profiles_due(
        self, profile: Profile, hints: list[int], django_capture_on_commit_callbacks: Any
    ) -> None:
        make_ready(profile)
        self.send(django_capture_on_commit_callbacks, team_ids=frozenset({profile.team_id}))
        profile.refresh_from_db()
        assert profile.due_at is not None
        assert profile.state == State.READY
        assert hints == [profile.pk]

    def test_a_large_team_is_left_to_the_sweep(
        self, hints: list[int], monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
    ) -> None:
        monkeypatch.setattr("provisioning.receivers.MAX_HINTS", 2)
        assert MAX_HINTS > 2
        team = make_team("team1")
        users = [make_user(f"person{number}") for number in range(4)]
        for user in users:
            join(user, team)
        self.send(django_capture_on_commit_callbacks, user_ids=frozenset(user.pk for user in users))
        assert len(hints) == 2
        assert len(profiles.due(10)) == 4

    def test_a_mapping_with_a_role_reaches_those_who_are_ready(
        self, profile: Profile, hints: list[int], django_capture_on_commit_callbacks: Any
    ) -> None:
        from teams import memberships
        from teams.memberships import GroupRef, UserObservation

        make_ready(profile)
        make_mapping("special", profile.team, role="special-role")
        with django_capture_on_commit_callbacks(execute=True):
            groups = frozenset({GroupRef("special")})
            memberships.apply(
                UserObservation(user=profile.user, source="saml", groups=groups, teams=None, valid_until=None)
            )
        assert hints == [profile.pk]
