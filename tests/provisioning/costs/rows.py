"""Runs of apps as scans would have written them, prices, and what the ledger has of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from provisioning.models import Price, RunningApp, UsageHour
from teams.models import Team, User
from tests.factories import make_domain

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
# In the middle of a month, in the middle of an hour.
NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)

_numbers = count(1)


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """Return a moment of November 2026."""
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


def make_run(
    started: datetime, *, seen: datetime | None = None, ended: datetime | None = None, **fields: Any
) -> RunningApp:
    """Write a run of an app; it was seen last at its end, or just now."""
    team: Team | None = fields.get("team")
    defaults = {
        "domain": team.domain if team else make_domain(),
        "app_type": "JupyterLab",
        "name": f"default-{next(_numbers)}",
        "space_name": "space",
        "status": "Deleted" if ended else "InService",
        "instance_type": "ml.t3.medium",
        "seen_at": seen or ended or NOW,
    }
    return RunningApp.objects.create(started_at=started, ended_at=ended, **defaults | fields)


def make_price(per_hour: str, instance_type: str = "ml.t3.medium", region: str = "") -> Price:
    """Write a price."""
    return Price.objects.create(instance_type=instance_type, region=region, per_hour=Decimal(per_hour))


def make_cost(cost: str, *, user: User | None = None, team: Team | None = None, hour: datetime = NOW) -> UsageHour:
    """Write an hour that cost so much, of a run that is over."""
    begins = hour.replace(minute=0, second=0, microsecond=0)
    app = make_run(begins, ended=begins + HOUR, user=user, team=team, counted_until=begins + HOUR)
    amount = Decimal(cost)
    return UsageHour.objects.create(
        app=app, hour=begins, seconds=3600, per_hour=amount, cost=amount, user=user, team=team
    )


def hours(run: RunningApp) -> dict[datetime, int]:
    """Return what the ledger has of a run: the seconds of each hour."""
    return dict(UsageHour.objects.filter(app=run).order_by("hour").values_list("hour", "seconds"))


def costs(run: RunningApp) -> list[Decimal]:
    """Return what the hours of a run cost, the oldest first."""
    return list(UsageHour.objects.filter(app=run).order_by("hour").values_list("cost", flat=True))
