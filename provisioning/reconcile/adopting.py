"""Taking over profiles that the portal did not make, by an admin's word."""

from typing import Any

from django.db import IntegrityError, transaction

from provisioning import profiles, repairs
from provisioning.models import Profile, ReconcileItem
from provisioning.rows import free
from teams import access
from teams.models import Domain, Membership, Team, User

Kind = ReconcileItem.Kind
State = Profile.State
BUSY = "A worker is at the profile of this person in this team; try again in a moment."


class NotAdoptableError(Exception):
    """Why a profile cannot become this person's; a sentence for the admin who asked."""


def is_offered(item: ReconcileItem) -> bool:
    """Whether an item is about a profile that somebody might adopt."""
    strange = item.kind == Kind.FOREIGN or (item.action == ReconcileItem.Action.REPORT and item.kind == Kind.TAGS)
    return strange and item.state != ReconcileItem.State.APPLIED


def adopt(item: ReconcileItem, *, user: User, team: Team, by: str) -> Profile:
    """Make the profile that an item is about that of `user` in `team`, as the admin `by` says.

    A worker then looks at it, tags it and brings it to its form. Raises NotAdoptableError.
    """
    try:
        with transaction.atomic():
            locked = ReconcileItem.objects.select_related("run__domain").select_for_update(of=("self",))
            item = locked.get(pk=item.pk)
            _require_fit(item, user, team)
            profile = _row(item, user, team)
            # Whose tags were changed is the portal's by its own row.
            if not profiles.adopt(profile, by=by, takes_over=item.kind == Kind.TAGS):
                raise NotAdoptableError(BUSY)
            item.state, item.profile = ReconcileItem.State.APPLIED, profile
            item.outcome = f"Adopted by {by} for {user.username}."[:500]
            item.save()
    except IntegrityError as error:
        raise NotAdoptableError(f"Another row of the portal has the name {item.name}.") from error
    return profile


def _require_fit(item: ReconcileItem, user: User, team: Team) -> None:
    domain = item.run.domain
    if not is_offered(item):
        raise NotAdoptableError("This is not about a profile that can be adopted, or it was adopted already.")
    if domain.auth_mode == Domain.AuthMode.SSO:
        raise NotAdoptableError("In a domain in SSO mode AWS itself says whose profile it is; that cannot be changed.")
    if team.domain_id != domain.pk:
        raise NotAdoptableError(f"The profiles of {team.slug} are in another domain.")
    if not Membership.objects.filter(access.live(), user=user, team=team).exists():
        raise NotAdoptableError(f"{user.username} has no access to {team.slug}.")


def _row(item: ReconcileItem, user: User, team: Team) -> Profile:
    """Return the locked row of this person and team, with the name that the profile has in AWS."""
    profiles.prepare([user.pk])
    row = Profile.objects.select_for_update().filter(free(), user=user, team=team).first()
    if row is None:
        raise NotAdoptableError(BUSY)
    same = row.name.lower() == item.name.lower()
    if row.state == State.CREATING:
        raise NotAdoptableError(BUSY)
    if not same and row.arn and row.state != State.CONFLICT:
        raise NotAdoptableError(f"{user.username} has a profile in {team.slug} already: {row.name}.")
    if Profile.objects.filter(name__iexact=item.name).exclude(pk=row.pk).exists():
        raise NotAdoptableError(f"Another row of the portal has the name {item.name}.")
    has: dict[str, Any] = item.detail["has"]
    arn, role = (row.arn, row.execution_role_arn) if same and row.arn else (has.get("arn"), has.get("role"))
    if not arn:
        raise NotAdoptableError("The portal may not look at this profile; its role needs the permission first.")
    if not repairs.point_at(row, name=item.name, arn=arn, role=role or ""):
        raise NotAdoptableError(BUSY)
    row.refresh_from_db()
    return row
