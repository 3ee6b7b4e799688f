"""Stopping apps: the door for whoever wants one stopped, and the worker's steps that have AWS do it.

    stop_at over ──▶ looked at ──▶ AWS asked (`stop_asked_at`) ──▶ AWS took it (`stop_taken_at`) ──▶ over (`ended_at`)

Before AWS is asked, the row says so; when AWS took it, the row and the audit log say so in one transaction. A worker
that dies between the two leaves an app that was asked for and not taken: the next one finds out from AWS what became of
it, and tells of it once. An app that was started again meanwhile is another run, and is left alone.
"""

import random
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from provisioning.aws.errors import AlreadyExists, AwsError, Denied, Invalid, NotFound, Paced, Transient
from provisioning.database import give_back_connection
from provisioning.models import RunningApp
from provisioning.running import activity, claims, cleanup, sightings
from provisioning.running.claims import EARLY, RULES, Claimed, ClaimLost, told
from teams.models import AuditEvent

Reason = RunningApp.Reason

# An app that AWS did not stop within so long after it was to be stopped is left alone, with the reason.
DEADLINE = timedelta(hours=1)
# How long an app may look as if it ran on after AWS took the call, and as if there were none after it was made.
LAG = timedelta(minutes=2)
# When it is looked at again: busy or being deleted; and where trying again soon does not help.
SOON, LATER = 5.0, 60.0
MAX_BACKOFF = 60.0
BY_PEOPLE = (Reason.PERSON, Reason.ADMIN)


def stop(app: RunningApp, *, by: str, reason: RunningApp.Reason) -> bool:
    """Have an app stopped now, as `by` asks; False when it is over, or being stopped already.

    Who may, the caller has to know. A worker asks AWS after the transaction of the caller has committed. What a rule
    wants, and may still take back, is no reason to refuse; a worker who is at that loses the row.
    """
    now = timezone.now()
    rows = RunningApp.objects.filter(pk=app.pk, ended_at__isnull=True)
    open_yet = Q(Q(stop_at__gt=now) | Q(stop_reason__in=RULES), stop_asked_at__isnull=True)
    taken = rows.filter(Q(stop_at__isnull=True) | open_yet).update(
        stop_reason=reason, stop_at=now, stop_by=by[:330], stop_asked_at=None, stop_taken_at=None, stop_error="",
        claim=None, claimed_until=None,
    )  # fmt: skip
    if taken:
        transaction.on_commit(lambda: claims.hint(app.pk) and None)
    return bool(taken)


def due(limit: int) -> list[int]:
    """Return the ids of apps that are to be stopped by now and that nobody works on, those that wait longest first."""
    waiting = RunningApp.objects.filter(claims.free(), _is_due()).order_by("stop_at", "pk")
    return list(waiting.values_list("pk", flat=True)[:limit])


def _is_due() -> Q:
    unsettled = Q(stop_asked_at__isnull=False, stop_taken_at__isnull=True)
    return Q(ended_at__isnull=True, stop_at__lte=timezone.now() + EARLY) | unsettled


def step(app_id: int) -> float | None:
    """Make one step at an app that is to be stopped; return the seconds until the next, None where there is none.

    Does nothing when it is not due, or another worker is at it. Raises nothing of AWS: a failure is in the row.
    """
    row = claims.claim(app_id, _is_due())
    if row is None:
        return None
    stopping = Stopping(row)
    try:
        return stopping.run()
    except AwsError as error:
        return stopping.failed(error)
    except ClaimLost:
        return None


class Stopping:
    """What to do about one claimed app."""

    def __init__(self, row: Claimed) -> None:
        self.row = row
        self.app = row.app
        self.studio = activity.studio_of(row.app, first=row.app.stop_reason in BY_PEOPLE)

    def run(self) -> float | None:
        """Look, then do the one thing that follows. Raises AwsError, ClaimLost."""
        app = self.app
        if app.ended_at is not None:
            self.over()
            return None
        if app.stop_at is None or timezone.now() > app.stop_at + DEADLINE:
            if self.was_tried():
                self.give_up()
                return None
            # No worker was there for long.
            self.row.mark(stop_at=timezone.now())
        return self.look()

    def was_tried(self) -> bool:
        """Whether anybody has had to do with the app since it was to be stopped."""
        return bool(self.app.stop_asked_at or self.app.stop_error or self.app.status == "Deleting")

    def look(self) -> float | None:
        """See what AWS has of the app, and go on accordingly. Raises AwsError, ClaimLost."""
        app = self.app
        asked_at = timezone.now()
        found = activity.look(app, self.studio)
        if found is None and timezone.now() < app.started_at + LAG:
            # A list had it, and descriptions lag behind.
            return self.row.release(seconds=SOON)
        if found is None or not sightings.is_about(app, found):
            sightings.end_missing(app)
            self.over()
            return None
        if found.status in sightings.OVER:
            sightings.end(app, asked_at, status=found.status)
            self.over()
            return None
        if found.status == "Deleting":
            self.settle()
            return self.row.release(seconds=SOON, status=found.status)
        if app.stop_taken_at and timezone.now() < app.stop_taken_at + LAG:
            return self.row.release(seconds=SOON)
        return self.ask()

    def ask(self) -> float | None:
        """Have AWS stop an app that runs, unless a rule wanted that and does no more. Raises AwsError, ClaimLost."""
        app, before = self.app, self.app.stop_asked_at
        if before is None and app.stop_reason in RULES and not cleanup.still_asks(app, self.studio):
            self.row.release(**sightings.NOT_TO_BE_STOPPED)
            return None
        give_back_connection()
        try:
            answer = self.studio.delete_app(app.domain.domain_id, activity.names_of(app), announce=self.announce)
        except NotFound:
            self.row.mark(stop_asked_at=before)
            sightings.end(app, timezone.now(), status="Deleted")
            self.over()
            return None
        except Transient:
            # Whether it took effect is unknown: the next step finds out.
            raise
        except AwsError:
            self.row.mark(stop_asked_at=before)
            raise
        self.row.mark(self.told(answer.request_id), stop_taken_at=timezone.now(), stop_error="", status="Deleting")
        return self.row.release(seconds=SOON)

    def announce(self) -> None:
        """Say in the row that AWS is being asked. Raises ClaimLost."""
        # Committed first, so that a lost answer is no riddle later.
        self.row.mark(stop_asked_at=timezone.now(), stop_taken_at=None)

    def over(self) -> None:
        """Leave an app that has ended, with what is still to be told of it."""
        self.settle()
        self.row.release(stop_error="")

    def settle(self) -> None:
        """Tell of a call that was made and whose answer never came, now that AWS is seen to have taken it."""
        if self.app.stop_asked_at is not None and self.app.stop_taken_at is None:
            self.row.mark(self.told("", "AWS's answer was lost."), stop_taken_at=timezone.now())

    def give_up(self) -> None:
        """Leave an app that AWS did not stop for long; whoever wants that may ask again."""
        app = self.app
        fault = app.stop_error or "AWS did not say why."
        failure = told(
            app, action=AuditEvent.Action.APP_STOPPED, outcome=AuditEvent.Outcome.FAILED, actor=app.stop_by or None,
            reason=f"AWS did not stop it within {DEADLINE.total_seconds() / 3600:.0f} hour: {fault}",
        )  # fmt: skip
        self.row.release(
            failure, **sightings.NOT_TO_BE_STOPPED, stop_asked_at=None, stop_taken_at=None,
            stop_error=f"Not stopped: {fault}"[:500], spared_until=timezone.now() + DEADLINE,
        )  # fmt: skip

    def failed(self, error: AwsError) -> float | None:
        """Come back later; a call whose turn has not come yet has not failed."""
        if isinstance(error, Paced):
            pause = error.retry_after or 1.0
        elif isinstance(error, Denied | Invalid):
            pause = LATER
        elif isinstance(error, AlreadyExists):
            pause = SOON
        else:
            waited = (timezone.now() - (self.app.stop_at or timezone.now())).total_seconds()
            pause = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, max(SOON, waited))
        fault = self.app.stop_error if isinstance(error, Paced) else error.message[:500]
        try:
            return self.row.release(seconds=max(pause, error.retry_after or 0.0), stop_error=fault)
        except ClaimLost:
            return None

    def told(self, request_id: str, reason: str = "") -> dict[str, object]:
        """Return the audit row of an app that AWS has taken the order to stop."""
        app = self.app
        why = Reason(app.stop_reason).label if app.stop_reason in Reason.values else app.stop_reason
        return told(
            app, action=AuditEvent.Action.APP_STOPPED, actor=app.stop_by or None, aws_request_id=request_id,
            reason=reason, data={"why": why},
        )  # fmt: skip
