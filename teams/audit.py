"""The audit log: `record(...)` writes one row in the caller's transaction, with who, whence and which request."""

from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from teams.context import SYSTEM, Context, context, current
from teams.models import AuditEvent
from teams.scrubbing import HIDDEN, scrub, scrub_text, storable

__all__ = [
    "HIDDEN", "SYSTEM", "Context", "context", "current", "record", "record_many", "row", "scrub", "scrub_text", "who",
]  # fmt: skip

_BATCH = 5000
# Most launches and sign-ons write one row; Django would write the statement anew for each.
_COLUMNS = ("at", "action", "outcome", "actor", "target", "team", "address", "request_id", "aws_request_id", "reason")
_INSERT = """
    INSERT INTO teams_auditevent
        (at, action, outcome, actor, target, team, address, request_id, aws_request_id, reason, data)
    VALUES {places}
    RETURNING id
"""
_PLACES = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


def record(
    action: AuditEvent.Action,
    *,
    target: str = "",
    team: str = "",
    outcome: AuditEvent.Outcome = AuditEvent.Outcome.SUCCESS,
    reason: str = "",
    aws_request_id: str = "",
    data: dict[str, Any] | None = None,
    actor: str | None = None,
) -> AuditEvent:
    """Write one row, scrubbed, in the caller's transaction, so that it commits or vanishes with the change it tells of.

    `target` is the user name, profile name or “model: name” acted upon, `team` a slug, `data` what changed in JSON
    types. `actor` defaults to that of the context.
    """
    event = AuditEvent(
        **row(
            action,
            target=target,
            team=team,
            outcome=outcome,
            reason=reason,
            aws_request_id=aws_request_id,
            data=data,
            actor=actor,
        )
    )
    (event.pk,) = _insert([event])
    return event


def record_many(rows: list[dict[str, Any]]) -> None:
    """Write many rows (each the arguments of `record`, with its `action`) with one INSERT."""
    events = [AuditEvent(**row(**each)) for each in rows]
    for start in range(0, len(events), _BATCH):
        _insert(events[start : start + _BATCH])


def _insert(events: list[AuditEvent]) -> list[int]:
    """Write the rows with one statement and return their ids."""
    sql = _INSERT.replace("{places}", ", ".join([_PLACES] * len(events)))
    values = [value for event in events for value in _values(event)]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [event_id for (event_id,) in cursor.fetchall()]


def _values(event: AuditEvent) -> list[Any]:
    columns = [getattr(event, name) for name in _COLUMNS]
    return [*(str(each) if isinstance(each, str) else each for each in columns), Jsonb(event.data)]


def who() -> str:
    """Return the name of whoever acts, as rows of this context carry it."""
    actor = current().actor
    return actor if isinstance(actor, str) else (actor() or "anonymous")


def row(
    action: AuditEvent.Action,
    *,
    target: str = "",
    team: str = "",
    outcome: AuditEvent.Outcome = AuditEvent.Outcome.SUCCESS,
    reason: str = "",
    aws_request_id: str = "",
    data: dict[str, Any] | None = None,
    actor: str | None = None,
) -> dict[str, Any]:
    """Return the column values of one row, scrubbed and cut to the columns' lengths."""
    now = current()
    if actor is None:
        actor = who()
    return {
        "action": action,
        "outcome": outcome,
        "actor": _text(actor, 330),
        "target": _text(target, 330),
        "team": storable(team)[:40],
        "address": now.address,
        "request_id": storable(now.request_id)[:64],
        "aws_request_id": storable(aws_request_id)[:64],
        "reason": _text(reason, 500),
        "data": scrub(data or {}),
    }


def _text(value: str, length: int) -> str:
    return storable(scrub_text(value))[:length]
