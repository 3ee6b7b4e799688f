"""The audit log: `record(...)` writes one row in the caller's transaction, with who, whence and which request."""

from typing import Any

from teams.context import SYSTEM, Context, context, current
from teams.models import AuditEvent
from teams.scrubbing import HIDDEN, scrub, scrub_text, storable

__all__ = ["HIDDEN", "SYSTEM", "Context", "context", "current", "record", "record_many", "row", "scrub", "scrub_text"]


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
    return AuditEvent.objects.create(
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


def record_many(rows: list[dict[str, Any]]) -> None:
    """Write many rows (each the arguments of `record`, with its `action`) with one INSERT."""
    AuditEvent.objects.bulk_create([AuditEvent(**row(**each)) for each in rows], batch_size=5000)


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
        actor = now.actor if isinstance(now.actor, str) else (now.actor() or "anonymous")
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
