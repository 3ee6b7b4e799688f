"""What a change of mappings does to people: who gains access, loses it, or works with another role.

A `Watch` notes who is in the teams concerned, with which role, in a temporary table of the transaction; `outcome()`
compares with what has become of it. Both are done by set: only numbers, a digest and the first names come here.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from teams import access
from teams.models import Membership

MAX_NAMES = 200


@dataclass(frozen=True)
class Person:
    """A person in a team (its name), with the roles before and after; None where they have no access."""

    username: str
    name: str
    team: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Part:
    """How many people something happens to; once for each team it does so `number` times, and these are the first."""

    persons: int = 0
    number: int = 0
    people: tuple[Person, ...] = ()

    @property
    def more(self) -> int:
        """How many there are beyond those who are named."""
        return self.number - len(self.people)


@dataclass(frozen=True)
class Outcome:
    """Everything that a change does; `digest` is another one when anything of it is."""

    gains: Part
    losses: Part
    changes: Part
    digest: str

    def __bool__(self) -> bool:
        return bool(self.gains.number or self.losses.number or self.changes.number)


_NOTE = "INSERT INTO {table} (user_id, team_id, role) {decided}"
_TABLE = """
    CREATE TEMPORARY TABLE {table} (user_id bigint, team_id bigint, role text, PRIMARY KEY (user_id, team_id))
    ON COMMIT DROP
"""
_DIFFERENCE = """
    SELECT coalesce(b.user_id, a.user_id) AS user_id, coalesce(b.team_id, a.team_id) AS team_id,
           b.role AS before, a.role AS after,
           CASE WHEN b.user_id IS NULL THEN 'gains' WHEN a.user_id IS NULL THEN 'losses' ELSE 'changes' END AS kind
    FROM outcome_before b FULL JOIN outcome_after a USING (user_id, team_id)
    WHERE b.role IS DISTINCT FROM a.role
"""
# A sum does not depend on the order, and holds no text of all the rows together.
_NUMBERS = """
    SELECT kind, count(DISTINCT user_id), count(*),
           sum(hashtextextended(concat_ws('|', user_id, team_id, before, after), 0)::numeric)
    FROM ({difference}) AS difference GROUP BY kind ORDER BY kind
""".replace("{difference}", _DIFFERENCE)
_NAMES = """
    SELECT u.username, u.name, t.name, difference.before, difference.after
    FROM ({difference}) AS difference
    JOIN teams_user u ON u.id = difference.user_id
    JOIN teams_team t ON t.id = difference.team_id
    WHERE kind = %s ORDER BY u.username, t.name LIMIT %s
""".replace("{difference}", _DIFFERENCE)


class Watch:
    """The people of some teams before a change, made in its transaction, which should hold the gate already."""

    def __init__(self, team_ids: Iterable[int]) -> None:
        self.team_ids = sorted(set(team_ids))
        self.now = timezone.now()
        self._note("outcome_before")

    def outcome(self) -> Outcome:
        """Return what is different now, for the moment of the beginning, and forget the people; call it once."""
        self._note("outcome_after")
        with connection.cursor() as cursor:
            cursor.execute(_NUMBERS)
            numbers = [(kind, persons, number, int(total)) for kind, persons, number, total in cursor.fetchall()]
            parts = {kind: Part(persons, number, tuple(_people(cursor, kind))) for kind, persons, number, _ in numbers}
            cursor.execute("DROP TABLE outcome_before, outcome_after")
        none = Part()
        return Outcome(
            gains=parts.get("gains", none),
            losses=parts.get("losses", none),
            changes=parts.get("changes", none),
            digest=hashlib.sha256(repr(numbers).encode()).hexdigest(),
        )

    def _note(self, table: str) -> None:
        sql, parameters = _decided(self.team_ids, self.now)
        with connection.cursor() as cursor:
            cursor.execute(_TABLE.replace("{table}", table))
            cursor.execute(_NOTE.replace("{table}", table).replace("{decided}", sql), parameters)
            cursor.execute(f"ANALYZE {table}")


def _people(cursor: Any, kind: str) -> list[Person]:
    cursor.execute(_NAMES, [kind, MAX_NAMES])
    return [Person(*row) for row in cursor.fetchall()]


def _decided(team_ids: list[int], now: datetime) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL that gives the user, the team and the role of everybody with access to these teams."""
    rows = (
        Membership.objects.filter(access.live(now), team__in=team_ids)
        .order_by("user_id", "team_id", *access.DECIDES)
        .distinct("user_id", "team_id")
        .values_list("user_id", "team_id", access.ROLE)
    )
    return rows.query.sql_with_params()
