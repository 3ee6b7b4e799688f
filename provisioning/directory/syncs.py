"""Synchronisations from their beginning to their end: one at a time for each directory, in steps of a few seconds.

    READING ── all pages kept ──▶ APPLIED
       │                          HELD ── an admin ──▶ APPLIED, DISCARDED
       └── six hours              PLANNED (dry run)
             FAILED

A step claims the row by compare-and-set and keeps each page in the transaction that moves the place where to go on, so
that a worker that dies loses one page at most. A call that fails is made again later, from the same place: nothing is
ever applied of a reading that is not complete.
"""

import random
import time
import uuid
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from provisioning import queue
from provisioning.aws.errors import AwsError, Denied, Invalid, NotFound, Paced
from provisioning.database import clock
from provisioning.directory import finishing
from provisioning.directory.reading import CLAIM, ClaimLost, Reading, write
from provisioning.directory.stores import note_failure, told
from provisioning.models import Directory, DirectorySync
from provisioning.rows import Next

State = DirectorySync.State
Stage = DirectorySync.Stage
Trigger = DirectorySync.Trigger

SYNCHRONISE = "provisioning.tasks.synchronise"
STEP_SECONDS = 5.0
DEADLINE = timedelta(hours=6)
EARLY = timedelta(milliseconds=500)
MAX_BACKOFF = 300.0
# Nobody can do anything about these within seconds.
LASTING = (Denied, Invalid, NotFound)


def start(
    directory: Directory, trigger: DirectorySync.Trigger, *, by: str = "", dry_run: bool = False
) -> tuple[DirectorySync, bool]:
    """Begin a synchronisation, or find the one that is under way; the second value says whether it is new.

    `by` is the user name of whoever asked for it. With `dry_run` it only works out what would change.
    """
    try:
        with transaction.atomic():
            sync = DirectorySync.objects.create(
                directory=directory, trigger=trigger, by=by, dry_run=dry_run, started_at=clock()
            )
    except IntegrityError:
        # Whoever was faster has committed; it may even be over by now.
        found = DirectorySync.objects.filter(directory=directory, dry_run=dry_run).latest("id")
        return found, False
    transaction.on_commit(lambda: hint(sync.pk))
    return sync, True


def hint(sync_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
    """Ask a worker to make a step; call it after commit."""
    return queue.enqueue(SYNCHRONISE, sync_id, countdown=countdown, expires=expires)


def due(limit: int) -> list[int]:
    """Return the ids of synchronisations that wait for a step, the longest waiting first."""
    now = timezone.now()
    free = Q(claim__isnull=True) | Q(claimed_until__lt=now)
    waiting = DirectorySync.objects.filter(free, state=State.READING, due_at__lte=now)
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:limit])


def start_due() -> None:
    """Begin the synchronisations for which it is time: so many minutes after the last one that was begun."""
    now = timezone.now()
    for directory in Directory.objects.filter(is_active=True):
        last = directory.syncs.filter(dry_run=False).order_by("-id").first()
        if last is None or (last.state != State.READING and _next_after(last, directory) <= now):
            start(directory, Trigger.SCHEDULE)


def _next_after(last: DirectorySync, directory: Directory) -> datetime:
    if last.state == State.FAILED:
        # It took hours to fail; the next one begins at once.
        return last.finished_at or last.started_at
    return last.started_at + timedelta(minutes=directory.sync_every)


def step(sync_id: int) -> Next:
    """Read for a few seconds, and finish when everything is read; does nothing when it is not due or not free.

    Raises nothing of AWS: a failure is in the row, and the same page is asked for again later.
    """
    token = _claim(sync_id)
    if token is None:
        return Next()
    sync = DirectorySync.objects.select_related("directory__account").get(pk=sync_id)
    try:
        return _step(sync, token)
    except ClaimLost:
        return Next()


def _claim(sync_id: int) -> uuid.UUID | None:
    now, token = timezone.now(), uuid.uuid4()
    free = Q(claim__isnull=True) | Q(claimed_until__lt=now)
    waiting = DirectorySync.objects.filter(free, pk=sync_id, state=State.READING, due_at__lte=now + EARLY)
    return token if waiting.update(claim=token, claimed_until=now + CLAIM) else None


def _step(sync: DirectorySync, token: uuid.UUID) -> Next:
    if not sync.directory.is_active or timezone.now() > sync.started_at + DEADLINE:
        return _give_up(sync, token)
    reading = Reading(sync, token)
    until = time.monotonic() + STEP_SECONDS
    try:
        while sync.stage != Stage.DONE and time.monotonic() < until:
            reading.next_page()
    except AwsError as error:
        return _failed(sync, token, error)
    if sync.stage == Stage.DONE:
        finishing.finish(sync, token)
        return Next(sync.state)
    return _release(sync, token, 0)


def _failed(sync: DirectorySync, token: uuid.UUID, error: AwsError) -> Next:
    """Come back later to the same page."""
    note_failure(sync.directory_id, error)
    if isinstance(error, Paced):
        return _release(sync, token, error.retry_after or 1.0)
    lasting = 60.0 if isinstance(error, LASTING) else 0.0
    seconds = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, 2.0 ** min(sync.attempts + 1, 12))
    return _release(
        sync, token, max(seconds, lasting, error.retry_after or 0.0), attempts=sync.attempts + 1, error=told(error)
    )


def _release(sync: DirectorySync, token: uuid.UUID, seconds: float, **changes: object) -> Next:
    due_at = timezone.now() + timedelta(seconds=seconds)
    write(sync, token, due_at=due_at, claim=None, claimed_until=None, **changes)
    return Next(sync.state, seconds)


def _give_up(sync: DirectorySync, token: uuid.UUID) -> Next:
    """End a synchronisation that nobody wants any more, or that took too long; nothing of it is applied."""
    wanted = sync.directory.is_active
    reason = sync.error or f"It was not finished within {DEADLINE.total_seconds() / 3600:.0f} hours."
    with transaction.atomic():
        write(
            sync, token, state=State.FAILED if wanted else State.DISCARDED, claim=None, claimed_until=None, due_at=None,
            finished_at=timezone.now(), error=reason if wanted else "The directory was switched off.",
        )  # fmt: skip
        sync.pages.all().delete()
    return Next(sync.state)
