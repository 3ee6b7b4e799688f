"""What the portal's own rows say of the profiles of a domain, and to whom tags point."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from provisioning import desired, forms
from provisioning.models import Profile
from provisioning.reconcile.plan import Recorded
from teams import access, role_names
from teams.models import Domain, Team, User
from teams.tag_templates import UnknownTagNameError


@dataclass(frozen=True)
class Known:
    """A row with what the plan needs of it; `role` is None without access."""

    profile: Profile
    role: str | None
    recorded: Recorded


def rows_of(domain: Domain) -> QuerySet[Profile]:
    """Return the rows of a domain with the role that each should have by now, and their names in lower case."""
    rows = Profile.objects.filter(domain=domain).select_related("user", "team__domain__account", "team__cleanup_rule")
    return rows.annotate(role=access.role_of("user_id", "team_id"), key=Lower("name"))


def rows_named(domain: Domain, keys: Iterable[str]) -> QuerySet[Profile]:
    """Return those of them that have these names in lower case."""
    rows: Any = rows_of(domain)
    found: QuerySet[Profile] = rows.filter(key__in=list(keys))
    return found


def known(rows: Iterable[Profile]) -> dict[str, Known]:
    """Return these rows, which `rows_of` gave, by name in lower case."""
    found = {}
    teams: dict[int, forms.TeamForm] = {}
    for profile in rows:
        if profile.team_id not in teams:
            teams[profile.team_id] = forms.of_team(profile.team)
        annotated: Any = profile
        recorded = Recorded(
            state=profile.state,
            managed=profile.managed,
            has_access=annotated.role is not None,
            wanted=wanted_of(profile, annotated.role, teams[profile.team_id]),
            applied_tags=profile.applied_tags,
        )
        found[annotated.key] = Known(profile, annotated.role, recorded)
    return found


def wanted_of(profile: Profile, role: str | None, shared: forms.TeamForm) -> desired.DesiredProfile | None:
    """Return the form that a profile should have; None where there is none, which its own steps say."""
    team = profile.team
    if role is None or team.domain_id != profile.domain_id:
        return None
    if role_names.faults(role, account=team.domain.account.account_id):
        return None
    try:
        return forms.wanted(profile, role, shared)
    except (desired.TooManyTagsError, UnknownTagNameError):
        return None


@dataclass(frozen=True)
class Owners:
    """To whom and to which team the tags of a profile point; `obstacle` says why to nobody, or why to no use."""

    user: User | None = None
    team: Team | None = None
    obstacle: str = ""


def owners(domain: Domain, name: str, tags: Mapping[str, str]) -> Owners:
    """Return the one person and the one team that the portal's tags name, if their profile may be retired.

    Of two who might be meant it is nobody's; and where there is a row or access, other doors decide.
    """
    users = users_tagged(desired.value_of(tags, desired.OWNER) or "")
    teams = teams_tagged(desired.value_of(tags, desired.TEAM) or "")
    if len(users) != 1 or len(teams) != 1:
        who = "nobody" if not users else "several people" if len(users) > 1 else ""
        what = "no team" if not teams else "several teams" if len(teams) > 1 else ""
        return Owners(obstacle=f"Its tags name {' and '.join(filter(None, (who, what)))} that the portal knows.")
    (user,), (team,) = users, teams
    return Owners(user, team, _obstacle(domain, name, user, team))


def _obstacle(domain: Domain, name: str, user: User, team: Team) -> str:
    row = Profile.objects.filter(user=user, team=team).select_related("domain").first()
    if row is not None and row.domain_id != domain.pk:
        return f"{user.username} has a profile in {team.slug} in another domain: the team moved, and left this behind."
    if row is not None and row.name.lower() != name.lower():
        return f"{user.username} has another profile in {team.slug}: {row.name}."
    if row is not None and row.state != Profile.State.RETIRED:
        return f"The profile of {user.username} in {team.slug} is not deleted."
    if access.role_for(user.pk, team.pk) is not None:
        return f"{user.username} has access to {team.slug}; the portal makes a row for it by itself."
    taken = Profile.objects.filter(name__iexact=name).exclude(user=user, team=team)
    return "Another row of the portal has this name." if taken.exists() else ""


def users_tagged(owner: str) -> list[User]:
    """Return the people, two at most, whose user name gives this value of a tag, in which `_` stands for anything."""
    if not owner:
        return []
    if "_" not in owner and len(owner) < desired.MAX_TAG_VALUE:
        return list(User.objects.filter(username=owner)[:2])
    pattern = "^" + "".join("." if each == "_" else re.escape(each) for each in owner)
    found = User.objects.filter(username__regex=pattern).iterator(chunk_size=500)
    return [user for user in found if desired.tag_value(user.username) == owner][:2]


def teams_tagged(value: str) -> list[Team]:
    """Return the teams, two at most, whose profiles carry this value of `Team`: their own tag, or else their slug."""
    if not value:
        return []
    tagged = Q(tags__key__iexact=desired.TEAM, tags__value=value)
    untagged = Q(slug=value) & ~Q(tags__key__iexact=desired.TEAM)
    return list(Team.objects.filter(tagged | untagged).distinct()[:2])
