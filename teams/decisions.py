"""Which mapping decides the role where several give access to one team; by set, for whole teams at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet, Window
from django.db.models.functions import FirstValue

from teams import access
from teams.models import Membership, RoleMapping


@dataclass(frozen=True)
class Reach:
    """How many people have access by a mapping, and for how many of them another one decides the role."""

    people: int = 0
    overruled: int = 0


@dataclass(frozen=True)
class Overruled:
    """A person for whom another mapping decides; the role is the one that they work with."""

    user_id: int
    username: str
    winner_id: int
    winner: str
    priority: int
    role: str


_REACH = """
    SELECT mapping_id, count(DISTINCT user_id),
           count(DISTINCT user_id) FILTER (WHERE winner IS DISTINCT FROM mapping_id)
    FROM ({ranked}) AS ranked WHERE mapping_id = ANY(%s) GROUP BY mapping_id
"""
_OVERRULED = """
    SELECT DISTINCT ranked.user_id, u.username, m.id, m."group", m.priority, ranked.winning_role
    FROM ({ranked}) AS ranked
    JOIN teams_user u ON u.id = ranked.user_id
    JOIN teams_rolemapping m ON m.id = ranked.winner
    WHERE ranked.mapping_id = %s AND ranked.winner <> ranked.mapping_id
    ORDER BY u.username LIMIT %s
"""


def reach(mappings: Iterable[RoleMapping]) -> dict[int, Reach]:
    """Return the reach of these mappings by their ids; who reaches nobody is left out."""
    rows = list(mappings)
    found = _ask(_REACH, {row.team_id for row in rows}, [row.pk for row in rows]) if rows else []
    return {mapping_id: Reach(people, overruled) for mapping_id, people, overruled in found}


def overruled(mapping: RoleMapping, limit: int) -> list[Overruled]:
    """Return the first `limit` people, by user name, who are in the group of a mapping while another one decides."""
    return [Overruled(*row) for row in _ask(_OVERRULED, {mapping.team_id}, mapping.pk, limit)]


def _ask(question: str, team_ids: Iterable[int], *values: Any) -> list[tuple[Any, ...]]:
    sql, parameters = _ranked(team_ids).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(question.replace("{ranked}", sql), [*parameters, *values])
        return cursor.fetchall()


def _ranked(team_ids: Iterable[int]) -> QuerySet[Membership, Any]:
    """Return user, mapping, winning mapping and winning role of all live evidence of these teams."""
    people = [F("user_id"), F("team_id")]
    return (
        Membership.objects.filter(access.live(), team__in=team_ids)
        .annotate(
            winner=Window(FirstValue("mapping_id"), partition_by=people, order_by=list(access.DECIDES)),
            winning_role=Window(FirstValue(access.ROLE), partition_by=people, order_by=list(access.DECIDES)),
        )
        .values_list("user_id", "mapping_id", "winner", "winning_role")
    )
