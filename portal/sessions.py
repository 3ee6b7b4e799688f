"""Sessions in the database, cached in Redis for a few minutes at a time; a lost Redis only makes them slower.

Django's `cached_db` answers 500 when the cache cannot be reached, and keeps a copy for as long as the session lives, so
that a sign-out during an outage of the cache would be undone when the cache comes back. Here the copy is short-lived.
"""

import logging
from typing import Any

from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CACHED_SECONDS = 300


class _ForgivingCache:
    """The session cache, whose failures are misses."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def get(self, key: str) -> Any:
        try:
            return self._cache.get(key)
        except RedisError as error:
            self._report(error)
            return None

    def set(self, key: str, value: Any, timeout: float) -> None:
        try:
            self._cache.set(key, value, min(timeout, CACHED_SECONDS))
        except RedisError as error:
            self._report(error)

    def delete(self, key: str) -> None:
        try:
            self._cache.delete(key)
        except RedisError as error:
            self._report(error)

    def __contains__(self, key: str) -> bool:
        # Only asked when a new random key is made; the database decides.
        return False

    @staticmethod
    def _report(error: Exception) -> None:
        logger.warning("The session cache cannot be reached: %s", type(error).__name__)


class SessionStore(CachedStore):
    """`cached_db` with bounded copies and a cache that may fail."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._cache: Any = _ForgivingCache(self._cache)
