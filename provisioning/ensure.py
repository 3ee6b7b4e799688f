"""One bounded step that brings one profile nearer to what it should be; the row says what comes next.

    WANTED ── create ──▶ CREATING ── InService ──▶ READY
      ▲                     │  ▲                     │
      └─ click, try again   │  └── role changed ─────┘
                            ▼
                    FAILED, CONFLICT

Profiles whose person has no access any more are left to `retire`. How one that is there gets its settings and tags is
in `form`, what becomes of one that the portal did not make in `found`.

A step claims its row by compare-and-set, so that two workers never act on one profile at once, and makes at most four
calls of AWS, none of them inside a transaction or with a database connection held. It never waits: it says when to
come back. A worker that dies leaves a claim that runs out, and the next one starts from what AWS then says; what the
dead one had begun is recognised by its tags.
"""

import uuid
from dataclasses import replace
from typing import Any

from django.utils import timezone

from provisioning import crowd, desired, form, forms, found, quotas, sso
from provisioning.aws.errors import AlreadyExists, AwsError, Denied, Invalid, NotFound, QuotaExceeded
from provisioning.aws.studio import Answer, ProfileDescription
from provisioning.models import Profile
from provisioning.rows import (
    BAD_ROLE,
    DEADLINE,
    LAG,
    LOOKS,
    MAX_REPAIRS,
    NO_ERROR,
    NO_FORM,
    NOT_ADOPTED,
    PARKED,
    Action,
    ClaimLost,
    Next,
    Row,
    State,
    claim,
    claim_watched,
)
from provisioning.step import Work
from teams import access, role_names
from teams.tag_templates import UnknownTagNameError


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
    related = ("user", "team__domain__account", "team__cleanup_rule", "domain__account")
    profile = Profile.objects.select_related(*related).get(pk=profile_id)
    try:
        return _begin(profile, token, listed)
    except ClaimLost:
        return Next()


def _begin(profile: Profile, token: uuid.UUID, listed: str) -> Next:
    role = access.role_for(profile.user_id, profile.team_id)
    row, was = Row(profile, token), profile.state
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
        wanted = forms.wanted(profile, role)
    except (desired.TooManyTagsError, UnknownTagNameError) as error:
        code = "UnknownTagName" if isinstance(error, UnknownTagNameError) else "TooManyTags"
        return row.park(code, str(error), **_left_open(profile, was, role))
    try:
        if following := sso.before(row):
            return following
        step = Step(row, wanted)
        return step.settled(listed) if listed and step.is_as_asked() else step.run()
    except AwsError as error:
        return row.failed(error, parked=State.READY if _is_usable(profile, was, role) else State.FAILED)


def _is_usable(profile: Profile, was: str, role: str) -> bool:
    """Whether a profile was seen in service with its role: it is not spoilt by what the portal cannot do to it now.

    What failed or was foreign before is no better for that.
    """
    return was in (State.READY, State.CREATING) and bool(profile.arn) and profile.execution_role_arn == role


def _left_open(profile: Profile, was: str, role: str) -> dict[str, Any]:
    """Return how a profile is parked whose tags cannot be: one in service stays open and is looked at now and then."""
    return {"state": State.READY, "after": PARKED} if was == State.READY and _is_usable(profile, was, role) else {}


class Step(Work):
    """What to do about what AWS says of one profile."""

    def run(self) -> Next:
        """Describe, then do the one thing that follows from it; in a crowd make what was never there straight away."""
        if self.profile.error_code and not self.profile.arn:
            # Known to be missing; while there is no room for it, nothing need be asked.
            refusal = quotas.blocked(self.profile.domain)
            if refusal and refusal.code == self.profile.error_code:
                raise refusal
        if self.profile.state == State.WANTED and not (self.profile.arn or self.profile.attempts) and self.crowded():
            return self.create()
        try:
            seen = self.studio.describe_profile(self.domain_id, self.wanted.name)
        except NotFound as error:
            if self.just_made():
                return self.row.release(seconds=1)
            return self.create(error)
        return self.decide(seen, looked=True)

    def just_made(self) -> bool:
        """Whether AWS answered for our create moments ago: then “not found” is only a reading that lags behind."""
        deadline = self.profile.deadline_at
        if self.profile.state != State.CREATING or not self.profile.arn or deadline is None:
            return False
        return timezone.now() < deadline - DEADLINE + LAG

    def is_as_asked(self) -> bool:
        """Whether our create is still all that there is of the profile, with the role that it should have by now."""
        return bool(self.is_watched() and self.profile.arn) and (
            self.profile.asked_role_arn == self.wanted.execution_role_arn
        )

    def as_asked(self, request_id: str) -> ProfileDescription:
        """Return what AWS would say of a profile that is in service as our create asked for it."""
        return ProfileDescription("InService", self.profile.arn, self.profile.asked_role_arn, "", {}, request_id)

    def settled(self, request_id: str) -> Next:
        """Take a profile that a list shows in service for what our create asked for, an older form included."""
        return self.ready(self.as_asked(request_id), formed=self.is_as_created())

    def create(self, missing: NotFound | None = None) -> Next:
        """Make the profile, which AWS said is `missing`, or which nobody has asked AWS for.

        That we are about to is committed first, so that a lost answer is no riddle later. While the account's quota is
        used up, one try at a time stands for all.
        """
        try:
            probes = quotas.permit(self.profile.domain)
        except QuotaExceeded as error:
            return self.refused(error, known_missing=missing is not None)
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
        except QuotaExceeded as error:
            refusal = quotas.ring(self.profile.domain, error)
            return self.refused(refusal, known_missing=missing is not None)
        except Denied as error:
            return self.refused(error, known_missing=missing is not None)
        except (NotFound, Invalid) as error:
            if self.profile.sso_user:
                return sso.refused(self.row, error)
            if isinstance(error, Invalid):
                raise
            message = f"AWS has no domain {self.domain_id} in {self.region}. {error.message}"
            return self.row.park("DomainNotFound", message, after=PARKED, request_id=error.request_id)
        if probes:
            quotas.silence_of(self.profile.domain)
        return self.created(made)

    def already_there(self, error: AlreadyExists) -> Next:
        """Look at what AWS says is there. Raises NotFound while AWS's answers are not yet in step with each other."""
        try:
            seen = self.studio.describe_profile(self.domain_id, self.wanted.name)
        except NotFound:
            if sso.is_taken(self.profile):
                return sso.taken(self.row, error)
            raise
        return self.decide(seen)

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
            **NO_FORM | {"form_email": self.wanted.email, "applied_tags": self.wanted.tags}, **NOT_ADOPTED,
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
        seconds = crowd.UNWATCHED if crowded else crowd.look_again_in(self.profile, 0)
        following = self.row.release(
            told, seconds=seconds, arn=made.arn, deadline_at=timezone.now() + DEADLINE,
            asked_role_arn=self.wanted.execution_role_arn, asked_version=self.version,
            aws_request_id=made.request_id, **NO_ERROR,
        )  # fmt: skip
        return replace(following, seconds=None, watch=self.profile.domain_id) if crowded else following

    def decide(self, seen: ProfileDescription, *, looked: bool = False) -> Next:
        """Do what the profile's status asks for, and only to a profile that is ours.

        `looked`: it was looked for, and not met because AWS lets no other be made.
        """
        if following := sso.somebody_elses(self.row, seen):
            return following
        if seen.status in {"Pending", "Updating", "Deleting"}:
            return self.wait(seen)
        if self.profile.state == State.READY and self.has_all(seen):
            return self.ready(seen)
        tags = None
        if not self.made_by_us(seen):
            tags = self.studio.list_tags(seen.arn)
            # One that is adopted becomes ours by that, even where its tags say so already.
            ours = desired.is_ours(tags, self.wanted, recorded=self.recorded(seen))
            if found.is_adopted(self.profile) or not ours:
                if looked and self.tags_may_lag(tags):
                    attempts = self.profile.attempts
                    return self.row.release(seconds=2.0**attempts, attempts=attempts + 1)
                return found.decide(self, seen, tags)
        if seen.status in {"InService", "Update_Failed"}:
            return form.bring(self, seen, tags)
        if seen.status in {"Failed", "Delete_Failed"}:
            return self.remake(seen)
        return self.wait(seen)

    def tags_may_lag(self, tags: dict[str, str]) -> bool:
        """Whether our tags are only not to be seen yet: a create was not answered, or an adoption has just set them."""
        profile = self.profile
        if not profile.managed or profile.attempts >= LOOKS:
            return False
        if profile.adopted_by and not profile.form_version:
            return True
        unanswered = profile.state == State.CREATING and not profile.arn
        return unanswered and desired.contradiction(tags, self.wanted) is None

    def has_all(self, seen: ProfileDescription) -> bool:
        """Whether a profile is in service with everything that it should have, as far as its description tells."""
        if seen.status != "InService" or found.is_adopted(self.profile):
            return False
        return self.role_fits(seen) and self.settings_fit(seen) and self.is_formed()

    def recorded(self, seen: ProfileDescription) -> bool:
        """Whether the row says that this very profile is ours; AWS may write its ARN in another case of letters."""
        return self.profile.managed and bool(seen.arn) and self.profile.arn.lower() == seen.arn.lower()

    def made_by_us(self, seen: ProfileDescription) -> bool:
        """Whether this is what our own create, just now, answered for: its tags need not be asked."""
        return self.profile.state == State.CREATING and self.recorded(seen)

    def remake(self, seen: ProfileDescription) -> Next:
        """Delete a profile that failed; once it is gone, the next step makes it again."""
        if self.profile.repairs >= MAX_REPAIRS:
            reason = seen.failure_reason or "AWS gives no reason."
            return self.give_up(seen.status, f"The profile failed {MAX_REPAIRS} times. {reason}", seen)

        def announce() -> None:
            self.row.mark(
                state=State.CREATING, arn="", execution_role_arn="", asked_role_arn="",
                repairs=self.profile.repairs + 1, deadline_at=timezone.now() + DEADLINE,
            )  # fmt: skip

        try:
            deleted = self.studio.delete_profile(self.domain_id, self.wanted.name, announce=announce)
        except AlreadyExists:
            return self.wait(seen)
        except NotFound:
            return self.row.release(seconds=0)
        told = {
            "action": Action.PROFILE_DELETED,
            "aws_request_id": deleted.request_id,
            "reason": f"{seen.status}: {seen.failure_reason or 'AWS gives no reason'}; it is made again.",
            "data": {"domain": self.domain_id, "status": seen.status},
        }
        return self.row.release(told, seconds=1)
