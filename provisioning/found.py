"""Profiles that the portal did not make: used as they are where nothing speaks against it, reported where something
does, and taken over only on an admin's word.
"""

from provisioning import desired, sso
from provisioning.aws.studio import ProfileDescription
from provisioning.models import Profile
from provisioning.rows import NO_ERROR, NO_FORM, NOT_ADOPTED, Action, Next, State
from provisioning.step import Work
from provisioning.tagging import tag_change


def decide(work: Work, found: ProfileDescription, tags: dict[str, str]) -> Next:
    """Do what follows for a profile whose tags do not say that it is ours."""
    if not is_adopted(work.profile):
        return _use_or_report(work, found, tags)
    if against := _forbids(work, found, tags):
        return _report(work, found, against)
    return _adopt(work, found, tags)


def is_adopted(profile: Profile) -> bool:
    """Whether an admin wants the portal to take this profile over, and it has not yet done so."""
    return bool(profile.adopted_by) and not profile.managed


def belongs_to_another(tags: dict[str, str], wanted: desired.DesiredProfile) -> str | None:
    """Return the tag by which the portal itself gave this profile to another person or team, None where there is none.

    What carries none of the portal's marks belongs to nobody whom the portal knows.
    """
    if desired.value_of(tags, desired.MANAGED_BY) != desired.MANAGER:
        return None
    return desired.contradiction(tags, wanted)


def _forbids(work: Work, found: ProfileDescription, tags: dict[str, str]) -> str:
    """Return why even an admin's word does not make this profile ours, empty where nothing forbids it."""
    if Profile.objects.filter(arn__iexact=found.arn).exclude(pk=work.profile.pk).exists():
        return "another row of the portal names it"
    another = belongs_to_another(tags, work.wanted)
    return f"it is tagged {another}" if another and not work.profile.takes_over else ""


def _adopt(work: Work, found: ProfileDescription, tags: dict[str, str]) -> Next:
    """Set our tags; the next step finds a profile of ours, and brings it to its form."""
    change = tag_change(tags, work.wanted.tags, {})
    work.row.mark(applied_tags=work.wanted.tags)
    told = []
    if change.add:
        answer = work.studio.add_tags(found.arn, change.add)
        told = [work.updated(answer.request_id, tags=change.add, adopted_by=work.profile.adopted_by)]
    stays = work.profile.state == State.READY and work.role_fits(found)
    return work.row.release(
        *told, seconds=0, state=State.READY if stays else State.WANTED, managed=True, takes_over=False,
        arn=found.arn, execution_role_arn=found.execution_role_arn, form_version=0, **NO_ERROR,
    )  # fmt: skip


def _use_or_report(work: Work, found: ProfileDescription, tags: dict[str, str]) -> Next:
    """Use a profile if nothing speaks against it; never change or delete it."""
    against = desired.contradiction(tags, work.wanted)
    if against:
        return _report(work, found, f"it is tagged {against}")
    if found.status != "InService":
        return _report(work, found, f"its status is {found.status}")
    if not work.role_fits(found):
        role = found.execution_role_arn or "(none)"
        return _report(work, found, f"its execution role is {role}, not {work.wanted.execution_role_arn}")
    if following := sso.admit(work.row):
        return following
    told = {
        "action": Action.PROFILE_FOUND,
        "aws_request_id": found.request_id,
        "reason": "Used as it is; the portal neither changes nor deletes it.",
        "data": {"domain": work.domain_id, "execution_role": found.execution_role_arn, "arn": found.arn},
    }
    return work.row.release(
        told, state=State.READY, managed=False, arn=found.arn, execution_role_arn=found.execution_role_arn,
        aws_request_id=found.request_id, repairs=0, due_at=None, deadline_at=None,
        **NO_ERROR, **NO_FORM, **NOT_ADOPTED,
    )  # fmt: skip


def _report(work: Work, found: ProfileDescription, reason: str) -> Next:
    return work.row.park(
        "NameTaken",
        f"AWS has a profile of this name that the portal did not make, and {reason}.",
        state=State.CONFLICT,
        request_id=found.request_id,
        managed=False,
        arn=found.arn,
        execution_role_arn=found.execution_role_arn,
        **NO_FORM,
        **NOT_ADOPTED,
    )
