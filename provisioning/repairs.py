"""The doors to the profile rows for what a comparison of a domain has found; the usual steps do the rest.

Each takes only rows that nobody works on and that have not changed since `since`, the moment when the comparison began,
and returns the ids of those it took. The sweep hands them out: nobody waits for them.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from provisioning.models import Profile
from provisioning.rows import NO_ERROR, NO_FORM, NOT_ADOPTED, Action, State, free
from teams import access, audit
from teams.models import Domain, Team, User


def repair(ids: Iterable[int], *, by: str, since: datetime | None = None, reason: str = "") -> list[int]:
    """Have workers bring ready profiles to their form again, whatever version of it they were brought to before."""
    with transaction.atomic():
        rows = _untouched(ids, since)
        Profile.objects.filter(pk__in=[row.pk for row in rows]).update(
            form_version=0, due_at=timezone.now(), aws_modified_at=None
        )
        _tell(rows, Action.PROFILE_RETRIED, by, reason or "AWS differs from what should be.")
    return [row.pk for row in rows]


def remake(ids: Iterable[int], *, by: str, since: datetime | None = None) -> list[int]:
    """Have workers make profiles that AWS no longer has; they look once more before they do."""
    now = timezone.now()
    with transaction.atomic():
        rows = _untouched(ids, since)
        Profile.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=State.WANTED, due_at=now, changed_at=now, asked_role_arn="", repairs=0, deadline_at=None,
            aws_modified_at=None, **NO_ERROR,
        )  # fmt: skip
        _tell(rows, Action.PROFILE_MISSING, by, "A comparison of its domain did not find it in AWS.")
    return [row.pk for row in rows]


def retire_found(*, user: User, team: Team, domain: Domain, name: str, arn: str, by: str) -> bool:
    """Retire a profile of ours that has no row, or one that is deleted by its row; False where that is not so any more.

    It goes as if access had just been revoked: apps first, everything after the team's grace period.
    """
    now = timezone.now()
    changes = {
        "state": State.RETIRING, "managed": True, "arn": arn, "name": name, "domain": domain,
        "execution_role_arn": "", "ended_by": Profile.End.REVOKED, "ended_at": now, "due_at": now, "changed_at": now,
        "retire_at": None if team.keeps_profiles else now + timedelta(days=team.grace_days),
        "delete_asked_at": None, "deadline_at": None, "progress": {}, "repairs": 0,
        "aws_modified_at": None, **NO_ERROR, **NO_FORM, **NOT_ADOPTED,
    }  # fmt: skip
    try:
        with transaction.atomic():
            if access.role_for(user.pk, team.pk) is not None:
                return False
            row = Profile.objects.select_for_update().filter(user=user, team=team).first()
            if row is None:
                Profile.objects.create(user=user, team=team, **changes)
            elif not _is_deleted(row, name, domain):
                return False
            else:
                Profile.objects.filter(pk=row.pk).update(**changes)
            retire_at = changes["retire_at"]
            audit.record(
                Action.PROFILE_RETIRING, target=name, team=team.slug, actor=by,
                reason="AWS has it with the portal's tags, and nobody has access to it.",
                data={"domain": domain.domain_id, "arn": arn, "retire_at": str(retire_at) if retire_at else None},
            )  # fmt: skip
    except IntegrityError:
        # Somebody else made the row a moment ago, or has the name.
        return False
    return True


def point_at(profile: Profile, *, name: str, arn: str, role: str) -> bool:
    """Have a free row stand for a profile in AWS that is not the portal's, for `adopt` to take over.

    Raises IntegrityError where another row has the name.
    """
    rows = Profile.objects.filter(free(), pk=profile.pk)
    return bool(
        rows.update(
            # AWS finds it in any case of letters; ours are lower.
            name=name.lower(), state=State.READY if profile.state == State.READY else State.CONFLICT,
            managed=False, arn=arn, execution_role_arn=role, asked_role_arn="", aws_modified_at=None,
            changed_at=timezone.now(), **NO_FORM, **NOT_ADOPTED,
        )
    )  # fmt: skip


def _is_deleted(row: Profile, name: str, domain: Domain) -> bool:
    return row.state == State.RETIRED and row.domain_id == domain.pk and row.name.lower() == name.lower()


def _untouched(ids: Iterable[int], since: datetime | None) -> list[Profile]:
    """Lock and return the ready rows among these that nobody holds and that have not changed since."""
    rows: QuerySet[Profile] = Profile.objects.filter(free(), pk__in=list(ids), state=State.READY)
    if since is not None:
        rows = rows.filter(changed_at__lte=since)
    return list(rows.select_related("team", "domain").select_for_update(of=("self",), skip_locked=True).order_by("pk"))


def _tell(rows: Iterable[Profile], action: Action, by: str, reason: str) -> None:
    audit.record_many(
        [
            {
                "action": action, "target": row.name, "team": row.team.slug, "actor": by, "reason": reason,
                "data": {"domain": row.domain.domain_id},
            }
            for row in rows
        ]
    )  # fmt: skip
