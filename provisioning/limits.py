"""How often AWS may be asked: one pace for all workers, kept in Redis.

Each key has a clock of its own, the earliest moment of its next call (the generic cell rate algorithm). A call takes
its slot with one round trip and waits until the slot comes; a slot that is too far away is not taken. Without Redis
each process keeps a slower pace by itself, so that several together still stay below the limit.
"""

import logging
import threading
import time

import redis
from django.conf import settings

from provisioning.aws.errors import Paced

logger = logging.getLogger(__name__)

# Who would have to wait longer comes back later instead.
MAX_WAIT = 2.0
# Clocks and networks are not exact: a little below the limit nothing is refused.
MARGIN = 0.95
# What each process may do alone; workers, consumer and commands together are rarely more.
LOCAL_SHARE = 0.25
# Redis is not asked again for so many seconds after it failed.
PAUSE = 5.0

# Answers the microseconds to wait; negative: so many, and no slot was taken.
_RESERVE = """
    local now = tonumber(ARGV[3])
    if not now then
        local clock = redis.call('TIME')
        now = clock[1] * 1000000 + clock[2]
    end
    local slot = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
    local wait = slot - now
    if wait > tonumber(ARGV[2]) then
        return -wait
    end
    redis.call('SET', KEYS[1], string.format('%.0f', slot + ARGV[1]), 'PX', 120000)
    return wait
"""
_PUSH_BACK = """
    local now = tonumber(ARGV[2])
    if not now then
        local clock = redis.call('TIME')
        now = clock[1] * 1000000 + clock[2]
    end
    local slot = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now + ARGV[1])
    redis.call('SET', KEYS[1], string.format('%.0f', slot), 'PX', 3720000)
    return 0
"""

_lock = threading.Lock()
_client: redis.Redis | None = None
_paused_until = 0.0
_local: dict[str, float] = {}


def wait(key: str, rate: float) -> None:
    """Return when a call under `key`, of which `rate` a second are allowed, may be made.

    Waits two seconds at most; raises Paced when it would take longer.
    """
    seconds = reserve(key, rate)
    if seconds < 0:
        raise Paced("The portal's own limit of calls is used up for the moment.", retry_after=-seconds)
    if seconds > 0:
        time.sleep(seconds)


def reserve(key: str, rate: float, *, now: float | None = None) -> float:
    """Take the next slot of `key` and return the seconds until it comes; negative: so many, and none was taken.

    `now` is the time in seconds, for tests; None is the clock of Redis.
    """
    interval = 1 / (rate * MARGIN)
    answer = _ask(_RESERVE, key, [_micros(interval), _micros(MAX_WAIT), "" if now is None else _micros(now)])
    return answer / 1_000_000 if answer is not None else _reserve_here(key, interval / LOCAL_SHARE, now)


def push_back(key: str, seconds: float, *, now: float | None = None) -> None:
    """Let nobody make a call under `key` for so many seconds, because AWS has had enough."""
    if _ask(_PUSH_BACK, key, [_micros(min(seconds, 3600.0)), "" if now is None else _micros(now)]) is None:
        with _lock:
            moment = time.monotonic() if now is None else now
            _local[key] = max(_local.get(key, moment), moment + seconds)


def forget() -> None:
    """Drop what this process keeps, as if it had just started."""
    global _client, _paused_until
    with _lock:
        _client, _paused_until = None, 0.0
        _local.clear()


def _reserve_here(key: str, interval: float, now: float | None) -> float:
    with _lock:
        moment = time.monotonic() if now is None else now
        slot = max(_local.get(key, moment), moment)
        if slot - moment > MAX_WAIT:
            return moment - slot
        _local[key] = slot + interval
        return slot - moment


def _micros(seconds: float) -> str:
    return f"{seconds * 1_000_000:.0f}"


def _ask(script: str, key: str, arguments: list[str]) -> int | None:
    """Run a script; None when Redis cannot be asked."""
    global _client, _paused_until
    if time.monotonic() < _paused_until:
        return None
    try:
        if _client is None:
            _client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)
        return int(_client.eval(script, 1, f"aws-pace:{key}", *arguments))
    except (redis.RedisError, OSError, ValueError) as error:
        _paused_until = time.monotonic() + PAUSE
        logger.warning("Redis does not keep the pace (%s); this process keeps a slower one.", type(error).__name__)
        return None
