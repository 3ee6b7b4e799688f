"""Many profiles at once: made without a look before, watched by one list, handed over when it is not their turn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from portal.demo.aws.server import Handle
from provisioning import crowd, limits, profiles, queue, tasks, watch
from provisioning.models import Profile
from teams.models import AuditEvent, Membership, Team
from tests.factories import make_user, role_arn
from tests.provisioning.conftest import World

State = Profile.State
NUMBER = 8


@pytest.fixture(name="hints")
def _hints(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What workers were asked for: the task and its first argument."""
    sent: list[tuple[Any, ...]] = []

    def enqueue(task: str, *args: Any, **_: Any) -> bool:
        sent.append((task, args[0]))
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return sent


@pytest.fixture(name="many")
def _many(world: World, hints: list[Any]) -> World:
    """Eight people more in the team, whose profiles are wanted too; AWS takes some time for each."""
    world.aws.personality.create_delay = 5.0
    for number in range(NUMBER - 1):
        Membership.objects.create(user=make_user(f"person{number}"), team=world.team, source="saml")
    profiles.prepare()
    limits.forget()
    return world


def step_all() -> None:
    for profile_id in profiles.due(100):
        tasks.ensure_profile(profile_id)


def look(world: World) -> float | None:
    """Look at the domain as if a second had passed since the last time; returns the seconds until the next look."""
    from django.core.cache import cache

    cache.clear()
    return watch.look(world.team.domain_id)


class TestManyAtOnce:
    def test_one_create_each_and_a_list_for_all(self, many: World) -> None:
        step_all()
        assert many.operations() == ["CreateUserProfile"] * NUMBER
        assert look(many)
        many.aws.state.clock.advance(6)
        assert not look(many)
        assert many.operations()[NUMBER:] == ["ListUserProfiles"] * 2
        assert set(Profile.objects.values_list("state", "execution_role_arn", "due_at")) == {
            (State.READY, many.team.execution_role_arn, None)
        }
        ready = AuditEvent.objects.filter(action="profile_ready")
        assert ready.count() == NUMBER
        assert ready[0].aws_request_id == many.aws.calls("ListUserProfiles")[1].request_id

    def test_a_few_are_described_each(self, world: World) -> None:
        world.step()
        assert world.operations() == ["DescribeUserProfile", "CreateUserProfile"]

    def test_somebody_is_asked_to_watch_and_to_watch_again(self, many: World, hints: list[Any]) -> None:
        step_all()
        domain_id = many.team.domain_id
        assert hints == [(watch.WATCH, domain_id)] * NUMBER
        hints.clear()
        tasks.watch_domain(domain_id)
        assert hints == [(watch.WATCH, domain_id)]

    def test_of_many_who_are_asked_one_looks(self, many: World) -> None:
        step_all()
        for _ in range(5):
            tasks.watch_domain(many.team.domain_id)
        assert len(many.aws.calls("ListUserProfiles")) == 1

    def test_while_a_person_waits_the_next_look_comes_sooner(self, many: World) -> None:
        step_all()
        patient = look(many)
        profiles.request(user_id=many.user.pk, team_id=many.team.pk)
        hurried = look(many)
        assert patient is not None
        assert hurried is not None
        assert hurried < patient
        # AWS takes long: looking more often would not make it faster.
        Profile.objects.update(changed_at=timezone.now() - timedelta(minutes=1))
        slower = look(many)
        assert slower is not None
        assert slower > hurried

    def test_the_sweep_takes_up_a_lost_watch(self, many: World, hints: list[Any]) -> None:
        step_all()
        hints.clear()
        tasks.sweep()
        assert hints == [(watch.WATCH, many.team.domain_id)]

    def test_without_any_watch_each_is_described_in_the_end(self, many: World) -> None:
        step_all()
        many.aws.state.clock.advance(6)
        assert profiles.due(100) == []
        Profile.objects.update(due_at=timezone.now())
        step_all()
        assert set(Profile.objects.values_list("state", flat=True)) == {State.READY}
        assert many.aws.calls("ListUserProfiles") == []

    def test_another_role_meanwhile_is_not_taken_for_the_right_one(self, many: World) -> None:
        step_all()
        other = role_arn(many.team.domain, "other-role")
        Team.objects.update(execution_role_arn=other)
        many.aws.state.clock.advance(6)
        look(many)
        assert not Profile.objects.filter(state=State.READY).exists()
        assert len(many.aws.calls("UpdateUserProfile")) == NUMBER

    def test_one_that_failed_is_looked_at_more_closely(self, many: World, hints: list[Any]) -> None:
        step_all()
        many.in_aws.begin("Failed", "", until=None)
        hints.clear()
        look(many)
        assert hints == [("provisioning.tasks.ensure_profile", many.profile.pk)]
        tasks.ensure_profile(many.profile.pk)
        assert many.operations()[-1] == "DeleteUserProfile"

    def test_access_that_ended_meanwhile_ends_nothing_in_ready(self, many: World) -> None:
        step_all()
        Membership.objects.filter(user=many.user).delete()
        many.aws.state.clock.advance(6)
        look(many)
        assert many.profile.state == State.WANTED
        assert Profile.objects.filter(state=State.READY).count() == NUMBER - 1

    def test_what_takes_long_is_described_only_when_its_time_is_over(self, many: World) -> None:
        step_all()
        now = timezone.now()
        late = Profile.objects.exclude(pk=many.profile.pk)
        late.update(due_at=now + timedelta(seconds=5))
        many.change(due_at=now + timedelta(seconds=5), deadline_at=now)
        assert look(many)
        assert not late.filter(due_at__lt=now + timedelta(seconds=20)).exists()
        assert many.profile.due_at == now + timedelta(seconds=5)

    def test_short_pages_hide_nobody(self, many: World) -> None:
        step_all()
        many.aws.state.clock.advance(6)
        many.aws.personality.update({"short_pages": True, "seed": 3})
        assert not look(many)
        assert set(Profile.objects.values_list("state", flat=True)) == {State.READY}

    def test_without_the_permission_to_list_each_is_described(self, many: World) -> None:
        step_all()
        many.aws.state.clock.advance(6)
        many.aws.personality.fail_next = {"ListUserProfiles": ["AccessDeniedException"]}
        look(many)
        step_all()
        assert set(Profile.objects.values_list("state", flat=True)) == {State.READY}

    def test_profiles_that_were_there_are_found_all_the_same(self, many: World) -> None:
        many.make_foreign(tags={"owner": "somebody-else"})
        many.aws.state.clock.advance(6)
        step_all()
        assert many.profile.state == State.CONFLICT

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceLimitExceeded"])
    def test_nor_does_it_take_the_permission_to_make_them(self, many: World, code: str) -> None:
        many.make_foreign()
        many.aws.state.clock.advance(6)
        many.aws.personality.fail_next = {"CreateUserProfile": [code] * NUMBER}
        step_all()
        assert many.profile.state == State.READY
        assert not many.profile.managed
        assert set(Profile.objects.exclude(pk=many.profile.pk).values_list("state", "error_code")) == {
            (State.FAILED, code)
        }


class TestTurns:
    @pytest.fixture(autouse=True)
    def _slow(self, settings: Settings) -> None:
        settings.SAGEMAKER_CALLS_PER_SECOND = 0.1

    def test_whose_turn_is_far_away_comes_back_and_holds_no_thread(self, many: World) -> None:
        step_all()
        made = many.aws.calls("CreateUserProfile")
        assert len(made) < NUMBER
        waiting = Profile.objects.filter(state=State.WANTED)
        assert waiting.count() == NUMBER - len(made)
        for row in waiting:
            assert (row.attempts, row.error_code, row.claim) == (0, "", None)
            assert row.due_at is not None
            assert row.due_at > timezone.now()
        assert not AuditEvent.objects.filter(action="profile_failed").exists()

    def test_a_click_goes_before_all_of_them(
        self, many: World, hints: list[Any], django_capture_on_commit_callbacks: Any
    ) -> None:
        step_all()
        last = Profile.objects.filter(state=State.WANTED).latest("due_at")
        hints.clear()
        with django_capture_on_commit_callbacks(execute=True):
            profiles.request(user_id=last.user_id, team_id=last.team_id)
        assert hints[-1] == ("provisioning.tasks.ensure_profile", last.pk)
        tasks.ensure_profile(last.pk)
        last.refresh_from_db()
        assert last.state == State.CREATING

    def test_a_throttled_call_slows_everybody(self, many: World, settings: Settings) -> None:
        settings.SAGEMAKER_CALLS_PER_SECOND = 1000.0
        many.aws.personality.fail_next = {"CreateUserProfile": ["ThrottlingException"]}
        step_all()
        key = f"sagemaker:own:{many.team.domain.region}:create_user_profile"
        assert limits._ask("return redis.call('EXISTS', KEYS[2])", key, []) == 1

    def test_those_who_come_back_are_spread(self, many: World) -> None:
        pauses = [crowd.pause(many.profile, 0.0) for _ in range(50)]
        assert max(pauses) <= crowd.SHARE * NUMBER / 0.1
        assert len(set(pauses)) > 10

    def test_patience_ends(self, many: World) -> None:
        profile = many.profile
        profile.asked_at = timezone.now()
        assert crowd.waits_for(profile)
        profile.asked_at -= crowd.PATIENCE + timedelta(seconds=1)
        assert not crowd.waits_for(profile)


def test_launches_do_not_wait_for_a_turn(
    world: World, aws: Handle, settings: Settings, make_world: Callable[..., World]
) -> None:
    from provisioning import launch

    world.steps(State.READY)
    settings.SAGEMAKER_CALLS_PER_SECOND = 0.1
    target = launch.find(world.user, "team1")
    assert target is not None
    for _ in range(5):
        assert launch.open_studio(target).url
