"""The form that a profile should have, read from the rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from provisioning import desired
from provisioning.desired import DesiredProfile
from provisioning.models import Profile
from provisioning.running.idle import idle_settings
from teams import tag_templates
from teams.models import TagConstant, Team, TeamTag


@dataclass(frozen=True)
class TeamForm:
    """What the forms of a team's profiles have in common: settings, tags as they are written, and their constants."""

    user_settings: dict[str, Any]
    tags: dict[str, str]
    constants: dict[str, str]


def of_team(team: Team) -> TeamForm:
    """Return what a team whose `cleanup_rule` is loaded wants of all its profiles; one query, two with constants."""
    tags = dict(team.tags.values_list("key", "value"))
    settings = idle_settings(getattr(team, "cleanup_rule", None), team.user_settings)
    return TeamForm(settings, tags, constants(tags.values()))


def wanted(profile: Profile, execution_role_arn: str, shared: TeamForm | None = None) -> DesiredProfile:
    """Return what AWS should have for a profile whose `user`, `team` and `team__cleanup_rule` are loaded.

    `shared` is what `of_team` said, where it is at hand: then there is no query. Raises TooManyTagsError and
    UnknownTagNameError.
    """
    shared = shared or of_team(profile.team)
    return desired.desired(
        name=profile.name,
        username=profile.user.username,
        team_slug=profile.team.slug,
        execution_role_arn=execution_role_arn,
        user_settings=shared.user_settings,
        team_tags=shared.tags,
        email=profile.user.email,
        constants=shared.constants,
    )


def constants(templates: Iterable[str]) -> dict[str, str]:
    """Return the constants that these values of tags name, without a query where they name none."""
    names = {name for each in templates for name in tag_templates.names_in(each)} - tag_templates.BUILT_IN
    return dict(TagConstant.objects.filter(name__in=names).values_list("name", "value")) if names else {}


def is_behind() -> Q:
    """Return the filter on managed profiles that have not been brought to the present form of their team.

    A mail address counts only where a tag of the team names it.
    """
    names_email = Exists(TeamTag.objects.filter(team=OuterRef("team_id"), value__contains="{email}"))
    return Q(form_version__lt=F("team__form_version")) | (~Q(form_email=F("user__email")) & Q(names_email))


def behind(rows: QuerySet[Profile], most: int) -> list[int]:
    """Return the ids of up to `most` of the rows that are ready, ours and behind; with or without access.

    Two plain questions instead of one with “or”: at a hundred thousand profiles it is looked at every minute.
    """
    rows = rows.filter(state=Profile.State.READY, managed=True).order_by()
    older = rows.filter(form_version__lt=F("team__form_version"))
    found = list(older.values_list("pk", flat=True)[:most])
    teams = list(TeamTag.objects.filter(value__contains="{email}").order_by().values_list("team", flat=True).distinct())
    if teams and len(found) < most:
        moved = rows.filter(team__in=teams).exclude(form_email=F("user__email"))
        found += moved.values_list("pk", flat=True)[: most - len(found)]
    return found
