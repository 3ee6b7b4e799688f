"""What becomes of a comparison when everything is compared: carried out, held back, or only shown."""

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone

from provisioning import ending, repairs
from provisioning.models import Profile, ReconcileItem, Reconciliation
from provisioning.reconcile import facts, plan
from provisioning.reconcile.reading import CLAIM, write
from teams import audit
from teams.models import AuditEvent, Domain

State = Reconciliation.State
Action = ReconcileItem.Action
ItemState = ReconcileItem.State
Audited = AuditEvent.Action

logger = logging.getLogger(__name__)

BATCH = 50
MOVED_ON = "It changed after the comparison had begun; the next one looks at it."
DUE = "A worker brings it to its form."


class NotHeldError(Exception):
    """The comparison waits for nobody's word any more, or another one of its domain is under way."""


def decide(run: Reconciliation, claim: uuid.UUID) -> None:
    """Go on to the repairs, or hold them back where too much would be removed, or only show them. Raises ClaimLost."""
    with transaction.atomic():
        # Locks the row, too.
        write(run, claim, claimed_until=timezone.now() + CLAIM)
        actions = _actions(run)
        reason = plan.over_limit(actions, rows=rows_of(run.domain), listed=run.listed)
        run.seen.all().delete()
        if run.dry_run:
            _close(run, State.PLANNED, reason=reason)
            _record(Audited.RECONCILE_PLANNED, run, actions)
            return
        _overtake(run)
        if reason:
            _close(run, State.HELD, reason=reason)
            _record(Audited.RECONCILE_HELD, run, actions, reason=reason)
        elif run.items.exists():
            _begin(run)
            if set(actions) - {Action.REPORT}:
                _record(Audited.RECONCILE_APPLIED, run, actions)
        else:
            _close(run, State.DONE)


def rows_of(domain: Domain) -> int:
    """Return how many profiles a domain has by the portal's own rows."""
    return Profile.objects.filter(domain=domain).exclude(state=Profile.State.RETIRED).count()


def apply_held(run_id: int, *, by: str) -> None:
    """Carry out what was held back or only compared, however much it is; `by` is the user name of an admin.

    Raises NotHeldError.
    """
    try:
        with transaction.atomic():
            run = _decide(run_id, by)
            _begin(run)
            _record(Audited.RECONCILE_APPLIED, run, _actions(run))
    except IntegrityError as error:
        raise NotHeldError from error


def throw_away(run_id: int, *, by: str) -> None:
    """Have nothing done about what was held back or only compared. Raises NotHeldError."""
    with transaction.atomic():
        run = _decide(run_id, by)
        _close(run, State.DISCARDED)
        _record(Audited.RECONCILE_DISCARDED, run, _actions(run))


def apply(run: Reconciliation, claim: uuid.UUID, over: Callable[[], bool]) -> bool:
    """Hand on what is planned, batch by batch until it is `over`; whether all is handed on. Raises ClaimLost."""
    while not over():
        with transaction.atomic():
            write(run, claim, claimed_until=timezone.now() + CLAIM)
            items = list(run.items.filter(state=ItemState.PLANNED).order_by("pk")[:BATCH])
            if not items:
                write(
                    run, claim, state=State.DONE, due_at=None, claim=None, claimed_until=None,
                    finished_at=timezone.now(),
                )  # fmt: skip
                return True
            _carry_out(run, items)
    return False


def _carry_out(run: Reconciliation, items: list[ReconcileItem]) -> None:
    """Hand on some differences to the doors, and note what came of each."""
    by = run.decided_by or run.by or audit.who()
    taken = {
        Action.REPAIR: set(repairs.repair(_ids(items, Action.REPAIR), by=by, since=run.started_at)),
        Action.REMAKE: set(repairs.remake(_ids(items, Action.REMAKE), by=by, since=run.started_at)),
    }
    for item in items:
        if item.action == Action.REPORT:
            item.state = ItemState.SKIPPED
        elif item.action in taken:
            _note(item, item.profile_id in taken[Action(item.action)], DUE)
        else:
            _carry_out_one(run, item, by)
    ReconcileItem.objects.bulk_update(items, ["state", "outcome"])


def _carry_out_one(run: Reconciliation, item: ReconcileItem, by: str) -> None:
    """Hand on a difference that has a door of its own; one that the database refuses keeps none of the others back."""
    try:
        with transaction.atomic():
            if item.action == Action.RETIRE:
                _note(item, _retire(run, item, by), "It is being retired.")
            else:
                _note(item, _end(item), "Access is ended; it is being retired.")
    except DatabaseError as error:
        logger.exception("A difference could not be handed on.")
        item.state, item.outcome = ItemState.FAILED, f"The database refused it: {type(error).__name__}."


def _note(item: ReconcileItem, done: bool, outcome: str) -> None:
    item.state, item.outcome = (ItemState.APPLIED, outcome) if done else (ItemState.SKIPPED, MOVED_ON)


def _ids(items: Iterable[ReconcileItem], action: ReconcileItem.Action) -> list[int]:
    return list({item.profile_id for item in items if item.action == action and item.profile_id is not None})


def _retire(run: Reconciliation, item: ReconcileItem, by: str) -> bool:
    """Retire what carries our tags; to whom they point is asked again, because rows and access may have come since."""
    has: dict[str, Any] = item.detail["has"]
    found = facts.owners(run.domain, item.name, has["tags"])
    if found.obstacle or found.user is None or found.team is None:
        return False
    return repairs.retire_found(
        user=found.user, team=found.team, domain=run.domain, name=item.name, arn=has["arn"], by=by
    )


def _end(item: ReconcileItem) -> bool:
    profile = item.profile
    if profile is None:
        return False
    ending.end_access([profile.user_id], [profile.team_id])
    profile.refresh_from_db()
    return profile.state == Profile.State.RETIRING


def _decide(run_id: int, by: str) -> Reconciliation:
    waiting = Reconciliation.objects.filter(pk=run_id, state__in=(State.HELD, State.PLANNED))
    run = waiting.select_related("domain").select_for_update(of=("self",)).first()
    if run is None:
        raise NotHeldError
    run.decided_by = by
    return run


def _begin(run: Reconciliation) -> None:
    run.state, run.due_at, run.claim, run.claimed_until, run.finished_at = (
        State.APPLYING, timezone.now(), None, None, None,
    )  # fmt: skip
    run.save()


def _overtake(run: Reconciliation) -> None:
    """Throw away what older comparisons had held back: this one knows better."""
    held = Reconciliation.objects.select_for_update(of=("self",)).filter(domain=run.domain, state=State.HELD)
    for older in held.select_related("domain").exclude(pk=run.pk):
        _close(older, State.DISCARDED)
        _record(Audited.RECONCILE_DISCARDED, older, _actions(older), reason="A newer comparison took its place.")


def _close(run: Reconciliation, state: Reconciliation.State, *, reason: str = "") -> None:
    run.state, run.claim, run.claimed_until, run.due_at = state, None, None, None
    run.finished_at, run.reason = timezone.now(), reason or run.reason
    run.save()


def _actions(run: Reconciliation) -> dict[str, int]:
    return dict(run.items.order_by().values_list("action").annotate(number=Count("pk")))


def _record(action: AuditEvent.Action, run: Reconciliation, actions: dict[str, int], *, reason: str = "") -> None:
    audit.record(
        action,
        target=f"domain: {run.domain.domain_id}",
        reason=reason,
        actor=run.decided_by or None,
        data={
            "comparison": run.pk, "begun_by": run.by or run.trigger, "profiles": run.listed,
            "differences": run.counts, "actions": actions,
        },
    )  # fmt: skip
