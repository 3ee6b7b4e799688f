"""Scans of domains for spaces and apps, in steps of a few seconds.

    DONE ── due ──▶ SPACES ──▶ APPS ──▶ MISSING ──▶ ACTIVITY ──▶ DONE

A step claims the row by compare-and-set and writes what a page says in the transaction that moves the place where to go
on. A call that fails is made again later, from the same place. What a list did not have counts as gone only after the
list was read to its end, and AWS was asked for each app by its name. A scan that took too long is begun again; it has
ended nothing.
"""

import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from provisioning import queue
from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError, Denied, Invalid, NotFound, Paced, Transient
from provisioning.aws.studio import Studio
from provisioning.database import clock, give_back_connection
from provisioning.models import DomainScan, RunningApp
from provisioning.running import activity, sightings
from teams.models import Domain

Stage = DomainScan.Stage

SCAN = "provisioning.tasks.scan_domain"
STEP_SECONDS = 5.0
CLAIM = timedelta(seconds=60)
EARLY = timedelta(milliseconds=500)
DEADLINE = timedelta(hours=1)
MAX_BACKOFF = 300.0
# Nobody can do anything about these within seconds.
LASTING = (Denied, Invalid, NotFound)
# Apps whose team has a rule about idleness are asked for their last activity this often.
OFTEN = timedelta(minutes=15)
# A domain that has not been read for so long, or for so many intervals, is told of.
LATE, LATE_INTERVALS = timedelta(hours=1), 4


class ClaimLost(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """Somebody else has the row now."""


def prepare() -> None:
    """Make the missing rows of domains with teams; nothing where scans are switched off."""
    if settings.APPS_SCAN_MINUTES <= 0:
        return
    missing = Domain.objects.filter(teams__isnull=False, app_scan__isnull=True).distinct()
    DomainScan.objects.bulk_create([DomainScan(domain=domain) for domain in missing], ignore_conflicts=True)


def due(limit: int) -> list[int]:
    """Return the ids of scans that wait for a step, the longest waiting first; none where scans are switched off."""
    if settings.APPS_SCAN_MINUTES <= 0:
        return []
    waiting = _wanted().filter(_free(), due_at__lte=timezone.now()).order_by("due_at")
    return list(waiting.values_list("pk", flat=True)[:limit])


def soon(domain_id: int) -> None:
    """Have a domain scanned out of turn: at once, or right after the scan that is under way."""
    now = timezone.now()
    DomainScan.objects.filter(domain=domain_id).update(asked_at=now)
    DomainScan.objects.filter(domain=domain_id, stage=Stage.DONE, due_at__gt=now).update(due_at=now)


def hint(scan_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
    """Ask a worker to make a step; call it after commit."""
    return queue.enqueue(SCAN, scan_id, countdown=countdown, expires=expires)


def late() -> QuerySet[DomainScan]:
    """Return the scans that have not come to an end for long; none where scans are switched off."""
    if settings.APPS_SCAN_MINUTES <= 0:
        return DomainScan.objects.none()
    longest = max(LATE, LATE_INTERVALS * _interval())
    last = _wanted().alias(last=Coalesce("finished_at", "created_at"))
    return last.filter(last__lt=timezone.now() - longest).select_related("domain__account").order_by("last")


def step(scan_id: int) -> float | None:
    """Read for a few seconds; return the seconds until the next step, None where there is none to make soon.

    Does nothing when the row is not due or not free. Raises nothing of AWS: a failure is in the row.
    """
    token = _claim(scan_id)
    if token is None:
        return None
    scan = DomainScan.objects.select_related("domain__account").get(pk=scan_id)
    try:
        return Scan(scan, token).run()
    except ClaimLost:
        return None


def _interval() -> timedelta:
    return timedelta(minutes=settings.APPS_SCAN_MINUTES)


def _wanted() -> QuerySet[DomainScan]:
    return DomainScan.objects.filter(domain__in=Domain.objects.filter(teams__isnull=False))


def _free() -> Q:
    return Q(claim__isnull=True) | Q(claimed_until__lt=timezone.now())


def _claim(scan_id: int) -> uuid.UUID | None:
    now, token = timezone.now(), uuid.uuid4()
    waiting = DomainScan.objects.filter(_free(), pk=scan_id, due_at__lte=now + EARLY)
    return token if waiting.update(claim=token, claimed_until=now + CLAIM) else None


class Scan:
    """The claimed row of a domain that is being read."""

    def __init__(self, row: DomainScan, claim: uuid.UUID) -> None:
        self.row = row
        self.claim = claim
        self.domain = row.domain
        self._studio = Studio(Account.of(row.domain.account), row.domain.region)

    @property
    def studio(self) -> Studio:
        """AWS, with the database connection given back first: ask for it at each call."""
        give_back_connection()
        return self._studio

    @property
    def began(self) -> datetime:
        """When this scan began."""
        return self.row.started_at or timezone.now()

    def run(self) -> float | None:
        """Begin or go on, and release the row. Raises ClaimLost."""
        if self.row.stage == Stage.DONE or timezone.now() > self.began + DEADLINE:
            self.keep(stage=Stage.SPACES, started_at=clock(), token="")
        until = time.monotonic() + STEP_SECONDS
        try:
            while self.row.stage != Stage.DONE and time.monotonic() < until:
                self.go_on()
        except AwsError as error:
            return self.failed(error)
        if self.row.stage == Stage.DONE:
            self.finished()
            return None
        self.release(due_at=timezone.now())
        return 0.0

    def go_on(self) -> None:
        """Make the next call, and write what follows from it. Raises AwsError, ClaimLost."""
        if self.row.stage == Stage.SPACES:
            self.read(self.read_spaces)
        elif self.row.stage == Stage.APPS:
            self.read(self.read_apps)
        elif self.row.stage == Stage.MISSING:
            self.ask_for_missing()
        else:
            self.ask_for_activity()

    def read(self, page: Callable[[], None]) -> None:
        """Read a page; one whose token AWS has forgotten has the list begin again."""
        try:
            page()
        except Invalid:
            if not self.row.token:
                raise
            self.keep(token="")

    def read_spaces(self) -> None:
        """Read one page of spaces."""
        page = self.studio.spaces_page(self.domain.domain_id, self.row.token)
        self.require_progress(page.next_token)
        with transaction.atomic():
            sightings.see_spaces(self.domain, page.spaces, seen_at=self.began)
            if not page.next_token:
                sightings.forget_spaces(self.domain, seen_before=self.began)
            self.move(page.next_token, Stage.APPS)

    def read_apps(self) -> None:
        """Read one page of apps."""
        asked_at = timezone.now()
        page = self.studio.apps_page(self.domain.domain_id, self.row.token)
        self.require_progress(page.next_token)
        with transaction.atomic():
            sightings.see_apps(self.domain, page.apps, seen_at=self.began, asked_at=asked_at)
            self.move(page.next_token, Stage.MISSING)

    def require_progress(self, token: str) -> None:
        """Raise Transient where AWS gives the same token again."""
        if token and token == self.row.token:
            raise Transient("AWS did not come to the end of a list.", code="EndlessList")

    def move(self, token: str, after: DomainScan.Stage) -> None:
        """Go on with the next page, or after the last one with the next stage."""
        self.keep(token=token, attempts=0, error="", **({} if token else {"stage": after}))

    def ask_for_missing(self) -> None:
        """Ask for one app that the list did not have; without any, go on with the next stage."""
        app = self.running().filter(seen_at__lt=self.began).order_by("pk").first()
        if app is None:
            self.keep(stage=Stage.ACTIVITY)
            return
        asked_at = timezone.now()
        try:
            found = activity.look(app, self.studio)
        except (Denied, Invalid):
            # A complete list without it has to do.
            found = None
        self.keep()
        if found is None or not sightings.is_same_run(app, found):
            sightings.end_missing(app)
        elif found.status in sightings.OVER:
            sightings.end(app, asked_at, status=found.status)
        else:
            RunningApp.objects.filter(pk=app.pk).update(seen_at=self.began, status=found.status)

    def ask_for_activity(self) -> None:
        """Ask for the last activity of one app whose turn it is; without any, or out of time, the scan is over."""
        app = None if timezone.now() > self.began + _interval() else self.to_look_at().first()
        if app is None:
            self.keep(stage=Stage.DONE, attempts=0, error="")
            return
        try:
            activity.look(app, self.studio)
        except Paced:
            raise
        except (Denied, Invalid) as error:
            self.keep(stage=Stage.DONE, error=error.message[:500])
            return
        self.keep()

    def to_look_at(self) -> QuerySet[RunningApp]:
        """Return the apps whose last activity was not asked for lately, those first that were never."""
        watched = Q(team__cleanup_rule__idle_hours__isnull=False, looked_at__lt=self.began - OFTEN)
        waiting = Q(looked_at__isnull=True) | watched
        if settings.APPS_ACTIVITY_MINUTES > 0:
            waiting |= Q(looked_at__lt=self.began - timedelta(minutes=settings.APPS_ACTIVITY_MINUTES))
        else:
            waiting &= Q(team__cleanup_rule__idle_hours__isnull=False)
        return self.running().filter(waiting).order_by(F("looked_at").asc(nulls_first=True), "pk")

    def running(self) -> QuerySet[RunningApp]:
        """Return the apps of this domain that are not known to be over."""
        return RunningApp.objects.filter(domain=self.domain, ended_at__isnull=True).select_related("domain__account")

    def finished(self) -> None:
        """Wait for the next scan, which comes at once where somebody asked for one meanwhile."""
        now = timezone.now()
        asked = DomainScan.objects.filter(pk=self.row.pk, asked_at__gt=self.began).exists()
        self.release(due_at=now if asked else max(now, self.began + _interval()), finished_at=now)

    def failed(self, error: AwsError) -> float:
        """Come back later to the same page; a call whose turn has not come yet has not failed."""
        if isinstance(error, Paced):
            seconds = error.retry_after or 1.0
            self.release(due_at=timezone.now() + timedelta(seconds=seconds))
            return seconds
        attempts = self.row.attempts + 1
        lasting = 60.0 if isinstance(error, LASTING) else 0.0
        pause = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, 2.0 ** min(attempts, 12))
        seconds = max(pause, lasting, error.retry_after or 0.0)
        self.release(due_at=timezone.now() + timedelta(seconds=seconds), attempts=attempts, error=error.message[:500])
        return seconds

    def keep(self, **changes: object) -> None:
        """Write to the row and keep the claim, for longer. Raises ClaimLost."""
        self._write(claimed_until=timezone.now() + CLAIM, **changes)

    def release(self, **changes: object) -> None:
        """Write to the row and give the claim up. Raises ClaimLost."""
        self._write(claim=None, claimed_until=None, **changes)

    def _write(self, **changes: object) -> None:
        if not DomainScan.objects.filter(pk=self.row.pk, claim=self.claim).update(**changes):
            raise ClaimLost
        for name, value in changes.items():
            setattr(self.row, name, value)
