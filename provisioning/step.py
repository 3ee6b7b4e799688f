"""What the parts of a step at a profile share: its row, AWS, what is wanted, and the ways to leave the step."""

from dataclasses import replace
from typing import Any

from django.utils import timezone

from provisioning import crowd, desired, sso
from provisioning.aws.client import Account
from provisioning.aws.studio import ProfileDescription, Studio
from provisioning.database import give_back_connection
from provisioning.rows import DEADLINE, NO_ERROR, PARKED, PARKED_DENIED, Action, Next, Row, State


class Work:
    """A step at one claimed row; `version` is that of the team's form which `wanted` was made from, or an older one."""

    def __init__(self, row: Row, wanted: desired.DesiredProfile) -> None:
        self._crowded: bool | None = None
        self.row = row
        self.profile = row.profile
        self.wanted = wanted
        self.version = row.profile.team.form_version
        self.domain_id = row.profile.domain.domain_id
        domain = row.profile.domain
        self._studio = Studio(Account.of(domain.account), domain.region, first=crowd.waits_for(row.profile))

    @property
    def studio(self) -> Studio:
        """AWS, with the database connection given back first: ask for it at each call."""
        give_back_connection()
        return self._studio

    @property
    def region(self) -> str:
        """The Region of the domain."""
        return self._studio.region

    def crowded(self) -> bool:
        """Whether this is one of many profiles of its domain, which are watched together."""
        if self._crowded is None:
            self._crowded = crowd.is_in(self.profile.domain_id)
        return self._crowded

    def role_fits(self, found: ProfileDescription) -> bool:
        """Whether AWS has the role that the profile should have."""
        return found.execution_role_arn == self.wanted.execution_role_arn

    def settings_fit(self, found: ProfileDescription) -> bool:
        """Whether there is nothing to change in the settings; those of a profile that is not ours stay as they are."""
        return not self.profile.managed or desired.contains(found.user_settings, self.wanted.user_settings)

    def is_formed(self) -> bool:
        """Whether the profile was brought to the present form before, or is not ours to bring there."""
        profile = self.profile
        return not profile.managed or (profile.form_version == self.version and profile.form_email == self.wanted.email)

    def is_as_created(self) -> bool:
        """Whether our own create, which AWS has answered, asked for the present form."""
        profile = self.profile
        return self.is_watched() and profile.asked_version == self.version and profile.form_email == self.wanted.email

    def is_watched(self) -> bool:
        """Whether the list of the domain will tell when our own create is done."""
        return self.profile.state == State.CREATING and bool(self.profile.asked_role_arn)

    def wait(self, found: ProfileDescription) -> Next:
        """Come back soon, until the deadline."""
        now = timezone.now()
        deadline = self.profile.deadline_at or now + DEADLINE
        if now > deadline:
            minutes = int(DEADLINE.total_seconds() // 60)
            message = f"SageMaker still says “{found.status}” of this profile after {minutes} minutes."
            return self.row.park("Timeout", message, after=PARKED_DENIED, request_id=found.request_id)
        waited = (now - (deadline - DEADLINE)).total_seconds()
        seconds = crowd.look_again_in(self.profile, waited)
        # What is being deleted is no longer what our create answered for.
        arn = "" if found.status == "Deleting" else self.profile.arn
        watch = self.profile.domain_id if self.is_watched() and arn and self.crowded() else None
        following = self.row.release(
            state=State.CREATING, arn=arn, deadline_at=deadline, seconds=crowd.UNWATCHED if watch else seconds
        )
        return replace(following, seconds=None, watch=watch) if watch else following

    def ready(self, found: ProfileDescription, *audits: dict[str, Any], formed: bool | None = None) -> Next:
        """Note that the profile is in service with the role that it should have, and that its person may enter.

        `formed`: whether its settings and tags are those of the present form too; None: as it was before. Where they
        are not, the profile opens, and the next step brings it there.
        """
        if sso.is_guarded(self.profile):
            # What was done to the profile is told whatever becomes of the assignment.
            self.row.mark(*audits)
            audits = ()
            if following := sso.admit(self.row):
                return following
        told = {
            "action": Action.PROFILE_READY,
            "aws_request_id": found.request_id,
            "data": {"domain": self.domain_id, "execution_role": found.execution_role_arn},
        }
        was_ready = self.profile.state == State.READY
        managed = self.profile.managed if was_ready else True
        form: dict[str, Any] = {}
        if managed and formed:
            form = {
                "form_version": self.version, "asked_version": self.version, "form_email": self.wanted.email,
                "applied_tags": self.wanted.tags,
            }  # fmt: skip
        changes: dict[str, Any] = {
            "managed": managed,
            "state": State.READY,
            "arn": found.arn,
            "execution_role_arn": found.execution_role_arn,
            "asked_role_arn": "",
            "aws_request_id": found.request_id,
            "repairs": 0,
            "due_at": None,
            "deadline_at": None,
            **NO_ERROR,
            **form,
        }
        return self.row.release(
            *audits, *(() if was_ready else (told,)), seconds=0 if formed is False else None, **changes
        )

    def give_up(self, code: str, message: str, found: ProfileDescription) -> Next:
        """Park a profile whose repairs did not help."""
        return self.row.park(code, message, after=PARKED, request_id=found.request_id)

    def updated(self, request_id: str, **data: Any) -> dict[str, Any]:
        """Return the audit row of a profile that was changed."""
        return {
            "action": Action.PROFILE_UPDATED,
            "aws_request_id": request_id,
            "data": {"domain": self.domain_id, **data},
        }
