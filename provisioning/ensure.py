"""One bounded step that brings one profile nearer to what it should be; the row says what comes next.

    WANTED ── create ──▶ CREATING ── InService ──▶ READY
      ▲                     │  ▲                     │
      └─ click, try again   │  └── role changed ─────┘
                            ▼
                    FAILED, CONFLICT

A step claims its row by compare-and-set, so that two workers never act on one profile at once, and makes at most three
calls of AWS, none of them inside a transaction or with a database connection held. It never waits: it says when to
come back. A worker that dies leaves a claim that runs out, and the next one starts from what AWS then says; what the
dead one had begun is recognised by its tags.
"""

import random
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from provisioning import desired
from provisioning.aws.client import Account
from provisioning.aws.errors import AlreadyExists, AwsError, Denied, NotFound, Throttled, Transient
from provisioning.aws.studio import ProfileDescription, Studio
from provisioning.database import give_back_connection
from provisioning.models import Profile
from teams import access, audit
from teams.models import AuditEvent, Domain

State = Profile.State
Action = AuditEvent.Action

# Longer than three calls that all run into their time limits.
CLAIM = timedelta(seconds=45)
# Clocks differ, and a countdown may end a moment early.
EARLY = timedelta(milliseconds=500)
DEADLINE = timedelta(minutes=10)
MAX_REPAIRS = 3
MAX_BACKOFF = 60.0
# When a parked failure is tried again by itself.
PARKED = timedelta(minutes=30)
PARKED_DENIED = timedelta(minutes=15)


@dataclass(frozen=True)
class Next:
    """What a step left behind: the state of the row (empty when it was not ours to touch), and the seconds until the
    next step; None when there is none or it is far away."""

    state: str = ""
    seconds: float | None = None


class ClaimLost(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """Somebody else has the row now; whatever this step found out is out of date."""


def ensure(profile_id: int) -> Next:
    """Make one step at a profile that is due; does nothing when it is not, or when another worker is at it.

    Raises nothing of AWS: every failure is in the row, and in the audit log when it is a new one.
    """
    token = _claim(profile_id)
    if token is None:
        return Next()
    profile = Profile.objects.select_related("user", "team__domain__account", "domain__account").get(pk=profile_id)
    try:
        return _begin(profile, token)
    except ClaimLost:
        return Next()


def _claim(profile_id: int) -> uuid.UUID | None:
    now, token = timezone.now(), uuid.uuid4()
    free = Q(claim__isnull=True) | Q(claimed_until__lt=now)
    claimed = Profile.objects.filter(free, pk=profile_id, due_at__lte=now + EARLY).update(
        claim=token, claimed_until=now + CLAIM
    )
    return token if claimed else None


def _begin(profile: Profile, token: uuid.UUID) -> Next:
    role = access.role_for(profile.user_id, profile.team_id)
    row = Row(profile, token)
    if role is None:
        # Who lost access gets nothing made; when access returns, the row is taken up again.
        return row.release(state=State.READY if profile.state == State.READY else State.WANTED, due_at=None)
    if profile.domain_id != profile.team.domain_id:
        row.move(profile.team.domain)
    if profile.domain.auth_mode == Domain.AuthMode.SSO:
        return row.park("SsoDomain", "This domain uses IAM Identity Center; the portal cannot make profiles in it yet.")
    try:
        wanted = desired.desired(
            name=profile.name,
            username=profile.user.username,
            team_slug=profile.team.slug,
            execution_role_arn=role,
            user_settings=profile.team.user_settings,
            team_tags=dict(profile.team.tags.values_list("key", "value")),
        )
    except desired.TooManyTagsError as error:
        return row.park("TooManyTags", str(error))
    try:
        return Step(row, wanted).run()
    except AwsError as error:
        return row.failed(error, wanted)


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
        """Write `changes`, give the claim up, and come back in `seconds` or when `due_at` among the changes says."""
        if seconds is not None:
            changes["due_at"] = timezone.now() + timedelta(seconds=seconds)
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
            told, domain=domain, state=State.WANTED, arn="", execution_role_arn="", managed=True, repairs=0,
            deadline_at=None,
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
            **changes,
        )

    def failed(self, error: AwsError, wanted: desired.DesiredProfile) -> Next:
        """Take note of a call that failed: tried again soon, or parked where trying again does not help."""
        # Not found and busy, where neither was expected, are AWS's answers not yet in step with each other.
        if isinstance(error, Transient | Throttled | NotFound | AlreadyExists):
            attempts = self.profile.attempts + 1
            return self.release(
                seconds=_backoff(attempts, error.retry_after),
                attempts=attempts,
                error_code=error.code[:64],
                error=error.message[:500],
                aws_request_id=error.request_id[:64],
            )
        usable = bool(self.profile.arn) and self.profile.execution_role_arn == wanted.execution_role_arn
        return self.park(
            error.code,
            error.message,
            # A profile that was seen in service is not spoilt by a portal that may not look at it or change it.
            state=State.READY if usable else State.FAILED,
            after=PARKED_DENIED if isinstance(error, Denied) else PARKED,
            request_id=error.request_id,
        )


class Step:
    """What to do about what AWS says of one profile."""

    def __init__(self, row: Row, wanted: desired.DesiredProfile) -> None:
        self.row = row
        self.profile = row.profile
        self.wanted = wanted
        self.domain_id = row.profile.domain.domain_id
        account = row.profile.domain.account
        self._studio = Studio(Account(account.role_arn, account.external_id), row.profile.domain.region)

    @property
    def studio(self) -> Studio:
        """AWS, with the database connection given back first: ask for it at each call."""
        give_back_connection()
        return self._studio

    def run(self) -> Next:
        """Describe, then do the one thing that follows from it."""
        try:
            found = self.studio.describe_profile(self.domain_id, self.wanted.name)
        except NotFound as error:
            return self.create(error)
        return self.decide(found)

    def create(self, missing: NotFound) -> Next:
        """Make the profile. That we are about to is committed first, so that a lost answer is no riddle later."""
        gone = {
            "action": Action.PROFILE_MISSING,
            "reason": missing.message,
            "aws_request_id": missing.request_id,
            "data": {"domain": self.domain_id, "code": missing.code},
        }
        self.row.mark(
            *((gone,) if self.profile.state == State.READY else ()),
            state=State.CREATING, arn="", execution_role_arn="", managed=True, deadline_at=timezone.now() + DEADLINE,
        )  # fmt: skip
        try:
            made = self.studio.create_profile(
                self.domain_id, self.wanted.name, user_settings=self.wanted.user_settings, tags=self.wanted.tags
            )
        except AlreadyExists:
            # Our own call with a lost answer, or somebody else was faster: its tags will tell.
            return self.decide(self.studio.describe_profile(self.domain_id, self.wanted.name))
        except NotFound as error:
            message = f"AWS has no domain {self.domain_id} in {self._studio.region}. {error.message}"
            return self.row.park("DomainNotFound", message, after=PARKED, request_id=error.request_id)
        told = {
            "action": Action.PROFILE_CREATED,
            "aws_request_id": made.request_id,
            "data": {
                "domain": self.domain_id,
                "execution_role": self.wanted.execution_role_arn,
                "tags": self.wanted.tags,
            },
        }
        return self.row.release(
            told, seconds=1, arn=made.arn, deadline_at=timezone.now() + DEADLINE, aws_request_id=made.request_id,
            **_NO_ERROR,
        )  # fmt: skip

    def decide(self, found: ProfileDescription) -> Next:
        """Do what the profile's status asks for, and only to a profile that is ours."""
        if found.status in {"Pending", "Updating", "Deleting"}:
            return self.wait(found)
        fits = found.execution_role_arn == self.wanted.execution_role_arn
        if self.profile.state == State.READY and found.status == "InService" and fits and self.settings_fit(found):
            return self.ready(found)
        if not self.made_by_us(found):
            tags = self.studio.list_tags(found.arn)
            if not desired.is_ours(tags, self.wanted, recorded=self.recorded(found)):
                return self.foreign(found, tags)
        if found.status == "InService":
            return self.ready(found) if fits and self.profile.state != State.READY else self.update(found)
        if found.status == "Update_Failed":
            return self.update(found)
        if found.status in {"Failed", "Delete_Failed"}:
            return self.remake(found)
        return self.wait(found)

    def settings_fit(self, found: ProfileDescription) -> bool:
        """Whether there is nothing to change in the settings; those of a profile that is not ours stay as they are."""
        return not self.profile.managed or desired.contains(found.user_settings, self.wanted.user_settings)

    def recorded(self, found: ProfileDescription) -> bool:
        """Whether the row says that this very profile is ours."""
        return self.profile.managed and bool(found.arn) and self.profile.arn == found.arn

    def made_by_us(self, found: ProfileDescription) -> bool:
        """Whether this is what our own create, just now, answered for: its tags need not be asked."""
        return self.profile.state == State.CREATING and self.recorded(found)

    def wait(self, found: ProfileDescription) -> Next:
        """Come back soon, until the deadline."""
        now = timezone.now()
        deadline = self.profile.deadline_at or now + DEADLINE
        if now > deadline:
            minutes = int(DEADLINE.total_seconds() // 60)
            message = f"SageMaker still says “{found.status}” of this profile after {minutes} minutes."
            return self.row.park("Timeout", message, after=PARKED_DENIED, request_id=found.request_id)
        waited = (now - (deadline - DEADLINE)).total_seconds()
        seconds = 1 if waited < 15 else 2 if waited < 60 else 5
        return self.row.release(state=State.CREATING, deadline_at=deadline, seconds=seconds)

    def ready(self, found: ProfileDescription) -> Next:
        """Note that the profile is in service with the role that it should have."""
        told = {
            "action": Action.PROFILE_READY,
            "aws_request_id": found.request_id,
            "data": {"domain": self.domain_id, "execution_role": found.execution_role_arn},
        }
        return self.row.release(
            *(() if self.profile.state == State.READY else (told,)),
            managed=self.profile.managed if self.profile.state == State.READY else True,
            state=State.READY,
            arn=found.arn,
            execution_role_arn=found.execution_role_arn,
            aws_request_id=found.request_id,
            repairs=0,
            due_at=None,
            deadline_at=None,
            **_NO_ERROR,
        )

    def update(self, found: ProfileDescription) -> Next:
        """Bring role and settings to what they should be; it is not ready before that."""
        if self.profile.repairs >= MAX_REPAIRS:
            reason = found.failure_reason or f"AWS keeps the execution role {found.execution_role_arn or '(none)'}."
            return self.give_up("UpdateFailed", f"The profile could not be updated. {reason}", found)
        self.row.mark(
            state=State.CREATING, arn=found.arn, execution_role_arn=found.execution_role_arn,
            repairs=self.profile.repairs + 1, deadline_at=timezone.now() + DEADLINE,
        )  # fmt: skip
        try:
            self.studio.update_profile(self.domain_id, self.wanted.name, user_settings=self.wanted.user_settings)
        except AlreadyExists:
            return self.wait(found)
        return self.row.release(seconds=1)

    def remake(self, found: ProfileDescription) -> Next:
        """Delete a profile that failed; once it is gone, the next step makes it again."""
        if self.profile.repairs >= MAX_REPAIRS:
            reason = found.failure_reason or "AWS gives no reason."
            return self.give_up(found.status, f"The profile failed {MAX_REPAIRS} times. {reason}", found)
        self.row.mark(
            state=State.CREATING, execution_role_arn="", repairs=self.profile.repairs + 1,
            deadline_at=timezone.now() + DEADLINE,
        )  # fmt: skip
        try:
            deleted = self.studio.delete_profile(self.domain_id, self.wanted.name)
        except AlreadyExists:
            return self.wait(found)
        except NotFound:
            return self.row.release(arn="", seconds=0)
        told = {
            "action": Action.PROFILE_DELETED,
            "aws_request_id": deleted.request_id,
            "reason": f"{found.status}: {found.failure_reason or 'AWS gives no reason'}; it is made again.",
            "data": {"domain": self.domain_id, "status": found.status},
        }
        return self.row.release(told, seconds=1)

    def give_up(self, code: str, message: str, found: ProfileDescription) -> Next:
        """Park a profile whose repairs did not help."""
        return self.row.park(code, message, after=PARKED, request_id=found.request_id)

    def foreign(self, found: ProfileDescription, tags: dict[str, str]) -> Next:
        """Use a profile that the portal did not make if nothing speaks against it; never change or delete it."""
        against = desired.contradiction(tags, self.wanted)
        if against:
            reason = f"it is tagged {against}"
        elif found.status != "InService":
            reason = f"its status is {found.status}"
        elif found.execution_role_arn != self.wanted.execution_role_arn:
            role = found.execution_role_arn or "(none)"
            reason = f"its execution role is {role}, not {self.wanted.execution_role_arn}"
        else:
            return self.use_found(found)
        return self.row.park(
            "NameTaken",
            f"AWS has a profile of this name that the portal did not make, and {reason}.",
            state=State.CONFLICT,
            request_id=found.request_id,
            managed=False,
            arn=found.arn,
            execution_role_arn=found.execution_role_arn,
        )

    def use_found(self, found: ProfileDescription) -> Next:
        """Take a profile that was there before us as it is."""
        told = {
            "action": Action.PROFILE_FOUND,
            "aws_request_id": found.request_id,
            "reason": "Used as it is; the portal neither changes nor deletes it.",
            "data": {"domain": self.domain_id, "execution_role": found.execution_role_arn, "arn": found.arn},
        }
        return self.row.release(
            told, state=State.READY, managed=False, arn=found.arn, execution_role_arn=found.execution_role_arn,
            aws_request_id=found.request_id, repairs=0, due_at=None, deadline_at=None, **_NO_ERROR,
        )  # fmt: skip


_NO_ERROR: dict[str, Any] = {"error_code": "", "error": "", "attempts": 0}


def _backoff(attempts: int, retry_after: float | None) -> float:
    """Return the seconds before the next try: doubled each time up to a minute, spread so that workers do not march."""
    seconds = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, 2.0 ** min(attempts, 10))
    return min(MAX_BACKOFF, max(seconds, retry_after or 0.0))
