"""The read side: what a person may open, as which role, and since when. Nothing here writes."""

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, When
from django.utils import timezone

from teams.models import Membership, Team, User
from teams.prepared import Prepared
from teams.role_names import EXPANDED

_GIVES_ROLE = Q(mapping__execution_role_arn__gt="")
# The role that one piece of evidence speaks for, and which evidence decides: a mapping with a role before any other,
# the highest priority, then the oldest mapping, its oldest group, and the oldest evidence.
ROLE = Case(When(_GIVES_ROLE, then=EXPANDED), default=F("team__execution_role_arn"))
DECIDES = (
    Case(When(_GIVES_ROLE, then=0), default=1),
    F("mapping__priority").desc(nulls_last=True),
    F("mapping_id"),
    F("group_id"),
    F("id"),
)


@dataclass(frozen=True)
class Access:
    """A team that a person may open; `team.domain.account` is loaded, `since` when the oldest live evidence began."""

    team: Team
    execution_role_arn: str
    since: datetime


def live(now: datetime | None = None) -> Q:
    """Return the filter on Membership for what gives access now: not run out, user active, team active."""
    not_over = Q(valid_until__isnull=True) | Q(valid_until__gt=now or timezone.now())
    return not_over & Q(user__is_active=True, team__is_active=True)


def for_user(user: User) -> list[Access]:
    """Return what this person may open, ordered by the team's name, with one query."""
    return _accesses(Membership.objects.filter(user=user.pk))


def find(user: User, slug: str) -> Access | None:
    """Return this person's access to the team with this slug, or None, whether or not there is such a team."""
    found = _accesses(Membership.objects.filter(user=user.pk, team__slug=slug))
    return found[0] if found else None


def role_for(user_id: int, team_id: int) -> str | None:
    """Return the ARN of the execution role with which a user works in a team, or None without access."""
    rows = _ROLE.rows(user=user_id, team=team_id)
    return rows[0][0] if rows else None


def role_of(user: str, team: str) -> Subquery:
    """Return the same decision as an expression for a queryset whose columns `user` and `team` hold the ids.

    `.annotate(role=access.role_of("user_id", "team_id"))` gives the ARN, NULL without access.
    """
    return Subquery(_deciding(Membership.objects.filter(user=OuterRef(user), team=OuterRef(team)))[:1])


def _deciding(memberships: QuerySet[Membership]) -> QuerySet[Membership, str]:
    return memberships.filter(live()).order_by(*DECIDES).values_list(ROLE, flat=True)


def _accesses(memberships: QuerySet[Membership]) -> list[Access]:
    evidence = (
        memberships.filter(live())
        .select_related("team__domain__account")
        .annotate(role=ROLE)
        .order_by("team__name", "team_id", *DECIDES)
    )
    accesses = []
    for _team_id, each in groupby(evidence, key=lambda membership: membership.team_id):
        first, *others = each
        since = min(membership.since for membership in (first, *others))
        accesses.append(Access(first.team, first.role, since))
    return accesses


_USER, _TEAM = -1, -2


def _role() -> QuerySet[Membership, Any]:
    return _deciding(Membership.objects.filter(user=_USER, team=_TEAM))[:1]


_ROLE = Prepared(_role, user=_USER, team=_TEAM)
