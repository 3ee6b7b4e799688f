"""What a person sees of their own running apps, with one query."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from provisioning.models import RunningApp
from teams.models import User
from teams.prepared import Prepared

# More than these nobody has use for on one page.
SHOWN = 100


@dataclass(frozen=True)
class OwnApp:
    """An app that runs, or is being stopped, as its person sees it; `team` and its slug are empty where unknown."""

    pk: int
    title: str
    space: str
    instance_type: str
    started_at: datetime
    active_at: datetime | None
    status: str
    team: str
    team_slug: str
    stop_at: datetime | None
    reason: str

    @property
    def is_stopping(self) -> bool:
        """Whether it is being stopped already."""
        return self.status == "Deleting" or (self.stop_at is not None and self.stop_at <= timezone.now())


def of(user: User) -> list[OwnApp]:
    """Return this person's apps that are not known to be over, those started last first."""
    return [_shown(*row) for row in _APPS.rows(user=user.pk)]


def find(user: User, app_id: int) -> RunningApp | None:
    """Return one of this person's apps, over or not; None when it is somebody else's or none at all."""
    return RunningApp.objects.filter(user=user, pk=app_id).first()


def words(app: RunningApp) -> str:
    """Return what a person calls an app: by its space where it has one."""
    return _title(app.app_type, app.name, app.space_name)


def _title(app_type: str, name: str, space: str) -> str:
    return f"{app_type} in {space}" if space else f"{app_type} {name}"


def _shown(pk: int, app_type: str, name: str, space: str, team: str | None, slug: str | None, *rest: Any) -> OwnApp:
    instance_type, started_at, active_at, status, stop_at, reason = rest
    return OwnApp(
        pk, _title(app_type, name, space), space, instance_type, started_at, active_at, status, team or "", slug or "",
        stop_at, RunningApp.Reason(reason).label if reason else "",
    )  # fmt: skip


_USER = -1
# In the order of what `_shown` takes.
_COLUMNS = (
    *("pk", "app_type", "name", "space_name", "team__name", "team__slug"),
    *("instance_type", "started_at", "active_at", "status", "stop_at", "stop_reason"),
)


def _query() -> QuerySet[RunningApp, tuple[Any, ...]]:
    rows = RunningApp.objects.filter(user=_USER, ended_at__isnull=True)
    return rows.order_by("-started_at", "pk").values_list(*_COLUMNS)[:SHOWN]


_APPS = Prepared(_query, user=_USER)
