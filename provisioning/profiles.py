"""The doors to the profile rows, apart from the workers' own `ensure` and `retire`: make missing ones, ask for one, try
again. Whose access has ended is decided in `ending`.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from provisioning import ending, forms, queue, quotas
from provisioning.ensure import ensure
from provisioning.models import Profile
from provisioning.naming import profile_name
from provisioning.repairs import remake, repair, retire_found
from provisioning.retire import retire
from provisioning.rows import BAD_ROLE, ENDED, Next, free
from teams import access, audit
from teams.models import AuditEvent, Membership

__all__ = [
    "Next",
    "adopt",
    "due",
    "due_to_retire",
    "ensure",
    "follow_forms",
    "look_again",
    "may_be_adopted",
    "prepare",
    "remake",
    "repair",
    "request",
    "retire",
    "retire_found",
    "retry",
]

State = Profile.State

BATCH = 1000
# A failed profile is tried again by clicks at most this often.
CLICK_PAUSE = timedelta(seconds=3)
# So many ready profiles may be due for a look at once, should all of them have to follow something.
MAX_FOLLOWING = 1000
SOON = timedelta(minutes=1)


def prepare(user_ids: Iterable[int] | None = None) -> list[int]:
    """Make the missing rows of these people's live access (None: everybody's) and wake those that slept or drifted.

    Rows of access that had ended are taken up again; those that failed for a role that cannot be are woken too, because
    what changed may have mended it. Set-based and repeatable; two at once do no harm. Returns the ids of the rows that
    a worker should look at now.
    """
    memberships, rows = Membership.objects.filter(access.live()), Profile.objects.all()
    ids = None if user_ids is None else list(user_ids)
    if ids is not None:
        memberships, rows = memberships.filter(user__in=ids), rows.filter(user__in=ids)
    made = _make_missing(memberships) + ending.restore(ids)
    slept = rows.filter(ending.live_access(), state=State.WANTED, due_at__isnull=True)
    # Everybody's roles are not compared each time; a launch compares its own.
    drifted = _drifted(rows) if user_ids is not None else rows.none()
    misnamed = rows.filter(state=State.FAILED, error_code=BAD_ROLE) if user_ids is not None else rows.none()
    return made + _wake(slept) + _wake(drifted) + _wake(misnamed)


def look_again(team_ids: Iterable[int]) -> list[int]:
    """Make the profiles of teams whose desired form has changed due at once; returns their ids."""
    settled = Q(state__in=(State.READY, State.FAILED, State.CONFLICT))
    return _wake(Profile.objects.filter(settled, team__in=list(team_ids)))


def follow_forms() -> list[int]:
    """Make ready profiles due that have an older form than their team, whatever signal was lost; returns their ids.

    Which are behind, the rows say: the version of the form, and the mail address where a tag names it. Only some are
    taken at a time, so that a change to everybody's profiles leaves room for new ones.
    """
    ready = Profile.objects.filter(state=State.READY)
    # Those that AWS refuses come back much later, and may be many.
    room = MAX_FOLLOWING - ready.filter(due_at__lt=timezone.now() + SOON).order_by().count()
    if room <= 0:
        return []
    ids = forms.behind(ready.filter(due_at__isnull=True), room)
    return _wake(ready.filter(ending.live_access(), pk__in=ids)) if ids else []


def request(*, user_id: int, team_id: int) -> None:
    """Make sure that this profile's row exists and is being worked on: what a click asks for, if it cannot be opened.

    A failed one is tried again at most every `CLICK_PAUSE`; one that AWS has under a foreign name is left to an admin.
    """
    rows = Profile.objects.filter(user=user_id, team=team_id)
    profile = rows.first()
    if profile is None:
        _make_missing(Membership.objects.filter(access.live(), user=user_id, team=team_id))
        profile = rows.first()
    elif profile.state in ENDED:
        prepare([user_id])
        profile = rows.first()
    if profile is None:
        return
    changes = _asked(profile, timezone.now())
    # Only what was looked at is changed: a worker that was faster has done better.
    same = Q(pk=profile.pk, state=profile.state)
    if changes and Profile.objects.filter(same & free() if profile.state == State.FAILED else same).update(**changes):
        profile.due_at = changes.get("due_at", profile.due_at)
    if profile.due_at is not None and profile.due_at <= timezone.now():
        _hint(profile)


def _asked(profile: Profile, now: datetime) -> dict[str, Any]:
    """Return what a click changes about a profile."""
    again = {"state": State.WANTED, "due_at": now, "changed_at": now, "asked_at": now}
    match profile.state:
        case State.FAILED if profile.changed_at <= now - CLICK_PAUSE:
            return {**again, "repairs": 0, "deadline_at": None}
        case State.READY if _drifted(Profile.objects.filter(pk=profile.pk)).exists():
            # It was ready, but not for the role or the domain of today.
            return again
        case State.WANTED if profile.due_at is None or (profile.attempts == 0 and profile.due_at > now):
            # A person waits: what was to come back later, because it was not its turn, goes first now.
            return {"asked_at": now, "due_at": now}
        case State.WANTED | State.CREATING:
            return {"asked_at": now}
    return {}


def retry(profile: Profile, *, by: str) -> bool:
    """Try a profile again now, as the admin `by` asks; False when it is ready or being worked on already.

    One that is being retired goes on with that, if it failed; a deleted one stays so until access returns.
    """
    now = timezone.now()
    busy = Q(state__in=(State.WANTED, State.CREATING), due_at__lte=now + timedelta(seconds=2))
    settled = Q(state__in=(State.READY, State.RETIRED)) | Q(state=State.RETIRING, error_code="")
    anew = Case(When(state=State.RETIRING, then=Value(State.RETIRING)), default=Value(State.WANTED))
    with transaction.atomic():
        taken = (
            Profile.objects.filter(free(), pk=profile.pk)
            .exclude(settled)
            .exclude(busy)
            .update(
                state=anew, due_at=now, changed_at=now, attempts=0, repairs=0, deadline_at=None,
                error_code="", error="",
            )
        )  # fmt: skip
        if taken:
            audit.record(
                AuditEvent.Action.PROFILE_RETRIED, target=profile.name, team=profile.team.slug, actor=by,
                data={"state": profile.state, "error": profile.error},
            )  # fmt: skip
            _hint(profile)
            if profile.error_code:
                quotas.silence_of(profile.domain, code=profile.error_code, by=by)
    return bool(taken)


def may_be_adopted(profile: Profile) -> bool:
    """Whether AWS had a profile when the portal last looked that is not the portal's, and that an admin may give it."""
    found = Q(state=State.CONFLICT) | Q(state=State.READY, managed=False)
    return Profile.objects.filter(found, pk=profile.pk, adopted_by="").exclude(arn="").exists()


def adopt(profile: Profile, *, by: str, takes_over: bool = False) -> bool:
    """Have a profile that the portal did not make taken over, as the admin `by` says; False where there is none.

    From then on it is the portal's to change, and to delete when access ends. `takes_over`: also if its tags say that
    the portal has given it to another person or team. A profile that another row names is never taken.
    """
    found = Q(state=State.CONFLICT) | Q(state=State.READY, managed=False)
    now = timezone.now()
    ready = Case(When(state=State.READY, then=Value(State.READY)), default=Value(State.WANTED))
    with transaction.atomic():
        rows = Profile.objects.filter(free(), found, pk=profile.pk).exclude(arn="")
        taken = rows.update(
            state=ready, managed=False, adopted_by=by, takes_over=takes_over, due_at=now, changed_at=now,
            attempts=0, repairs=0, deadline_at=None, error_code="", error="",
        )  # fmt: skip
        if taken:
            audit.record(
                AuditEvent.Action.PROFILE_ADOPTED, target=profile.name, team=profile.team.slug, actor=by,
                reason="Its tags name somebody else; it is taken over." if takes_over else "",
                data={"domain": profile.domain.domain_id, "arn": profile.arn, "state": profile.state},
            )  # fmt: skip
            _hint(profile)
    return bool(taken)


def due(limit: int) -> list[int]:
    """Return the ids of rows that are due and that nobody is working on, those that wait longest first."""
    return _due(~Q(state__in=ENDED), limit)


def due_to_retire(limit: int) -> list[int]:
    """Return the same of the rows whose access has ended."""
    return _due(Q(state=State.RETIRING), limit)


def _due(which: Q, limit: int) -> list[int]:
    rows = Profile.objects.filter(free(), which, due_at__lte=timezone.now()).order_by("due_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def _make_missing(memberships: QuerySet[Membership]) -> list[int]:
    there = Profile.objects.filter(user=OuterRef("user_id"), team=OuterRef("team_id"))
    missing = (
        memberships.filter(~Exists(there))
        .values_list("user_id", "team_id", "team__domain_id", "user__realm", "user__subject", "team__slug")
        .order_by("user_id", "team_id")
        .distinct()
    )
    made: list[int] = []
    rows = missing.iterator(chunk_size=BATCH)
    while batch := list(islice(rows, BATCH)):
        made += _insert(batch)
    return made


def _insert(rows: list[tuple[Any, ...]]) -> list[int]:
    """Insert rows that nobody else has inserted meanwhile, with their audit rows; returns the ids of ours."""
    # An expired claim marks the rows that are ours, which INSERT … ON CONFLICT DO NOTHING does not tell.
    mark, now = uuid.uuid4(), timezone.now()
    wanted = [
        Profile(
            user_id=user_id, team_id=team_id, domain_id=domain_id, name=profile_name(realm, subject, slug),
            claim=mark, claimed_until=now, due_at=now, created_at=now, changed_at=now,
        )
        for user_id, team_id, domain_id, realm, subject, slug in rows
    ]  # fmt: skip
    slugs = {(row[0], row[1]): row[5] for row in rows}
    with transaction.atomic():
        Profile.objects.bulk_create(wanted, ignore_conflicts=True)
        made = list(Profile.objects.filter(claim=mark, user__in={row[0] for row in rows}))
        audit.record_many(
            [
                {
                    "action": AuditEvent.Action.PROFILE_REQUESTED,
                    "target": profile.name,
                    "team": slugs[profile.user_id, profile.team_id],
                }
                for profile in made
            ]
        )
    return [profile.pk for profile in made]


def _drifted(rows: QuerySet[Profile]) -> QuerySet[Profile]:
    """Return the ready rows whose person should have another role by now, or whose team moved to another domain."""
    return (
        rows.filter(state=State.READY)
        .annotate(role=access.role_of("user_id", "team_id"))
        .filter(role__isnull=False)
        .exclude(execution_role_arn=F("role"), domain=F("team__domain"))
    )


def _wake(rows: QuerySet[Profile]) -> list[int]:
    ids = list(rows.values_list("pk", flat=True))
    if ids:
        Profile.objects.filter(pk__in=ids).update(due_at=timezone.now())
    return ids


def _hint(profile: Profile) -> None:
    enqueue = queue.enqueue_retire if profile.state == State.RETIRING else queue.enqueue_ensure
    transaction.on_commit(lambda: enqueue(profile.pk))
