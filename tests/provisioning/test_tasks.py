"""Tasks: steps follow each other by countdown, the sweep finds what was lost, two workers never meet at one profile."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from portal.demo.aws.server import Handle
from provisioning import profiles, queue, tasks
from provisioning.models import Profile
from teams.models import AuditEvent, Membership
from tests.factories import make_user
from tests.provisioning.conftest import World

State = Profile.State


@pytest.fixture(name="hints")
def _hints(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """The profiles that were hinted at, and the countdowns in seconds."""
    sent: list[tuple[int, float]] = []

    def enqueue(profile_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
        sent.append((profile_id, countdown))
        return True

    monkeypatch.setattr(queue, "enqueue_ensure", enqueue)
    return sent


def run_workers(work: Callable[[], Any], number: int) -> None:
    """Run `work` in threads with database connections of their own."""
    barrier = threading.Barrier(number)

    def run() -> None:
        try:
            barrier.wait()
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestEnsure:
    def test_a_step_asks_for_the_next_one(self, world: World, hints: list[tuple[int, float]]) -> None:
        tasks.ensure_profile(world.profile.pk)
        assert hints == [(world.profile.pk, 1)]
        world.change(due_at=timezone.now())
        tasks.ensure_profile(world.profile.pk)
        assert world.profile.state == State.READY
        assert len(hints) == 1

    def test_a_parked_failure_is_left_to_the_sweep(self, world: World, hints: list[tuple[int, float]]) -> None:
        world.aws.personality.fail_next = {"CreateUserProfile": ["AccessDeniedException"]}
        tasks.ensure_profile(world.profile.pk)
        assert world.profile.state == State.FAILED
        assert hints == []

    def test_the_log_names_the_task_and_the_request_that_began_it(self, world: World, hints: list[Any]) -> None:
        tasks.ensure_profile(world.profile.pk, "r-1")
        row = AuditEvent.objects.get(action="profile_created")
        assert (row.actor, row.request_id) == ("system: ensure_profile", "r-1")


class TestSweep:
    def test_what_redis_lost_is_found_by_the_rows(self, world: World, hints: list[tuple[int, float]]) -> None:
        tasks.sweep()
        assert hints == [(world.profile.pk, 0)]

    def test_what_a_worker_holds_is_left_alone_until_the_claim_runs_out(
        self, world: World, hints: list[tuple[int, float]]
    ) -> None:
        past = timezone.now() - timedelta(seconds=1)
        token = "12345678-1234-1234-1234-123456789012"
        world.change(due_at=past, claim=token, claimed_until=timezone.now() + timedelta(seconds=9))
        tasks.sweep()
        assert hints == []
        world.change(claimed_until=past)
        tasks.sweep()
        assert len(hints) == 1

    def test_it_stops_when_redis_is_down(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        monkeypatch.setattr(queue, "enqueue_ensure", lambda profile_id, **_: asked.append(profile_id))
        Membership.objects.create(user=make_user("user2"), team=world.team, source="saml")
        profiles.prepare()
        tasks.sweep()
        assert len(asked) == 1

    def test_rows_that_live_access_lacks_are_made(self, world: World) -> None:
        Membership.objects.create(user=make_user("user2"), team=world.team, source="saml")
        tasks.prepare_missing()
        assert Profile.objects.filter(name="user2-team1").exists()
        row = AuditEvent.objects.filter(action="profile_requested").latest("id")
        assert (row.actor, row.target) == ("system: prepare_missing", "user2-team1")

    def test_rows_alone_are_enough_from_wanted_to_ready(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """No hint of any step arrives: only the sweep's own, which are carried out here as they are sent."""
        monkeypatch.setattr(queue, "enqueue_ensure", lambda profile_id, **_: bool(profiles.ensure(profile_id)))
        deadline = time.monotonic() + 30
        while world.profile.state != State.READY:
            assert time.monotonic() < deadline
            tasks.sweep()


@pytest.mark.django_db(transaction=True)
class TestTwoWorkers:
    def test_eight_workers_at_one_profile_make_one(
        self, aws: Handle, make_world: Callable[..., World], hints: list[Any]
    ) -> None:
        world = make_world()
        aws.personality.slow = 0.2
        profile_id = world.profile.pk
        run_workers(lambda: tasks.ensure_profile(profile_id), 8)
        assert len(aws.calls("DescribeUserProfile")) == 1
        assert len(aws.calls("CreateUserProfile")) == 1
        assert world.profile.state == State.CREATING
        assert len(hints) == 1

    def test_eight_sign_ons_at_once_make_each_row_once(self, aws: Handle, make_world: Callable[..., World]) -> None:
        world = make_world()
        Profile.objects.all().delete()
        made: list[int] = []
        run_workers(lambda: made.extend(profiles.prepare([world.user.pk])), 8)
        assert Profile.objects.count() == 1
        assert made == [world.profile.pk]
        assert AuditEvent.objects.filter(action="profile_requested", target="user1-team1").count() == 2

    def test_a_throttled_crowd_is_served_in_the_end(self, aws: Handle, make_world: Callable[..., World]) -> None:
        world = make_world()
        for number in range(10):
            Membership.objects.create(user=make_user(f"person{number}"), team=world.team, source="saml")
        profiles.prepare()
        aws.personality.update({"throttle": {"fraction": 0.3}, "seed": 1})
        deadline = time.monotonic() + 60
        while Profile.objects.exclude(state=State.READY).exists():
            assert time.monotonic() < deadline
            Profile.objects.exclude(due_at=None).update(due_at=timezone.now())
            for profile_id in profiles.due(100):
                profiles.ensure(profile_id)
        assert len(aws.state.all_profiles()) == 11
        assert not AuditEvent.objects.filter(action="profile_failed").exists()
