"""The one place from which budgets have apps stopped."""

from datetime import datetime

from django.db.models import Q

from provisioning.models import RunningApp

BY = "system: budget"


def stop(app: RunningApp, now: datetime) -> bool:
    """Have an app stopped because a budget is spent; False where it is over, or to be stopped by now for any reason."""
    waiting = Q(stop_at__isnull=True) | Q(stop_at__gt=now)
    rows = RunningApp.objects.filter(waiting, pk=app.pk, ended_at__isnull=True)
    return bool(rows.update(stop_reason=RunningApp.Reason.BUDGET, stop_at=now, stop_by=BY))
