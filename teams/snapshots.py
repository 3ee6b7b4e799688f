"""What the audit log says about an edited row: its name, and its values before and after."""

import hashlib
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.db import models

from teams.models import AwsAccount, CleanupRule, Domain, IdentityProvider, RoleMapping, ScimClient, Team, TeamTag, User

Snapshot = dict[str, Any]


def name(row: models.Model) -> str:
    """Return the name by which admins know a row; it is the same before and after a restore of the database."""
    match row:
        case AwsAccount():
            return row.account_id
        case Domain():
            return f"{row.domain_id} in {row.region}"
        case Team():
            return row.slug
        case RoleMapping():
            return f"{row.group} → {row.team.slug}"
        case User():
            return row.username
        case IdentityProvider():
            return row.entity_id
        case ScimClient():
            return row.slug
        case TeamTag():
            return row.key
        case _:
            return str(row)


def target(row: models.Model) -> str:
    """Return the audit log's target for a row: “team: team1”; a user is known by the plain user name."""
    return row.username if isinstance(row, User) else f"{row._meta.verbose_name}: {name(row)}"


def team_of(row: models.Model) -> str:
    """Return the slug of the team that a row is or belongs to, empty where there is none."""
    if isinstance(row, RoleMapping):
        return row.team.slug
    return row.slug if isinstance(row, Team) else ""


def take(row: models.Model) -> Snapshot:
    """Return the values of a row in JSON types; relations by name, a team with its tags, owners and cleanup rule."""
    values: Snapshot = {}
    for field in row._meta.concrete_fields:
        if field.primary_key or field.name in _PRIVATE:
            continue
        if isinstance(field, models.ForeignKey):
            other = getattr(row, field.name)
            values[field.name] = None if other is None else name(other)
        elif field.name in _LONG:
            values[field.name] = f"SHA-256 {hashlib.sha256(str(getattr(row, field.name)).encode()).hexdigest()}"
        else:
            values[field.name] = _plain(field.value_from_object(row))
    if isinstance(row, Team):
        values["tags"] = dict(row.tags.values_list("key", "value"))
        values["owners"] = sorted(row.owners.values_list("user__username", flat=True))
        rule = CleanupRule.objects.filter(team=row).first()
        said = take(rule) if rule else {}
        # By itself, because profiles have to follow this part of it.
        values["idle_shutdown_minutes"] = said.pop("idle_shutdown_minutes", None)
        values["cleanup"] = {name: value for name, value in said.items() if name != "team"} or None
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    # A typed “50” and the column's “50.00” are the same.
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def difference(before: Snapshot, after: Snapshot) -> dict[str, Snapshot]:
    """Return `before` and `after` with only the values that differ; an empty dictionary when none does."""
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    if not changed:
        return {}
    return {
        "before": {key: before[key] for key in changed if key in before},
        "after": {key: after[key] for key in changed if key in after},
    }


def only(changes: dict[str, Snapshot], names: Iterable[str]) -> dict[str, Snapshot]:
    """Return the part of a `difference` that is about `names`; an empty dictionary when there is none."""
    wanted = frozenset(names)
    part = {side: {key: value for key, value in values.items() if key in wanted} for side, values in changes.items()}
    return part if any(part.values()) else {}


# Never in the log, whatever else is; when something was last looked at is no change to it.
_PRIVATE = frozenset(
    {
        "password",
        "session_epoch",
        "last_login",
        "created_at",
        "refreshed_at",
        "tried_at",
        "last_used_at",
        "form_version",
        "looked_at",
        "look_error",
    }
)
# In the log as a digest: metadata are long, and their certificates and dates are fields of their own.
_LONG = frozenset({"metadata"})
