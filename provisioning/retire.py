"""One bounded step that brings a profile nearer to its end, at a row whose person has no access any more.

    RETIRING ── revoked ──▶ apps stopped, and again while a session may still be open
        │
        └── grace period over ──▶ apps stopped ──▶ spaces deleted ──▶ profile deleted ──▶ gone ──▶ RETIRED

It works as `ensure` does: a claim by compare-and-set, few calls, none in a transaction, no waiting. Before each call
that deletes, the row is asked whether access has come back; then nothing more is deleted and the profile is wanted
again. Only a profile that carries the portal's tags is touched. Every deletion takes “already gone” for done and “in
use” for “look again”, because people who are still inside may start apps all the while.
"""

from datetime import timedelta

from django.utils import timezone

from provisioning import desired, ending, sso_assignments
from provisioning.aws.client import Account
from provisioning.aws.errors import AlreadyExists, AwsError, NotFound, Throttled, Transient
from provisioning.aws.studio import ProfileDescription, Studio
from provisioning.clearing import GivenUp, Progress, Round
from provisioning.database import give_back_connection
from provisioning.models import Profile
from provisioning.rows import (
    DEADLINE,
    LAG,
    MAX_REPAIRS,
    NO_ERROR,
    PARKED,
    PARKED_DENIED,
    Action,
    ClaimLost,
    Next,
    Row,
    State,
    claim,
)
from teams import access

# The pauses between looks for apps that a session started which is still open.
SHORTEST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=30)


class AccessReturned(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """The person may use the profile again; nothing more is deleted."""


def retire(profile_id: int) -> Next:
    """Make one step at a retiring profile that is due; does nothing when it is not, or when another worker is at it.

    Raises nothing of AWS: every failure is in the row, and in the audit log when it is a new one.
    """
    token = claim(profile_id, retiring=True)
    if token is None:
        return Next()
    profile = Profile.objects.select_related("user", "team", "domain__account").get(pk=profile_id)
    row = Row(profile, token)
    try:
        return _begin(row)
    except AccessReturned:
        return _restore(row)
    except ClaimLost:
        return Next()


def _begin(row: Row) -> Next:
    profile, team = row.profile, row.profile.team
    _require_no_access(profile)
    fault = None
    if sso_assignments.ends(profile):
        # In SSO mode this is the closed door: no URL has to be minted there.
        fault = sso_assignments.take_away(row, lambda: _require_no_access(profile))
        if isinstance(fault, Transient | Throttled | AlreadyExists):
            return row.failed(fault, parked=State.RETIRING)
    # A clock that is ahead brings a row too early: it comes back for what is still to be taken away.
    lapses_at = sso_assignments.lapses_at(profile) if sso_assignments.is_kept(profile) else None
    if not profile.managed:
        return row.failed(fault, parked=State.RETIRING) if fault else row.release(due_at=lapses_at)
    retire_at = None if team.keeps_profiles else profile.retire_at
    deletes = retire_at is not None and retire_at <= timezone.now()
    if not deletes and profile.ended_by != Profile.End.REVOKED:
        return row.failed(fault, parked=State.RETIRING) if fault else row.release(due_at=retire_at or lapses_at)
    step = Step(row, deletes=deletes, fault=fault)
    try:
        return step.run()
    except AwsError as error:
        return row.failed(error, parked=State.RETIRING, progress=step.round.progress.as_dict())


def _require_no_access(profile: Profile) -> None:
    """Raise AccessReturned when the person may use the profile after all: the one query before each deletion."""
    if access.role_for(profile.user_id, profile.team_id) is not None:
        raise AccessReturned


def _restore(row: Row) -> Next:
    told, changes = ending.restored(row.profile)
    try:
        row.release(told, **changes)
    except ClaimLost:
        return Next()
    return Next(row.profile.state, 0)


class Step:
    """What to do about what AWS says of one profile; `deletes`: the grace period is over.

    `fault` is why its person's assignment could not be taken away: their apps are stopped all the same, and the profile
    is kept until that is done.
    """

    def __init__(self, row: Row, *, deletes: bool, fault: AwsError | None = None) -> None:
        self.fault = fault
        self.row = row
        self.profile = row.profile
        self.deletes = deletes
        self.domain_id = row.profile.domain.domain_id
        account = row.profile.domain.account
        self._studio = Studio(Account.of(account), row.profile.domain.region)
        self._kept_at = timezone.now()
        self.round = Round(row, self.studio, self.may_go_on, spaces_too=deletes)

    def studio(self) -> Studio:
        """Return AWS, with the claim renewed when it is no longer fresh, and the database connection given back."""
        if timezone.now() - self._kept_at > timedelta(seconds=10):
            self.row.mark()
            self._kept_at = timezone.now()
        give_back_connection()
        return self._studio

    def may_go_on(self) -> None:
        """Called before each deletion. Raises AccessReturned."""
        _require_no_access(self.profile)

    def run(self) -> Next:
        """Describe, make sure that the profile is ours, clear away what it runs, and delete it last."""
        try:
            found = self.studio().describe_profile(self.domain_id, self.profile.name)
            if found.status == "Deleting":
                return self.wait(f"SageMaker still says “Deleting” of the profile {self.profile.name}.")
            if not self.is_ours(found):
                return self.foreign(found)
        except NotFound as error:
            return self.missing(error)
        try:
            whole = self.round.run()
        except GivenUp as reason:
            return self.give_up(str(reason))
        if not whole:
            return self.row.release(seconds=0, progress=self.round.progress.as_dict(), **NO_ERROR)
        if self.round.progress.busy:
            return self.wait(f"AWS still has {self.round.progress.what} of the profile {self.profile.name}.")
        if self.fault is not None:
            return self.row.failed(self.fault, parked=State.RETIRING, progress={})
        return self.delete(found) if self.deletes else self.stopped()

    def is_ours(self, found: ProfileDescription) -> bool:
        """Whether the tags say that the portal made this profile for this person and team."""
        tags = self.profile.team.tags.values_list("key", "value")
        wanted = desired.desired(
            name=self.profile.name,
            username=self.profile.user.username,
            team_slug=self.profile.team.slug,
            execution_role_arn="",
            user_settings={},
            # No other tag of the team says whose a profile is.
            team_tags={key: value for key, value in tags if key.lower() == desired.TEAM.lower()},
        )
        recorded = bool(found.arn) and self.profile.arn == found.arn
        return desired.is_ours(self.studio().list_tags(found.arn), wanted, recorded=recorded)

    def foreign(self, found: ProfileDescription) -> Next:
        """Leave a profile alone that does not carry our tags, whatever the row thought of it."""
        told = {
            "action": Action.PROFILE_FOUND,
            "aws_request_id": found.request_id,
            "reason": "AWS has a profile of this name without the portal's tags; it is neither stopped nor deleted.",
            "data": {"domain": self.domain_id, "arn": found.arn},
        }
        if self.fault is not None:
            self.row.mark(told, managed=False, retire_at=None, deadline_at=None, progress={})
            return self.row.failed(self.fault, parked=State.RETIRING)
        return self.row.release(
            told, managed=False, retire_at=None, due_at=None, deadline_at=None, progress={}, **NO_ERROR
        )

    def missing(self, error: NotFound) -> Next:
        """Note that the profile is gone; one that may have been made a moment ago is looked for again."""
        if self.profile.delete_asked_at is None and timezone.now() < self.profile.changed_at + LAG:
            return self.row.release(seconds=2)
        if self.fault is not None:
            return self.row.failed(self.fault, parked=State.RETIRING, progress={})
        asked = self.profile.delete_asked_at is not None
        told = {
            "action": Action.PROFILE_DELETED if asked else Action.PROFILE_MISSING,
            "aws_request_id": (asked and self.round.progress.deletion) or error.request_id,
            "reason": "" if asked else "It was gone before the portal deleted it.",
            "data": {"domain": self.domain_id},
        }
        return self.row.release(
            *((told,) if asked or self.profile.arn else ()),
            state=State.RETIRED, arn="", execution_role_arn="", delete_asked_at=None, progress={}, repairs=0,
            due_at=None, deadline_at=None, sso_user="", **NO_ERROR,
        )  # fmt: skip

    def wait(self, message: str) -> Next:
        """Come back soon for another round, until the deadline."""
        now = timezone.now()
        deadline = self.profile.deadline_at or now + DEADLINE
        if now > deadline:
            return self.row.park(
                "Timeout", message, state=State.RETIRING, after=PARKED_DENIED, progress=self.next_round()
            )
        waited = (now - (deadline - DEADLINE)).total_seconds()
        seconds = 1 if waited < 5 else 2 if waited < 30 else 5
        return self.row.release(seconds=seconds, deadline_at=deadline, progress=self.next_round())

    def next_round(self) -> dict[str, object]:
        """Return the progress with which the next step begins a round."""
        return self.round.progress.afresh().as_dict()

    def stopped(self) -> Next:
        """Note that no app runs; look again while a session that was opened before may start new ones."""
        team, now = self.profile.team, timezone.now()
        ended_at = self.profile.ended_at or now
        session_ends = ended_at + timedelta(seconds=team.session_duration + team.url_lifetime)
        pause = min(max((now - ended_at) / 4, SHORTEST_PAUSE), LONGEST_PAUSE)
        moments = [min(now + pause, session_ends)] if now < session_ends else []
        if self.profile.retire_at is not None and not team.keeps_profiles:
            moments.append(self.profile.retire_at)
        return self.row.release(
            due_at=min(moments, default=None), deadline_at=None, progress={}, repairs=0, **NO_ERROR
        )  # fmt: skip

    def delete(self, found: ProfileDescription) -> Next:
        """Delete the profile, which has neither apps nor spaces of its own any more."""
        failed = found.status == "Delete_Failed"
        if failed and self.profile.repairs >= MAX_REPAIRS:
            reason = found.failure_reason or "AWS gives no reason."
            return self.give_up(f"AWS failed {MAX_REPAIRS} times to delete the profile. {reason}")
        now = timezone.now()

        def announce() -> None:
            self.may_go_on()
            self.row.mark(
                delete_asked_at=self.profile.delete_asked_at or now, repairs=self.profile.repairs + failed,
                deadline_at=self.profile.deadline_at or now + DEADLINE,
            )  # fmt: skip

        try:
            deleted = self.studio().delete_profile(self.domain_id, self.profile.name, announce=announce)
        except NotFound as error:
            return self.missing(error)
        except AlreadyExists as error:
            return self.held(error)
        progress = Progress(deletion=deleted.request_id).as_dict()
        return self.row.release(seconds=1, deadline_at=now + DEADLINE, attempts=0, progress=progress)

    def give_up(self, message: str) -> Next:
        """Park what did not go several times; the next try has all its chances again."""
        return self.row.park("Delete_Failed", message, state=State.RETIRING, after=PARKED, repairs=0, progress={})

    def held(self, error: AlreadyExists) -> Next:
        """Go round again for what has come meanwhile; spaces that the portal does not touch are for people to move."""
        shared = self.round.progress.shared
        if not shared:
            return self.wait(error.message)
        message = f"The profile owns shared spaces, which the portal does not delete: {', '.join(shared)}."
        return self.row.park(
            "OwnsSharedSpace", message, state=State.RETIRING, after=PARKED, request_id=error.request_id, progress={}
        )
