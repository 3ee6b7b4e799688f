"""What apps cost in a month, by team, person, instance type and run; added up by the database, exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum
from django.utils import timezone

from provisioning.costs import months
from provisioning.models import UsageHour
from teams.models import Team

HOUR = Decimal(3600)


@dataclass(frozen=True)
class Kind:
    """One way to divide the costs of a month: what it is called, its columns with where they are from, the budget."""

    title: str
    columns: dict[str, str]
    budget: str = ""


KINDS = {
    "teams": Kind("Teams", {"team": "team__slug", "name": "team__name"}, "team__monthly_budget"),
    "people": Kind("People", {"user name": "user__username", "name": "user__name"}, "user__monthly_budget"),
    "members": Kind(
        "People in teams",
        {"team": "team__slug", "user name": "user__username", "name": "user__name"},
        "team__person_budget",
    ),
    "types": Kind("Instance types", {"instance type": "app__instance_type", "Region": "app__domain__region"}),
    "apps": Kind(
        "Apps",
        {
            "app": "app__name",
            "type": "app__app_type",
            "instance type": "app__instance_type",
            "profile": "app__profile_name",
            "space": "app__space_name",
            "team": "team__slug",
            "user name": "user__username",
            "started": "app__started_at",
            "ended": "app__ended_at",
        },
    ),
}


@dataclass(frozen=True)
class Line:
    """What one team, person, type or run cost; `unpriced` is the number of its hours without a price."""

    cells: tuple[Any, ...]
    seconds: int
    cost: Decimal
    unpriced: int
    budget: Decimal | None

    @property
    def hours(self) -> Decimal:
        """The time it ran, in hours with two digits."""
        return round(self.seconds / HOUR, 2)


@dataclass(frozen=True)
class Total:
    """What everything cost in a month."""

    seconds: int
    cost: Decimal
    unpriced: int

    @property
    def hours(self) -> Decimal:
        """The time that apps ran, in hours with two digits."""
        return round(self.seconds / HOUR, 2)


def first_month() -> date | None:
    """Return the first month of which hours are kept, None where there are none."""
    first = UsageHour.objects.aggregate(first=Min("hour"))["first"]
    return first and months.of(first)


def total(month: date) -> Total:
    """Return what everything cost."""
    found = _hours(month).aggregate(**_SUMS)
    return Total(found["ran"] or 0, found["spent"] or Decimal(0), found["without"])


def lines(kind: Kind, month: date, *, most: int | None = None, **only: Any) -> Iterator[Line]:
    """Yield the lines of a month, the dearest first, not more than `most`; `only` filters the hours."""
    columns = tuple(kind.columns.values())
    keys = (*columns, *([kind.budget] if kind.budget else []), *(["app"] if kind is KINDS["apps"] else []))
    rows = _hours(month).filter(**only).order_by().values(*keys).annotate(**_SUMS).order_by("-spent", *keys)
    for row in rows[:most] if most else rows.iterator():
        budget = row[kind.budget] if kind.budget else None
        yield Line(tuple(row[name] for name in columns), row["ran"], row["spent"], row["without"], budget)


def headings(kind: Kind, currency: str) -> tuple[str, ...]:
    """Return the headings of a kind as CSV."""
    return (*kind.columns, "hours", f"cost ({currency})", "hours without a price", *(["budget"] if kind.budget else []))


def cells(kind: Kind, line: Line) -> tuple[Any, ...]:
    """Return a line as CSV: the cost to the last digit, times with their offset from UTC."""
    return (*line.cells, line.hours, line.cost, line.unpriced, *([line.budget] if kind.budget else []))


@dataclass(frozen=True)
class TeamMonth:
    """What a team cost in a month, and who spent it, the dearest first; `more` when others spent something, too."""

    month: date
    total: Decimal
    people: list[Line]
    more: bool


def of_team(team: Team, *, most: int) -> TeamMonth:
    """Return what a team has cost in the present month, with at most so many people."""
    month = months.of(timezone.now())
    spent = _hours(month).filter(team=team.pk).aggregate(spent=Sum("cost"))["spent"]
    people = list(lines(KINDS["members"], month, most=most + 1, team=team.pk)) if spent is not None else []
    return TeamMonth(month, spent or Decimal(0), people[:most], len(people) > most)


def _hours(month: date) -> QuerySet[UsageHour]:
    return UsageHour.objects.filter(hour__gte=months.begins(month), hour__lt=months.ends(month))


_SUMS = {"ran": Sum("seconds"), "spent": Sum("cost"), "without": Count("pk", filter=Q(per_hour__isnull=True))}
