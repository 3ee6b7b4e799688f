"""What a person sees of their own running apps, with one query."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from provisioning.models import RunningApp
from teams.models import User

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
    rows = RunningApp.objects.filter(user=user, ended_at__isnull=True).select_related("team")
    return [_shown(app) for app in rows.order_by("-started_at", "pk")[:SHOWN]]


def find(user: User, app_id: int) -> RunningApp | None:
    """Return one of this person's apps, over or not; None when it is somebody else's or none at all."""
    return RunningApp.objects.filter(user=user, pk=app_id).first()


def words(app: RunningApp) -> str:
    """Return what a person calls an app: by its space where it has one."""
    return f"{app.app_type} in {app.space_name}" if app.space_name else f"{app.app_type} {app.name}"


def _shown(app: RunningApp) -> OwnApp:
    return OwnApp(
        app.pk, words(app), app.space_name, app.instance_type, app.started_at, app.active_at, app.status,
        str(app.team or ""), app.team.slug if app.team else "",
        app.stop_at, app.get_stop_reason_display(),
    )  # fmt: skip
