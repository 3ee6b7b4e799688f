"""Assignments of people to the application of a domain in SSO mode, made and taken away at a profile's claimed row.

    (none) ── somebody else's is there ──▶ found ─┐
      └──▶ asked ── create ──▶ made ──▶ leaving ── delete ──▶ gone ──▶ asked …

What is asked of AWS is committed before the call, so that a lost answer or a dead worker is no riddle, and only what
the portal made is taken away. The record says where: `application`, `principal` (the user's id), `region`, `account`.
A profile in SSO mode is ready only when its person is assigned: before that AWS would turn them away, and an assigned
person without a profile would get one of AWS's own making, with the domain's default role.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone

from provisioning import sso_people
from provisioning.aws.assignments import Assignments
from provisioning.aws.client import Account
from provisioning.aws.errors import AlreadyExists, AwsError, NotFound
from provisioning.models import Profile
from provisioning.rows import PARKED, Action, Next, Row, State
from provisioning.sso_domains import NO_APPLICATION
from provisioning.sso_people import UnknownPersonError
from teams.models import AuditEvent, AwsAccount, Domain

Record = dict[str, str]


class Stage(StrEnum):
    """How far an assignment is; an empty record is none that anybody has asked for."""

    FOUND = "found"  # it was there before the portal's: left alone
    ASKED = "asked"
    MADE = "made"
    LEAVING = "leaving"
    GONE = "gone"


def settle(row: Row) -> Next | None:
    """Assign the person of a profile that is in service; None when they are, or need not be.

    Raises nothing of AWS: a failure is in the row, and the profile is not ready then. Raises ClaimLost.
    """
    profile = row.profile
    if not _is_wanted(profile.domain):
        return None
    kept = _stage(profile) in {Stage.MADE, Stage.FOUND}
    try:
        # What somebody has taken away meanwhile shows when the profile becomes ready again.
        if kept and (profile.state == State.READY or _is_still_there(profile.assigned_to)):
            return None
        return _assign(row)
    except UnknownPersonError as error:
        return row.park("NotInDirectory", str(error), after=PARKED)
    except AwsError as error:
        if profile.state == State.READY:
            row.mark(state=State.CREATING)
        return row.failed(error, parked=State.FAILED)


def _is_still_there(record: Record) -> bool:
    return _verbs(record).exists(record["application"], record["principal"])


def _is_wanted(domain: Domain) -> bool:
    return domain.auth_mode == Domain.AuthMode.SSO and domain.assigns_application


def _assign(row: Row) -> Next | None:
    profile, domain = row.profile, row.profile.domain
    if not domain.application_arn:
        return row.park(
            NO_APPLICATION,
            f"AWS tells no application of the domain {domain.domain_id}: those made before October 2023 have none. "
            "Assign people in IAM Identity Center, and switch the assignments off on the domain's page.",
            after=PARKED,
        )
    known = sso_people.assignable(profile)
    account = known.directory.account
    record = {
        "application": domain.application_arn,
        "principal": known.user_id,
        "region": known.directory.region,
        "account": account.account_id if account else "",
    }
    verbs = _verbs(record)
    if not profile.assigned_to and verbs.exists(record["application"], record["principal"]):
        row.mark(assigned_to=record | {"stage": Stage.FOUND})
        return None
    row.mark(assigned_to=record | {"stage": Stage.ASKED})
    return _create(row, verbs, record)


def _create(row: Row, verbs: Assignments, record: Record) -> Next | None:
    reason = ""
    try:
        request_id = verbs.create(record["application"], record["principal"])
    except AlreadyExists as error:
        # Our own call with a lost answer; or a change that has not reached all of AWS, which is to be tried again.
        if not verbs.exists(record["application"], record["principal"]):
            raise
        request_id, reason = error.request_id, "It was there already when AWS was asked again."
    except NotFound as error:
        return row.park(
            "NotAssigned",
            f"IAM Identity Center in {record['region']} does not know the application {record['application']} or the "
            f"user {record['principal']}. {error.message}",
            after=PARKED,
            request_id=error.request_id,
        )
    told = _told(Action.APPLICATION_ASSIGNED, record, request_id, reason)
    row.mark(told, assigned_to=record | {"stage": Stage.MADE})
    return None


def ends(profile: Profile) -> bool:
    """Whether a profile whose access has ended keeps an assignment that is to be taken away by now.

    At once where access was revoked; where only the sign-on session is over, with the grace period.
    """
    if not is_kept(profile):
        return False
    moments = [lapses_at(profile), *([profile.retire_at] if profile.retire_at else [])]
    return profile.ended_by == Profile.End.REVOKED or min(moments) <= timezone.now()


def is_kept(profile: Profile) -> bool:
    """Whether there may be an assignment: one that AWS was asked to take away is there until it answers."""
    return _stage(profile) not in {None, Stage.GONE}


def is_closed(profile: Profile) -> bool:
    """Whether the assignment was taken away, or AWS was asked to: the profile does not open before it is made anew."""
    return _stage(profile) in {Stage.LEAVING, Stage.GONE}


def lapses_at(profile: Profile) -> datetime:
    """Return when the assignment of a profile ends whose person's sign-on session is over; `team` is loaded."""
    return (profile.ended_at or timezone.now()) + timedelta(days=profile.team.grace_days)


def take_away(row: Row, may_go_on: Callable[[], None]) -> AwsError | None:
    """Take away the assignment of a profile whose access has ended; returns what AWS has against it.

    `may_go_on` is called before AWS is asked; what it raises stops the call. Raises ClaimLost.
    """
    record: Record = dict(row.profile.assigned_to)
    stage = record.pop("stage", "")
    if stage == Stage.FOUND:
        row.mark(
            _told(
                Action.APPLICATION_UNASSIGNED, record, "", "Somebody else made the assignment: it is left alone.",
                outcome=AuditEvent.Outcome.REFUSED,
            ),
            assigned_to={},
        )  # fmt: skip
        return None
    may_go_on()
    row.mark(assigned_to=record | {"stage": Stage.LEAVING})
    reason = ""
    try:
        request_id = _verbs(record).delete(record["application"], record["principal"])
    except NotFound as error:
        request_id, reason = error.request_id, "It was gone already."
    except AwsError as error:
        return error
    told = _told(Action.APPLICATION_UNASSIGNED, record, request_id, reason)
    row.mark(told, assigned_to=record | {"stage": Stage.GONE})
    return None


def _stage(profile: Profile) -> str | None:
    return profile.assigned_to.get("stage")


def _verbs(record: Record) -> Assignments:
    row = AwsAccount.objects.filter(account_id=record["account"]).first() if record["account"] else None
    return Assignments(Account.of(row) if row else Account(), record["region"])


def _told(action: AuditEvent.Action, record: Record, request_id: str, reason: str, **more: Any) -> dict[str, Any]:
    data = {"application": record["application"], "user": record["principal"]}
    return {"action": action, "aws_request_id": request_id, "reason": reason, "data": data, **more}
