"""What cannot work in a domain in SSO mode, where people enter through IAM Identity Center.

AWS has one profile there for each person, so that a domain serves one team. Inactive teams open nothing and do not
count.
"""

from typing import TYPE_CHECKING

from django.db.models import F, Min, Q

if TYPE_CHECKING:
    from teams.models import Domain, Team

SSO = "SSO"
_WHY = "IAM Identity Center has one profile for each person and domain, so that a domain in SSO mode serves one team"


def fault_of_team(team: "Team") -> str:
    """Return why an active team cannot work in its domain beside another one, empty where it can."""
    if team.domain.auth_mode != SSO:
        return ""
    others = team.domain.teams.filter(is_active=True).exclude(pk=team.pk).order_by("name")
    names = list(others.values_list("name", flat=True))
    return f"{_WHY}: this one has the team {_listed(names)} already. Choose another domain." if names else ""


def fault_of_mode(domain: "Domain") -> str:
    """Return why a saved domain cannot be in SSO mode with the teams that it has, empty where it can."""
    names = list(domain.teams.filter(is_active=True).order_by("name").values_list("name", flat=True))
    if len(names) < 2:
        return ""
    return f"{_WHY}: these are active here: {_listed(names)}. Move all but one to other domains first."


def second_team(team: "Team") -> str:
    """Return why a team's profiles are not made where two got into one domain all the same; empty for the first one.

    The first is the one that has had a profile in AWS for longest, else the one that was in the portal first.
    """
    if not team.domain.teams.filter(is_active=True).exclude(pk=team.pk).exists():
        return ""
    there = Q(profiles__domain=F("domain")) & ~Q(profiles__arn="")
    teams = team.domain.teams.filter(is_active=True).annotate(since=Min("profiles__created_at", filter=there))
    first = teams.order_by(F("since").asc(nulls_last=True), "pk").first()
    return "" if first is None or first.pk == team.pk else f"{_WHY}, and this one serves the team {first.name}."


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"“{name}”" for name in names[:5]) + more
