"""What an event of EventBridge hints at: which group, user or membership is dirty, or everything; pure.

Three sources tell of changes made in the console, through the API and by SCIM, each in its own words, and IAM Identity
Center has newer notifications of its own. Fields are missing, masked or new at times. Whatever could concern people in
groups and cannot be pinned down makes everything dirty; only what is certainly about something else is ignored.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# “AWS API Call via CloudTrail”, and “AWS Service Event via CloudTrail” for what has no caller.
CLOUDTRAIL = "via cloudtrail"
CONSOLE = "sso-directory.amazonaws.com"
API = "identitystore.amazonaws.com"
SCIM = "identitystore-scim.amazonaws.com"
SOURCES = frozenset({CONSOLE, API, SCIM})
NATIVE = frozenset({"aws.identitystore", "aws.sso-directory", "aws.sso"})

GROUP, USER, MEMBERSHIP, EVERYTHING = "group", "user", "membership", "everything"

# The id of a store may stand before the id.
_ID = re.compile(r"(?:(?:d-)?[0-9a-f]{10}-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_READS = re.compile(r"(?:List|Describe|Get|Search|Is|BatchGet|Head)[A-Z]")
# Passwords, devices and the like belong to a person, but change nobody's access.
_HARMLESS = re.compile(r"Password|Mfa|Device|Token|Session|Verif|Login|Authenticat|Credential", re.IGNORECASE)
_MASKED = "HIDDEN"
_NOTIFICATION = re.compile(r"(?:User|Group|Member|Directory|Identity)", re.IGNORECASE)
_DEPTH = 6


class UnparsableError(ValueError):
    """The message is no event at all; says why, without repeating it."""


@dataclass(frozen=True)
class Hint:
    """What is dirty; the id is empty for everything."""

    kind: str
    external_id: str = ""


@dataclass(frozen=True)
class Ignored:
    """Nothing is dirty because of this event."""

    reason: str


Event = Mapping[str, Any]
# Answers None for an event that is none of its business.
Recogniser = Callable[[Event, str], Hint | Ignored | None]


def parse(body: str, store_id: str) -> Hint | Ignored:
    """Return what the body of a message says about the identity store `store_id`. Raises UnparsableError."""
    event = _event(body)
    for recognise in RECOGNISERS:
        found = recognise(event, store_id)
        if found is not None:
            return found
    return Ignored("an event of another kind")


def _event(body: str) -> Event:
    event = _object(body)
    # SNS puts what it passes on into a letter of its own.
    if event.get("Type") == "Notification" and isinstance(event.get("Message"), str):
        event = _object(event["Message"])
    if not isinstance(event.get("source"), str) or not isinstance(event.get("detail-type"), str):
        raise UnparsableError("The message has no “source” and “detail-type” as EventBridge's events have.")
    if not isinstance(event.get("detail"), dict):
        raise UnparsableError("The event has no “detail”.")
    return event


def _object(text: str) -> Event:
    try:
        found = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise UnparsableError("The message is not JSON.") from None
    if not isinstance(found, dict):
        raise UnparsableError("The message is not a JSON object.")
    return found


def recognise_call(event: Event, store_id: str) -> Hint | Ignored | None:
    """Recognise a call that CloudTrail tells of."""
    if not event["detail-type"].lower().strip().endswith(CLOUDTRAIL):
        return None
    detail = event["detail"]
    source, name = detail.get("eventSource"), detail.get("eventName")
    if not isinstance(source, str) or not isinstance(name, str) or not name:
        raise UnparsableError("The event names no call.")
    if source.lower() not in SOURCES:
        return Ignored("a call of another service")
    if detail.get("errorCode") or detail.get("errorMessage"):
        return Ignored("a call that failed")
    if detail.get("readOnly") in (True, "true") or _READS.match(name):
        return Ignored("a call that only reads")
    asked, answered = _mapping(detail.get("requestParameters")), _mapping(detail.get("responseElements"))
    if _is_of_another_store(detail, asked, store_id):
        return Ignored("a call in another identity store")
    return _what_changed(source.lower(), name, asked, answered)


def _what_changed(source: str, name: str, asked: Event, answered: Event) -> Hint | Ignored:
    """Return what a call that worked made dirty, by its name and by the ids it has."""
    own = "id" if source == SCIM else ""
    about = name.lower()
    if "member" in about or "group" in about:
        group = _first_id(asked, answered, keys=("groupId", own))
        if group:
            return Hint(GROUP, group)
        membership = _first_id(asked, answered, keys=("membershipId",))
        if membership:
            return Hint(MEMBERSHIP, membership)
        user = _first_id(asked, answered, keys=("memberId", "userId"))
        return Hint(USER, user) if user else Hint(EVERYTHING)
    if _HARMLESS.search(name):
        return Ignored("a call that changes nobody's access")
    if "user" in about:
        user = _first_id(asked, answered, keys=("userId", "memberId", own))
        return Hint(USER, user) if user else Hint(EVERYTHING)
    return Ignored("a call that concerns neither people nor groups")


def recognise_notification(event: Event, store_id: str) -> Hint | Ignored | None:
    """Recognise a notification that IAM Identity Center sends itself: “User Updated”, “Group Deleted” and the like."""
    kind, detail = event["detail-type"], event["detail"]
    if event["source"].lower() not in NATIVE or not _NOTIFICATION.search(kind):
        return None
    if _is_of_another_store(detail, detail, store_id):
        return Ignored("a notification of another identity store")
    membership_id = _first_id(detail, keys=("membershipId",))
    group, user = _first_id(detail, keys=("groupId",)), _first_id(detail, keys=("userId", "memberId"))
    if group:
        return Hint(GROUP, group)
    if "member" not in kind.lower() and user:
        return Hint(USER, user)
    if membership_id or user:
        return Hint(MEMBERSHIP, membership_id) if membership_id else Hint(USER, user)
    return Hint(EVERYTHING)


# Asked in this order; a new kind of event is a new line here.
RECOGNISERS: tuple[Recogniser, ...] = (recognise_call, recognise_notification)


def _is_of_another_store(detail: Event, asked: Event, store_id: str) -> bool:
    """Whether an event says that it is about an identity store, and it is not this one. SCIM's tenant is no store."""
    stores = [asked.get("identityStoreId"), detail.get("identityStoreId"), detail.get("identityStoreArn")]
    told = [value for value in stores if isinstance(value, str) and not value.startswith(_MASKED)]
    named = [value.rpartition("/")[2].lower() for value in told if value]
    return bool(named) and store_id.lower() not in named


def _first_id(*places: Event, keys: tuple[str, ...]) -> str:
    """Return the first good id under one of these names, however deep it is; masked ones are none."""
    for key in keys:
        for place in places:
            for value in _values(place, key.lower(), _DEPTH) if key else ():
                if found := _good(value):
                    return found
    return ""


def _values(place: Any, key: str, depth: int) -> Iterator[Any]:
    """Yield what is found under a name, in nested objects as well; the outermost first."""
    if not isinstance(place, dict) or depth == 0:
        return
    for name, value in place.items():
        if isinstance(name, str) and name.lower() == key:
            yield value
    for value in place.values():
        yield from _values(value, key, depth - 1)


def _good(value: Any) -> str:
    """Return an id as AWS's lists have it: plain, and in small letters."""
    if not isinstance(value, str):
        return ""
    plain = value.strip().rpartition("/")[2].lower()
    return plain if _ID.fullmatch(plain) else ""


def _mapping(value: Any) -> Event:
    return value if isinstance(value, dict) else {}
