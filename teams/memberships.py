"""The only writer of memberships: what sources say goes in by `apply`, changed mappings by `remap`.

Two locks keep writers apart. The gate is an advisory lock of PostgreSQL: statements about one user share it, whatever
concerns many users holds it alone, so that neither reads the world while the other changes it. Behind the gate, the
row of the user makes two statements about one person wait for each other. The gate always comes first, so nothing
deadlocks.
"""

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from teams import audit, evidence
from teams.models import DEFAULT_REALM, Group, RoleMapping, Team, User
from teams.signals import send_access_changed

logger = logging.getLogger(__name__)

GATE = 0x7465616D73
_TEXT = 256  # the columns of groups


@dataclass(frozen=True)
class GroupRef:
    """A group as a source names it; an empty `name` says nothing about the name."""

    external_id: str
    name: str = ""


@dataclass(frozen=True)
class UserObservation:
    """What a source said about one user.

    `groups` is a full statement: the user is in these groups of this source and in no other; None says nothing.
    `teams` holds SAML team ids and only ever adds or renews; None says nothing. `valid_until` is the end of what is
    said here, None where the source sets no end; the latest statement decides.
    """

    user: User
    source: str
    groups: frozenset[GroupRef] | None = None
    teams: frozenset[str] | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True)
class Applied:
    """Ids of the teams that the user came into and fell out of, and the team ids that no team has."""

    added: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    unknown_teams: tuple[str, ...] = ()


def saml_source(realm: str) -> str:
    """Return the name under which the identity providers of `realm` state groups and teams."""
    return "saml" if realm == DEFAULT_REALM else f"saml:{realm}"


def apply(observation: UserObservation, *, entered: bool = False) -> Applied:
    """Make the memberships of one user agree with what a source said, and clear away what has expired.

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


def remap(*, team_ids: Iterable[int] | None = None) -> None:
    """Work the memberships of all teams, or of these, out again after mappings were created, changed or deleted.

    Call it in the transaction of the change, which should begin with `hold()`. `access_changed` names everybody whose
    evidence came or went and everybody who is in these teams by a mapping, because the role may be another one.
    """
    teams = None if team_ids is None else sorted(set(team_ids))
    with transaction.atomic():
        hold()
        found = evidence.settle(now=timezone.now(), team_ids=teams)
        _tell(found, also=evidence.mapped_users(team_ids=teams))


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


def _usable(groups: Iterable[GroupRef]) -> dict[str, str]:
    """Return names by id; of two names for one id the last in the alphabet, so that the outcome never varies."""
    usable: dict[str, str] = {}
    skipped = 0
    for group in sorted(groups, key=lambda each: (each.external_id, each.name)):
        if _fits(group.external_id) and group.external_id.strip():
            usable[group.external_id] = group.name if _fits(group.name) else ""
        else:
            skipped += 1
    if skipped:
        logger.warning("%d groups were skipped: their ids are blank, too long or not text.", skipped)
    return usable


def _fits(text: str) -> bool:
    return len(text) <= _TEXT and "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _renames(source: str, groups: dict[str, str] | None) -> bool:
    """Whether a name differs from the one on record: mappings by name may then change for everybody in that group."""
    named = {key: name for key, name in (groups or {}).items() if name}
    if not named:
        return False
    known = Group.objects.filter(source=source, external_id__in=named).values_list("external_id", "name")
    return any(named[key] != name for key, name in known)


def _state_groups(observation: UserObservation, groups: dict[str, str], *, rename: bool) -> None:
    said: dict[str, Any] = {
        "user": observation.user.pk,
        "source": observation.source,
        "ids": list(groups),
        "names": list(groups.values()),
        "until": observation.valid_until,
        "now": timezone.now(),
    }
    renamed = evidence.state_groups(said, rename=rename)
    if renamed:
        _tell(evidence.settle(now=said["now"], group_ids=renamed))


def _tell(found: evidence.Changes, *, also: Iterable[int] = (), by: str | None = None, reason: str = "") -> None:
    """Write the audit rows of these changes and send the signal once they have committed."""
    if found.rows:
        audit.record_many([{"actor": by, **row} for row in found.audit_rows(reason)])
    send_access_changed(user_ids={*found.user_ids, *also})
