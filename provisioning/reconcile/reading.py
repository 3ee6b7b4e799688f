"""Reading for a comparison: AWS's list page by page, then the profiles one by one, then those that were not listed.

What was found is kept with the place where to go on, so that a worker that dies loses some calls at most. Never more
than a page of profiles is in memory.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.utils import timezone

from provisioning.aws import errors
from provisioning.aws.client import Account
from provisioning.aws.studio import Studio
from provisioning.database import give_back_connection
from provisioning.models import Profile, ReconcileItem, Reconciliation, SeenProfile
from provisioning.reconcile import facts, plan
from provisioning.reconcile.plan import Actual, Finding
from teams import audit

Stage = Reconciliation.Stage
State = Profile.State

# Longer than a step and the calls of one profile that all run into their time limits.
CLAIM = timedelta(seconds=55)
# So many profiles are looked at from one query.
BATCH = 100
# A list that has not ended after so many pages, or was begun again so often, never will.
MAX_PAGES = 5000
MAX_RESTARTS = 20
# What AWS changed less than this before the comparison began may change again within the resolution of its clock.
MARGIN = timedelta(minutes=1)
# What became ready less than this before the comparison began may be missing only in readings that lag behind.
LAG = timedelta(minutes=2)


class ClaimLost(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """Somebody else has the row now, or it is decided already."""


class Reading:
    """The claimed row of a comparison that is being read; `over` says when it is time to make room for others."""

    def __init__(self, run: Reconciliation, claim: uuid.UUID, over: Callable[[], bool]) -> None:
        self.run = run
        self.domain = run.domain
        self.claim = claim
        self.over = over
        self._studio = Studio(Account.of(run.domain.account), run.domain.region)

    @property
    def studio(self) -> Studio:
        """AWS, with the database connection given back first: ask for it at each call."""
        give_back_connection()
        return self._studio

    def go_on(self) -> None:
        """Do the next piece of work. Raises AwsError, ClaimLost; does nothing when everything is read."""
        if self.run.stage == Stage.LISTING:
            self._list()
        elif self.run.stage == Stage.LOOKING:
            self._look()
        elif self.run.stage == Stage.MISSING:
            self._look_for_missing()

    def _list(self) -> None:
        """Keep one page of AWS's list and the place behind it."""
        run = self.run
        if run.pages >= MAX_PAGES:
            raise errors.Invalid("AWS did not come to the end of the list of profiles.", code="EndlessList")
        try:
            page = self.studio.profiles_page(self.domain.domain_id, run.token)
        except errors.Invalid:
            # AWS forgets tokens after a while; without one the request itself is wrong.
            if not run.token or run.restarts >= MAX_RESTARTS:
                raise
            write(run, self.claim, token="", restarts=run.restarts + 1)
            return
        seen = [
            SeenProfile(
                run=run, name=each.name, key=each.name.lower(), status=each.status[:32], modified_at=each.modified
            )
            for each in page.profiles
        ]
        if page.next_token and page.next_token == run.token:
            raise errors.Invalid("AWS's pages of profiles lead in a circle.", code="EndlessList")
        with transaction.atomic():
            stage = Stage.LISTING if page.next_token else Stage.LOOKING
            self._write(token=page.next_token, pages=run.pages + 1, stage=stage)
            SeenProfile.objects.bulk_create(seen, ignore_conflicts=True)
            if stage == Stage.LOOKING:
                self._write(listed=run.seen.count())

    def _look(self) -> None:
        """Compare the next profiles of the list with their rows."""
        batch = list(self.run.seen.filter(pk__gt=self.run.position).order_by("pk")[:BATCH])
        if not batch:
            self._write(stage=Stage.MISSING, position=0)
            return
        known = facts.known(facts.rows_named(self.domain, [seen.key for seen in batch]))
        self._work_off(batch, lambda found, seen: self._compare(found, seen, known.get(seen.key)))

    def _look_for_missing(self) -> None:
        """Ask AWS itself for each profile that should be there and was not in its list."""
        listed = SeenProfile.objects.filter(run=self.run, key=Lower(OuterRef("name")))
        rows = facts.rows_of(self.domain).filter(self._unchanged(), ~Exists(listed), state=State.READY)
        batch = list(rows.filter(pk__gt=self.run.position).order_by("pk")[:BATCH])
        if not batch:
            self._write(stage=Stage.DONE, position=0)
            return
        known = facts.known(batch)
        self._work_off(batch, lambda found, row: self._confirm(found, known[row.name.lower()]))

    def _work_off(self, batch: Iterable[Any], look: Callable[["Found", Any], None]) -> None:
        """Look at each row of a batch until the time is over, and keep what was found, even when a call fails."""
        found = Found()
        try:
            for row in batch:
                look(found, row)
                found.position = row.pk
                if self.over():
                    break
        finally:
            self._keep(found)

    def _compare(self, found: "Found", seen: SeenProfile, known: facts.Known | None) -> None:
        """Compare one profile of the list, as far as that is anybody's business now. Raises AwsError."""
        recorded = known.recorded if known else None
        if known and not self._is_unchanged(known.profile):
            found.left_alone += 1
            return
        if not plan.settled(recorded) or (known and recorded and self._is_as_before(seen, known, recorded)):
            return
        if recorded and recorded.state == State.READY and not recorded.has_access:
            found.add(seen.name, known, plan.compare(None, recorded))
            return
        self._look_closer(found, seen, known)

    def _look_closer(self, found: "Found", seen: SeenProfile, known: facts.Known | None) -> None:
        """Ask AWS about one profile. Raises AwsError."""
        recorded = known.recorded if known else None
        found.looked_at += 1
        try:
            actual = self._actual(seen.name, recorded)
        except errors.NotFound:
            # The list and the description disagree: whichever lags behind, the next comparison knows.
            return
        except errors.Denied as error:
            if recorded is not None and recorded.state == State.READY:
                raise
            # What the portal may not even look at is nobody's of ours.
            found.add(seen.name, known, [plan.hidden(error.message)])
            return
        findings = plan.compare(actual, recorded, obstacle=self._obstacle(actual, recorded))
        found.add(seen.name, known, findings)
        if known and not findings and recorded and recorded.state == State.READY and self._is_old(seen):
            found.agreed[known.profile.pk] = seen.modified_at

    def _actual(self, name: str, recorded: plan.Recorded | None) -> Actual:
        """Return a profile as AWS describes it, with its tags where they matter. Raises AwsError."""
        described = self.studio.describe_profile(self.domain.domain_id, name)
        actual = Actual(
            name, described.status, described.arn, described.execution_role_arn, described.user_settings,
            failure_reason=described.failure_reason,
        )  # fmt: skip
        found = recorded is not None and recorded.state == State.READY and not recorded.managed
        if found or actual.status in plan.BUSY or not actual.arn:
            return actual
        return replace(actual, tags=self.studio.list_tags(actual.arn))

    def _obstacle(self, actual: Actual, recorded: plan.Recorded | None) -> str:
        """Return why a profile that carries our tags and that nobody uses cannot be retired."""
        if recorded is not None and recorded.state != State.RETIRED:
            return ""
        tags = actual.tags or {}
        return facts.owners(self.domain, actual.name, tags).obstacle if plan.is_ours(tags) else ""

    def _confirm(self, found: "Found", known: facts.Known) -> None:
        """Take a profile for missing only where AWS says so of itself."""
        if not known.recorded.has_access:
            found.add(known.profile.name, known, plan.compare(None, known.recorded))
            return
        found.looked_at += 1
        try:
            self.studio.describe_profile(self.domain.domain_id, known.profile.name)
        except errors.NotFound:
            found.add(known.profile.name, known, plan.compare(None, known.recorded))

    def _is_as_before(self, seen: SeenProfile, known: facts.Known, recorded: plan.Recorded) -> bool:
        """Whether nothing has changed, here or there, since a comparison found the profile as it should be."""
        profile = known.profile
        return (
            not self.run.is_full
            and profile.state == State.READY
            and seen.status == plan.IN_SERVICE
            and seen.modified_at is not None
            and seen.modified_at == profile.aws_modified_at
            and recorded.has_access
            and profile.execution_role_arn == known.role
            and (profile.form_version == profile.team.form_version or not profile.managed)
        )

    def _is_old(self, seen: SeenProfile) -> bool:
        return seen.modified_at is not None and seen.modified_at < self.run.started_at - MARGIN

    def _unchanged(self) -> Q:
        """Return the filter on rows that nobody holds and that were not changed since shortly before we began."""
        now = timezone.now()
        free = Q(claim__isnull=True) | Q(claimed_until__lt=now)
        return free & Q(changed_at__lte=self.run.started_at - LAG)

    def _is_unchanged(self, profile: Profile) -> bool:
        held = (
            profile.claim is not None and profile.claimed_until is not None and profile.claimed_until > timezone.now()
        )
        return not held and profile.changed_at <= self.run.started_at

    def _write(self, **changes: Any) -> None:
        """Write to the row and keep the claim, for longer; a step that came so far has not failed."""
        write(self.run, self.claim, claimed_until=timezone.now() + CLAIM, attempts=0, error="", **changes)

    def _keep(self, found: "Found") -> None:
        """Keep what was found and the place behind it, in one transaction."""
        if found.position is None:
            return
        run = self.run
        counts = dict(run.counts)
        for item in found.items:
            counts[item.kind] = counts.get(item.kind, 0) + 1
        with transaction.atomic():
            # The claim first, so that a worker that was thought dead cannot keep a difference twice.
            self._write(
                position=found.position,
                counts=counts,
                looked_at=run.looked_at + found.looked_at,
                left_alone=run.left_alone + found.left_alone,
            )
            for item in found.items:
                item.run = run
            ReconcileItem.objects.bulk_create(found.items)
            if not run.dry_run:
                for pk, modified_at in found.agreed.items():
                    Profile.objects.filter(pk=pk).update(aws_modified_at=modified_at)


class Found:
    """What a piece of work found, and behind which row it ended."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.items: list[ReconcileItem] = []
        self.agreed: dict[int, Any] = {}
        self.looked_at = 0
        self.left_alone = 0

    def add(self, name: str, known: facts.Known | None, findings: Iterable[Finding]) -> None:
        """Note the differences of one profile."""
        for each in findings:
            item = ReconcileItem(
                name=name,
                profile=known.profile if known else None,
                kind=each.kind,
                action=each.action,
                reason=audit.scrub_text(each.reason)[:500],
                detail=audit.scrub({"has": dict(each.has), "wanted": dict(each.wanted)}),
            )
            self.items.append(item)


def write(run: Reconciliation, claim: uuid.UUID, /, **changes: Any) -> None:
    """Write to a row that is worked on and claimed. Raises ClaimLost."""
    claimed = Reconciliation.objects.filter(pk=run.pk, claim=claim, state__in=Reconciliation.OPEN)
    if not claimed.update(**changes):
        raise ClaimLost
    for name, value in changes.items():
        setattr(run, name, value)
