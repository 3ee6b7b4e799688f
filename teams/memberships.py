"""The only writer of memberships: what sources say goes in by `apply` and its sisters, changed mappings by `remap`.

Two locks keep writers apart. The gate is an advisory lock of PostgreSQL: statements about one user share it, whatever
concerns many users holds it alone, so that neither reads the world while the other changes it. Behind the gate, the
row of the user makes two statements about one person wait for each other. The gate always comes first, so nothing
deadlocks.
"""

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from teams import audit, bulk, evidence
from teams.models import DEFAULT_REALM, Group, RoleMapping, Team, User
from teams.observations import (
    Applied,
    GroupRef,
    Line,
    Member,
    Person,
    RemovalLimit,
    SourceApplied,
    SourceObservation,
    UserObservation,
)
from teams.signals import send_access_changed

__all__ = [
    "Applied", "GroupRef", "Line", "Member", "Person", "RemovalLimit", "SourceApplied", "SourceObservation",
    "UserObservation", "apply", "apply_source", "change_group", "drop_group", "drop_mapping", "drop_team",
    "end_session", "expire", "give", "hold", "remap", "saml_source", "share", "take_back",
]  # fmt: skip

logger = logging.getLogger(__name__)

GATE = 0x7465616D73
MANUAL = "manual"
# More changes than these are told in numbers.
MAX_LINES = 1000
_TEXT = 256  # the columns of groups


def saml_source(realm: str) -> str:
    """Return the name under which the identity providers of `realm` state groups and teams."""
    return "saml" if realm == DEFAULT_REALM else f"saml:{realm}"


def apply(observation: UserObservation, *, entered: bool = False) -> Applied:
    """Make the memberships of one user agree with what a source said, and clear away what has expired.

    Expired evidence of other sources' sign-ons stays, and gives nothing: their sessions are over, and no more is known.
    Memberships and their audit rows commit together; `access_changed` follows when any evidence came or went. Groups
    that no column can hold and unknown team ids are skipped and logged. `entered` says that the caller's transaction
    is behind the gate with the user's row locked, as it is after `users.sign_on`. Raises User.DoesNotExist for a user
    that was deleted.
    """
    groups = None if observation.groups is None else _usable(observation.groups)
    named = observation.teams or frozenset()
    with nullcontext() if entered else transaction.atomic():
        renames = _renames(observation.source, groups)
        if renames or not entered:
            _enter(observation.user, alone=renames)
        if groups is not None:
            _state_groups(observation, groups, rename=renames)
        found = evidence.settle(
            now=timezone.now(),
            user_id=observation.user.pk,
            source=observation.source,
            saml_ids=sorted(filter(_fits, named)),
            valid_until=observation.valid_until,
        )
        _tell(found)
    unknown = (*found.unknown, *sorted(each for each in named if not _fits(each)))
    if unknown:
        logger.warning("%s named %d unknown teams: %.200r", observation.source, len(unknown), unknown)
    return Applied(found.gained, found.lost, unknown)


class _Undo(Exception):  # noqa: N818  (takes a transaction back, and is no fault)
    def __init__(self, applied: SourceApplied) -> None:
        self.applied = applied


def apply_source(
    observation: SourceObservation, *, limit: RemovalLimit | None = None, dry_run: bool = False
) -> SourceApplied:
    """Make many people's memberships agree with what a source said of them, and return what changed.

    Everything is written in one transaction, audit rows included, or nothing: nothing when `dry_run` is set, and
    nothing, with `held` in the answer, when more people would lose something than `limit` allows. `access_changed`
    follows the commit.
    """
    try:
        with transaction.atomic():
            skipped = bulk.load(observation.groups, observation.people, observation.members)
            hold()
            applied = _write(observation, skipped, limit, dry_run=dry_run)
            if applied.held or dry_run:
                raise _Undo(applied)  # noqa: TRY301  (what takes the transaction back)
            send_access_changed(user_ids=bulk.concerned())
    except _Undo as undo:
        return undo.applied
    return applied


def _write(observation: SourceObservation, skipped: int, limit: RemovalLimit | None, *, dry_run: bool) -> SourceApplied:
    scope = _scope(
        observation.source,
        realm=observation.realm,
        complete=observation.complete,
        except_groups=observation.except_groups,
        except_people=observation.except_people,
    )
    counts = bulk.write(scope)
    applied = SourceApplied(
        added=counts.added,
        removed=counts.removed,
        people_added=counts.people_added,
        people_losing=counts.people_losing,
        created=counts.created,
        deactivated=counts.deactivated,
        reactivated=counts.reactivated,
        skipped=skipped + counts.unknown,
    )
    if dry_run or (limit is not None and counts.people_losing > limit.number):
        applied = replace(applied, people_of_source=bulk.people_before(scope))
        held = limit is not None and not limit.allows(applied.people_losing, applied.people_of_source)
        applied = replace(applied, held=held)
    if dry_run or applied.held or counts.added + counts.removed <= MAX_LINES:
        applied = replace(applied, lines=tuple(Line(*line) for line in bulk.lines(scope, MAX_LINES)))
    bulk.forget_vanished(scope)
    return applied


def _scope(
    source: str,
    *,
    realm: str = "",
    complete: bool = False,
    except_groups: Iterable[str] = (),
    except_people: Iterable[str] = (),
) -> bulk.Scope:
    return bulk.Scope(
        source=source,
        realm=realm,
        complete=complete,
        except_groups=sorted(except_groups),
        except_people=sorted(except_people),
        **_moment(),
    )


def change_group(source: str, group: GroupRef, *, joined: Iterable[int] = (), left: Iterable[int] = ()) -> None:
    """Put the users of these ids into a group, and take others out; the group is made, or gets its new name.

    For sources that tell changes. Users who do not exist any more are passed over.
    """
    with transaction.atomic():
        hold()
        bulk.change_group(_scope(source), group, sorted(set(joined)), sorted(set(left)))
        send_access_changed(user_ids=bulk.concerned())


def drop_group(source: str, external_id: str) -> None:
    """Take everybody out of a group that its source has no more, and forget it."""
    with transaction.atomic():
        hold()
        bulk.empty_group(_scope(source), external_id)
        Group.objects.filter(source=source, external_id=external_id).delete()
        send_access_changed(user_ids=bulk.concerned())


def give(user: User, team: Team, *, until: datetime) -> None:
    """Note that somebody was put into a team by hand, until then; the latest word decides. Its reason is a Grant's."""
    apply(UserObservation(user=user, source=MANUAL, teams=frozenset({team.saml_id}), valid_until=until))


def take_back(user: User, team: Team, *, reason: str = "") -> bool:
    """Take back what was given by hand; False when there was nothing."""
    with transaction.atomic():
        _enter(user, alone=False)
        found = evidence.remove_named(user_id=user.pk, team_id=team.pk, source=MANUAL)
        _tell(found, reason=reason)
    return bool(found.rows)


def end_session(user: User, *, source: str | None = None, until: datetime | None = None) -> None:
    """Have the evidence run out now that a sign-on session brought, because it is over.

    `until` is when that session would have ended: evidence with another end was stated by another sign-on since, and
    stays. Without a source, and without an end, all that any sign-on brought runs out. The rows stay, and give nothing.
    """
    with transaction.atomic():
        _enter(user, alone=False)
        if evidence.run_out(user_id=user.pk, source=source, until=until, now=timezone.now()):
            send_access_changed(user_ids=[user.pk])


def expire() -> int:
    """Clear away evidence that has run out, and return how many pieces that were.

    Evidence of a sign-on stays as a row that gives nothing: its session is over, but nobody said that the person has
    left the team.
    """
    now = timezone.now()
    if not evidence.has_expired(now):
        return 0
    with transaction.atomic():
        hold()
        found = evidence.expire(now)
        _tell(found)
    return len(found.rows)


def remap(*, team_ids: Iterable[int] | None = None) -> None:
    """Work the memberships of all teams, or of these, out again after mappings were created, changed or deleted.

    Call it in the transaction of the change, which should begin with `hold()`. `access_changed` names everybody whose
    evidence came or went and everybody who is in these teams by a mapping, because the role may be another one.
    """
    teams = None if team_ids is None else sorted(set(team_ids))
    with transaction.atomic():
        hold()
        changed = evidence.settle_many(**_moment(), team_ids=teams)
        send_access_changed(user_ids={*changed, *evidence.mapped_users(team_ids=teams)})


def drop_mapping(mapping: RoleMapping, *, by: str | None = None) -> None:
    """Delete a mapping together with the memberships that rest on it; `by` is the actor in the audit rows.

    The deletion's own audit row is the caller's, in the same transaction.
    """
    with transaction.atomic():
        hold()
        _tell(evidence.remove(mapping_id=mapping.pk), by=by, reason="mapping deleted")
        mapping.delete()


def drop_team(team: Team, *, by: str | None = None) -> None:
    """Delete a team with its memberships, mappings and tags; `by` is the actor in the audit rows.

    The deletion's own audit row is the caller's. Raises ProtectedError, and changes nothing, while the team has
    profiles.
    """
    with transaction.atomic():
        hold()
        _tell(evidence.remove(team_id=team.pk), by=by, reason="team deleted")
        team.delete()


def hold() -> None:
    """Keep every writer of memberships out until the current transaction ends.

    Call it before a mapping is changed or deleted: a sign-on that meets the changed row first and a `remap` that waits
    for the sign-on would wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GATE])


def share() -> None:
    """Enter the gate beside other statements about one user, until the current transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [GATE])


def _enter(user: User, *, alone: bool) -> None:
    if alone:
        hold()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%s))
            SELECT teams_user.id FROM gate, teams_user WHERE teams_user.id = %s FOR NO KEY UPDATE OF teams_user
            """,
            [GATE, user.pk],
        )
        if cursor.fetchone() is None:
            raise User.DoesNotExist(f"There is no user {user.pk}.")


def _usable(groups: Iterable[GroupRef]) -> dict[str, GroupRef]:
    """Return groups by id; of two names for one id the last in the alphabet, so that the outcome never varies."""
    usable: dict[str, GroupRef] = {}
    skipped = 0
    for group in sorted(groups, key=lambda each: (each.external_id, each.name)):
        if _fits(group.external_id) and group.external_id.strip():
            usable[group.external_id] = group if _fits(group.name) else replace(group, name="")
        else:
            skipped += 1
    if skipped:
        logger.warning("%d groups were skipped: their ids are blank, too long or not text.", skipped)
    return usable


def _fits(text: str) -> bool:
    return len(text) <= _TEXT and "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _renames(source: str, groups: dict[str, GroupRef] | None) -> bool:
    """Whether a name differs from the one on record: mappings by name may then change for everybody in that group."""
    named = {key: group.name for key, group in (groups or {}).items() if group.name}
    if not named:
        return False
    known = Group.objects.filter(source=source, external_id__in=named).values_list("external_id", "name")
    return any(named[key] != name for key, name in known)


def _state_groups(observation: UserObservation, groups: dict[str, GroupRef], *, rename: bool) -> None:
    said: dict[str, Any] = {
        "user": observation.user.pk,
        "source": observation.source,
        "ids": list(groups),
        "names": [group.name for group in groups.values()],
        "own_ids": [group.membership_id for group in groups.values()],
        "until": observation.valid_until,
        "now": timezone.now(),
    }
    renamed = evidence.state_groups(said, rename=rename)
    if renamed:
        send_access_changed(user_ids=evidence.settle_many(**_moment(), group_ids=renamed))


def _moment() -> dict[str, Any]:
    return {"now": timezone.now(), "actor": audit.who()[:330], "request_id": audit.current().request_id[:64]}


def _tell(found: evidence.Changes, *, by: str | None = None, reason: str = "") -> None:
    """Write the audit rows of these changes and send the signal once they have committed."""
    if found.rows:
        audit.record_many([{"actor": by, **row} for row in found.audit_rows(reason)])
    send_access_changed(user_ids=found.user_ids)
