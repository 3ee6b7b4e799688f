"""The end of access, decided from rows alone: whose profile goes and when, and whose access has come back.

Access ends in one of two ways. *Revoked*: nothing speaks for the person any more, or they or the team were switched
off; their apps are stopped at once, and the profile is deleted after the team's grace period. *Lapsed*: only the
sign-on session is over that the evidence came with, and signing on again brings it back; apps go on, and the grace
period counts from the end of the session. Both are set-based and repeatable, and find what mere time has ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from provisioning import queue, sso_assignments
from provisioning.models import Profile
from provisioning.rows import ENDED, NO_ERROR, Action, State, free
from teams import access, audit
from teams.models import Membership

End = Profile.End

BATCH = 1000
# Sources whose evidence ends with a sign-on session and comes back with the next.
SESSION_SOURCES = "saml"
# The sweep finds a session that is over within a minute. Where one has been over for so long, access rested on other
# evidence since, and it is the end of that which counts.
FOUND_WITHIN = timedelta(days=1)


def end_access(user_ids: Iterable[int] | None = None, team_ids: Iterable[int] | None = None) -> list[int]:
    """Retire the profiles of these people and teams (None: all) that no live access speaks for any more.

    Rows that a worker holds are left to the next sweep. Returns the ids of the rows at which there is something to do
    in AWS now.
    """
    rows = _scope(user_ids, team_ids)
    due: list[int] = []
    while True:
        with transaction.atomic():
            found = list(_ending(rows)[:BATCH])
            due += _write([_decide(profile) for profile in found])
        if len(found) < BATCH:
            break
    # The switch is a matter of teams: a person's sign-on need not pay for it.
    if user_ids is None:
        _follow_the_switch(rows)
    return due


def restore(user_ids: Iterable[int] | None = None, team_ids: Iterable[int] | None = None) -> list[int]:
    """Take up again the profiles of these people and teams (None: all) whose access has returned.

    Returns the ids of the rows that a worker should look at now. What a worker is about to delete is left to that
    worker, which asks for access before each step.
    """
    rows = _scope(user_ids, team_ids).filter(live_access(), state__in=ENDED)
    back: list[int] = []
    while True:
        with transaction.atomic():
            found = list(_locked(rows.filter(free()))[:BATCH])
            _take_back(found)
        back += [profile.pk for profile in found]
        if len(found) < BATCH:
            break
    rows.update(due_at=timezone.now())
    return back


def restored(profile: Profile) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the audit row and the changes with which a retiring or retired profile is wanted again.

    What was in service, and which AWS was not asked to delete, opens at once; a worker looks at it all the same.
    """
    gone = profile.state == State.RETIRED
    intact = not gone and bool(profile.execution_role_arn) and profile.delete_asked_at is None
    intact = intact and not sso_assignments.is_closed(profile)
    told = {
        "action": Action.PROFILE_REQUESTED if gone else Action.PROFILE_RESTORED,
        "target": profile.name,
        "team": profile.team.slug,
        "reason": "Access returned; the profile is made anew." if gone else "Access returned.",
    }
    changes: dict[str, Any] = {
        "state": State.READY if intact else State.WANTED,
        "due_at": timezone.now(),
        "ended_by": "", "ended_at": None, "retire_at": None, "delete_asked_at": None, "progress": {},
        "deadline_at": None, "repairs": 0, **NO_ERROR,
    }  # fmt: skip
    return told, changes


def may_retire_now(profile: Profile) -> bool:
    """Whether there is something to delete, and nothing that forbids it."""
    return _to_be_deleted(profile).exists()


def retire_now(profile: Profile, *, by: str) -> bool:
    """Skip the grace period, as the admin `by` asks; False where nothing may be deleted or all is deleted."""
    now = timezone.now()
    with transaction.atomic():
        # Found by a subquery, because an update cannot ask about the team.
        rows = Profile.objects.filter(pk__in=_to_be_deleted(profile).values("pk"))
        taken = rows.update(retire_at=now, due_at=now)
        if taken:
            audit.record(
                Action.PROFILE_RETIRING, target=profile.name, team=profile.team.slug, actor=by,
                reason="The grace period was skipped; the profile is deleted now.",
                data={"retire_at": now.isoformat(), "instead_of": _iso(profile.retire_at)},
            )  # fmt: skip
            transaction.on_commit(lambda: queue.enqueue_retire(profile.pk) and None)
    return bool(taken)


def _to_be_deleted(profile: Profile) -> QuerySet[Profile]:
    rows = Profile.objects.filter(pk=profile.pk, state=State.RETIRING, managed=True, team__keeps_profiles=False)
    return rows.exclude(live_access())


def live_access() -> Exists:
    """Return the filter on profiles whose person has access now."""
    return Exists(Membership.objects.filter(access.live(), user=OuterRef("user_id"), team=OuterRef("team_id")))


def _scope(user_ids: Iterable[int] | None, team_ids: Iterable[int] | None) -> QuerySet[Profile]:
    rows = Profile.objects.all()
    if user_ids is not None:
        rows = rows.filter(user__in=list(user_ids))
    if team_ids is not None:
        rows = rows.filter(team__in=list(team_ids))
    return rows


def _locked(rows: QuerySet[Profile]) -> QuerySet[Profile]:
    """Lock the rows; those that somebody else is writing are left to the next sweep."""
    return rows.select_related("team").select_for_update(of=("self",), skip_locked=True).order_by("pk")


def _ending(rows: QuerySet[Profile]) -> QuerySet[Profile]:
    """Return the rows whose access has ended, or lapsed before and is revoked now; `lapsed_at` is None if revoked."""
    over = (
        Membership.objects.filter(
            user=OuterRef("user_id"), team=OuterRef("team_id"), source__startswith=SESSION_SOURCES,
            user__is_active=True, team__is_active=True,
        )
        .order_by("-valid_until")
        .values("valid_until")[:1]
    )  # fmt: skip
    new = ~Q(state__in=ENDED) | Q(state=State.RETIRING, ended_by=End.LAPSED, lapsed_at__isnull=True)
    return _locked(rows.annotate(lapsed_at=Subquery(over)).filter(free(), new).exclude(live_access()))


@dataclass(frozen=True)
class _Ending:
    """What becomes of one profile."""

    profile: Profile
    ended_by: str
    ended_at: datetime
    retire_at: datetime | None
    due_at: datetime | None


def _decide(profile: Profile) -> _Ending:
    now = timezone.now()
    lapsed_at: datetime | None = profile.lapsed_at  # type: ignore[attr-defined]
    if lapsed_at is not None and lapsed_at < now - FOUND_WITHIN:
        lapsed_at = None
    ended_at = lapsed_at or now
    grace = timedelta(days=profile.team.grace_days)
    # Only what the portal made is the portal's to delete.
    retire_at = ended_at + grace if profile.managed and not profile.team.keeps_profiles else None
    # Whose profile stays still loses what the portal gave them in IAM Identity Center.
    assigned = bool(profile.assigned_to)
    if lapsed_at is not None:
        return _Ending(profile, End.LAPSED, ended_at, retire_at, retire_at or (ended_at + grace if assigned else None))
    due_at = ended_at if profile.managed or assigned else None
    return _Ending(profile, End.REVOKED, ended_at, retire_at, due_at)


# A role on record means that the profile was seen in service with it: only that may open again without a look at AWS.
_WRITE = """
    UPDATE provisioning_profile AS p
    SET state = 'retiring', changed_at = %(now)s, ended_by = v.ended_by, ended_at = v.ended_at,
        retire_at = v.retire_at, due_at = v.due_at, attempts = 0, repairs = 0, error_code = '', error = '',
        deadline_at = NULL, claim = NULL, claimed_until = NULL,
        execution_role_arn = CASE WHEN p.state IN ('ready', 'retiring') THEN p.execution_role_arn ELSE '' END
    FROM unnest(%(ids)s::bigint[], %(ended_by)s::text[], %(ended_at)s::timestamptz[], %(retire_at)s::timestamptz[],
                %(due_at)s::timestamptz[]) AS v (id, ended_by, ended_at, retire_at, due_at)
    WHERE p.id = v.id
"""


def _write(endings: list[_Ending]) -> list[int]:
    """Write these rows, which the caller's transaction has locked, and their audit rows; returns what is due now."""
    if not endings:
        return []
    values: dict[str, Any] = {
        "now": timezone.now(),
        "ids": [each.profile.pk for each in endings],
        "ended_by": [str(each.ended_by) for each in endings],
        "ended_at": [each.ended_at for each in endings],
        "retire_at": [each.retire_at for each in endings],
        "due_at": [each.due_at for each in endings],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, values)
    # A session that is over is told by the log already: every evening, and every morning it is back.
    audit.record_many([_told(each) for each in endings if each.ended_by == End.REVOKED])
    now = timezone.now()
    return [each.profile.pk for each in endings if each.due_at is not None and each.due_at <= now]


def _told(ending: _Ending) -> dict[str, Any]:
    if not ending.profile.managed:
        what = "The portal did not make the profile and leaves it alone."
    elif ending.retire_at is None:
        what = "The team keeps profiles."
    else:
        what = f"The profile is deleted on {ending.retire_at:%Y-%m-%d}."
    return {
        "action": Action.PROFILE_RETIRING,
        "target": ending.profile.name,
        "team": ending.profile.team.slug,
        "reason": f"Access was revoked. {what}",
        "data": {
            "ended_by": str(ending.ended_by),
            "ended_at": _iso(ending.ended_at),
            "retire_at": _iso(ending.retire_at),
        },
    }


def _take_back(profiles: list[Profile]) -> None:
    """Write these rows, which the caller's transaction has locked, as wanted again, with their audit rows."""
    by_state: dict[str, tuple[list[int], dict[str, Any]]] = {}
    told = []
    for profile in profiles:
        row, changes = restored(profile)
        if profile.ended_by == End.REVOKED or changes["state"] != State.READY:
            told.append(row)
        by_state.setdefault(changes["state"], ([], changes))[0].append(profile.pk)
    for ids, changes in by_state.values():
        Profile.objects.filter(pk__in=ids).update(**changes, changed_at=timezone.now(), claim=None, claimed_until=None)
    audit.record_many(told)


def _follow_the_switch(rows: QuerySet[Profile]) -> None:
    """Let “never delete profiles” hold for access that ended before it was switched on or off."""
    retiring = rows.filter(state=State.RETIRING, managed=True)
    kept = retiring.filter(team__keeps_profiles=True, retire_at__isnull=False, delete_asked_at__isnull=True)
    released = retiring.filter(team__keeps_profiles=False, retire_at__isnull=True)
    for which in (kept, released):
        with transaction.atomic():
            found = list(_locked(which)[:BATCH])
            for profile in found:
                _switch(profile)


def _switch(profile: Profile) -> None:
    grace = timedelta(days=profile.team.grace_days)
    profile.retire_at = None if profile.team.keeps_profiles else timezone.now() + grace
    change = "The team keeps profiles from now on." if profile.retire_at is None else "The team keeps no profiles now."
    due_at = profile.retire_at if profile.due_at is None else F("due_at")
    Profile.objects.filter(pk=profile.pk).update(retire_at=profile.retire_at, due_at=due_at)
    audit.record(
        Action.PROFILE_RETIRING, target=profile.name, team=profile.team.slug, reason=change,
        data={"retire_at": _iso(profile.retire_at)},
    )  # fmt: skip


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
