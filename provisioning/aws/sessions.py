"""Credentials of sessions that are named after people: kept while they are good, renewed minutes before they run out.

As many are kept as are worth their memory, those used last. However many threads ask for the same session, it is begun
once; who waited for somebody whose try failed is told of that failure, so that a slow STS is not asked once per thread.
Whoever gets no credentials gets an error: never those of somebody else, and never the portal's own.
"""

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from provisioning.aws.errors import AwsError, Throttled, Transient

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# About two kilobytes each.
MOST = 2048
# New ones are fetched so early; where STS fails for a moment the old ones are used on, while they outlast the longest
# life of a URL that they mint.
RENEW = timedelta(minutes=10)
LEAST = timedelta(minutes=5)
# After a renewal that failed there is no other for so long.
PAUSE = timedelta(seconds=30)
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Kept(Generic[Value]):
    """Credentials and the moment when they run out."""

    value: Value = field(repr=False)
    expires: datetime


@dataclass(eq=False)
class _Place(Generic[Value]):
    """Where the credentials of one session are, or will be once the thread that has the lock has fetched them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: Kept[Value] | None = None
    renew_at: datetime = _AT_ONCE
    failure: AwsError | None = None
    failed_at: float = 0.0


class Sessions(Generic[Key, Value]):
    """Credentials by session, shared by all threads of the process."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._places: OrderedDict[Key, _Place[Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: Key, begin: Callable[[], Kept[Value]]) -> Value:
        """Return the credentials of a session, which `begin` fetches where none are good for long enough.

        Raises what `begin` raises.
        """
        asked = time.monotonic()
        place = self._place(key)
        kept = place.kept
        if kept is not None and now() < place.renew_at:
            return kept.value
        with place.lock:
            if place.kept is not None and now() < place.renew_at:
                return place.kept.value
            if place.failure is not None and place.failed_at >= asked:
                raise copy.copy(place.failure)
            return _fetch(place, begin)

    def drop(self, key: Key) -> None:
        """Forget one session."""
        with self._lock:
            self._places.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._places.clear()

    def _place(self, key: Key) -> _Place[Value]:
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            while len(self._places) > self._most:
                self._places.popitem(last=False)
            return place


def now() -> datetime:
    """Return the present moment, by the clock that AWS's expiry is compared with."""
    return datetime.now(UTC)


def _fetch(place: _Place[Value], begin: Callable[[], Kept[Value]]) -> Value:
    try:
        kept = begin()
    except (Transient, Throttled) as error:
        # The same session, a little older, is no other identity.
        if place.kept is not None and now() + LEAST < place.kept.expires:
            place.renew_at = min(now() + PAUSE, place.kept.expires - LEAST)
            return place.kept.value
        place.failure, place.failed_at = error, time.monotonic()
        raise
    except AwsError as error:
        place.failure, place.failed_at = error, time.monotonic()
        raise
    place.kept, place.renew_at, place.failure = kept, kept.expires - RENEW, None
    return kept.value
