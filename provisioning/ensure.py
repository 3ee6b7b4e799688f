"""One bounded step that brings one profile nearer to what it should be; the row says what comes next.

    WANTED ── create ──▶ CREATING ── InService ──▶ READY
      ▲                     │  ▲                     │
      └─ click, try again   │  └── role changed ─────┘
                            ▼
                    FAILED, CONFLICT

Profiles whose person has no access any more are left to `retire`.

A step claims its row by compare-and-set, so that two workers never act on one profile at once, and makes at most three
calls of AWS, none of them inside a transaction or with a database connection held. It never waits: it says when to
come back. A worker that dies leaves a claim that runs out, and the next one starts from what AWS then says; what the
dead one had begun is recognised by its tags.
"""

import uuid
from dataclasses import replace

from django.utils import timezone

from provisioning import crowd, desired, sso
from provisioning.aws.client import Account
from provisioning.aws.errors import AlreadyExists, AwsError, Denied, Invalid, NotFound, QuotaExceeded
from provisioning.aws.studio import Answer, ProfileDescription, Studio
from provisioning.database import give_back_connection
from provisioning.models import Profile
from provisioning.rows import (
    BAD_ROLE,
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
    claim_watched,
)
from teams import access, role_names


def ensure(profile_id: int) -> Next:
    """Make one step at a profile that is due; does nothing when it is not, or when another worker is at it.

    Raises nothing of AWS: every failure is in the row, and in the audit log when it is a new one.
    """
    return _claimed(profile_id, claim(profile_id))


def settle(profile_id: int, request_id: str) -> Next:
    """Make a step at a profile that a list shows in service; `request_id` is AWS's of the list.

    Of what our own create was answered for, nothing else need be asked.
    """
    return _claimed(profile_id, claim_watched(profile_id), request_id)


def _claimed(profile_id: int, token: uuid.UUID | None, listed: str = "") -> Next:
    if token is None:
        return Next()
    profile = Profile.objects.select_related("user", "team__domain__account", "domain__account").get(pk=profile_id)
    try:
        return _begin(profile, token, listed)
    except ClaimLost:
        return Next()


def _begin(profile: Profile, token: uuid.UUID, listed: str) -> Next:
    role = access.role_for(profile.user_id, profile.team_id)
    row = Row(profile, token)
    if role is None:
        # Who lost access gets nothing made; when access returns, the row is taken up again.
        return row.release(state=State.READY if profile.state == State.READY else State.WANTED, due_at=None)
    if profile.domain_id != profile.team.domain_id:
        if following := sso.leave(row):
            return following
        row.move(profile.team.domain)
    if faults := role_names.faults(role, account=profile.domain.account.account_id):
        return row.park(
            BAD_ROLE, f"Nobody can work as “{role}”. {faults[0]} Another role mapping or group name ends this."
        )
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
        if following := sso.before(row):
            return following
        step = Step(row, wanted)
        return step.ready(step.as_asked(listed)) if listed and step.is_as_asked() else step.run()
    except AwsError as error:
        # A profile that was seen in service is not spoilt by a portal that may not look at it or change it.
        usable = bool(profile.arn) and profile.execution_role_arn == wanted.execution_role_arn
        return row.failed(error, parked=State.READY if usable else State.FAILED)


class Step:
    """What to do about what AWS says of one profile."""

    def __init__(self, row: Row, wanted: desired.DesiredProfile) -> None:
        self.row = row
        self.profile = row.profile
        self.wanted = wanted
        self.domain_id = row.profile.domain.domain_id
        domain = row.profile.domain
        self._studio = Studio(Account.of(domain.account), domain.region, first=crowd.waits_for(row.profile))

    @property
    def studio(self) -> Studio:
        """AWS, with the database connection given back first: ask for it at each call."""
        give_back_connection()
        return self._studio

    def run(self) -> Next:
        """Describe, then do the one thing that follows from it; in a crowd make what was never there straight away."""
        if self.profile.state == State.WANTED and not (self.profile.arn or self.profile.attempts) and self.crowded():
            return self.create()
        try:
            found = self.studio.describe_profile(self.domain_id, self.wanted.name)
        except NotFound as error:
            if self.just_made():
                return self.row.release(seconds=1)
            return self.create(error)
        return self.decide(found)

    def just_made(self) -> bool:
        """Whether AWS answered for our create moments ago: then “not found” is only a reading that lags behind."""
        deadline = self.profile.deadline_at
        if self.profile.state != State.CREATING or not self.profile.arn or deadline is None:
            return False
        return timezone.now() < deadline - DEADLINE + LAG

    def crowded(self) -> bool:
        """Whether this is one of many profiles of its domain, which are watched together."""
        return crowd.is_in(self.profile.domain_id)

    def is_as_asked(self) -> bool:
        """Whether our create is still all that there is of the profile, with the role that it should have by now."""
        return bool(self.is_watched() and self.profile.arn) and (
            self.profile.asked_role_arn == self.wanted.execution_role_arn
        )

    def as_asked(self, request_id: str) -> ProfileDescription:
        """Return what AWS would say of a profile that is in service as our create asked for it."""
        return ProfileDescription("InService", self.profile.arn, self.profile.asked_role_arn, "", {}, request_id)

    def create(self, missing: NotFound | None = None) -> Next:
        """Make the profile, which AWS said is `missing`, or which nobody has asked AWS for.

        That we are about to is committed first, so that a lost answer is no riddle later.
        """
        try:
            made = self.studio.create_profile(
                self.domain_id,
                self.wanted.name,
                user_settings=self.wanted.user_settings,
                tags=self.wanted.tags,
                sso_user=self.profile.sso_user,
                announce=lambda: self.about_to_create(missing),
            )
        except AlreadyExists as error:
            # Our own call with a lost answer, or somebody else was faster: its tags will tell.
            return self.already_there(error)
        except (Denied, QuotaExceeded) as error:
            return self.refused(error, known_missing=missing is not None)
        except (NotFound, Invalid) as error:
            if self.profile.sso_user:
                return sso.refused(self.row, error)
            if isinstance(error, Invalid):
                raise
            message = f"AWS has no domain {self.domain_id} in {self._studio.region}. {error.message}"
            return self.row.park("DomainNotFound", message, after=PARKED, request_id=error.request_id)
        return self.created(made)

    def already_there(self, error: AlreadyExists) -> Next:
        """Look at what AWS says is there. Raises NotFound while AWS's answers are not yet in step with each other."""
        try:
            found = self.studio.describe_profile(self.domain_id, self.wanted.name)
        except NotFound:
            if sso.is_taken(self.profile):
                return sso.taken(self.row, error)
            raise
        return self.decide(found)

    def about_to_create(self, missing: NotFound | None) -> None:
        """Commit that the profile is going to be made, and that a ready one was lost."""
        gone = {
            "action": Action.PROFILE_MISSING,
            "reason": missing.message if missing else "",
            "aws_request_id": missing.request_id if missing else "",
            "data": {"domain": self.domain_id, "code": missing.code if missing else ""},
        }
        self.row.mark(
            *((gone,) if self.profile.state == State.READY else ()),
            state=State.CREATING, arn="", execution_role_arn="", asked_role_arn="", managed=True,
            deadline_at=timezone.now() + DEADLINE,
        )  # fmt: skip

    def refused(self, error: AwsError, *, known_missing: bool) -> Next:
        """Use what is there already, where AWS lets nothing be made. Raises the refusal when nothing is there."""
        if not known_missing:
            try:
                return self.decide(self.studio.describe_profile(self.domain_id, self.wanted.name))
            except NotFound:
                pass
        raise error

    def created(self, made: Answer) -> Next:
        """Note that AWS has begun to make the profile."""
        told = {
            "action": Action.PROFILE_CREATED,
            "aws_request_id": made.request_id,
            "data": {
                "domain": self.domain_id,
                "execution_role": self.wanted.execution_role_arn,
                "tags": self.wanted.tags,
            },
        }
        crowded = self.crowded() and bool(made.arn)
        following = self.row.release(
            told, seconds=crowd.UNWATCHED if crowded else 1, arn=made.arn, deadline_at=timezone.now() + DEADLINE,
            asked_role_arn=self.wanted.execution_role_arn, aws_request_id=made.request_id, **NO_ERROR,
        )  # fmt: skip
        return replace(following, seconds=None, watch=self.profile.domain_id) if crowded else following

    def decide(self, found: ProfileDescription) -> Next:
        """Do what the profile's status asks for, and only to a profile that is ours."""
        if following := sso.somebody_elses(self.row, found):
            return following
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
        # What is being deleted is no longer what our create answered for.
        arn = "" if found.status == "Deleting" else self.profile.arn
        watch = self.profile.domain_id if self.is_watched() and arn and self.crowded() else None
        following = self.row.release(
            state=State.CREATING, arn=arn, deadline_at=deadline, seconds=crowd.UNWATCHED if watch else seconds
        )
        return replace(following, seconds=None, watch=watch) if watch else following

    def is_watched(self) -> bool:
        """Whether the list of the domain will tell when our own create is done."""
        return self.profile.state == State.CREATING and bool(self.profile.asked_role_arn)

    def ready(self, found: ProfileDescription) -> Next:
        """Note that the profile is in service with the role that it should have, and its person may enter."""
        if following := sso.admit(self.row):
            return following
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
            asked_role_arn="",
            aws_request_id=found.request_id,
            repairs=0,
            due_at=None,
            deadline_at=None,
            **NO_ERROR,
        )

    def update(self, found: ProfileDescription) -> Next:
        """Bring role and settings to what they should be; it is not ready before that."""
        if self.profile.repairs >= MAX_REPAIRS:
            reason = found.failure_reason or f"AWS keeps the execution role {found.execution_role_arn or '(none)'}."
            return self.give_up("UpdateFailed", f"The profile could not be updated. {reason}", found)

        def announce() -> None:
            self.row.mark(
                state=State.CREATING, arn=found.arn, execution_role_arn=found.execution_role_arn, asked_role_arn="",
                repairs=self.profile.repairs + 1, deadline_at=timezone.now() + DEADLINE,
            )  # fmt: skip

        settings = self.wanted.user_settings
        try:
            self.studio.update_profile(self.domain_id, self.wanted.name, user_settings=settings, announce=announce)
        except AlreadyExists:
            return self.wait(found)
        return self.row.release(seconds=1)

    def remake(self, found: ProfileDescription) -> Next:
        """Delete a profile that failed; once it is gone, the next step makes it again."""
        if self.profile.repairs >= MAX_REPAIRS:
            reason = found.failure_reason or "AWS gives no reason."
            return self.give_up(found.status, f"The profile failed {MAX_REPAIRS} times. {reason}", found)

        def announce() -> None:
            self.row.mark(
                state=State.CREATING, arn="", execution_role_arn="", asked_role_arn="",
                repairs=self.profile.repairs + 1, deadline_at=timezone.now() + DEADLINE,
            )  # fmt: skip

        try:
            deleted = self.studio.delete_profile(self.domain_id, self.wanted.name, announce=announce)
        except AlreadyExists:
            return self.wait(found)
        except NotFound:
            return self.row.release(seconds=0)
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
        if following := sso.admit(self.row):
            return following
        told = {
            "action": Action.PROFILE_FOUND,
            "aws_request_id": found.request_id,
            "reason": "Used as it is; the portal neither changes nor deletes it.",
            "data": {"domain": self.domain_id, "execution_role": found.execution_role_arn, "arn": found.arn},
        }
        return self.row.release(
            told, state=State.READY, managed=False, arn=found.arn, execution_role_arn=found.execution_role_arn,
            aws_request_id=found.request_id, repairs=0, due_at=None, deadline_at=None, **NO_ERROR,
        )  # fmt: skip
