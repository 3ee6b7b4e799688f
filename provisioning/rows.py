"""The claimed row of a profile: compare-and-set before anybody acts, and every write with its audit rows in one go."""

import random
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.utils import timezone

from provisioning import crowd, permissions
from provisioning.aws.errors import (
    AlreadyExists,
    AwsError,
    Denied,
    NotFound,
    Paced,
    QuotaExceeded,
    Throttled,
    Transient,
)
from provisioning.models import Profile
from teams import audit
from teams.models import AuditEvent, Domain

State = Profile.State
Action = AuditEvent.Action

# The states of profiles whose person has no access.
ENDED = (State.RETIRING, State.RETIRED)

# Longer than a retiring step goes without renewing it, ten seconds and a call that runs into its time limits: what a
# killed worker had claimed is taken up so much later. Who is slower than that finds out before anything is changed.
CLAIM = timedelta(seconds=25)
# Clocks differ, and a countdown may end a moment early.
EARLY = timedelta(milliseconds=500)
MAX_BACKOFF = 60.0
# When a parked failure is tried again by itself.
PARKED = timedelta(minutes=30)
PARKED_DENIED = timedelta(minutes=15)
# How long one thing may take in AWS, and how often something that failed is tried again before it is parked.
DEADLINE = timedelta(minutes=10)
MAX_REPAIRS = 3
# How long a profile that AWS said it makes may be missing from what AWS then describes.
LAG = timedelta(seconds=15)
# How often a profile that may be ours is looked at before it counts as somebody else's.
LOOKS = 4
# The error of a profile whose role mapping gives a role that cannot be; another mapping or group name ends it.
BAD_ROLE = "BadRole"
# Of a profile that is not there, or is not ours.
NO_FORM: dict[str, Any] = {"form_version": 0, "asked_version": 0, "form_email": "", "applied_tags": {}}
NOT_ADOPTED: dict[str, Any] = {"adopted_by": "", "takes_over": False}
NO_ERROR: dict[str, Any] = {"error_code": "", "error": "", "attempts": 0}


@dataclass(frozen=True)
class Next:
    """What a step left behind: the state of the row (empty when it was not ours to touch), and the seconds until the
    next step; None when there is none or it is far away. `watch` is the domain whose list tells when to go on."""

    state: str = ""
    seconds: float | None = None
    watch: int | None = None


class ClaimLost(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """Somebody else has the row now; whatever this step found out is out of date."""


def free() -> Q:
    """Return the filter on rows that no worker has claimed."""
    return Q(claim__isnull=True) | Q(claimed_until__lt=timezone.now())


def claim(profile_id: int, *, retiring: bool = False) -> uuid.UUID | None:
    """Claim a row that is due and free, for `ensure` or for `retire`, which never take each other's rows."""
    kind = Q(state=State.RETIRING) if retiring else ~Q(state__in=ENDED)
    return _claim(Q(kind, pk=profile_id, due_at__lte=timezone.now() + EARLY))


def claim_watched(profile_id: int) -> uuid.UUID | None:
    """Claim a free row that the list of its domain says something of, due or not."""
    return _claim(Q(crowd.watched(), pk=profile_id))


def _claim(which: Q) -> uuid.UUID | None:
    token = uuid.uuid4()
    claimed = Profile.objects.filter(free(), which).update(claim=token, claimed_until=timezone.now() + CLAIM)
    return token if claimed else None


class Row:
    """The claimed row of one profile: every write goes through the claim, and its audit rows commit with it."""

    def __init__(self, profile: Profile, token: uuid.UUID) -> None:
        self.profile = profile
        self.token = token
        if profile.state == State.FAILED:
            # A new try after a failure that was parked starts with all its chances.
            profile.repairs, profile.deadline_at = 0, None

    def mark(self, *audits: dict[str, Any], **changes: Any) -> None:
        """Write `changes` and keep the claim, for longer. Raises ClaimLost."""
        self._write(audits, changes | {"claim": self.token, "claimed_until": timezone.now() + CLAIM})

    def release(self, *audits: dict[str, Any], seconds: float | None = None, **changes: Any) -> Next:
        """Write `changes`, give the claim up, and come back in `seconds` or when `due_at` among the changes says.

        Who woke the row meanwhile is not forgotten: then it is due when they said.
        """
        due_at = changes.get("due_at") if seconds is None else timezone.now() + timedelta(seconds=seconds)
        undisturbed = When(due_at=self.profile.due_at, then=Value(due_at, output_field=DateTimeField()))
        changes["due_at"] = Case(undisturbed, default=F("due_at"))
        self._write(audits, changes | {"claim": None, "claimed_until": None})
        return Next(self.profile.state, seconds)

    def _write(self, audits: tuple[dict[str, Any], ...], changes: dict[str, Any]) -> None:
        if changes.get("state", self.profile.state) != self.profile.state:
            changes["changed_at"] = timezone.now()
        with transaction.atomic():
            if not Profile.objects.filter(pk=self.profile.pk, claim=self.token).update(**changes):
                raise ClaimLost
            for each in audits:
                audit.record(**{"target": self.profile.name, "team": self.profile.team.slug} | each)
        for name, value in changes.items():
            setattr(self.profile, name, value)

    def move(self, domain: Domain) -> None:
        """Follow the team to another domain; what the old one holds stays there, and the audit log says so."""
        old = self.profile.domain.domain_id
        told = {
            "action": Action.PROFILE_REQUESTED,
            "reason": f"The team moved to domain {domain.domain_id}; the profile in {old} is left there.",
            "data": {"domain": domain.domain_id, "left_in": old},
        }
        self.mark(
            told, domain=domain, state=State.WANTED, arn="", execution_role_arn="", asked_role_arn="", managed=True,
            repairs=0, deadline_at=None, sso_user="", assigned_to={}, **NO_FORM, **NOT_ADOPTED,
        )  # fmt: skip

    def park(
        self,
        code: str,
        message: str,
        *,
        state: State = State.FAILED,
        after: timedelta | None = None,
        request_id: str = "",
        **changes: Any,
    ) -> Next:
        """Stop here: the failure is in the row, and in the audit log unless it is the same as before.

        `after`: when to try again by itself; None: only when somebody asks or something changes.
        """
        message = audit.scrub_text(message)[:500]
        known = (self.profile.error_code, self.profile.error) == (code[:64], message)
        told = {
            "action": Action.PROFILE_FAILED,
            "outcome": AuditEvent.Outcome.FAILED,
            "reason": message,
            "aws_request_id": request_id,
            "data": {"code": code, "domain": self.profile.domain.domain_id},
        }
        return self.release(
            *(() if known else (told,)),
            state=state,
            error_code=code[:64],
            error=message,
            aws_request_id=request_id[:64],
            attempts=self.profile.attempts + 1,
            due_at=timezone.now() + after if after else None,
            deadline_at=None,
            # Whatever becomes of it by the next try is not what was asked for.
            asked_role_arn="",
            **changes,
        )

    def failed(self, error: AwsError, *, parked: Profile.State, **changes: Any) -> Next:
        """Take note of a call that failed: tried again soon, or `parked` where trying again does not help.

        A call whose turn has not come yet has not failed: the row is due again later.
        """
        if isinstance(error, Paced):
            return self.release(seconds=crowd.pause(self.profile, error.retry_after or 0.0), **changes)
        # Not found and busy, where neither was expected, are AWS's answers not yet in step with each other.
        if isinstance(error, Transient | Throttled | NotFound | AlreadyExists):
            attempts = self.profile.attempts + 1
            return self.release(
                seconds=_backoff(attempts, error.retry_after),
                attempts=attempts,
                error_code=error.code[:64],
                error=error.message[:500],
                aws_request_id=error.request_id[:64],
                **changes,
            )
        denied = isinstance(error, Denied)
        return self.park(
            error.code,
            permissions.explain(error.message) if denied else error.message,
            state=parked,
            after=_pause(error),
            request_id=error.request_id,
            **changes,
        )


def _pause(error: AwsError) -> timedelta:
    """Return when a failure that trying again does not help is tried again all the same."""
    if isinstance(error, Denied):
        # What an account denies, it denies to all of its profiles: they do not come back at one moment.
        return PARKED_DENIED * random.uniform(0.94, 1.0)
    if isinstance(error, QuotaExceeded) and error.retry_after is not None:
        return timedelta(seconds=error.retry_after)
    return PARKED


def _backoff(attempts: int, retry_after: float | None) -> float:
    """Return the seconds before the next try: doubled each time up to a minute, spread so that workers do not march."""
    seconds = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, 2.0 ** min(attempts, 10))
    return min(MAX_BACKOFF, max(seconds, retry_after or 0.0))
