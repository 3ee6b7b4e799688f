"""The repair of a profile of ours that is there: first its role and settings, then its tags, as the team wants them.

While only settings or tags differ, the profile stays ready: it opens until AWS has begun to change it, and again once
AWS is done. What the portal is about to set is committed before the call, so that whoever takes over from a dead worker
knows the portal's own keys.
"""

from typing import Any

from django.utils import timezone

from provisioning import desired
from provisioning.aws.errors import AlreadyExists, AwsError, Transient
from provisioning.aws.studio import ProfileDescription
from provisioning.rows import DEADLINE, MAX_REPAIRS, PARKED, Next, State
from provisioning.step import Work
from provisioning.tagging import tag_change

# How soon it is looked at after each of MAX_REPAIRS tries: together as long as what AWS describes may lag (`rows.LAG`).
PAUSES = (1.0, 4.0, 10.0)


def bring(work: Work, found: ProfileDescription, tags: dict[str, str] | None) -> Next:
    """Bring a profile that AWS shows in service, or whose update failed, nearer to its form.

    `tags` are those in AWS, None where they were not asked for.
    """
    if _needs_update(work, found):
        return _update(work, found)
    if work.is_formed():
        return work.ready(found, formed=True if work.profile.managed else None)
    if tags is None:
        if work.is_as_created():
            return work.ready(found, formed=True)
        tags = work.studio.list_tags(found.arn)
    return work.ready(found, *_change_tags(work, found, tags), formed=True)


def _needs_update(work: Work, found: ProfileDescription) -> bool:
    """Whether AWS is to be asked for role and settings; asked once, it need not repeat all of the settings."""
    if found.status == "Update_Failed" or not work.role_fits(found):
        return True
    asked = work.profile.state != State.READY and work.profile.asked_version == work.version
    return not (asked or work.settings_fit(found))


def _update(work: Work, found: ProfileDescription) -> Next:
    """Have AWS change role and settings; with another role, the profile is not ready before that."""
    profile, repairs = work.profile, work.profile.repairs
    stays = profile.state == State.READY and found.status == "InService" and work.role_fits(found)
    if repairs >= MAX_REPAIRS:
        return _give_up(work, found, state=State.READY if stays else State.FAILED)

    def announce() -> None:
        busy: dict[str, Any] = {"state": State.CREATING, "deadline_at": timezone.now() + DEADLINE}
        work.row.mark(
            arn=found.arn, execution_role_arn=found.execution_role_arn, asked_role_arn="",
            repairs=repairs + 1, **({} if stays else busy),
        )  # fmt: skip

    settings = work.wanted.user_settings
    try:
        answer = work.studio.update_profile(work.domain_id, work.wanted.name, user_settings=settings, announce=announce)
    except AlreadyExists:
        return work.wait(found)
    except AwsError as error:
        if not isinstance(error, Transient):
            # AWS changed nothing, so that nothing is used up, and what it said stays what the admin sees.
            work.row.mark(repairs=repairs)
        raise
    told = work.updated(
        answer.request_id,
        settings=sorted(
            name for name in settings if not desired.contains(found.user_settings.get(name), settings[name])
        ),
        execution_role=work.wanted.execution_role_arn,
    )
    return work.row.release(
        told, seconds=PAUSES[repairs], state=State.CREATING, asked_version=work.version,
        deadline_at=timezone.now() + DEADLINE,
    )  # fmt: skip


def _give_up(work: Work, found: ProfileDescription, *, state: State) -> Next:
    reason = found.failure_reason or f"AWS keeps the execution role {found.execution_role_arn or '(none)'}."
    message = f"The profile could not be updated. {reason}"
    return work.row.park("UpdateFailed", message, state=state, after=PARKED, request_id=found.request_id, repairs=0)


def _change_tags(work: Work, found: ProfileDescription, tags: dict[str, str]) -> list[dict[str, Any]]:
    """Delete and set what differs; returns the audit row of that, none where nothing does."""
    wanted, applied = work.wanted.tags, work.profile.applied_tags
    change = tag_change(tags, wanted, applied)
    if not change:
        return []
    work.row.mark(applied_tags={**applied, **wanted})
    request_id = ""
    if change.remove:
        request_id = work.studio.delete_tags(found.arn, change.remove).request_id
    if change.add:
        request_id = work.studio.add_tags(found.arn, change.add).request_id
    return [work.updated(request_id, tags=change.add, tags_removed=list(change.remove))]
