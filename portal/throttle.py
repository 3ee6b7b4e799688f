"""Counters with an end, in the cache that all processes share, and what they bound."""

import hashlib
import logging
from contextlib import suppress

from django.core.cache import cache
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from portal.middleware import client_network
from teams import audit
from teams.models import AuditEvent

logger = logging.getLogger(__name__)

# What nobody vouches for leaves at most one audit row for each network and reason in this many seconds.
ANONYMOUS_ROW_EVERY = 60


def add(key: str, *, seconds: int) -> int:
    """Count one more under `key` and return the number so far; the first of a window starts its `seconds`.

    Raises whatever the cache's client raises when it cannot be reached.
    """
    if cache.add(key, 1, timeout=seconds):
        return 1
    try:
        return int(cache.incr(key))
    except ValueError:
        # The window ended between the two commands.
        cache.add(key, 1, timeout=seconds)
        return 1


def number(key: str) -> int:
    """Return how many were counted under `key` in the present window; raises like `add`."""
    return int(cache.get(key) or 0)


def take_back(key: str) -> None:
    """Count one less under `key`; raises like `add`."""
    # A window that has ended is no fault.
    with suppress(ValueError):
        cache.decr(key)


def forget(key: str) -> None:
    """Start over at nothing; raises like `add`."""
    cache.delete(key)


def now_and_then(key: str, *, seconds: int) -> bool:
    """Whether `key` was not asked for within so many seconds; also while the cache cannot say so."""
    try:
        return bool(cache.add(key, 1, timeout=seconds))
    except RedisError:
        return True


def name(*parts: str) -> str:
    """Return a short key for parts that others choose, of any length and with any characters."""
    # Lengths first, so that no two pairs run together.
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "replace")).hexdigest()


def audit_now_and_then(
    action: AuditEvent.Action, *, about: str, reason: str, data: dict[str, str], target: str = ""
) -> None:
    """Audit a refusal of somebody unknown, at most once a minute for each network and `about`.

    The database and the cache may both be down: then there is a log line instead of the row.
    """
    try:
        network = client_network(audit.current().address)
        if not cache.add(f"refused:{name(network, action, about)}", 1, timeout=ANONYMOUS_ROW_EVERY):
            return
    except Exception as error:  # noqa: BLE001  (no bound, no row)
        logger.warning("An anonymous refusal is not audited: %s", type(error).__name__)
        return
    try:
        audit.record(
            action, outcome=AuditEvent.Outcome.REFUSED, actor="anonymous", target=target, reason=reason, data=data
        )
    except DatabaseError as error:
        logger.error("A refusal could not be audited: %s", type(error).__name__)  # noqa: TRY400
