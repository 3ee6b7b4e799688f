"""Stopping one app: it ends, it is told of once, and AWS's moods and dying workers change nothing about that."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from provisioning import running, tasks
from provisioning.aws.studio import Studio
from provisioning.models import RunningApp
from provisioning.running import stopping
from teams.models import AuditEvent
from tests.provisioning.running.conftest import Apps, moment
from tests.provisioning.test_tasks import run_workers

Reason = RunningApp.Reason


@pytest.fixture(name="app")
def _app(world: Apps) -> RunningApp:
    """An app in user1's space, seen by a scan."""
    world.start("lab", hours=2)
    world.scan()
    world.aws.state.calls.clear()
    return world.app("lab")


def stop(app: RunningApp, reason: RunningApp.Reason = Reason.PERSON) -> bool:
    return running.stop(app, by="user1", reason=reason)


def test_it_ends_and_the_log_tells_who_wanted_it(world: Apps, app: RunningApp) -> None:
    world.aws.personality.delete_delay = 3
    assert stop(app)
    stopped = world.stop_steps(app)
    assert (stopped.status, stopped.stop_reason, stopped.claim) == ("Deleted", Reason.PERSON, None)
    assert stopped.ended_at is not None
    (event,) = world.log("app_stopped")
    (call,) = world.aws.calls("DeleteApp")
    assert (event.actor, event.target, event.team) == ("user1", world.user.username, "team1")
    assert event.aws_request_id == call.request_id
    assert event.data == {
        "domain": world.domain_id, "app": "default", "app_type": "JupyterLab", "space": "lab",
        "instance": "ml.t3.medium", "why": "stopped by its person",
    }  # fmt: skip


def test_it_is_asked_for_once(world: Apps, app: RunningApp) -> None:
    assert stop(app)
    assert not running.stop(app, by="alice", reason=Reason.ADMIN)
    assert world.stop_steps(app).stop_by == "user1"
    assert not stop(app)


def test_a_click_comes_before_the_end_of_a_warning(world: Apps, app: RunningApp) -> None:
    RunningApp.objects.update(stop_reason=Reason.IDLE, stop_at=timezone.now() + timedelta(minutes=20), stop_by="system")
    assert stop(app)
    assert world.stop_steps(app).stop_reason == Reason.PERSON


def test_a_click_comes_before_a_rule_that_changes_its_mind(
    world: Apps, app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunningApp.objects.update(stop_reason=Reason.IDLE, stop_at=timezone.now(), stop_by="system")

    def click_meanwhile(*_: object) -> bool:
        assert stop(app)
        return False

    with monkeypatch.context() as patch:
        patch.setattr("provisioning.running.cleanup.still_asks", click_meanwhile)
        assert stopping.step(app.pk) is None
    stopped = world.stop_steps(app)
    assert (stopped.stop_reason, stopped.stop_by) == (Reason.PERSON, "user1")
    assert stopped.ended_at is not None


def test_workers_away_for_long_try_before_they_give_up(world: Apps, app: RunningApp) -> None:
    stop(app)
    RunningApp.objects.update(stop_at=timezone.now() - 2 * stopping.DEADLINE)
    assert world.stop_steps(app).ended_at is not None
    (event,) = world.log("app_stopped")
    assert event.outcome == AuditEvent.Outcome.SUCCESS


def test_nothing_is_asked_of_aws_before_its_time(world: Apps, app: RunningApp) -> None:
    RunningApp.objects.update(stop_reason=Reason.BUDGET, stop_at=timezone.now() + timedelta(minutes=20))
    assert stopping.due(10) == []
    assert stopping.step(app.pk) is None
    assert world.operations() == []


@pytest.mark.parametrize(
    "personality",
    [
        {"old_not_found": True}, {"consistency_lag": 3.0}, {"delete_delay": 5.0}, {"slow": 0.01},
        {"throttle": {"fraction": 0.4}, "seed": 1},
    ],
    ids=lambda each: "-".join(each),
)  # fmt: skip
def test_personalities(world: Apps, app: RunningApp, personality: dict[str, Any]) -> None:
    world.aws.personality.update(personality)
    stop(app)
    assert world.stop_steps(app).ended_at is not None
    assert len(world.log("app_stopped")) == 1


@pytest.mark.parametrize("outcome", ["drop", "lost", 500, "ResourceInUse", "ThrottlingException"])
@pytest.mark.parametrize("delay", [0, 4])
def test_the_call_may_fail_or_its_answer_be_lost(world: Apps, app: RunningApp, outcome: Any, delay: float) -> None:
    world.aws.personality.update({"fail_next": {"DeleteApp": [outcome]}, "delete_delay": delay})
    stop(app)
    stopped = world.stop_steps(app)
    assert stopped.ended_at is not None
    (event,) = world.log("app_stopped")
    assert (event.reason == "AWS's answer was lost.") is (outcome == "lost")
    assert event.actor == "user1"


@pytest.mark.parametrize("status", ["Deleted", "Failed"])
def test_an_app_that_ended_by_itself_is_nobodys_work(world: Apps, app: RunningApp, status: str) -> None:
    world.in_stock("lab").status = status
    stop(app)
    stopped = world.stop_steps(app)
    assert (stopped.status, stopped.stop_reason) == (status, "")
    assert stopped.ended_at is not None
    assert world.log("app_stopped") == []
    assert world.aws.calls("DeleteApp") == []


@pytest.mark.parametrize(
    "message", ["App [x] has already been deleted.", "App [x] previously failed and was automatically deleted."]
)
def test_aws_says_that_it_is_over_already(world: Apps, app: RunningApp, message: str) -> None:
    world.aws.personality.fail_next = {"DeleteApp": [{"code": "ValidationException", "message": message}]}
    stop(app)
    assert world.stop_steps(app).ended_at is not None
    assert world.log("app_stopped") == []


def test_an_app_that_aws_has_no_more(world: Apps, app: RunningApp) -> None:
    world.aws.state.apps.clear()
    stop(app)
    assert world.stop_steps(app).ended_at == app.seen_at


def test_a_young_app_that_cannot_be_described_yet_is_waited_for(world: Apps) -> None:
    world.start("lab")
    world.scan()
    world.in_stock("lab").hidden_until = world.aws.state.clock.now() + 3
    stop(world.app("lab"))
    assert world.stop_steps(world.app("lab")).status == "Deleted"
    assert len(world.log("app_stopped")) == 1


def test_a_later_run_of_the_same_name_is_left_alone(world: Apps, app: RunningApp) -> None:
    world.in_stock("lab").created += 3600
    stop(app)
    stopped = world.stop_steps(app)
    assert stopped.ended_at is not None
    assert world.in_stock("lab").status == "InService"
    assert world.log("app_stopped") == []


def test_a_list_that_did_not_tell_when_it_was_made_stops_nothing_less(world: Apps, app: RunningApp) -> None:
    RunningApp.objects.update(started_at=moment(world.in_stock("lab").created + 600))
    stop(app)
    assert world.stop_steps(app).ended_at is not None
    assert world.in_stock("lab").status == "Deleted"
    assert len(world.log("app_stopped")) == 1


def test_aws_away_for_an_hour_is_given_up_and_told(world: Apps, app: RunningApp) -> None:
    world.aws.personality.down = True
    stop(app)
    assert stopping.step(app.pk) is not None
    app.refresh_from_db()
    assert app.stop_error
    RunningApp.objects.update(stop_at=timezone.now() - stopping.DEADLINE - timedelta(seconds=1), claimed_until=None)
    stopping.step(app.pk)
    app.refresh_from_db()
    assert (app.stop_at, app.ended_at) == (None, None)
    assert app.stop_error.startswith("Not stopped: ")
    (event,) = world.log("app_stopped")
    assert event.outcome == AuditEvent.Outcome.FAILED
    world.aws.personality.down = False
    assert stop(app)
    assert world.stop_steps(app).ended_at is not None


def test_a_denied_call_says_what_is_missing_and_is_not_hammered(world: Apps, app: RunningApp) -> None:
    world.aws.personality.fail_next = {"DeleteApp": ["AccessDeniedException"]}
    stop(app)
    assert stopping.step(app.pk) == stopping.LATER
    app.refresh_from_db()
    assert (app.stop_asked_at, bool(app.stop_error)) == (None, True)
    assert stopping.due(10) == []


class TestWorkers:
    @pytest.mark.parametrize("verb", ["describe_app", "delete_app"])
    def test_one_that_dies_before_the_call(
        self, world: Apps, app: RunningApp, monkeypatch: pytest.MonkeyPatch, verb: str
    ) -> None:
        stop(app)
        with monkeypatch.context() as patch:
            patch.setattr(Studio, verb, _die)
            with pytest.raises(KeyboardInterrupt):
                stopping.step(app.pk)
        assert stopping.step(app.pk) is None
        world.expire_claims()
        assert world.stop_steps(app).ended_at is not None
        assert len(world.log("app_stopped")) == 1

    @pytest.mark.parametrize("scanned", [False, True])
    def test_one_that_dies_after_the_call(
        self, world: Apps, app: RunningApp, monkeypatch: pytest.MonkeyPatch, scanned: bool
    ) -> None:
        stop(app)
        original = Studio.delete_app

        def die_after(*args: Any, **more: Any) -> Any:
            original(*args, **more)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Studio, "delete_app", die_after)
            with pytest.raises(KeyboardInterrupt):
                stopping.step(app.pk)
        if scanned:
            world.scan()
            assert world.app("lab").ended_at is not None
        assert world.log("app_stopped") == []
        world.expire_claims()
        assert world.stop_steps(app).ended_at is not None
        (event,) = world.log("app_stopped")
        assert (event.reason, event.actor) == ("AWS's answer was lost.", "user1")
        assert len(world.aws.calls("DeleteApp")) == 1

    @pytest.mark.django_db(transaction=True)
    def test_two_stop_an_app_once(self, world: Apps, app: RunningApp) -> None:
        stop(app)
        run_workers(lambda: stopping.step(app.pk), 2)
        assert len(world.aws.calls("DeleteApp")) == 1
        assert len(world.log("app_stopped")) == 1

    def test_the_sweep_finds_what_was_lost(self, world: Apps, app: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
        stop(app)
        sent: list[Any] = []

        def enqueue(task: str, *args: Any, **_: Any) -> bool:
            sent.append((task, args[0]))
            return True

        monkeypatch.setattr("provisioning.queue.enqueue", enqueue)
        tasks.sweep_apps()
        assert ("provisioning.tasks.stop_app", app.pk) in sent
        tasks.stop_app(app.pk)
        world.stop_steps(app)
        tasks.scan_domain(world.row.pk)


def _die(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


def test_a_scan_that_read_before_does_not_bring_it_back(world: Apps, app: RunningApp) -> None:
    stop(app)
    stopped = world.stop_steps(app)
    world.in_stock("lab").status = "InService"
    world.scan()
    app.refresh_from_db()
    assert app.ended_at == stopped.ended_at
    assert app.started_at == moment(world.in_stock("lab").created)
