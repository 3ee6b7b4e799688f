"""What `teams.review` reads, for some people at a time."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from teams.models import AuditEvent, Grant
from teams.past import Past

_Action = AuditEvent.Action
_CHUNK = 2000

# Rows of the log that say whether somebody was active before.
SWITCHED = Q(action__in=(_Action.USER_DEACTIVATED, _Action.USER_REACTIVATED)) | Q(
    action=_Action.CHANGED, data__before__has_key="is_active"
)

# Whoever may have had evidence at the moment, and perhaps more.
_NAMES = """
    SELECT name FROM (
        SELECT u.username AS name
        FROM teams_membership h JOIN teams_user u ON u.id = h.user_id JOIN teams_team t ON t.id = h.team_id
        WHERE t.slug = %(slug)s AND h.since <= %(moment)s
        UNION
        SELECT e.target FROM teams_auditevent e
        WHERE e.team = %(slug)s AND e.id >= %(first)s AND e.at > %(moment)s AND e.action = 'membership_removed'
    ) AS names
    WHERE name > %(after)s ORDER BY name
"""

# Evidence of today, then what happened, the newest first: in one statement, so that neither is newer than the other.
_ROWS = """
    SELECT u.username, 'today', h.source, coalesce(nullif(g.name, ''), g.external_id), h.mapping_id,
           NULL, h.since, h.valid_until, NULL AS event
    FROM teams_membership h
    JOIN teams_user u ON u.id = h.user_id
    JOIN teams_team t ON t.id = h.team_id
    LEFT JOIN teams_group g ON g.id = h.group_id
    WHERE t.slug = %(slug)s AND u.username = ANY(%(names)s::text[])
    UNION ALL
    SELECT e.target, e.action, e.data->>'source', e.data->>'group', (e.data->>'mapping')::bigint,
           e.data->>'role', e.at, (e.data->>'until')::timestamptz, e.id
    FROM teams_auditevent e
    WHERE e.team = %(slug)s AND e.target = ANY(%(names)s::text[]) AND e.id >= %(first)s AND e.at > %(moment)s
      AND e.action IN ('membership_added', 'membership_removed')
    ORDER BY event DESC NULLS FIRST
"""

_BEGAN = """
    SELECT DISTINCT ON (e.target, e.data->>'source', e.data->>'mapping', e.data->>'group')
           e.target, e.data->>'source', (e.data->>'mapping')::bigint, e.data->>'group', e.at
    FROM teams_auditevent e
    WHERE e.team = %(slug)s AND e.target = ANY(%(names)s::text[]) AND e.at <= %(moment)s
      AND e.action = 'membership_added'
    ORDER BY e.target, e.data->>'source', e.data->>'mapping', e.data->>'group', e.id DESC
"""


class Row(NamedTuple):
    """Evidence of today, with when it began, or an audit row (`what` is its action), with when it was written."""

    name: str
    what: str
    source: str | None
    group: str | None
    mapping: int | None
    role: str | None
    at: datetime
    until: datetime | None


def names(slug: str, past: Past, after: str) -> Iterator[str]:
    """Yield the user names that follow `after`, in order."""
    said: dict[str, Any] = {"slug": slug, "moment": past.moment, "first": past.first_id, "after": after}
    with connection.chunked_cursor() as cursor:
        cursor.execute(_NAMES, said)
        while found := cursor.fetchmany(_CHUNK):
            for (name,) in found:
                yield name


def rows(slug: str, past: Past, people: list[str]) -> Iterator[Row]:
    """Yield what these people have, and then what they got and lost since the moment, the newest first."""
    for *row, _ in _ask(_ROWS, slug=slug, moment=past.moment, first=past.first_id, names=people):
        yield Row(*row)


def began(slug: str, moment: datetime, people: list[str]) -> dict[tuple[str, str, int | None, str | None], datetime]:
    """Return when evidence was last added before the moment, by user name, source, mapping and group.

    Under None instead of the group is the last of all its groups.
    """
    found: dict[tuple[str, str, int | None, str | None], datetime] = {}
    for name, source, mapping, group, at in _ask(_BEGAN, slug=slug, moment=moment, names=people):
        found[name, source or "", mapping, group or ""] = at
        last = found.get((name, source or "", mapping, None))
        found[name, source or "", mapping, None] = at if last is None else max(at, last)
    return found


def given(slug: str, moment: datetime, people: list[str]) -> dict[str, tuple[str, str]]:
    """Return who had given access by hand by the moment, and why, by the user name of whoever has it."""
    grants = Grant.objects.filter(team__slug=slug, user__username__in=people, given_at__lte=moment)
    found = {name: (by, reason) for name, by, reason in grants.values_list("user__username", "given_by", "reason")}
    told = AuditEvent.objects.filter(
        team=slug, target__in=people, at__lte=moment, action__in=(_Action.ACCESS_GIVEN, _Action.ACCESS_APPROVED)
    )
    lasts = told.order_by("target", "-pk").distinct("target").values_list("target", "actor", "reason")
    return found | {name: (actor, reason) for name, actor, reason in lasts}


def _ask(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
