"""How often AWS may be asked: one pace for all workers, kept in Redis.

Each key has a clock of its own, the earliest moment of its next call (the generic cell rate algorithm). A call takes
its slot with one round trip and waits until the slot comes; a slot that is too far away is not taken. Calls for which a
person waits go first: they have a clock of their own, may be some seconds ahead of it, and everybody else makes room
for them. Where AWS throttles all the same the pace becomes slower, and recovers over minutes (`slow_down`). Without
Redis each process keeps a slower pace by itself, so that several together still stay below the limit.
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
# Clocks and networks are not exact: a little below the limit hardly anything is refused.
MARGIN = 0.99
# What each process may do alone; workers, consumer and commands together are rarely more.
LOCAL_SHARE = 0.25
# So many seconds' worth of calls for which people wait may be made at once.
AHEAD = 2.0
# What is left of the pace after AWS has throttled, at most once a second; never less than a tenth of what is allowed,
# and all of it again after so many seconds from nothing.
SLOWER, LEAST, RECOVERY = 0.9, 0.1, 600.0
# Redis is not asked again for so many seconds after it failed.
PAUSE = 5.0

# The moment, in microseconds, and the calls a second that are left after AWS has throttled.
_BEGIN = """
    local now = tonumber(ARGV[1])
    if not now then
        local clock = redis.call('TIME')
        now = clock[1] * 1000000 + clock[2]
    end
    local function clock_of(key)
        return math.max(tonumber(redis.call('GET', key) or now), now)
    end
    local function set(key, moment, milliseconds)
        redis.call('SET', key, string.format('%.0f', moment), 'PX', milliseconds)
    end
    local function learned(rate)
        local rows = redis.call('HMGET', KEYS[2], 'rate', 'at')
        if not rows[1] then
            return rate
        end
        return math.min(rate, rows[1] + rate * (now - rows[2]) / 1000000 / ARGV[2])
    end
"""
# Answers the microseconds to wait; negative: so many, and no slot was taken.
_RESERVE = (
    _BEGIN
    + """
    local interval, most, ahead = 1000000 / learned(tonumber(ARGV[3])), tonumber(ARGV[4]), tonumber(ARGV[5])
    local key = KEYS[1]
    if ahead then
        key = KEYS[3]
    end
    local slot = clock_of(key)
    local wait = math.max(slot - now - (ahead or 0), 0)
    if wait > most then
        return -wait
    end
    set(key, slot + interval, 120000)
    if ahead then
        set(KEYS[1], clock_of(KEYS[1]) + interval, 120000)
    end
    return wait
"""
)
_PUSH_BACK = (
    _BEGIN
    + """
    for _, key in ipairs({KEYS[1], KEYS[3]}) do
        set(key, math.max(clock_of(key), now + ARGV[3]), 3720000)
    end
    return 0
"""
)
_SLOW_DOWN = (
    _BEGIN
    + """
    local at, rate = redis.call('HGET', KEYS[2], 'at'), tonumber(ARGV[3])
    if at and now - at < 1000000 then
        return 0
    end
    local slower = math.max(learned(rate) * ARGV[4], rate * ARGV[5])
    redis.call('HSET', KEYS[2], 'rate', slower, 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', KEYS[2], ARGV[2] * 1000)
    return 1
"""
)
_TURN = "return redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) and 1 or 0"

_lock = threading.Lock()
_client: redis.Redis | None = None
_paused_until = 0.0
_local: dict[str, float] = {}


def wait(key: str, rate: float, *, most: float = MAX_WAIT, first: bool = False) -> None:
    """Return when a call under `key`, of which `rate` a second are allowed, may be made.

    Waits `most` seconds at most; raises Paced when it would take longer. `first`: a person waits for it.
    """
    seconds = reserve(key, rate, most=most, first=first)
    if seconds < 0:
        raise Paced("The portal's own limit of calls is used up for the moment.", retry_after=-seconds)
    if seconds > 0:
        time.sleep(seconds)


def reserve(key: str, rate: float, *, most: float = MAX_WAIT, first: bool = False, now: float | None = None) -> float:
    """Take the next slot of `key` and return the seconds until it comes; negative: so many, and none was taken.

    `now` is the time in seconds, for tests; None is the clock of Redis.
    """
    arguments = [f"{rate * MARGIN}", _micros(most), _micros(AHEAD) if first else ""]
    answer = _ask(_RESERVE, key, [_moment(now), f"{RECOVERY}", *arguments])
    if answer is not None:
        return answer / 1_000_000
    interval = 1 / (rate * MARGIN * LOCAL_SHARE)
    return _reserve_first(key, interval, most, now) if first else _reserve_here(key, interval, most, now)


def push_back(key: str, seconds: float, *, now: float | None = None) -> None:
    """Let nobody make a call under `key` for so many seconds, because AWS has had enough."""
    if _ask(_PUSH_BACK, key, [_moment(now), f"{RECOVERY}", _micros(min(seconds, 3600.0))]) is None:
        with _lock:
            moment = time.monotonic() if now is None else now
            for each in (key, f"first:{key}"):
                _local[each] = max(_local.get(each, moment), moment + seconds)


def slow_down(key: str, rate: float, *, now: float | None = None) -> None:
    """Note that AWS throttled a call under `key`: all keep a slower pace for some minutes. Nothing without Redis."""
    _ask(_SLOW_DOWN, key, [_moment(now), f"{RECOVERY}", f"{rate * MARGIN}", f"{SLOWER}", f"{LEAST}"])


def turn(key: str, seconds: float) -> bool:
    """Whether this process is the one that does what is to be done once in so many seconds."""
    answer = _ask(_TURN, f"turn:{key}", [f"{seconds * 1000:.0f}"])
    if answer is not None:
        return bool(answer)
    return _reserve_here(f"turn:{key}", seconds, 0.0, None) >= 0


def forget() -> None:
    """Drop what this process keeps, as if it had just started."""
    global _client, _paused_until
    with _lock:
        _client, _paused_until = None, 0.0
        _local.clear()


def _reserve_here(key: str, interval: float, most: float, now: float | None, ahead: float = 0.0) -> float:
    with _lock:
        moment = time.monotonic() if now is None else now
        slot = max(_local.get(key, moment), moment)
        seconds = max(slot - moment - ahead, 0.0)
        if seconds > most:
            return -seconds
        _local[key] = slot + interval
        return seconds


def _reserve_first(key: str, interval: float, most: float, now: float | None) -> float:
    seconds = _reserve_here(f"first:{key}", interval, most, now, ahead=AHEAD)
    if seconds >= 0:
        with _lock:
            moment = time.monotonic() if now is None else now
            _local[key] = max(_local.get(key, moment), moment) + interval
    return seconds


def _moment(now: float | None) -> str:
    return "" if now is None else _micros(now)


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
        keys = (f"aws-pace:{key}", f"aws-rate:{key}", f"aws-first:{key}")
        return int(_client.eval(script, len(keys), *keys, *arguments))
    except (redis.RedisError, OSError, ValueError) as error:
        _paused_until = time.monotonic() + PAUSE
        logger.warning("Redis does not keep the pace (%s); this process keeps a slower one.", type(error).__name__)
        return None
