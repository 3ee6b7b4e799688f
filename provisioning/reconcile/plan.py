"""What differs between what AWS has and what should be, and what is to be done about it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.desired import MANAGED_BY, MANAGER, OWNER, DesiredProfile, contains, value_of
from provisioning.models import Profile, ReconcileItem

Kind = ReconcileItem.Kind
Action = ReconcileItem.Action
State = Profile.State

ROLE = "ExecutionRole"
# What AWS is at: the next comparison looks again.
BUSY = frozenset({"Pending", "Updating", "Deleting"})
IN_SERVICE = "InService"
# More removals and remakes than this share in per cent, or than this number, whichever is more, wait for an admin.
LIMIT_SHARE = 20
LIMIT_NUMBER = 50


@dataclass(frozen=True)
class Actual:
    """A profile as AWS describes it; `tags` are None where they were not asked for."""

    name: str
    status: str
    arn: str
    execution_role_arn: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    failure_reason: str = ""


@dataclass(frozen=True)
class Recorded:
    """What the portal's row of this name says.

    `wanted` is None where nothing can be wanted: the role cannot be, there are too many tags, or the team moved.
    """

    state: str
    managed: bool = True
    has_access: bool = True
    wanted: DesiredProfile | None = None
    applied_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One difference; `has` and `wanted` hold what differs, nothing else."""

    kind: Kind
    action: Action
    reason: str = ""
    has: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=dict)


def settled(row: Recorded | None) -> bool:
    """Whether nobody else is about to do something about this row: only then is there something to compare."""
    return row is None or row.state in {State.READY, State.CONFLICT, State.RETIRED}


def compare(actual: Actual | None, row: Recorded | None, *, obstacle: str = "") -> list[Finding]:
    """Return what differs; `actual` is None where AWS has no such profile, `row` where the portal has none.

    `obstacle` says why a profile that carries the portal's tags cannot be retired, empty where it can.
    """
    if not settled(row):
        return []
    if row is not None and row.state == State.READY:
        return _ready(actual, row)
    if actual is None or actual.status == "Deleting":
        return []
    return [_stray(actual, row, obstacle)]


def _ready(actual: Actual | None, row: Recorded) -> list[Finding]:
    """Compare what should be in service."""
    if not row.has_access:
        return [Finding(Kind.NO_ACCESS, Action.END, "Nobody may use it any more, and it is not being retired.")]
    if actual is None:
        return [Finding(Kind.MISSING, Action.REMAKE, "The portal says that it is ready; AWS has none of this name.")]
    if actual.status in BUSY:
        return []
    if actual.status != IN_SERVICE:
        reason = actual.failure_reason or "AWS gives no reason."
        return [Finding(Kind.STATUS, Action.REPAIR, reason, {"status": actual.status}, {"status": IN_SERVICE})]
    if row.wanted is None:
        return []
    # Of a profile that was there before us only the role is the portal's business.
    found = [_role(actual, row.wanted)]
    if row.managed:
        found += [_settings(actual, row.wanted), _tags(actual, row, row.wanted)]
    return [each for each in found if each is not None]


def _role(actual: Actual, wanted: DesiredProfile) -> Finding | None:
    if actual.execution_role_arn == wanted.execution_role_arn:
        return None
    has, should = {"role": actual.execution_role_arn}, {"role": wanted.execution_role_arn}
    return Finding(Kind.ROLE, Action.REPAIR, has=has, wanted=should)


def _settings(actual: Actual, wanted: DesiredProfile) -> Finding | None:
    differing = [
        name
        for name, value in wanted.user_settings.items()
        if name != ROLE and not contains(actual.settings.get(name), value)
    ]
    if not differing:
        return None
    return Finding(
        Kind.SETTINGS,
        Action.REPAIR,
        has={name: actual.settings.get(name) for name in differing},
        wanted={name: wanted.user_settings[name] for name in differing},
    )


def _tags(actual: Actual, row: Recorded, wanted: DesiredProfile) -> Finding | None:
    """Compare the tags that are the portal's business; those that say whose it is are an admin's where they differ."""
    if actual.tags is None:
        return None
    tags = actual.tags
    missing = [key for key, value in wanted.tags.items() if value_of(tags, key) != value]
    known = {key.lower() for key in wanted.tags}
    stale = [key for key in row.applied_tags if key.lower() not in known and value_of(tags, key) is not None]
    if not missing and not stale:
        return None
    has, should = {key: value_of(tags, key) for key in (*missing, *stale)}, {key: wanted.tags[key] for key in missing}
    if not is_ours(tags) or value_of(tags, OWNER) != wanted.tags[OWNER]:
        reason = "The tags that say whose it is were changed in AWS; put them back there, or adopt it here."
        return Finding(Kind.TAGS, Action.REPORT, reason, has, should)
    return Finding(Kind.TAGS, Action.REPAIR, has=has, wanted=should)


def _stray(actual: Actual, row: Recorded | None, obstacle: str) -> Finding:
    """Say what a profile is that nobody should be using by what the portal knows."""
    has = {"tags": dict(actual.tags or {}), "role": actual.execution_role_arn, "arn": actual.arn}
    if row is not None and row.state == State.CONFLICT:
        return Finding(Kind.FOREIGN, Action.REPORT, "It stands where the portal would make one of its own.", has)
    if not is_ours(actual.tags or {}):
        return Finding(Kind.FOREIGN, Action.REPORT, "It does not carry the portal's tags.", has)
    if obstacle:
        return Finding(Kind.ORPHAN, Action.REPORT, obstacle, has)
    return Finding(Kind.ORPHAN, Action.RETIRE, "It carries the portal's tags, and nobody has access to it.", has)


def hidden(reason: str) -> Finding:
    """Return what is said of a profile without a row that the portal may not look at."""
    return Finding(Kind.FOREIGN, Action.REPORT, f"The portal may not look at it. {reason}")


def is_ours(tags: Mapping[str, str]) -> bool:
    """Whether the tags say that the portal made it, for whomever."""
    return value_of(tags, MANAGED_BY) == MANAGER


def over_limit(counts: Mapping[str, int], *, rows: int, listed: int) -> str:
    """Return why a plan must not be carried out without an admin's word, empty where it may be.

    `counts` are the numbers of items by what is to be done, `rows` the domain's profiles by the portal's own rows,
    `listed` those that AWS listed.
    """
    removing, remaking = counts.get(Action.RETIRE, 0), counts.get(Action.REMAKE, 0)
    if remaking and not listed:
        return f"AWS listed no profile at all, where the portal has {rows}."
    limit = max(rows * LIMIT_SHARE // 100, LIMIT_NUMBER)
    if removing + remaking > limit:
        return f"{removing} profiles would be retired and {remaking} made again; at most {limit} may be."
    return ""
