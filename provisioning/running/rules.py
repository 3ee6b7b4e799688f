"""What a team's cleanup rule says of an app at a moment; pure.

Working hours are times of day in the rule's time zone, so that they hold on the days too on which clocks change. Hours
that end before they begin go on into the next day, and belong to the day on which they began; hours that end when they
begin are a whole day. Without days every day is one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from provisioning.models import RunningApp
from teams.rule_models import DAYS, CleanupRule

Reason = RunningApp.Reason

# The apps that Studio Classic runs by itself: they cost nothing, and are left alone.
FREE = "system"


class Subject(Protocol):
    """What the rules look at."""

    started_at: datetime
    active_at: datetime | None
    instance_type: str


@dataclass(frozen=True)
class Decision:
    """An app is to be stopped, why and when."""

    reason: RunningApp.Reason
    stop_at: datetime


def decide(rule: CleanupRule, app: Subject, now: datetime) -> Decision | None:
    """Return that an app is to be stopped after the rule's warning, None while nothing speaks against it."""
    reason = None if app.instance_type == FREE else _reason(rule, app, now)
    return Decision(reason, now + timedelta(minutes=rule.warn_minutes)) if reason else None


def _reason(rule: CleanupRule, app: Subject, now: datetime) -> RunningApp.Reason | None:
    if rule.longest_hours and now - app.started_at >= timedelta(hours=rule.longest_hours):
        return Reason.LONG
    if not is_working_time(rule, now):
        return Reason.HOURS
    if rule.idle_hours and now - last_activity(app) >= timedelta(hours=rule.idle_hours):
        return Reason.IDLE
    return None


def last_activity(app: Subject) -> datetime:
    """Return when an app was last used as far as AWS tells: where it does not, when it was started."""
    return max(app.started_at, app.active_at or app.started_at)


def is_working_time(rule: CleanupRule, now: datetime) -> bool:
    """Whether apps may run at this moment; always where the rule says nothing of days and hours."""
    local = now.astimezone(ZoneInfo(rule.timezone))
    today, days = local.weekday(), set(rule.works_on) or set(range(len(DAYS)))
    if rule.works_from is None or rule.works_until is None:
        return today in days
    time = local.time()
    if rule.works_from < rule.works_until:
        return today in days and rule.works_from <= time < rule.works_until
    if time >= rule.works_from:
        return today in days
    return (today - 1) % len(DAYS) in days and time < rule.works_until
