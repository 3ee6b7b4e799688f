"""The SQL behind `teams.memberships`, set by set, and what it changed; nothing else calls it.

Wanted evidence is worked out from group memberships and role mappings and compared with what is on record in one
statement, for one user as for all of them. Evidence that has run out counts as gone: it is deleted, or begins anew;
only that of a sign-on stays until its source speaks again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from teams.models import AuditEvent


class Row(NamedTuple):
    """One piece of evidence that came or went, told in words that outlive it; `kept`: other live evidence remained."""

    change: str  # "added", "removed", "expired", or "again": it had run out and was stated anew
    user_id: int
    username: str
    team_id: int
    slug: str
    source: str
    group: str | None
    mapping_id: int | None
    role: str | None
    kept: bool
    until: datetime | None = None  # when it ran out, if it did


@dataclass(frozen=True)
class Changes:
    """What a statement changed, and the team ids it named that no team has."""

    rows: tuple[Row, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def user_ids(self) -> frozenset[int]:
        """Everybody whose evidence came or went."""
        return frozenset(row.user_id for row in self.rows)

    @property
    def gained(self) -> frozenset[int]:
        """Ids of teams in which the user now has evidence and had none that was live."""
        return self._teams("added", "again") - self._teams("removed")

    @property
    def lost(self) -> frozenset[int]:
        """Ids of teams in which the user has no evidence any more."""
        return self._teams("removed", "expired") - self._teams("added", "again")

    def _teams(self, *changes: str) -> frozenset[int]:
        return frozenset(row.team_id for row in self.rows if row.change in changes and not row.kept)

    def audit_rows(self, reason: str) -> Iterator[dict[str, Any]]:
        """Yield the arguments of `audit.record` for every row; `reason` is why memberships went, if nothing expired."""
        for row in self.rows:
            if row.change in {"expired", "again"}:
                yield _audit_row(AuditEvent.Action.MEMBERSHIP_REMOVED, row, "expired")
            elif row.change == "removed":
                yield _audit_row(AuditEvent.Action.MEMBERSHIP_REMOVED, row, reason)
            if row.change in {"added", "again"}:
                yield _audit_row(AuditEvent.Action.MEMBERSHIP_ADDED, row, "")


def _audit_row(action: AuditEvent.Action, row: Row, reason: str) -> dict[str, Any]:
    data: dict[str, Any] = {"source": row.source}
    if row.mapping_id is not None:
        data |= {"group": row.group, "mapping": row.mapping_id, "role": row.role}
    if reason == "expired" and row.until is not None:
        data["until"] = row.until.isoformat()
    return {"action": action, "target": row.username, "team": row.slug, "reason": reason, "data": data}


# The columns of `Row` for a set called `changed`, which has those of a membership, `change` and `kept`.
_TOLD = """
    SELECT changed.change, changed.user_id, u.username, changed.team_id, t.slug, changed.source,
           coalesce(nullif(g.name, ''), g.external_id), changed.mapping_id,
           -- As `teams.role_names.EXPANDED` has it.
           replace(replace(replace(
               m.execution_role_arn, '{account}', account.account_id), '{team}', t.slug),
               '{group}', coalesce(nullif(g.name, ''), g.external_id)),
           changed.kept, changed.until
    FROM changed
    JOIN teams_user u ON u.id = changed.user_id
    JOIN teams_team t ON t.id = changed.team_id
    JOIN teams_domain domain ON domain.id = t.domain_id
    JOIN teams_awsaccount account ON account.id = domain.account_id
    LEFT JOIN teams_group g ON g.id = changed.group_id
    LEFT JOIN teams_rolemapping m ON m.id = changed.mapping_id
"""

# The audit rows of the same set, for changes that may be too many to pass through this process; `reason` says why
# evidence went that had not run out.
LOG = """
    INSERT INTO teams_auditevent
        (at, action, outcome, actor, target, team, request_id, aws_request_id, reason, data)
    SELECT %(now)s, told.action, 'success', %(actor)s, u.username, t.slug, %(request)s, '',
           coalesce(told.reason, %(reason)s),
           jsonb_build_object('source', told.source)
           || CASE WHEN told.mapping_id IS NULL THEN '{}'::jsonb ELSE jsonb_build_object(
               'group', coalesce(nullif(g.name, ''), g.external_id), 'mapping', told.mapping_id,
               -- As `teams.role_names.EXPANDED` has it.
               'role', replace(replace(replace(
                   m.execution_role_arn, '{account}', account.account_id), '{team}', t.slug),
                   '{group}', coalesce(nullif(g.name, ''), g.external_id)))
              END
           || CASE WHEN told.reason = 'expired' THEN jsonb_build_object('until', told.until) ELSE '{}'::jsonb END
    FROM (
        SELECT c.*, kind.action, kind.reason, kind.place
        FROM changed c
        JOIN (VALUES ('removed', 'membership_removed', NULL, 1), ('expired', 'membership_removed', 'expired', 1),
                     ('again', 'membership_removed', 'expired', 1), ('again', 'membership_added', '', 2),
                     ('added', 'membership_added', '', 2)) AS kind (change, action, reason, place)
          ON kind.change = c.change
    ) AS told
    JOIN teams_user u ON u.id = told.user_id
    JOIN teams_team t ON t.id = told.team_id
    JOIN teams_domain domain ON domain.id = t.domain_id
    JOIN teams_awsaccount account ON account.id = domain.account_id
    LEFT JOIN teams_group g ON g.id = told.group_id
    LEFT JOIN teams_rolemapping m ON m.id = told.mapping_id
    ORDER BY told.user_id, told.team_id, told.place
"""

# Every parameter of a scope may be NULL, which means "any"; constants are folded before the plan is made.
_SCOPE = """
    (%(user)s::bigint IS NULL OR gm.user_id = %(user)s::bigint)
    AND (%(groups)s::bigint[] IS NULL OR gm.group_id = ANY(%(groups)s::bigint[]))
    AND (%(teams)s::bigint[] IS NULL OR m.team_id = ANY(%(teams)s::bigint[]))
"""

_CHANGED = """
    WITH mapped AS (
        SELECT gm.user_id, m.team_id, g.source, g.id AS group_id, m.id AS mapping_id, gm.valid_until
        FROM teams_groupmembership gm
        JOIN teams_group g ON g.id = gm.group_id
        JOIN teams_rolemapping m ON m."group" = g.external_id AND m.source IN ('', g.source)
        WHERE {scope} AND (gm.valid_until IS NULL OR gm.valid_until > %(now)s)
        UNION
        SELECT gm.user_id, m.team_id, g.source, g.id, m.id, gm.valid_until
        FROM teams_groupmembership gm
        JOIN teams_group g ON g.id = gm.group_id
        JOIN teams_rolemapping m ON m."group" = g.name AND m."group" <> '' AND m.source IN ('', g.source)
        WHERE {scope} AND (gm.valid_until IS NULL OR gm.valid_until > %(now)s)
    ), wanted AS (
        SELECT * FROM mapped
        UNION ALL
        SELECT %(user)s::bigint, t.id, %(source)s::text, NULL, NULL, %(until)s::timestamptz
        FROM teams_team t
        WHERE t.saml_id = ANY(%(saml_ids)s::text[])
          AND (%(until)s::timestamptz IS NULL OR %(until)s::timestamptz > %(now)s)
    ), have AS (
        SELECT * FROM teams_membership h
        WHERE (%(user)s::bigint IS NULL OR h.user_id = %(user)s::bigint)
          AND (%(teams)s::bigint[] IS NULL OR h.team_id = ANY(%(teams)s::bigint[]))
          AND (%(groups)s::bigint[] IS NULL OR h.group_id = ANY(%(groups)s::bigint[]))
    ), compared AS MATERIALIZED (
        SELECT h.id, coalesce(h.user_id, w.user_id) AS user_id, coalesce(h.team_id, w.team_id) AS team_id,
               coalesce(h.source, w.source) AS source, coalesce(h.group_id, w.group_id) AS group_id,
               coalesce(h.mapping_id, w.mapping_id) AS mapping_id, w.valid_until, h.valid_until AS until,
               CASE
                   WHEN h.id IS NULL THEN 'added'
                   -- That a session is over takes nothing away, unless its own source speaks again.
                   WHEN w.user_id IS NULL AND h.valid_until <= %(now)s AND h.source <> %(source)s
                        AND (h.source = 'saml' OR h.source LIKE 'saml:%%') THEN 'lapsed'
                   WHEN w.user_id IS NULL AND h.valid_until <= %(now)s THEN 'expired'
                   -- What names the team itself is only ever added to.
                   WHEN w.user_id IS NULL AND h.group_id IS NULL THEN 'kept'
                   WHEN w.user_id IS NULL THEN 'removed'
                   WHEN h.valid_until <= %(now)s THEN 'again'
                   WHEN h.valid_until IS DISTINCT FROM w.valid_until THEN 'renewed'
                   ELSE 'kept'
               END AS change
        FROM have h
        FULL JOIN wanted w
          ON w.user_id = h.user_id AND w.team_id = h.team_id AND w.source = h.source
         AND coalesce(w.group_id, 0) = coalesce(h.group_id, 0) AND coalesce(w.mapping_id, 0) = coalesce(h.mapping_id, 0)
    ), gone AS (
        DELETE FROM teams_membership USING compared
        WHERE teams_membership.id = compared.id AND compared.change IN ('removed', 'expired')
    ), renewed AS (
        UPDATE teams_membership
        SET valid_until = compared.valid_until,
            since = CASE compared.change WHEN 'again' THEN %(now)s ELSE teams_membership.since END
        FROM compared
        WHERE teams_membership.id = compared.id AND compared.change IN ('renewed', 'again')
    ), fresh AS (
        INSERT INTO teams_membership (user_id, team_id, source, group_id, mapping_id, since, valid_until)
        SELECT user_id, team_id, source, group_id, mapping_id, %(now)s, valid_until FROM compared WHERE change = 'added'
    ), standing AS (
        SELECT DISTINCT user_id, team_id FROM compared WHERE change IN ('kept', 'renewed')
    ), changed AS (
        SELECT compared.*, standing.user_id IS NOT NULL AS kept
        FROM compared LEFT JOIN standing USING (user_id, team_id)
        WHERE compared.change NOT IN ('kept', 'renewed', 'lapsed')
    )
"""

_SETTLE = """
    {changed}
    {told}
    UNION ALL
    SELECT 'unknown', NULL, said.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM unnest(%(saml_ids)s::text[]) AS said (id)
    WHERE NOT EXISTS (SELECT FROM teams_team WHERE saml_id = said.id)
    ORDER BY 3, 5
"""

_SETTLE_MANY = """
    {changed}, logged AS ({log})
    SELECT DISTINCT user_id FROM changed
"""


def _complete(sql: str) -> str:
    """Fill in the parts; without comments and indents psycopg remembers how a statement is taken apart."""
    for name, part in (("changed", _CHANGED), ("scope", _SCOPE), ("told", _TOLD), ("log", LOG)):
        sql = sql.replace(f"{{{name}}}", part)
    return re.sub(r"\s+", " ", re.sub(r"--.*", "", sql))


_SETTLE, _SETTLE_MANY = _complete(_SETTLE), _complete(_SETTLE_MANY)


def settle(
    *,
    now: datetime,
    user_id: int,
    source: str = "",
    saml_ids: list[str] | None = None,
    valid_until: datetime | None = None,
) -> Changes:
    """Make the memberships of one user agree with group memberships and mappings, and return what came and went.

    `source` may also name teams by `saml_ids`, until `valid_until`.
    """
    said = {"user": user_id, "source": source, "saml_ids": saml_ids or [], "until": valid_until}
    rows = _rows(_SETTLE, {"now": now, "teams": None, "groups": None, **said})
    return Changes(
        rows=tuple(Row(*row) for row in rows if row[0] != "unknown"),
        unknown=tuple(row[2] for row in rows if row[0] == "unknown"),
    )


def settle_many(
    *,
    now: datetime,
    actor: str,
    request_id: str,
    team_ids: list[int] | None = None,
    group_ids: list[int] | None = None,
) -> list[int]:
    """Make the memberships of these teams, of these groups, or all, agree with group memberships and mappings.

    The audit rows are written too. Returns the ids of everybody whose evidence came or went.
    """
    said: dict[str, Any] = {"user": None, "source": "", "saml_ids": [], "until": None, "reason": ""}
    scope = {"now": now, "teams": team_ids, "groups": group_ids, "actor": actor, "request": request_id}
    return [user_id for (user_id,) in _rows(_SETTLE_MANY, {**said, **scope})]


_REMOVE = """
    WITH gone AS (
        DELETE FROM teams_membership
        WHERE {which}
        RETURNING *
    ), changed AS (
        SELECT gone.*, gone.valid_until AS until, false AS kept,
               CASE WHEN gone.valid_until <= %(now)s THEN 'expired' ELSE 'removed' END AS change
        FROM gone
    )
    {told}
    ORDER BY 3, 5
""".replace("{told}", _TOLD)
_RESTING_ON = "mapping_id = %(mapping)s::bigint OR team_id = %(team)s::bigint"
_NAMED = "user_id = %(user)s AND team_id = %(team)s AND source = %(source)s AND mapping_id IS NULL"
# A sign-on's evidence only lapses: nobody has said that the person left.
_OVER = "valid_until <= %(now)s AND source <> 'saml' AND source NOT LIKE 'saml:%%'"


def remove(*, mapping_id: int | None = None, team_id: int | None = None) -> Changes:
    """Delete the memberships that rest on a mapping, or all of a team."""
    return _remove(_RESTING_ON, mapping=mapping_id, team=team_id)


def remove_named(*, user_id: int, team_id: int, source: str) -> Changes:
    """Delete the evidence of a source that names the team itself."""
    return _remove(_NAMED, user=user_id, team=team_id, source=source)


def _remove(which: str, **values: Any) -> Changes:
    rows = _rows(_REMOVE.replace("{which}", which), {"now": timezone.now()} | values)
    return Changes(tuple(Row(*row) for row in rows))


def has_expired(now: datetime) -> bool:
    """Whether there is evidence that has run out and was not left by a sign-on."""
    return bool(_rows("SELECT 1 FROM teams_membership WHERE {which} LIMIT 1".replace("{which}", _OVER), {"now": now}))


def expire(now: datetime) -> Changes:
    """Delete the evidence that has run out and was not left by a sign-on, with its group memberships."""
    found = _rows(_REMOVE.replace("{which}", _OVER), {"now": now})
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRED_GROUPS, {"now": now})
    return Changes(tuple(Row(*row) for row in found))


_EXPIRED_GROUPS = """
    DELETE FROM teams_groupmembership gm USING teams_group g
    WHERE g.id = gm.group_id AND gm.valid_until <= %(now)s AND g.source <> 'saml' AND g.source NOT LIKE 'saml:%%'
"""

# Both tables, whichever of them the sign-on wrote.
_RUN_OUT = """
    WITH groups AS (
        UPDATE teams_groupmembership gm SET valid_until = %(now)s
        FROM teams_group g
        WHERE g.id = gm.group_id AND gm.user_id = %(user)s AND {scope} AND gm.valid_until > %(now)s
          AND (%(until)s::timestamptz IS NULL OR gm.valid_until = %(until)s::timestamptz)
    )
    UPDATE teams_membership g SET valid_until = %(now)s
    WHERE g.user_id = %(user)s AND {scope} AND g.valid_until > %(now)s
      AND (%(until)s::timestamptz IS NULL OR g.valid_until = %(until)s::timestamptz)
""".replace(
    "{scope}",
    "CASE WHEN %(source)s::text IS NULL THEN g.source = 'saml' OR g.source LIKE 'saml:%%' "
    "ELSE g.source = %(source)s::text END",
)


def run_out(*, user_id: int, source: str | None, until: datetime | None, now: datetime) -> bool:
    """Let a user's evidence of a source (None: of any sign-on) that ends at `until` end now; whether any did."""
    with connection.cursor() as cursor:
        cursor.execute(_RUN_OUT, {"user": user_id, "source": source, "until": until, "now": now})
        return bool(cursor.rowcount)


def mapped_users(*, team_ids: list[int] | None) -> frozenset[int]:
    """Return everybody who is in these teams, or in any, by a mapping."""
    rows = _rows(
        """
        SELECT DISTINCT user_id FROM teams_membership
        WHERE mapping_id IS NOT NULL AND (%(teams)s::bigint[] IS NULL OR team_id = ANY(%(teams)s::bigint[]))
        """,
        {"teams": team_ids},
    )
    return frozenset(user_id for (user_id,) in rows)


# Sorted, so that two sign-ons that bring the same new groups wait for each other in one order.
_NEW_GROUPS = """
    INSERT INTO teams_group (source, external_id, name)
    SELECT %(source)s, said.id, said.name
    FROM unnest(%(ids)s::text[], %(names)s::text[]) AS said (id, name)
    WHERE NOT EXISTS (SELECT FROM teams_group g WHERE g.source = %(source)s AND g.external_id = said.id)
    ORDER BY said.id
    ON CONFLICT DO NOTHING
"""

_RENAME = """
    UPDATE teams_group g SET name = said.name
    FROM unnest(%(ids)s::text[], %(names)s::text[]) AS said (id, name)
    WHERE g.source = %(source)s AND g.external_id = said.id AND said.name <> '' AND g.name <> said.name
    RETURNING g.id
"""

# Answers how many of the groups are on record.
_STATE = """
    WITH wanted AS (
        SELECT g.id, said.own_id
        FROM unnest(%(ids)s::text[], %(own_ids)s::text[]) AS said (id, own_id)
        JOIN teams_group g ON g.source = %(source)s AND g.external_id = said.id
    ), have AS (
        SELECT gm.* FROM teams_groupmembership gm JOIN teams_group g ON g.id = gm.group_id
        WHERE gm.user_id = %(user)s AND g.source = %(source)s
    ), gone AS (
        DELETE FROM teams_groupmembership gm USING have
        WHERE gm.id = have.id AND have.group_id NOT IN (SELECT id FROM wanted)
    ), renewed AS (
        UPDATE teams_groupmembership gm
        SET valid_until = %(until)s, since = CASE WHEN gm.valid_until <= %(now)s THEN %(now)s ELSE gm.since END,
            external_id = wanted.own_id
        FROM have JOIN wanted ON wanted.id = have.group_id
        WHERE gm.id = have.id AND (gm.valid_until IS DISTINCT FROM %(until)s OR gm.external_id <> wanted.own_id)
    ), fresh AS (
        INSERT INTO teams_groupmembership (user_id, group_id, since, valid_until, external_id)
        SELECT %(user)s, wanted.id, %(now)s, %(until)s, wanted.own_id
        FROM wanted WHERE wanted.id NOT IN (SELECT group_id FROM have)
    )
    SELECT count(*) FROM wanted
"""


def state_groups(said: dict[str, Any], *, rename: bool) -> list[int]:
    """Record that a user is in exactly these groups of a source; return the ids of groups that have a new name.

    `said` has `user`, `source`, `ids`, `names` and `own_ids` (in the order of the ids), `until` and `now`. Names on
    record stay as they are unless `rename` is set, for which the caller holds the gate alone.
    """
    with connection.cursor() as cursor:
        renamed: list[int] = []
        if rename:
            cursor.execute(_RENAME, said)
            renamed = [group_id for (group_id,) in cursor.fetchall()]
        cursor.execute(_STATE, said)
        if cursor.fetchone() != (len(said["ids"]),):
            # Rarely is a group new; when one is, the statement is made again with it.
            cursor.execute(_NEW_GROUPS, said)
            cursor.execute(_STATE, said)
    return renamed


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
