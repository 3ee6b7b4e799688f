"""How the stand-in behaves: slow, throttling, failing halfway, dead. All fields may be changed while it runs."""

import random
import threading
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

FAILURE_REASON = "Unable to create the user profile's home directory"


@dataclass(frozen=True)
class Outcome:
    """What happens to one call.

    `ok`: it is performed and answered; `error`: it is answered with the code and not performed; `drop`: the
    connection is closed and nothing is performed; `lost`: it is performed, then the connection is closed without an
    answer.
    """

    kind: str
    code: str = ""
    message: str = ""
    status: int = 400

    @classmethod
    def parse(cls, value: Any) -> "Outcome":
        """Read `"ok"`, `"lost"`, `"drop"`, 500, 503, an error code, or a mapping with code, message and status.

        Raises ValueError for anything else.
        """
        if isinstance(value, Outcome):
            return value
        if value in ("ok", "lost", "drop"):
            return cls(value)
        if value in (500, "500"):
            return cls("error", "InternalFailure", "We encountered an internal error. Please try again.", 500)
        if value in (503, "503"):
            return cls("error", "ServiceUnavailable", "Service is temporarily unavailable.", 503)
        if isinstance(value, str) and value:
            return cls(
                "error", value, "Rate exceeded" if value.startswith("Throttling") else f"{value} (by personality)"
            )
        if isinstance(value, dict) and set(value) <= {"code", "message", "status"} and value.get("code"):
            return cls("error", value["code"], str(value.get("message", "")), int(value.get("status", 400)))
        raise ValueError(f"no outcome: {value!r}")


@dataclass
class Throttle:
    """Which calls get "Rate exceeded": a `fraction`, `every` nth, or those beyond `rate` a second after a `burst`.

    `operations` limits it to those named; empty means all.
    """

    fraction: float = 0.0
    every: int = 0
    rate: float = 0.0
    burst: float = 1.0
    operations: list[str] = field(default_factory=list)


@dataclass
class Personality:
    """Everything that can be odd about the endpoint. Times are in seconds.

    slow: latency of every call, or by operation (`"*"` for the others). throttle: see Throttle. fail_next: by
    operation (`"*"` for any), what happens to its next calls, each a value that Outcome.parse reads. create_delay,
    update_delay, delete_delay: how long resources are Pending, Updating, Deleting. create_fails: what is created ends
    in Failed, for this reason where it is a text. never_ready: it stays Pending. consistency_lag: how long it cannot be
    seen. down: connections are closed without an answer. old_not_found: missing things are told as
    ValidationException with RecordNotFound. short_pages: lists stop early, or are empty, with a token to go on.
    seed: of chance; takes effect through `update`.

    Of the directory: directory_rate: requests a second of one operation at one identity store, 20 at AWS (0: no limit).
    retry_after: seconds that throttled callers are told to wait, where the service's errors have a member for it.

    Of events and queues: events_lost, events_duplicated: fraction of the events. events_delay: how late they come.
    failed_events: refused writes are logged too. duplicate_messages: fraction of the messages that a queue delivers
    once more, whatever becomes of the first copy. reorder_messages: a queue does not deliver in the order of sending.
    """

    slow: float | dict[str, float] = 0.0
    throttle: Throttle = field(default_factory=Throttle)
    fail_next: dict[str, list[Any]] = field(default_factory=dict)
    create_fails: bool | str = False
    never_ready: bool = False
    create_delay: float = 0.0
    update_delay: float = 0.0
    delete_delay: float = 0.0
    down: bool = False
    short_pages: bool = False
    consistency_lag: float = 0.0
    old_not_found: bool = False
    directory_rate: float = 0.0
    retry_after: float = 0.0
    events_lost: float = 0.0
    events_duplicated: float = 0.0
    events_delay: float = 0.0
    failed_events: bool = False
    duplicate_messages: float = 0.0
    reorder_messages: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Start counting."""
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self._random = random.Random(self.seed)
        self._counted = self.throttle
        self._count = 0
        self._tokens = self.throttle.burst
        self._refilled = time.monotonic()

    def latency(self, operation: str) -> float:
        """Return how long a call of the operation takes at least."""
        slow = self.slow
        return float(slow.get(operation, slow.get("*", 0.0)) if isinstance(slow, dict) else slow)

    def decide(self, operation: str) -> Outcome:
        """Return what shall happen to this call; what is planned for the operation comes before throttling."""
        with self._lock:
            for key in (operation, "*"):
                if self.fail_next.get(key):
                    return Outcome.parse(self.fail_next[key].pop(0))
            if self._throttled(operation):
                return Outcome("error", "ThrottlingException", "Rate exceeded")
        return Outcome("ok")

    def page_size(self, wanted: int) -> int:
        """Return how many rows a page of at most `wanted` shall have."""
        if not self.short_pages:
            return wanted
        with self._lock:
            return self._random.randint(0, wanted)

    def event_copies(self) -> int:
        """Return how often an event shall arrive: not at all, once or twice."""
        with self._lock:
            return 0 if self._chance(self.events_lost) else 1 + self._chance(self.events_duplicated)

    def message_copies(self) -> int:
        """Return how many copies of a message a queue shall deliver."""
        with self._lock:
            return 1 + self._chance(self.duplicate_messages)

    def shuffle(self, rows: list[Any]) -> None:
        """Change the order of messages, if queues do so."""
        if self.reorder_messages:
            with self._lock:
                self._random.shuffle(rows)

    @property
    def failure_reason(self) -> str:
        """Why a new resource fails, empty if it does not."""
        if not self.create_fails:
            return ""
        return self.create_fails if isinstance(self.create_fails, str) else FAILURE_REASON

    def update(self, changes: Any) -> None:
        """Change the fields that a mapping names (`preset` starts from a named personality); counting starts anew.

        Raises ValueError when a name or a value makes no sense; nothing is changed then.
        """
        changes = _mapping("the personality", changes)
        merged = {**PRESETS["plain"], **_preset(changes["preset"])} if "preset" in changes else {}
        merged |= {name: value for name, value in changes.items() if name != "preset"}
        known = {item.name for item in fields(self)}
        if unknown := set(merged) - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        checked = {name: _checked(name, value) for name, value in merged.items()}
        with self._lock:
            for name, value in checked.items():
                setattr(self, name, value)
            self._restart()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, outcomes included."""
        return asdict(self)

    def _chance(self, fraction: float) -> bool:
        return bool(fraction) and self._random.random() < fraction

    def _throttled(self, operation: str) -> bool:
        throttle = self.throttle
        if throttle is not self._counted:
            self._restart()
        if throttle.operations and operation not in throttle.operations:
            return False
        self._count += 1
        if throttle.every and self._count % throttle.every == 0:
            return True
        if self._chance(throttle.fraction):
            return True
        return bool(throttle.rate) and not self._token()

    def _token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self.throttle.burst, self._tokens + (now - self._refilled) * self.throttle.rate)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


_PLAIN = {name: value for name, value in asdict(Personality()).items() if name not in ("create_delay", "delete_delay")}
PRESETS: dict[str, dict[str, Any]] = {
    "plain": _PLAIN,
    "slow": {"slow": 2.0},
    "throttling": {"throttle": {"fraction": 0.5}},
    "halfway": {"fail_next": {"CreateUserProfile": ["lost"], "CreatePresignedDomainUrl": [503, 503, 503]}},
    "failing": {"create_fails": True},
    "never-ready": {"never_ready": True},
    "down": {"down": True},
}


_SWITCHES = {item.name for item in fields(Personality) if item.type is bool}


def _preset(name: Any) -> dict[str, Any]:
    if name not in PRESETS:
        raise ValueError(f"no such preset; there are: {', '.join(PRESETS)}")
    return PRESETS[name]


def _checked(name: str, value: Any) -> Any:
    if name == "throttle":
        return _checked_throttle(value)
    if name == "fail_next":
        planned = _mapping(name, value).items()
        if not all(isinstance(row, list) for _, row in planned):
            raise ValueError("fail_next must map operations to lists of outcomes")
        return {operation: [Outcome.parse(item) for item in row] for operation, row in planned}
    if name == "slow" and isinstance(value, dict):
        return {operation: _seconds(name, latency) for operation, latency in value.items()}
    if name in _SWITCHES:
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    if name == "create_fails":
        if not isinstance(value, bool | str):
            raise ValueError("create_fails must be true, false or a reason")
        return value
    return int(_seconds(name, value)) if name == "seed" else _seconds(name, value)


def _checked_throttle(value: Any) -> Throttle:
    try:
        throttle = Throttle(**_mapping("throttle", value))
        throttle.operations = [str(name) for name in throttle.operations]
    except TypeError as error:
        raise ValueError("throttle knows fraction, every, rate, burst and operations") from error
    for name in ("fraction", "every", "rate", "burst"):
        _seconds(f"throttle.{name}", getattr(throttle, name))
    return throttle


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} must be a mapping")


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name} must be a number that is not negative")
    return value
