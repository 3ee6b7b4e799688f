"""What the profile of one person in one team should look like in AWS; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import regex

from teams import tag_templates

MANAGED_BY = "managed-by"
OWNER = "owner"
TEAM = "Team"
MANAGER = "studio-portal"

MAX_TAGS = 50
MAX_TAG_VALUE = 256
_ILLEGAL_IN_TAGS = regex.compile(r"[^\p{L}\p{Z}\p{N}_.:/=+\-@]")


class TooManyTagsError(ValueError):
    """The team's tags and the portal's own together are more than AWS allows on one resource."""


@dataclass(frozen=True)
class DesiredProfile:
    """What AWS should have for one profile; `user_settings` includes the execution role.

    `email` is the mail address that the tags name, empty where they name none.
    """

    name: str
    execution_role_arn: str
    user_settings: dict[str, Any]
    tags: dict[str, str]
    email: str = ""


def desired(
    *,
    name: str,
    username: str,
    team_slug: str,
    execution_role_arn: str,
    user_settings: Mapping[str, Any],
    team_tags: Mapping[str, str],
    email: str = "",
    constants: Mapping[str, str] | None = None,
) -> DesiredProfile:
    """Return the desired form of the profile `name` of the person `username` in a team.

    The portal's own tags come on top of the team's; only `Team` may be set by the team itself, in any case of letters.
    In the values of the team's tags names in braces stand for the person's, the team's or the `constants`' values.
    Raises TooManyTagsError beyond `MAX_TAGS`, UnknownTagNameError for a name without a value.
    """
    values = {**(constants or {}), "user": username, "team": team_slug, "email": email}
    own = {OWNER: tag_value(username), MANAGED_BY: MANAGER}
    templates = {key: value for key, value in team_tags.items() if key.lower() not in own}
    tags = {key: tag_value(tag_templates.expand(value, values)) for key, value in templates.items()}
    if not any(key.lower() == TEAM.lower() for key in tags):
        tags[TEAM] = team_slug
    tags |= own
    if len(tags) > MAX_TAGS:
        raise TooManyTagsError(f"The team has {len(tags) - MAX_TAGS} tags too many; AWS allows {MAX_TAGS}.")
    named = email if any("email" in tag_templates.names_in(value) for value in templates.values()) else ""
    settings = {**user_settings, "ExecutionRole": execution_role_arn}
    return DesiredProfile(name, execution_role_arn, settings, tags, named)


def tag_value(text: str) -> str:
    """Return `text` as a legal value of a tag: other characters become `_`, at most 256 are kept."""
    return _ILLEGAL_IN_TAGS.sub("_", text)[:MAX_TAG_VALUE]


def value_of(tags: Mapping[str, str], key: str) -> str | None:
    """Return the value of a tag, None when it is absent; the keys of tags are compared as IAM does, without case."""
    return next((value for name, value in tags.items() if name.lower() == key.lower()), None)


def is_ours(tags: Mapping[str, str], wanted: DesiredProfile, *, recorded: bool) -> bool:
    """Whether a profile with these tags was made by the portal for this person and team.

    `recorded`: the portal's own row says so too; then the `Team` tag may differ, because admins may change it later.
    """
    return (
        value_of(tags, MANAGED_BY) == MANAGER
        and value_of(tags, OWNER) == wanted.tags[OWNER]
        and (recorded or value_of(tags, TEAM) == value_of(wanted.tags, TEAM))
    )


def contradiction(tags: Mapping[str, str], wanted: DesiredProfile) -> str | None:
    """Return the first of the portal's tags that says that a profile belongs to somebody or something else."""
    for key in (MANAGED_BY, OWNER, TEAM):
        found, expected = value_of(tags, key), value_of(wanted.tags, key) or ""
        # People who tagged by hand wrote “Team1” where the portal writes “team1”.
        if found is not None and found.casefold() != expected.casefold():
            return f"{key}={found}"
    return None


def contains(actual: Any, wanted: Any) -> bool:
    """Whether AWS's settings hold everything that is wanted.

    AWS may add defaults of its own, leave out what is empty, and repeat lists, which are sets to it, in another order.
    """
    if isinstance(wanted, Mapping):
        there = {} if actual is None else actual
        return isinstance(there, Mapping) and all(contains(there.get(key), item) for key, item in wanted.items())
    if isinstance(wanted, list):
        return _holds_each([] if actual is None else actual, wanted)
    return bool(actual == wanted) or (actual is None and wanted == "")


def _holds_each(actual: Any, wanted: list[Any]) -> bool:
    """Whether each of the wanted items is there once, and nothing else."""
    if not isinstance(actual, list) or len(actual) != len(wanted):
        return False
    left = list(actual)
    for item in wanted:
        found = next((index for index, each in enumerate(left) if contains(each, item)), None)
        if found is None:
            return False
        del left[found]
    return True
