"""The audit log: `record(...)` writes one row in the caller's transaction; `context(...)` says who, whence, which request."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from teams.models import AuditEvent

SYSTEM = "system"

# What must never be stored: query strings of presigned URLs, SAML messages, bearer tokens and AWS credentials.
_SECRETS = re.compile(
    r"(?P<keep>\b(?:token|SAMLResponse|SAMLRequest|AuthorizedUrl|SessionToken|SecretAccessKey|X-Amz-[A-Za-z-]+|Bearer|"
    r"password|secret)\b[\"']?\s*[=:\s]\s*[\"']?)(?P<secret>[^\s\"'&,}]+)",
    re.IGNORECASE,
)
_PRESIGNED = re.compile(r"https?://[^\s\"'<>]*(?:/auth\?|[?&]token=)[^\s\"'<>]*", re.IGNORECASE)
_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/_%-]{400,}={0,2}")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
HIDDEN = "[hidden]"


@dataclass(frozen=True)
class Context:
    """Who acts, from where, in which request; `actor` may be a callable that is asked only when a row is written."""

    actor: str | Callable[[], str] = SYSTEM
    address: str | None = None
    request_id: str = ""


_context: ContextVar[Context] = ContextVar("audit_context", default=Context())


def current() -> Context:
    """Return the context of the running request or task."""
    return _context.get()


@contextmanager
def context(**changes: Any) -> Iterator[None]:
    """Change `actor`, `address` or `request_id` for the rows recorded inside the block."""
    token = _context.set(replace(_context.get(), **changes))
    try:
        yield
    finally:
        _context.reset(token)


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

    `target` is the user name, profile name or “model: name” acted upon, `team` a slug, `data` what changed in JSON types.
    `actor` defaults to that of the context.
    """
    return AuditEvent.objects.create(
        **row(action, target=target, team=team, outcome=outcome, reason=reason, aws_request_id=aws_request_id,
              data=data, actor=actor)
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
    now = _context.get()
    if actor is None:
        actor = now.actor if isinstance(now.actor, str) else (now.actor() or "anonymous")
    return {
        "action": action,
        "outcome": outcome,
        "actor": _text(actor, 330),
        "target": _text(target, 330),
        "team": team[:40],
        "address": now.address,
        "request_id": now.request_id,
        "aws_request_id": aws_request_id[:64],
        "reason": _text(reason, 500),
        "data": scrub(data or {}),
    }


def scrub_text(text: str) -> str:
    """Return `text` without presigned URLs, SAML messages, tokens and credentials."""
    text = _PRESIGNED.sub(HIDDEN, text)
    text = _SECRETS.sub(lambda match: match["keep"] + HIDDEN, text)
    return _ACCESS_KEY.sub(HIDDEN, _LONG_BASE64.sub(HIDDEN, text))


def scrub(value: Any) -> Any:
    """Return a copy of a JSON value with every string scrubbed."""
    if isinstance(value, str):
        return scrub_text(value).replace("\x00", "")
    if isinstance(value, dict):
        return {str(key): scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _text(value: str, length: int) -> str:
    return scrub_text(value).replace("\x00", "")[:length]
