"""Comparisons from their beginning to their end: one at a time for each domain, in steps of a few seconds.

    READING ── everything compared ──▶ APPLYING ── each difference handed on ──▶ DONE
       │                               HELD ── an admin ──▶ APPLYING, DISCARDED
       │                               PLANNED (compare only) ── an admin ──▶ APPLYING, DISCARDED
       └── AWS refuses, six hours
             FAILED

A step claims the row by compare-and-set, and keeps what it found in the transaction that moves the place where to go
on. Nothing is changed by a comparison that is not complete; what repairs are is left to `ensure` and `retire`, which
look at AWS themselves before they act.
"""

import random
import time
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from provisioning import queue
from provisioning.aws.errors import AwsError, Denied, Invalid, NotFound, Paced
from provisioning.database import clock
from provisioning.models import ReconcileItem, Reconciliation
from provisioning.reconcile import finishing
from provisioning.reconcile.reading import CLAIM, ClaimLost, Reading, write
from provisioning.rows import Next
from teams import audit
from teams.models import Domain

State = Reconciliation.State
Stage = Reconciliation.Stage
Trigger = Reconciliation.Trigger

RECONCILE = "provisioning.tasks.reconcile"
STEP_SECONDS = 5.0
DEADLINE = timedelta(hours=6)
EARLY = timedelta(milliseconds=500)
MAX_BACKOFF = 300.0
# Trying again within hours helps against none of these; the next comparison tries.
LASTING = (Denied, Invalid, NotFound)
# Every so many comparisons by the schedule look at everything, tags included; the others at what AWS has changed.
FULL_EVERY = 4
# The sweep, once a minute, begins so many: domains that became due together are spread.
BEGIN_AT_ONCE = 2
KEEP = timedelta(days=30)
# A domain may have thousands of profiles that are not ours, and each comparison reports them.
KEEP_REPORTS = timedelta(days=3)


def start(
    domain: Domain, trigger: Reconciliation.Trigger, *, by: str = "", dry_run: bool = False, is_full: bool = True
) -> tuple[Reconciliation, bool]:
    """Begin a comparison, or find the one that is under way; the second value says whether it is new.

    `by` is the user name of whoever asked for it. With `dry_run` it stops at the plan.
    """
    try:
        with transaction.atomic():
            run = Reconciliation.objects.create(
                domain=domain, trigger=trigger, by=by, dry_run=dry_run, is_full=is_full, started_at=clock()
            )
    except IntegrityError:
        # Whoever was faster has committed; it may even be over by now. A plan that is carried out may be an old one.
        runs = Reconciliation.objects.filter(domain=domain, dry_run=dry_run)
        return runs.filter(state__in=Reconciliation.OPEN).first() or runs.latest("id"), False
    transaction.on_commit(lambda: hint(run.pk) and None)
    return run, True


def hint(run_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
    """Ask a worker to make a step; call it after commit."""
    return queue.enqueue(RECONCILE, run_id, countdown=countdown, expires=expires)


def due(limit: int) -> list[int]:
    """Return the ids of comparisons that wait for a step, the longest waiting first."""
    now = timezone.now()
    waiting = Reconciliation.objects.filter(_free(), state__in=Reconciliation.OPEN, due_at__lte=now)
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:limit])


def start_due() -> list[int]:
    """Begin the comparisons for which it is time, a few at once; returns their ids."""
    if not settings.RECONCILE_HOURS:
        return []
    before = timezone.now() - timedelta(hours=settings.RECONCILE_HOURS)
    last = Reconciliation.objects.filter(domain=OuterRef("pk"), dry_run=False).order_by("-id")
    domains = Domain.objects.filter(teams__isnull=False).distinct()
    domains = domains.annotate(
        last_started_at=Subquery(last.values("started_at")[:1]), last_state=Subquery(last.values("state")[:1])
    )
    over = Q(last_started_at__lte=before) & ~Q(last_state__in=Reconciliation.OPEN)
    waiting = domains.filter(Q(last_started_at__isnull=True) | over)
    begun = [
        start(domain, Trigger.SCHEDULE, is_full=_next_is_full(domain))
        for domain in waiting.order_by(F("last_started_at").asc(nulls_first=True), "pk")[:BEGIN_AT_ONCE]
    ]
    return [run.pk for run, is_new in begun if is_new]


def _next_is_full(domain: Domain) -> bool:
    runs = Reconciliation.objects.filter(domain=domain, dry_run=False).exclude(state=State.FAILED)
    return not any(runs.order_by("-id").values_list("is_full", flat=True)[: FULL_EVERY - 1])


def purge() -> None:
    """Delete comparisons that are over since long, and sooner what they only reported, but for the last of a domain."""
    now = timezone.now()
    over = Reconciliation.objects.exclude(state__in=(*Reconciliation.OPEN, State.HELD))
    over.filter(finished_at__lt=now - KEEP).delete()
    newer = Reconciliation.objects.filter(domain=OuterRef("run__domain"), state=State.DONE, pk__gt=OuterRef("run"))
    reports = ReconcileItem.objects.filter(action=ReconcileItem.Action.REPORT, state=ReconcileItem.State.SKIPPED)
    reports.filter(Exists(newer), run__finished_at__lt=now - KEEP_REPORTS).delete()


def step(run_id: int) -> Next:
    """Read or apply for a few seconds; does nothing when it is not due or not free.

    Raises nothing of AWS: a failure is in the row, and the same is asked for again later.
    """
    token = _claim(run_id)
    if token is None:
        return Next()
    run = Reconciliation.objects.select_related("domain__account").get(pk=run_id)
    try:
        return _step(run, token)
    except ClaimLost:
        return Next()


def _free() -> Q:
    return Q(claim__isnull=True) | Q(claimed_until__lt=timezone.now())


def _claim(run_id: int) -> uuid.UUID | None:
    now, token = timezone.now(), uuid.uuid4()
    waiting = Reconciliation.objects.filter(_free(), pk=run_id, state__in=Reconciliation.OPEN, due_at__lte=now + EARLY)
    return token if waiting.update(claim=token, claimed_until=now + CLAIM) else None


def _step(run: Reconciliation, token: uuid.UUID) -> Next:
    until = time.monotonic() + STEP_SECONDS
    if run.state == State.APPLYING:
        whole = finishing.apply(run, token, lambda: time.monotonic() >= until)
        return Next(run.state) if whole else _release(run, token, 0)
    if timezone.now() > run.started_at + DEADLINE:
        return _give_up(
            run, token, run.error or f"It was not finished within {DEADLINE.total_seconds() / 3600:.0f} hours."
        )
    reading = Reading(run, token, lambda: time.monotonic() >= until)
    try:
        while run.stage != Stage.DONE and time.monotonic() < until:
            reading.go_on()
    except AwsError as error:
        return _failed(run, token, error)
    if run.stage == Stage.DONE:
        finishing.decide(run, token)
        return Next(run.state, 0 if run.state == State.APPLYING else None)
    return _release(run, token, 0)


def _failed(run: Reconciliation, token: uuid.UUID, error: AwsError) -> Next:
    """Come back later to the same place, or give up where that does not help."""
    if isinstance(error, Paced):
        return _release(run, token, max(error.retry_after or 0.0, 1.0))
    told = f"{error.code}: {error.message}"[:500]
    if isinstance(error, LASTING):
        return _give_up(run, token, told)
    seconds = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, 2.0 ** min(run.attempts + 1, 12))
    return _release(run, token, max(seconds, error.retry_after or 0.0), attempts=run.attempts + 1, error=told)


def _release(run: Reconciliation, token: uuid.UUID, seconds: float, **changes: object) -> Next:
    due_at = timezone.now() + timedelta(seconds=seconds)
    write(run, token, due_at=due_at, claim=None, claimed_until=None, **changes)
    return Next(run.state, seconds)


def _give_up(run: Reconciliation, token: uuid.UUID, reason: str) -> Next:
    """End a comparison that cannot be completed; nothing is changed by it."""
    with transaction.atomic():
        write(
            run, token, state=State.FAILED, claim=None, claimed_until=None, due_at=None, finished_at=timezone.now(),
            error=audit.scrub_text(reason)[:500],
        )  # fmt: skip
        run.seen.all().delete()
    return Next(run.state)
