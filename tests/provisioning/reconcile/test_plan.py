"""The plan by itself: what AWS has, what should be, what is to be done."""

from dataclasses import replace
from typing import Any

import pytest

from provisioning import desired
from provisioning.reconcile import plan
from provisioning.reconcile.plan import Action, Actual, Kind, Recorded

ROLE = "arn:aws:iam::111122223333:role/team1"
WANTED = desired.desired(
    name="user1-team1",
    username="user1",
    team_slug="team1",
    execution_role_arn=ROLE,
    user_settings={"SecurityGroups": ["sg-1"], "KernelGatewayAppSettings": {"DefaultResourceSpec": {"A": 1}}},
    team_tags={"cost": "42"},
)
# AWS adds defaults of its own, and people add tags.
SETTINGS = {**WANTED.user_settings, "StudioWebPortal": "ENABLED"}
THERE = Actual("user1-team1", "InService", "arn", ROLE, SETTINGS, {**WANTED.tags, "mine": "x"})
READY = Recorded("ready", wanted=WANTED)
FOREIGN = {"tags": {"who": "knows"}}


def other(**fields: Any) -> Actual:
    return replace(THERE, **fields)


def tags(**changes: str | None) -> dict[str, str]:
    """The wanted tags with these changes; None takes one away."""
    changed = {**WANTED.tags, **{key.replace("_", "-"): value for key, value in changes.items()}}
    return {key: value for key, value in changed.items() if value is not None}


TABLE: dict[str, tuple[Actual | None, Recorded | None, list[tuple[Kind, Action]]]] = {
    "as it should be": (THERE, READY, []),
    "tags not asked for": (other(tags=None), READY, []),
    "gone": (None, READY, [(Kind.MISSING, Action.REMAKE)]),
    "gone, and nobody has access": (None, replace(READY, has_access=False), [(Kind.NO_ACCESS, Action.END)]),
    "nobody has access": (THERE, replace(READY, has_access=False), [(Kind.NO_ACCESS, Action.END)]),
    "failed": (other(status="Failed"), READY, [(Kind.STATUS, Action.REPAIR)]),
    "update failed": (other(status="Update_Failed"), READY, [(Kind.STATUS, Action.REPAIR)]),
    "a status of the future": (other(status="Broken"), READY, [(Kind.STATUS, Action.REPAIR)]),
    "pending": (other(status="Pending"), READY, []),
    "updating": (other(status="Updating", execution_role_arn="x"), READY, []),
    "deleting": (other(status="Deleting"), READY, []),
    "role": (other(execution_role_arn="x"), READY, [(Kind.ROLE, Action.REPAIR)]),
    "settings": (other(settings={"SecurityGroups": []}), READY, [(Kind.SETTINGS, Action.REPAIR)]),
    "tag missing": (other(tags=tags(cost=None)), READY, [(Kind.TAGS, Action.REPAIR)]),
    "tag changed": (other(tags=tags(cost="43")), READY, [(Kind.TAGS, Action.REPAIR)]),
    "tag in another case": (other(tags={k.upper(): v for k, v in WANTED.tags.items()}), READY, []),
    "tag of a former form": (
        other(tags={**WANTED.tags, "old": "1"}),
        replace(READY, applied_tags={**WANTED.tags, "old": "1"}),
        [(Kind.TAGS, Action.REPAIR)],
    ),
    "owner changed": (other(tags=tags(owner="eve")), READY, [(Kind.TAGS, Action.REPORT)]),
    "manager taken away": (other(tags=tags(managed_by=None)), READY, [(Kind.TAGS, Action.REPORT)]),
    "everything at once": (
        other(execution_role_arn="x", settings={}, tags=tags(cost=None)),
        READY,
        [(Kind.ROLE, Action.REPAIR), (Kind.SETTINGS, Action.REPAIR), (Kind.TAGS, Action.REPAIR)],
    ),
    "found there before us": (other(settings={}, tags={}), replace(READY, managed=False), []),
    "found there, other role": (
        other(execution_role_arn="x", settings={}, tags={}),
        replace(READY, managed=False),
        [(Kind.ROLE, Action.REPAIR)],
    ),
    "nothing can be wanted": (other(execution_role_arn="x"), replace(READY, wanted=None), []),
    "wanted": (None, Recorded("wanted"), []),
    "being created": (THERE, Recorded("creating"), []),
    "failed here": (THERE, Recorded("failed"), []),
    "retiring": (THERE, Recorded("retiring", has_access=False), []),
    "deleted here and there": (None, Recorded("retired", has_access=False), []),
    "deleted here only": (THERE, Recorded("retired", has_access=False), [(Kind.ORPHAN, Action.RETIRE)]),
    "deleted here, another there": (
        other(**FOREIGN),
        Recorded("retired", has_access=False),
        [(Kind.FOREIGN, Action.REPORT)],
    ),
    "in the way": (other(**FOREIGN), Recorded("conflict"), [(Kind.FOREIGN, Action.REPORT)]),
    "not in the way any more": (None, Recorded("conflict"), []),
    "ours without a row": (THERE, None, [(Kind.ORPHAN, Action.RETIRE)]),
    "ours without a row, going": (other(status="Deleting"), None, []),
    "not ours": (other(**FOREIGN), None, [(Kind.FOREIGN, Action.REPORT)]),
    "made by somebody else": (other(tags=tags(managed_by="terraform")), None, [(Kind.FOREIGN, Action.REPORT)]),
    "nothing at all": (None, None, []),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_differs_and_what_is_done(case: str) -> None:
    actual, row, expected = TABLE[case]
    assert [(each.kind, each.action) for each in plan.compare(actual, row)] == expected


def test_an_orphan_that_cannot_be_retired_is_reported_with_the_reason() -> None:
    (found,) = plan.compare(THERE, None, obstacle="Nobody.")
    assert (found.kind, found.action, found.reason) == (Kind.ORPHAN, Action.REPORT, "Nobody.")


def test_it_says_what_differs_and_nothing_else() -> None:
    (found,) = plan.compare(other(tags=tags(cost="43")), READY)
    assert (found.has, found.wanted) == ({"cost": "43"}, {"cost": "42"})
    (found,) = plan.compare(other(settings={**SETTINGS, "SecurityGroups": ["sg-2"]}), READY)
    assert (found.has, found.wanted) == ({"SecurityGroups": ["sg-2"]}, {"SecurityGroups": ["sg-1"]})


@pytest.mark.parametrize(
    ("retiring", "remaking", "rows", "listed", "held"),
    [
        (0, 0, 100, 0, False),
        (50, 0, 10, 60, False),
        (30, 20, 10, 60, False),
        (51, 0, 10, 60, True),
        (26, 25, 10, 60, True),
        (0, 1000, 5000, 4000, False),
        (0, 1001, 5000, 4000, True),
        # Nothing listed at all is believed of nobody.
        (0, 1, 1, 0, True),
    ],
)
def test_the_limit(retiring: int, remaking: int, rows: int, listed: int, held: bool) -> None:
    counts = {Action.RETIRE.value: retiring, Action.REMAKE.value: remaking, Action.REPAIR.value: 10_000}
    assert bool(plan.over_limit(counts, rows=rows, listed=listed)) is held
