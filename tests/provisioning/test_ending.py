"""The end of access from rows alone: revoked or lapsed, when what goes, and what comes back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from provisioning import ending, launch, profiles, queue, tasks
from provisioning.models import Profile
from provisioning.receivers import MAX_PEOPLE
from teams import memberships, signals
from teams.models import AuditEvent, Membership, Team, User
from tests.factories import make_team, make_user

State, End = Profile.State, Profile.End

pytestmark = pytest.mark.django_db

LAPSED = timedelta(hours=3)


@pytest.fixture(name="hints", autouse=True)
def _hints(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What workers were asked to do, by the task's last name."""
    sent: list[tuple[str, Any]] = []

    def enqueue(task: str, *args: Any, **_: Any) -> bool:
        sent.append((task.rpartition(".")[2], args[0] if args else None))
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return sent


def make_profile(subject: str = "user1", team: Team | None = None, **fields: Any) -> Profile:
    """Return the ready profile of somebody who has access by a sign-on session that still lasts an hour."""
    team = team or Team.objects.filter(slug="team1").first() or make_team("team1")
    user = User.objects.filter(subject=subject).first() or make_user(subject)
    Membership.objects.create(user=user, team=team, source="saml", valid_until=timezone.now() + timedelta(hours=1))
    profiles.prepare([user.pk])
    ready = {"state": State.READY, "due_at": None, "arn": "arn", "execution_role_arn": team.execution_role_arn}
    Profile.objects.filter(user=user, team=team).update(**(ready | fields))
    return Profile.objects.select_related("user", "team").get(user=user, team=team)


def again(profile: Profile) -> Profile:
    profile.refresh_from_db()
    return profile


def let_lapse() -> None:
    Membership.objects.update(valid_until=timezone.now() - LAPSED)


def sign_on_again() -> None:
    Membership.objects.update(valid_until=timezone.now() + timedelta(hours=1))


def days_between(one: Any, other: Any) -> float:
    return float(round((other - one).total_seconds() / 86400, 2))


class TestRevoked:
    def test_apps_are_due_at_once_and_the_profile_after_the_grace_period(self) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        assert ending.end_access() == [profile.pk]
        again(profile)
        assert (profile.state, profile.ended_by) == (State.RETIRING, End.REVOKED)
        assert profile.due_at is not None
        assert profile.due_at <= timezone.now()
        assert days_between(profile.ended_at, profile.retire_at) == 14
        assert profiles.due_to_retire(10) == [profile.pk]
        assert profiles.due(10) == []

    @pytest.mark.parametrize("switched_off", [User, Team])
    def test_a_person_or_a_team_that_was_switched_off(self, switched_off: Any) -> None:
        profile = make_profile()
        switched_off.objects.update(is_active=False)
        ending.end_access()
        assert again(profile).ended_by == End.REVOKED

    def test_a_person_switched_off_after_their_session_is_revoked_too(self) -> None:
        profile = make_profile()
        let_lapse()
        User.objects.update(is_active=False)
        ending.end_access()
        assert again(profile).ended_by == End.REVOKED

    @pytest.mark.parametrize("source", ["manual", "identity-store", "scim:hr"])
    def test_evidence_of_a_directory_that_ran_out_is_no_session(self, source: str) -> None:
        profile = make_profile()
        Membership.objects.update(source=source, valid_until=timezone.now() - LAPSED)
        ending.end_access()
        assert again(profile).ended_by == End.REVOKED

    def test_the_log_tells_why_and_what_happens_when(self) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        ending.end_access()
        row = AuditEvent.objects.get(action="profile_retiring")
        assert (row.target, row.team) == ("user1-team1", "team1")
        retire_at = again(profile).retire_at
        assert retire_at is not None
        assert row.reason == f"Access was revoked. The profile is deleted on {retire_at:%Y-%m-%d}."
        assert row.data["ended_by"] == "revoked"
        assert row.data["retire_at"] == retire_at.isoformat()

    def test_it_is_repeatable(self) -> None:
        make_profile()
        Membership.objects.all().delete()
        assert len(ending.end_access()) == 1
        assert ending.end_access() == []
        assert AuditEvent.objects.filter(action="profile_retiring").count() == 1

    def test_other_live_evidence_keeps_everything(self) -> None:
        profile = make_profile()
        Membership.objects.create(user=profile.user, team=profile.team, source="manual")
        Membership.objects.filter(source="saml").delete()
        assert ending.end_access() == []
        assert again(profile).state == State.READY

    def test_colleagues_and_other_teams_are_left_alone(self) -> None:
        mine = make_profile()
        colleague, other = make_profile("user2"), make_profile("user1", make_team("team2"))
        Membership.objects.filter(user=mine.user, team=mine.team).delete()
        ending.end_access()
        assert again(mine).state == State.RETIRING
        assert {again(colleague).state, again(other).state} == {State.READY}

    def test_only_these_people(self) -> None:
        profile, other = make_profile(), make_profile("user2")
        Membership.objects.all().delete()
        ending.end_access([profile.user_id])
        assert (again(profile).state, again(other).state) == (State.RETIRING, State.READY)
        ending.end_access(team_ids=[other.team_id])
        assert again(other).state == State.RETIRING

    @pytest.mark.parametrize("state", [State.WANTED, State.CREATING, State.FAILED])
    def test_whatever_it_was_doing(self, state: Profile.State) -> None:
        profile = make_profile(state=state, error="Broken", error_code="Broken", repairs=2, deadline_at=timezone.now())
        Membership.objects.all().delete()
        ending.end_access()
        again(profile)
        assert (profile.state, profile.error, profile.repairs, profile.deadline_at) == (State.RETIRING, "", 0, None)

    def test_what_a_worker_holds_is_left_to_the_next_sweep(self) -> None:
        later = timezone.now() + timedelta(seconds=30)
        profile = make_profile(claim="12345678-1234-1234-1234-123456789012", claimed_until=later)
        Membership.objects.all().delete()
        assert ending.end_access() == []
        Profile.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
        assert ending.end_access() == [profile.pk]

    def test_many_at_once_with_few_queries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from django.db import connection

        monkeypatch.setattr(ending, "BATCH", 7)
        for number in range(20):
            make_profile(f"person{number}")
        Membership.objects.all().delete()
        with CaptureQueriesContext(connection) as few:
            assert len(ending.end_access()) == 20
        assert len(few) <= 25
        assert AuditEvent.objects.filter(action="profile_retiring").count() == 20


class TestLapsed:
    def test_apps_go_on_and_the_grace_period_counts_from_the_end_of_the_session(self) -> None:
        profile = make_profile()
        let_lapse()
        ended_at = Membership.objects.get().valid_until
        assert ending.end_access() == []
        again(profile)
        assert (profile.ended_by, profile.ended_at) == (End.LAPSED, ended_at)
        assert days_between(ended_at, profile.retire_at) == 14
        assert profile.due_at == profile.retire_at
        assert profiles.due_to_retire(10) == []

    def test_the_latest_of_several_sessions_counts(self) -> None:
        profile = make_profile()
        let_lapse()
        recently = timezone.now() - timedelta(minutes=1)
        Membership.objects.create(user=profile.user, team=profile.team, source="saml:other", valid_until=recently)
        ending.end_access()
        assert again(profile).ended_at == recently

    def test_a_session_of_long_ago_shortens_nobodys_grace_period(self) -> None:
        profile = make_profile()
        memberships.give(profile.user, profile.team, until=timezone.now() + timedelta(days=1))
        Membership.objects.filter(source="saml").update(valid_until=timezone.now() - timedelta(days=60))
        assert ending.end_access() == []
        memberships.take_back(profile.user, profile.team)
        ending.end_access()
        again(profile)
        assert profile.ended_by == End.REVOKED
        assert profile.retire_at is not None
        assert days_between(timezone.now(), profile.retire_at) == 14
        # The apps are stopped now; nothing is deleted yet.
        assert profiles.due_to_retire(10) == [profile.pk]

    def test_it_is_revoked_when_the_evidence_goes_too(self) -> None:
        profile = make_profile()
        let_lapse()
        ending.end_access()
        Membership.objects.all().delete()
        assert ending.end_access() == [profile.pk]
        again(profile)
        assert profile.ended_by == End.REVOKED
        assert days_between(profile.ended_at, profile.retire_at) == 14
        assert ending.end_access() == []
        # That the session was over is told by the sign-out, not again for each profile.
        event = AuditEvent.objects.get(action="profile_retiring")
        assert event.reason.startswith("Access was revoked.")

    def test_signing_on_again_opens_it_without_waiting_for_aws(self) -> None:
        profile = make_profile()
        let_lapse()
        ending.end_access()
        sign_on_again()
        assert profiles.prepare([profile.user_id]) == [profile.pk]
        again(profile)
        assert (profile.state, profile.ended_by, profile.ended_at, profile.retire_at) == (State.READY, "", None, None)
        # A worker looks all the same.
        assert profiles.due(10) == [profile.pk]
        target = launch.find(profile.user, "team1")
        assert target is not None
        assert target.ready
        assert not AuditEvent.objects.filter(action="profile_restored").exists()

    @pytest.mark.parametrize("state", [State.CREATING, State.FAILED, State.CONFLICT])
    def test_what_was_not_in_service_does_not_open_by_coming_back(self, state: Profile.State) -> None:
        profile = make_profile(state=state, managed=state != State.CONFLICT)
        let_lapse()
        ending.end_access()
        sign_on_again()
        profiles.prepare([profile.user_id])
        assert again(profile).state == State.WANTED

    def test_a_deletion_that_has_begun_is_no_profile_to_open(self) -> None:
        profile = make_profile()
        let_lapse()
        ending.end_access()
        Profile.objects.update(delete_asked_at=timezone.now())
        sign_on_again()
        profiles.prepare()
        assert (again(profile).state, profile.delete_asked_at) == (State.WANTED, None)


class TestComingBack:
    def test_a_deleted_profile_is_wanted_again_under_its_old_name(self) -> None:
        profile = make_profile(state=State.RETIRED, arn="", execution_role_arn="", ended_by=End.REVOKED)
        assert profiles.prepare([profile.user_id]) == [profile.pk]
        assert (again(profile).state, profile.name, profile.ended_by) == (State.WANTED, "user1-team1", "")
        assert AuditEvent.objects.filter(action="profile_requested").count() == 2

    def test_a_click_brings_it_back_too(self) -> None:
        profile = make_profile(state=State.RETIRED)
        profiles.request(user_id=profile.user_id, team_id=profile.team_id)
        assert again(profile).state == State.WANTED

    def test_what_a_worker_holds_is_left_to_that_worker_at_once(self) -> None:
        later = timezone.now() + timedelta(seconds=30)
        token = "12345678-1234-1234-1234-123456789012"
        profile = make_profile(state=State.RETIRING, claim=token, claimed_until=later)
        assert profiles.prepare([profile.user_id]) == []
        assert again(profile).state == State.RETIRING
        assert profile.due_at is not None
        assert profile.due_at <= timezone.now()

    def test_nobody_else_comes_back_with_them(self) -> None:
        profile, other = make_profile(state=State.RETIRING), make_profile("user2", state=State.RETIRING)
        Membership.objects.filter(user=other.user).delete()
        ending.restore()
        assert (again(profile).state, again(other).state) == (State.READY, State.RETIRING)


class TestWhatIsKept:
    def test_a_profile_that_the_portal_did_not_make_just_ends(self) -> None:
        profile = make_profile(managed=False)
        Membership.objects.all().delete()
        assert ending.end_access() == []
        again(profile)
        assert (profile.state, profile.retire_at, profile.due_at) == (State.RETIRING, None, None)

    def test_a_team_that_keeps_profiles_has_apps_stopped_and_nothing_deleted(self) -> None:
        profile = make_profile()
        Team.objects.update(keeps_profiles=True)
        Membership.objects.all().delete()
        assert ending.end_access() == [profile.pk]
        assert again(profile).retire_at is None

    def test_the_switch_counts_for_access_that_ended_before(self) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        ending.end_access()
        Team.objects.update(keeps_profiles=True)
        ending.end_access()
        assert again(profile).retire_at is None
        Team.objects.update(keeps_profiles=False)
        ending.end_access()
        assert again(profile).retire_at is not None
        assert days_between(timezone.now(), profile.retire_at) == 14
        reasons = AuditEvent.objects.filter(action="profile_retiring").order_by("id").values_list("reason", flat=True)
        assert list(reasons)[1:] == ["The team keeps profiles from now on.", "The team keeps no profiles now."]
        ending.end_access()
        assert len(reasons.all()) == 3

    def test_the_switch_wakes_what_slept(self) -> None:
        profile = make_profile()
        Team.objects.update(keeps_profiles=True)
        let_lapse()
        ending.end_access()
        assert again(profile).due_at is None
        Team.objects.update(keeps_profiles=False)
        ending.end_access()
        assert again(profile).due_at == profile.retire_at

    def test_a_longer_grace_period_is_for_those_who_leave_later(self) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        ending.end_access()
        before = again(profile).retire_at
        Team.objects.update(grace_days=30)
        ending.end_access()
        assert again(profile).retire_at == before


class TestRetireNow:
    def test_it_skips_the_grace_period(self) -> None:
        profile = make_profile()
        let_lapse()
        ending.end_access()
        assert ending.retire_now(again(profile), by="alice")
        assert profiles.due_to_retire(10) == [profile.pk]
        assert again(profile).retire_at is not None
        assert profile.retire_at is not None
        assert profile.retire_at <= timezone.now()
        row = AuditEvent.objects.filter(action="profile_retiring").latest("id")
        assert (row.actor, row.target) == ("alice", profile.name)
        again(profile)
        ending.end_access()
        assert profiles.due_to_retire(10) == [profile.pk]

    @pytest.mark.parametrize("why", ["access", "unmanaged", "kept", "deleted"])
    def test_nothing_else_is_deleted_by_it(self, why: str) -> None:
        profile = make_profile(managed=why != "unmanaged")
        if why != "access":
            Membership.objects.all().delete()
            ending.end_access()
        if why == "kept":
            Team.objects.update(keeps_profiles=True)
        if why == "deleted":
            Profile.objects.update(state=State.RETIRED)
        assert not ending.retire_now(again(profile), by="alice")

    def test_somebody_who_has_just_come_back(self) -> None:
        profile = make_profile()
        let_lapse()
        ending.end_access()
        sign_on_again()
        assert not ending.retire_now(again(profile), by="alice")


class TestSignal:
    @pytest.fixture(autouse=True)
    def _capture(self, django_capture_on_commit_callbacks: Any) -> None:
        self.capture = django_capture_on_commit_callbacks

    def send(self, **ids: Any) -> None:
        with self.capture(execute=True):
            signals.send_access_changed(**ids)

    def test_people_who_lost_access_are_hinted_at(self, hints: list[tuple[str, Any]]) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        hints.clear()
        self.send(user_ids=[profile.user_id])
        assert hints == [("retire_profile", profile.pk)]

    def test_a_team_that_is_switched_off_and_on_again(self, hints: list[tuple[str, Any]]) -> None:
        profile = make_profile()
        Team.objects.update(is_active=False)
        hints.clear()
        self.send(team_ids=[profile.team_id])
        assert again(profile).state == State.RETIRING
        Team.objects.update(is_active=True)
        self.send(team_ids=[profile.team_id])
        assert again(profile).state == State.READY
        assert hints[:2] == [("retire_profile", profile.pk), ("ensure_profile", profile.pk)]

    def test_very_many_people_are_left_to_the_task(self, hints: list[tuple[str, Any]]) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        hints.clear()
        self.send(user_ids=range(profile.user_id, profile.user_id + MAX_PEOPLE + 1))
        assert again(profile).state == State.READY
        assert hints == [("end_access", None), ("prepare_missing", None)]
        tasks.end_access()
        assert again(profile).state == State.RETIRING

    def test_a_deleted_mapping_ends_access_by_itself(self, hints: list[tuple[str, Any]]) -> None:
        from teams.memberships import GroupRef, UserObservation, apply
        from tests.factories import make_mapping

        user, team = make_user("user1"), make_team("team1")
        mapping = make_mapping("group1", team)
        with self.capture(execute=True):
            apply(UserObservation(user, "saml", groups=frozenset({GroupRef("group1")})))
        assert Profile.objects.get().state == State.WANTED
        with self.capture(execute=True):
            memberships.drop_mapping(mapping)
        assert Profile.objects.get().state == State.RETIRING
        assert ("retire_profile", Profile.objects.get().pk) in hints


class TestTasks:
    def test_time_alone_ends_access(self) -> None:
        profile = make_profile()
        let_lapse()
        tasks.end_access()
        assert again(profile).state == State.RETIRING
        # Lapsing is no event of its own; losing the last evidence is.
        assert not AuditEvent.objects.filter(action="profile_retiring").exists()
        Membership.objects.all().delete()
        tasks.end_access()
        assert AuditEvent.objects.get(action="profile_retiring").actor == "system: end_access"

    def test_the_sweep_finds_what_is_due(self, hints: list[tuple[str, Any]]) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        ending.end_access()
        hints.clear()
        tasks.sweep()
        assert hints == [("retire_profile", profile.pk)]

    def test_beat_sends_it(self, settings: Any) -> None:
        sent = {each["task"]: each["schedule"] for each in settings.CELERY_BEAT_SCHEDULE.values()}
        assert sent[queue.END_ACCESS] <= 60


class TestOtherDoors:
    def test_ensure_never_touches_it(self, django_assert_num_queries: Callable[..., Any]) -> None:
        profile = make_profile()
        Membership.objects.all().delete()
        ending.end_access()
        with django_assert_num_queries(1):
            assert profiles.ensure(profile.pk).state == ""

    def test_retire_never_touches_what_has_access(self, django_assert_num_queries: Callable[..., Any]) -> None:
        profile = make_profile(due_at=timezone.now())
        with django_assert_num_queries(1):
            assert profiles.retire(profile.pk).state == ""

    def test_a_changed_team_does_not_wake_it(self) -> None:
        profile = make_profile()
        let_lapse()
        ending.end_access()
        assert profiles.look_again([profile.team_id]) == []

    def test_try_again_goes_on_with_a_deletion_that_failed(self, hints: list[tuple[str, Any]]) -> None:
        profile = make_profile(state=State.RETIRING, error_code="AccessDenied", error="no")
        Membership.objects.all().delete()
        assert profiles.retry(profile, by="alice")
        assert (again(profile).state, profile.error) == (State.RETIRING, "")
        assert profiles.due_to_retire(10) == [profile.pk]

    @pytest.mark.parametrize("state", [State.RETIRING, State.RETIRED])
    def test_there_is_nothing_to_try_again_otherwise(self, state: Profile.State) -> None:
        profile = make_profile(state=state)
        Membership.objects.all().delete()
        assert not profiles.retry(profile, by="alice")
        assert again(profile).state == state


@pytest.mark.parametrize("what", ["given", "remapped", "joined"])
def test_apps_go_on_when_another_source_speaks_of_somebody_whose_session_is_over(what: str) -> None:
    profile = make_profile()
    let_lapse()
    ending.end_access()
    if what == "given":
        memberships.give(profile.user, make_team("team9"), until=timezone.now() + timedelta(days=1))
    elif what == "remapped":
        memberships.remap(team_ids=[profile.team_id])
    else:
        memberships.change_group("scim:hr", memberships.GroupRef("g", "g"), joined=[profile.user_id])
    assert ending.end_access() == []
    assert again(profile).ended_by == End.LAPSED
    assert not AuditEvent.objects.filter(action="membership_removed").exists()
