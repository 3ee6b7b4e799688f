"""The version of a team's form: what its profiles in AWS should look like. Whatever changes that raises it, in the same
transaction, and each profile remembers the version that it was brought to.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import F

from teams.models import Team, TeamTag

# What of a team its profiles in AWS have to follow, by the names in its snapshots.
_FORM = frozenset({"user_settings", "tags", "execution_role_arn", "domain", "idle_shutdown_minutes"})


def raise_form_version(team_ids: Iterable[int]) -> None:
    """Say that the profiles of these teams should look different by now; call it where that is written."""
    Team.objects.filter(pk__in=list(team_ids)).update(form_version=F("form_version") + 1)


def raise_for(team: Team, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    """Do so if what changed between two snapshots of a team concerns its profiles; a new team has none."""
    if before and any(before.get(name) != after.get(name) for name in _FORM):
        raise_form_version([team.pk])


def teams_using(constant: str) -> list[int]:
    """Return the teams with a tag that names this constant."""
    tags = TeamTag.objects.filter(value__contains=f"{{{constant}}}").order_by()
    return sorted(tags.values_list("team", flat=True).distinct())
