"""Suspend people and teams, and let them go on, as an admin says: audited with the reason and the actor of the context.

Whoever is suspended is signed off everywhere and opens nothing; their profiles go the way of all access that was
revoked, and come back if they are resumed within the grace period.
"""

from django.db import transaction

from teams import audit, memberships, snapshots, users
from teams.models import AuditEvent, Team, User
from teams.signals import send_access_changed


def suspend_user(user: User, *, reason: str) -> bool:
    """End a person's access until an admin resumes it, whatever sources say; False when an admin had done so before."""
    with transaction.atomic():
        if users.deactivate(user, by="", reason=reason):
            return True
        # Their source had switched them off and could switch them on: the admin's word is above it now.
        memberships.share()
        by_source = User.objects.filter(pk=user.pk, is_active=False).exclude(deactivated_by="")
        changed = by_source.update(deactivated_by="")
        if changed:
            audit.record(AuditEvent.Action.USER_DEACTIVATED, target=user.username, reason=reason, data={"source": ""})
    return bool(changed)


def resume_user(user: User, *, reason: str) -> bool:
    """Let a person in again whom an admin had suspended; False for everybody else, those of their source included."""
    with transaction.atomic():
        return users.reactivate(user, by="", reason=reason)


def suspend_team(team: Team, *, reason: str) -> bool:
    """Switch a team off; False when it was off before."""
    return _switch(team, reason=reason, active=False)


def resume_team(team: Team, *, reason: str) -> bool:
    """Switch a team on again; False when it was on before."""
    return _switch(team, reason=reason, active=True)


def _switch(team: Team, *, reason: str, active: bool) -> bool:
    with transaction.atomic():
        row = Team.objects.select_for_update().get(pk=team.pk)
        if row.is_active == active:
            return False
        before = snapshots.take(row)
        row.is_active = active
        row.save(update_fields=["is_active"])
        audit.record(
            AuditEvent.Action.CHANGED, target=snapshots.target(row), team=row.slug, reason=reason,
            data=snapshots.difference(before, snapshots.take(row)),
        )  # fmt: skip
        send_access_changed(team_ids=[row.pk])
    return True
