"""Reading again what is dirty: one group with its members, one user with their groups, or everything.

What was read is applied only if no synchronisation was applied meanwhile; else it is read once more. A group by which
more people would lose access than the limit allows is left as it is, and a synchronisation looks at everything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from provisioning.aws import errors
from provisioning.aws.identity import IdentityStore, MembershipRow, UserRow, every
from provisioning.database import clock
from provisioning.directory import marks, syncs
from provisioning.directory.marks import Claimed
from provisioning.directory.persons import UserRead, groups_read_since, person_of, state_user
from provisioning.directory.stores import limit_of, lock, mapped, remember, store_of, subject_of, subjects_of
from provisioning.models import Directory, DirectorySync, DirtyMark
from teams import memberships
from teams.memberships import GroupRef, Member, SourceApplied, SourceObservation
from teams.models import Group, GroupMembership, User

Kind = DirtyMark.Kind
Trigger = DirectorySync.Trigger

# Of more strangers in one group a synchronisation brings the names, 100 with each call.
MAX_STRANGERS = 100
# So many of those who are switched off are looked at whenever a group of theirs is read.
MAX_LOCKED_OUT = 20
# Events make synchronisations begin at most this often.
EARLY_EVERY = timedelta(minutes=5)
# When to look again whether a synchronisation under way is over.
UNDER_WAY = 15.0


def read(claimed: Claimed) -> None:
    """Read again what a mark names, apply it, close the mark. Raises AwsError and ClaimLost."""
    kind = claimed.mark.kind
    if kind == Kind.GROUP:
        _apply_group(claimed, _read_group(claimed))
    elif kind == Kind.USER:
        _apply_user(claimed, _read_user(claimed))
    elif kind == Kind.MEMBERSHIP:
        _look_up_membership(claimed)
    else:
        _synchronise(claimed)


@dataclass(frozen=True)
class GroupRead:
    """A group as it was just read; `strangers` were described because nobody here knew them, or let them in.

    A group that no role mapping names is not asked for its members.
    """

    began: datetime
    group: GroupRef
    gone: bool
    members: tuple[Member, ...] = ()
    strangers: tuple[UserRow, ...] = ()
    is_partial: bool = False
    is_mapped: bool = True


def _read_group(claimed: Claimed) -> GroupRead:
    directory, group_id, began = claimed.directory, claimed.mark.external_id, clock()
    store = store_of(directory)
    try:
        name = store.describe_group(group_id).name
        is_mapped = bool(mapped(directory.source, {group_id: name}))
        rows = _all(store.members_page, group_id, claimed) if is_mapped else ()
    except errors.NotFound as error:
        if not store.is_gone(error, "GROUP"):
            raise
        return GroupRead(began, GroupRef(group_id), gone=True)
    # Members that are no users have no id here.
    user_ids = [row.user_id for row in rows if row.user_id]
    strangers, is_partial = _strangers(directory, store, user_ids, claimed)
    known = subjects_of(directory, user_ids)
    members = tuple(Member(group_id, known[row.user_id], row.membership_id) for row in rows if known.get(row.user_id))
    return GroupRead(began, GroupRef(group_id, name), False, members, strangers, is_partial, is_mapped)


def _all(page: Callable[..., object], row_id: str, claimed: Claimed) -> tuple[MembershipRow, ...]:
    def kept(token: str) -> object:
        claimed.keep()
        return page(row_id, token)

    return tuple(every(kept))  # type: ignore[arg-type]


def _strangers(
    directory: Directory, store: IdentityStore, user_ids: list[str], claimed: Claimed
) -> tuple[tuple[UserRow, ...], bool]:
    """Describe the users whom nobody here knows, or whom this directory had switched off.

    The second value says that there were too many strangers.
    """
    known = subjects_of(directory, user_ids)
    people = User.objects.filter(realm=directory.realm, subject__in=set(known.values()))
    on_record = set(people.values_list("subject", flat=True))
    unknown = [user_id for user_id in user_ids if user_id not in known or known[user_id] not in on_record | {""}]
    described = []
    for user_id in [*unknown[:MAX_STRANGERS], *_locked_out(claimed, known)]:
        claimed.keep()
        try:
            described.append(store.describe_user(user_id))
        except errors.NotFound as error:
            if not store.is_gone(error, "USER"):
                raise
    subjects = {row.user_id: subject for row in described if (subject := subject_of(directory, row))}
    remember(directory, subjects)
    return tuple(described), len(unknown) > MAX_STRANGERS


def _locked_out(claimed: Claimed, known: dict[str, str]) -> list[str]:
    """Return the first ids of users whom the directory had switched off: those who are new in the group before others.

    They may have come back without an event that says so.
    """
    directory = claimed.directory
    inactive = User.objects.filter(realm=directory.realm, is_active=False, deactivated_by=directory.source)
    out = set(inactive.filter(subject__in=set(known.values())).values_list("subject", flat=True))
    rows = GroupMembership.objects.filter(
        group__source=directory.source, group__external_id=claimed.mark.external_id, user__subject__in=out
    )
    recorded = set(rows.values_list("user__subject", flat=True)) if out else set()
    found = [user_id for user_id, subject in known.items() if subject in out]
    return sorted(found, key=lambda user_id: known[user_id] in recorded)[:MAX_LOCKED_OUT]


def _apply_group(claimed: Claimed, found: GroupRead) -> None:
    with transaction.atomic():
        directory = lock(claimed.directory.pk)
        if _is_outdated(directory, found.began):
            claimed.later(0)
            return
        subjects = subjects_of(directory, [row.user_id for row in found.strangers])
        newer = _people_read_since(directory, found)
        observation = SourceObservation(
            source=directory.source,
            realm=directory.realm,
            groups=(found.group,),
            members=found.members,
            people=[person_of(subjects[row.user_id], row) for row in found.strangers if subjects.get(row.user_id)],
            except_people=frozenset(newer.values()),
        )
        applied = memberships.apply_source(observation, limit=limit_of(directory))
        if not applied.held:
            if found.gone:
                memberships.drop_group(directory.source, found.group.external_id)
            marks.note_read(directory.pk, subjects.keys() - newer.keys(), found.began)
            marks.note(directory.pk, ((Kind.USER, user_id) for user_id in newer))
        _finish(claimed, applied, found)


def _finish(claimed: Claimed, applied: SourceApplied, found: GroupRead) -> None:
    """Close the mark of a group; everything is read where this reading could not be applied, or not all of it."""
    if applied.held or found.is_partial:
        marks.note(claimed.directory.pk, [(Kind.EVERYTHING, "")])
    claimed.done(None if applied.held else found.began, has_members=found.is_mapped)


def _people_read_since(directory: Directory, found: GroupRead) -> dict[str, str]:
    """Return the subjects, by id, of users who were read since, and of whom this reading says something else.

    They are left as they are, and read again: of some of them only the name was read.
    """
    newer = marks.read_since(Kind.USER, directory.pk, found.began)
    subjects = {user_id: subject for user_id, subject in subjects_of(directory, newer).items() if subject}
    rows = GroupMembership.objects.filter(group__source=directory.source, group__external_id=found.group.external_id)
    recorded = set(rows.filter(user__subject__in=set(subjects.values())).values_list("user__subject", flat=True))
    said = {member.subject for member in found.members} if subjects else set()
    described = {row.user_id for row in found.strangers}
    return {
        user_id: subject
        for user_id, subject in subjects.items()
        if user_id in described or (subject in said) != (subject in recorded)
    }


def _read_user(claimed: Claimed) -> UserRead:
    user_id, began = claimed.mark.external_id, clock()
    store = store_of(claimed.directory)
    try:
        user = store.describe_user(user_id)
        rows = _all(store.memberships_page, user_id, claimed)
    except errors.NotFound as error:
        if not store.is_gone(error, "USER"):
            raise
        return UserRead(began, None)
    return UserRead(began, user, _groups_that_count(claimed.directory, rows))


def _groups_that_count(directory: Directory, rows: tuple[MembershipRow, ...]) -> frozenset[GroupRef]:
    """Return the groups that a role mapping names; those that nobody here knows yet become dirty themselves."""
    own = {row.group_id: row.membership_id for row in rows if row.group_id}
    known = Group.objects.filter(source=directory.source, external_id__in=own)
    names = dict(known.values_list("external_id", "name"))
    marks.note(directory.pk, ((Kind.GROUP, group_id) for group_id in own.keys() - names.keys()))
    return frozenset(GroupRef(group_id, "", own[group_id]) for group_id in mapped(directory.source, names))


def _apply_user(claimed: Claimed, found: UserRead) -> None:
    user_id = claimed.mark.external_id
    with transaction.atomic():
        directory = lock(claimed.directory.pk)
        if _is_outdated(directory, found.began) or groups_read_since(directory, user_id, found):
            claimed.later(0)
            return
        state_user(directory, user_id, found)
        claimed.done(found.began)


def _is_outdated(directory: Directory, began: datetime) -> bool:
    """Whether a synchronisation was applied since a reading began: which of the two is newer is not known."""
    return directory.last_success_at is not None and directory.last_success_at > began


def _look_up_membership(claimed: Claimed) -> None:
    """Look again for a membership that ended and was unknown: a synchronisation may have brought it since."""
    rows = GroupMembership.objects.filter(
        group__source=claimed.directory.source, external_id=claimed.mark.external_id
    ).values_list("group__external_id", flat=True)
    with transaction.atomic():
        lock(claimed.directory.pk)
        if rows:
            marks.note(claimed.directory.pk, ((Kind.GROUP, group) for group in rows))
        elif again := marks.look_again_in(claimed.directory.pk):
            claimed.later(again.total_seconds())
            return
        claimed.done()


def _synchronise(claimed: Claimed) -> None:
    """Begin a synchronisation, unless one has begun since the mark was noted; not too often."""
    directory, noted_at = claimed.directory, claimed.mark.noted_at
    last = directory.syncs.filter(dry_run=False).order_by("-id").first()
    if last is not None and last.state == DirectorySync.State.READING and last.started_at < noted_at:
        claimed.later(UNDER_WAY)
        return
    if last is None or last.started_at < noted_at:
        early = directory.syncs.filter(dry_run=False, trigger=Trigger.EVENTS).order_by("-id").first()
        wait = (early.started_at + EARLY_EVERY - clock()).total_seconds() if early else 0.0
        if wait > 0:
            claimed.later(wait)
            return
        syncs.start(directory, Trigger.EVENTS)
    claimed.done()
