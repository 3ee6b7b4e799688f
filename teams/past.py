"""What a row was at a past moment, worked out backwards from what it is and what the audit log says was changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from teams import snapshots
from teams.models import AuditEvent, RoleMapping, Team
from teams.moments import first_id_since

Action = AuditEvent.Action
_OF_ROWS = (Action.CHANGED, Action.IMPORTED, Action.DELETED)


@dataclass(frozen=True)
class Past:
    """A moment; no row of the log below `first_id` is from after it."""

    moment: datetime
    first_id: int

    @classmethod
    def at(cls, moment: datetime) -> "Past":
        """Find where in the log a moment is."""
        return cls(moment, first_id_since(moment) or 0)

    def later(self) -> QuerySet[AuditEvent]:
        """Return what the log has from after the moment, the newest first."""
        return AuditEvent.objects.filter(at__gt=self.moment, pk__gte=self.first_id).order_by("-pk")


def log_begins() -> datetime | None:
    """Return the moment of the oldest row of the log: nothing is known of what was before."""
    return AuditEvent.objects.order_by("pk").values_list("at", flat=True).first()


def team(slug: str, past: Past) -> dict[str, Any] | None:
    """Return the values of the team with this slug then, as `snapshots.take` has them.

    A team that was made later has the values that it began with. None: neither the teams nor the log know the slug.
    """
    row = Team.objects.select_related("domain__account").filter(slug=slug).first()
    target = f"team: {slug}"
    values = snapshots.take(row) if row else _last_words(target)
    if values is None:
        return None
    for _, action, before in _changes(past.later().filter(target=target, action__in=_OF_ROWS)):
        values = before if action == Action.DELETED else values | before
    return values


def mapping(row: RoleMapping, past: Past) -> dict[str, Any]:
    """Return the values of a mapping then; it is followed back through other groups and teams."""
    values, target = snapshots.take(row), snapshots.target(row)
    last: int | None = None
    while target:
        events = past.later().filter(target=target, action=Action.CHANGED)
        target = ""
        for event_id, _, before in _changes(events if last is None else events.filter(pk__lt=last)):
            values, last = values | before, event_id
            if "group" in before or "team" in before:
                # It had another name before this.
                target = f"{row._meta.verbose_name}: {values['group']} → {values['team']}"
                break
    return values


def _changes(events: QuerySet[AuditEvent]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for event_id, action, data in events.values_list("pk", "action", "data"):
        before = data.get("before") if isinstance(data, dict) else None
        yield event_id, action, before if isinstance(before, dict) else {}


def _last_words(target: str) -> dict[str, Any] | None:
    """Return what a row was when it was deleted."""
    gone = AuditEvent.objects.filter(target=target, action=Action.DELETED).order_by("-pk")[:1]
    return next((before for _, _, before in _changes(gone)), None)
