"""Sessions in the database, cached in Redis for a few minutes at a time; a lost Redis only makes them slower.

Django's `cached_db` answers 500 when the cache cannot be reached, and keeps a copy for as long as the session lives, so
that a sign-out during an outage of the cache would be undone when the cache comes back. Here the copy is short-lived.

A session of somebody who is signed on ends at a fixed time, however busy it is, and before that when nobody has used it
for `SESSION_IDLE_SECONDS`. Both are kept in the session and looked at when it is loaded, so that no cookie, no cached
copy and no forgotten clean-up makes it last longer.
"""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from redis.exceptions import RedisError

from portal.session_rows import OneStatementStore

logger = logging.getLogger(__name__)

CACHED_SECONDS = 300
# The last use is written at most this often, and at most eight times in the idle limit.
NOTED_EVERY_SECONDS = 300

_LAST_USED = "last_used"
_ENDS = "_session_expiry"


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


class SessionStore(OneStatementStore):
    """`cached_db` with bounded copies, a cache that may fail, an end that does not move, and an end for want of use."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._cache: Any = _ForgivingCache(self._cache)

    def load(self) -> dict[str, Any]:
        """Return the session's data, nothing when it is over; what is over is deleted."""
        data: dict[str, Any] = super().load()
        if not _is_over(data):
            return data
        # The copy in the cache may be older than the row; the row decides.
        row = self._get_session_from_db()  # type: ignore[attr-defined]
        data = self.decode(row.session_data) if row else {}
        if not _is_over(data):
            return data
        self.delete(self.session_key)
        self._session_key = None
        return {}

    def save(self, must_create: bool = False) -> None:
        """Store the session; that of somebody who is signed on gets its end and its first use."""
        if SESSION_KEY in self:
            if _ENDS not in self:
                self.set_expiry(datetime.now(UTC) + timedelta(seconds=settings.SESSION_COOKIE_AGE))
            self.setdefault(_LAST_USED, int(time.time()))
        super().save(must_create)


def note_use(session: SessionBase) -> None:
    """Note that somebody has just used a session that is signed on; writes only when the last note is minutes old."""
    if not settings.SESSION_IDLE_SECONDS or SESSION_KEY not in session:
        return
    now = int(time.time())
    if session.modified:
        # Stored at the end of the request anyway.
        session[_LAST_USED] = now
        return
    if 0 <= now - session.get(_LAST_USED, 0) < min(NOTED_EVERY_SECONDS, settings.SESSION_IDLE_SECONDS // 8):
        return
    session[_LAST_USED] = now
    try:
        session.save()
    except UpdateError:
        # Signed out in another tab meanwhile: nothing is left to note.
        logger.info("A session ended while it was used.")
    # The cookie stays as it is.
    session.modified = False


def _is_over(data: dict[str, Any]) -> bool:
    if SESSION_KEY not in data:
        return False
    now = time.time()
    # A time to come is a clock that was put back, and no reason to live for ever.
    if 0 < settings.SESSION_IDLE_SECONDS < abs(now - data.get(_LAST_USED, now)):
        return True
    ends = data.get(_ENDS)
    return isinstance(ends, str) and datetime.fromisoformat(ends) <= datetime.now(UTC)
