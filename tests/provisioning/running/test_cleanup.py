"""Cleanup rules at work: people are warned, apps are stopped, and what is used again or exempt is left alone."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail as outgoing
from django.utils import timezone
from pytest_django import Settings

from portal import tasks as portal_tasks
from provisioning import running
from provisioning.aws.studio import Studio
from provisioning.models import RunningApp
from provisioning.running import cleanup, stopping
from teams.form_versions import raise_form_version
from teams.rule_models import CleanupRule
from tests.provisioning.running.conftest import Apps, moment

Reason = RunningApp.Reason


@pytest.fixture(autouse=True)
def _mail_is_on(settings: Settings) -> None:
    settings.MAIL_IS_ON = True
    settings.PORTAL_URL = "https://portal.example.com"


@pytest.fixture(name="rule")
def _rule(world: Apps) -> CleanupRule:
    """Apps of team1 may be idle for four hours, by the clocks of Berlin; user1's app was last used six hours ago."""
    world.used(world.start("lab", hours=8), hours=6)
    world.scan()
    world.aws.state.calls.clear()
    return CleanupRule.objects.create(team=world.team, idle_hours=4, timezone="Europe/Berlin")


def swept(world: Apps) -> RunningApp:
    cleanup.sweep()
    return world.app("lab")


def end_warning(world: Apps) -> RunningApp:
    """Let the warning be over, and have the workers stop the app if it still is to be stopped."""
    RunningApp.objects.filter(stop_at__isnull=False).update(stop_at=timezone.now() - timedelta(seconds=1))
    return world.stop_steps(world.app("lab"))


def sent() -> list[Any]:
    outgoing.outbox.clear()
    portal_tasks.send_mail()
    return list(outgoing.outbox)


def test_an_idle_app_is_warned_of_and_then_stopped(world: Apps, rule: CleanupRule) -> None:
    app = swept(world)
    assert app.stop_reason == Reason.IDLE
    assert app.stop_at is not None
    assert timedelta(minutes=29) < app.stop_at - timezone.now() <= timedelta(minutes=30)
    (event,) = world.log("app_warned")
    assert (event.target, event.team, event.reason) == (world.user.username, "team1", "Idle for too long.")
    assert swept(world).stop_at == app.stop_at
    assert end_warning(world).ended_at is not None
    (event,) = world.log("app_stopped")
    assert event.data["why"] == "idle for too long"
    assert event.actor == "system: cleanup rule"
    assert len(world.log("app_warned")) == 1


def test_the_mail_says_what_happens_when_and_why(world: Apps, rule: CleanupRule) -> None:
    rule.exempt_tag = "keep"
    rule.save()
    app = swept(world)
    (letter,) = sent()
    assert letter.to == [world.user.email]
    assert letter.subject == "Your JupyterLab in lab in Team1 will be stopped"
    assert app.stop_at is not None
    local = app.stop_at.astimezone(ZoneInfo("Europe/Berlin"))
    for text in (f"at {local:%H:%M} on", "(Europe/Berlin)", "for 4 hours or more", "“keep”", "Go on working in it"):
        assert text in letter.body
    assert "https://portal.example.com/" in letter.body
    assert sent() == []


@pytest.mark.parametrize("email", ["", "nobody"])
def test_nobody_waits_for_people_without_mail(world: Apps, rule: CleanupRule, email: str) -> None:
    world.user.email = email
    world.user.save()
    swept(world)
    assert sent() == []
    assert end_warning(world).ended_at is not None


def test_without_a_warning_it_is_stopped_at_once(world: Apps, rule: CleanupRule) -> None:
    CleanupRule.objects.update(warn_minutes=0)
    swept(world)
    assert world.stop_steps(world.app("lab")).ended_at is not None
    assert world.log("app_warned") == []
    assert sent() == []


def test_activity_that_nobody_had_asked_for_is_asked_for_first(world: Apps, rule: CleanupRule) -> None:
    world.used(world.in_stock("lab"), hours=1)
    app = swept(world)
    assert (app.stop_at, world.log("app_warned")) == (None, [])
    assert app.active_at is not None
    world.aws.state.calls.clear()
    swept(world)
    assert world.operations() == []


def test_an_app_that_is_used_after_the_warning_is_left_alone(world: Apps, rule: CleanupRule) -> None:
    swept(world)
    assert len(sent()) == 1
    world.used(world.in_stock("lab"), hours=0)
    app = end_warning(world)
    assert (app.ended_at, app.stop_at, app.stop_reason, app.warned_at) == (None, None, "", None)
    assert world.aws.calls("DeleteApp") == []


@pytest.mark.parametrize("change", [{"idle_hours": 100}, {"idle_hours": None}, None])
def test_a_rule_that_changed_takes_the_warning_back(
    world: Apps, rule: CleanupRule, change: dict[str, Any] | None
) -> None:
    swept(world)
    CleanupRule.objects.all().delete() if change is None else CleanupRule.objects.update(**change)
    app = swept(world)
    assert (app.stop_at, app.stop_reason, app.stop_by) == (None, "", "")
    assert sent() == []


def test_what_a_person_wants_stopped_is_not_taken_back(world: Apps, rule: CleanupRule) -> None:
    CleanupRule.objects.all().delete()
    later = timezone.now() + timedelta(minutes=10)
    RunningApp.objects.update(stop_reason=Reason.BUDGET, stop_at=later)
    assert swept(world).stop_at == later


def test_a_click_while_the_rule_is_looked_at_is_not_lost(
    world: Apps, rule: CleanupRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = Studio.describe_app

    def click_meanwhile(*args: Any, **more: Any) -> Any:
        assert running.stop(world.app("lab"), by="user1", reason=Reason.PERSON)
        return describe(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "describe_app", click_meanwhile)
        app = swept(world)
    assert (app.stop_reason, app.stop_by, app.claim) == (Reason.PERSON, "user1", None)
    assert world.log("app_warned") == []
    assert stopping.due(10) == [app.pk]


def test_an_app_is_warned_of_where_a_list_did_not_tell_when_it_was_made(world: Apps, rule: CleanupRule) -> None:
    RunningApp.objects.update(started_at=moment(world.in_stock("lab").created + 60))
    assert swept(world).stop_reason == Reason.IDLE


class TestExceptions:
    @pytest.mark.parametrize("key", ["keep", "Keep"])
    def test_a_tag_exempts(self, world: Apps, rule: CleanupRule, key: str) -> None:
        CleanupRule.objects.update(exempt_tag="keep")
        world.in_stock("lab").tags[key] = ""
        assert swept(world).stop_at is None
        world.aws.state.calls.clear()
        swept(world)
        assert world.operations() == []

    def test_a_tag_that_comes_after_the_warning_exempts_too(self, world: Apps, rule: CleanupRule) -> None:
        CleanupRule.objects.update(exempt_tag="keep")
        swept(world)
        world.in_stock("lab").tags["keep"] = "yes"
        assert end_warning(world).ended_at is None

    def test_other_tags_do_not(self, world: Apps, rule: CleanupRule) -> None:
        CleanupRule.objects.update(exempt_tag="keep")
        world.in_stock("lab").tags["keeper"] = "yes"
        assert swept(world).stop_at is not None

    @pytest.mark.parametrize("call", ["ListTags", "DescribeApp"])
    def test_where_aws_does_not_tell_nothing_is_stopped(self, world: Apps, rule: CleanupRule, call: str) -> None:
        CleanupRule.objects.update(exempt_tag="keep")
        world.aws.personality.fail_next = {call: ["AccessDeniedException"]}
        app = swept(world)
        assert app.stop_at is None
        assert app.stop_error
        assert app.spared_until is not None

    def test_tags_are_read_of_candidates_only(self, world: Apps, rule: CleanupRule) -> None:
        CleanupRule.objects.update(exempt_tag="keep", idle_hours=100)
        swept(world)
        assert world.operations() == []


def test_an_app_that_is_over_already(world: Apps, rule: CleanupRule) -> None:
    world.in_stock("lab").status = "Deleted"
    app = swept(world)
    assert (app.stop_at, app.status) == (None, "Deleted")
    assert app.ended_at is not None


def test_a_later_run_is_not_taken_for_the_idle_one(world: Apps, rule: CleanupRule) -> None:
    world.in_stock("lab").created += 3600
    assert swept(world).stop_at is None
    assert world.row.due_at <= timezone.now()


def test_a_worker_that_dies_leaves_nothing_undone(
    world: Apps, rule: CleanupRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Studio, "describe_app", die)
        with pytest.raises(KeyboardInterrupt):
            cleanup.sweep()
    assert swept(world).stop_at is None
    world.expire_claims()
    assert swept(world).stop_at is not None
    assert len(world.log("app_warned")) == 1


def test_studios_own_shutdown_reaches_the_profile(world: Apps) -> None:
    CleanupRule.objects.create(team=world.team, idle_shutdown_minutes=90)
    raise_form_version([world.team.pk])
    for _ in range(3):
        world.step()
    settings = world.in_aws.settings
    assert settings["JupyterLabAppSettings"]["AppLifecycleManagement"]["IdleSettings"] == {
        "LifecycleManagement": "ENABLED", "IdleTimeoutInMinutes": 90,
    }  # fmt: skip


def test_teams_without_a_rule_are_left_alone(world: Apps) -> None:
    world.start("lab", hours=1000)
    world.scan()
    world.aws.state.calls.clear()
    assert swept(world).stop_at is None
    assert world.operations() == []
