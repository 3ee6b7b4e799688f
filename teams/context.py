"""Who acts, from where, in which request: what the audit log and the process's log say of every event.

It knows no models, so that the log can be set up before Django is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

SYSTEM = "system"


@dataclass(frozen=True)
class Context:
    """Who acts, from where, in which request; `actor` may be a callable that is asked only when a row is written."""

    actor: str | Callable[[], str] = SYSTEM
    address: str | None = None
    request_id: str = ""


_NOTHING_KNOWN = Context()
_context: ContextVar[Context] = ContextVar("audit_context", default=_NOTHING_KNOWN)


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
