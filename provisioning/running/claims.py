"""The claimed row of one app: compare-and-set before anybody acts, and every write with its audit rows in one go."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from provisioning import queue
from provisioning.models import RunningApp
from teams import audit

STOP = "provisioning.tasks.stop_app"
# Longer than three calls that all run into their time limits.
CLAIM = timedelta(seconds=45)
# Clocks differ, and a countdown may end a moment early.
EARLY = timedelta(milliseconds=500)
RULES = (RunningApp.Reason.IDLE, RunningApp.Reason.LONG, RunningApp.Reason.HOURS)


class ClaimLost(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """Somebody else has the row now; whatever this step found out is out of date."""


def hint(app_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
    """Ask a worker to make a step at an app that is to be stopped; call it after commit."""
    return queue.enqueue(STOP, app_id, audit.current().request_id, countdown=countdown, expires=expires)


def free() -> Q:
    """Return the filter on rows that no worker has claimed, and that are not to be left alone for a while."""
    return Q(claimed_until__isnull=True) | Q(claimed_until__lt=timezone.now() + EARLY)


def claim(app_id: int, which: Q) -> "Claimed | None":
    """Claim a row that is free and fits `which`."""
    token = uuid.uuid4()
    rows = RunningApp.objects.filter(free(), which, pk=app_id)
    if not rows.update(claim=token, claimed_until=timezone.now() + CLAIM):
        return None
    related = ("domain__account", "team__cleanup_rule", "user")
    return Claimed(RunningApp.objects.select_related(*related).get(pk=app_id), token)


class Claimed:
    """The row of an app that this worker has."""

    def __init__(self, app: RunningApp, token: uuid.UUID) -> None:
        self.app = app
        self.token = token

    def mark(self, *audits: dict[str, Any], **changes: Any) -> None:
        """Write `changes` and keep the claim, for longer. Raises ClaimLost."""
        self._write(audits, changes | {"claimed_until": timezone.now() + CLAIM})

    def release(self, *audits: dict[str, Any], seconds: float = 0.0, **changes: Any) -> float:
        """Write `changes` and give the claim up; nobody takes the row for `seconds`, which are returned."""
        later = timezone.now() + timedelta(seconds=seconds) if seconds else None
        self._write(audits, changes | {"claim": None, "claimed_until": later})
        return seconds

    def _write(self, audits: tuple[dict[str, Any], ...], changes: dict[str, Any]) -> None:
        with transaction.atomic():
            if not RunningApp.objects.filter(pk=self.app.pk, claim=self.token).update(**changes):
                raise ClaimLost
            for each in audits:
                audit.record(**each)
        for name, value in changes.items():
            setattr(self.app, name, value)


def told(app: RunningApp, **more: Any) -> dict[str, Any]:
    """Return the arguments of an audit row about an app; `data` among `more` is added to what it is."""
    names = {"profile": app.profile_name, "space": app.space_name, "instance": app.instance_type}
    data = {
        "domain": app.domain.domain_id, "app": app.name, "app_type": app.app_type,
        **{key: value for key, value in names.items() if value},
    }  # fmt: skip
    return {
        "target": app.user.username if app.user else app.profile_name or app.space_name,
        "team": app.team.slug if app.team else "",
        **more,
        "data": data | more.get("data", {}),
    }
