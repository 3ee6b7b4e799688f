"""What a cleanup rule says of an app: by the clock alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from provisioning.aws.shapes import faults
from provisioning.models import RunningApp
from provisioning.running.idle import idle_settings
from provisioning.running.rules import decide, is_working_time
from teams.rule_models import CleanupRule

Reason = RunningApp.Reason
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


@dataclass
class App:
    started_at: datetime = NOW - 10 * HOUR
    active_at: datetime | None = None
    instance_type: str = "ml.t3.medium"


def reason(rule: CleanupRule, app: App, now: datetime = NOW) -> str | None:
    found = decide(rule, app, now)
    return found.reason if found else None


@pytest.mark.parametrize(
    ("rule", "app", "expected"),
    [
        (CleanupRule(), App(), None),
        (CleanupRule(idle_hours=4), App(active_at=NOW - 4 * HOUR), Reason.IDLE),
        (CleanupRule(idle_hours=4), App(active_at=NOW - 3.9 * HOUR), None),
        # Without known activity it counts from the start, and never from before it.
        (CleanupRule(idle_hours=4), App(), Reason.IDLE),
        (CleanupRule(idle_hours=4), App(started_at=NOW - HOUR, active_at=NOW - 9 * HOUR), None),
        (CleanupRule(longest_hours=10), App(active_at=NOW), Reason.LONG),
        (CleanupRule(longest_hours=11), App(active_at=NOW), None),
        (CleanupRule(idle_hours=1, longest_hours=1), App(instance_type="system"), None),
        (CleanupRule(works_from=time(13), works_until=time(17)), App(), Reason.HOURS),
    ],
)
def test_reasons(rule: CleanupRule, app: App, expected: str | None) -> None:
    assert reason(rule, app) == expected


@pytest.mark.parametrize("minutes", [0, 30])
def test_it_is_stopped_after_the_warning(minutes: int) -> None:
    found = decide(CleanupRule(idle_hours=1, warn_minutes=minutes), App(), NOW)
    assert found is not None
    assert found.stop_at == NOW + timedelta(minutes=minutes)


def berlin(day: int, hour: int, minute: int = 0, *, month: int = 3, fold: int = 0) -> datetime:
    """A moment in 2026 by the clocks of Berlin."""
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN, fold=fold).astimezone(UTC)


WEEK = [0, 1, 2, 3, 4]
DAY = CleanupRule(works_from=time(8), works_until=time(18), works_on=WEEK, timezone="Europe/Berlin")
NIGHT = CleanupRule(works_from=time(22), works_until=time(6), works_on=WEEK, timezone="Europe/Berlin")
WHOLE = CleanupRule(works_from=time(9), works_until=time(9), works_on=[0], timezone="Europe/Berlin")
DAYS = CleanupRule(works_on=WEEK, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("rule", "moment", "works"),
    [
        (DAY, berlin(4, 8), True), (DAY, berlin(4, 7, 59), False), (DAY, berlin(4, 18), False),
        (DAY, berlin(7, 12), False),
        # The clocks go forward on 29 March and back on 25 October: the hours stay those on the wall.
        (DAY, berlin(27, 8), True), (DAY, berlin(30, 8), True), (DAY, berlin(30, 7, 59), False),
        (DAY, berlin(26, 17, 59, month=10), True), (DAY, berlin(26, 18, month=10), False),
        # From Monday evening to Saturday morning, each night belonging to the day on which it began.
        (NIGHT, berlin(2, 5, 59), False), (NIGHT, berlin(2, 22), True), (NIGHT, berlin(3, 5, 59), True),
        (NIGHT, berlin(3, 6), False), (NIGHT, berlin(6, 23), True), (NIGHT, berlin(7, 5), True),
        (NIGHT, berlin(7, 23), False), (NIGHT, berlin(8, 5), False),
        (CleanupRule(works_from=time(22), works_until=time(2, 30), timezone="Europe/Berlin"),
         berlin(25, 2, 15, month=10, fold=1), True),
        (CleanupRule(works_from=time(2, 30), works_until=time(4), timezone="Europe/Berlin"),
         datetime(2026, 3, 29, 1, 0, tzinfo=UTC), True),
        (WHOLE, berlin(2, 9), True), (WHOLE, berlin(3, 8, 59), True), (WHOLE, berlin(3, 9), False),
        (DAYS, berlin(4, 3), True), (DAYS, berlin(7, 3), False),
        (CleanupRule(), berlin(7, 3), True),
    ],
)  # fmt: skip
def test_working_hours(rule: CleanupRule, moment: datetime, works: bool) -> None:
    assert is_working_time(rule, moment) is works


class TestStudiosOwnShutdown:
    def test_it_is_written_to_both_kinds_of_apps_as_aws_takes_it(self) -> None:
        settings = idle_settings(CleanupRule(idle_shutdown_minutes=90), {"StudioWebPortal": "ENABLED"})
        asked = {
            "AppLifecycleManagement": {"IdleSettings": {"LifecycleManagement": "ENABLED", "IdleTimeoutInMinutes": 90}}
        }
        assert settings == {
            "StudioWebPortal": "ENABLED", "JupyterLabAppSettings": asked, "CodeEditorAppSettings": asked,
        }  # fmt: skip
        assert faults("UserSettings", settings) == []

    def test_what_the_team_says_itself_stays(self) -> None:
        own: dict[str, Any] = {
            "JupyterLabAppSettings": {"AppLifecycleManagement": {"IdleSettings": {"LifecycleManagement": "DISABLED"}}},
            "CodeEditorAppSettings": {"LifecycleConfigArns": ["arn"]},
        }
        settings = idle_settings(CleanupRule(idle_shutdown_minutes=90), own)
        assert settings["JupyterLabAppSettings"] == own["JupyterLabAppSettings"]
        assert settings["CodeEditorAppSettings"]["LifecycleConfigArns"] == ["arn"]
        assert "IdleSettings" in settings["CodeEditorAppSettings"]["AppLifecycleManagement"]
        assert "AppLifecycleManagement" not in own["CodeEditorAppSettings"]

    @pytest.mark.parametrize("rule", [None, CleanupRule()])
    def test_nothing_is_said_without_it(self, rule: CleanupRule | None) -> None:
        assert idle_settings(rule, {"StudioWebPortal": "ENABLED"}) == {"StudioWebPortal": "ENABLED"}
