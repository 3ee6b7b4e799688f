"""Reading again what is dirty: one group with its members, one user with their groups, or everything.

What was read is applied only if no synchronisation was applied meanwhile; else it is read once more. A group by which
more people would lose access than the limit allows is left as it is, and a synchronisation looks at everything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from provisioning.aws import errors
from provisioning.aws.identity import IdentityStore, MembershipRow, UserRow, every
from provisioning.directory import marks, syncs
from provisioning.directory.marks import Claimed
from provisioning.directory.stores import limit_of, lock, mapped, remember, store_of, subject_of, subjects_of
from provisioning.models import Directory, DirectorySync, DirtyMark
from teams import memberships, users
from teams.memberships import GroupRef, Member, Person, SourceApplied, SourceObservation, UserObservation
from teams.models import Group, GroupMembership, User

Kind = DirtyMark.Kind
Trigger = DirectorySync.Trigger

# Of more strangers in one group a synchronisation brings the names, 100 with each call.
MAX_STRANGERS = 100
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
    """A group as it was just read; `strangers` were described because nobody here knew them."""

    began: datetime
    group: GroupRef
    gone: bool
    members: tuple[Member, ...] = ()
    strangers: tuple[UserRow, ...] = ()
    is_partial: bool = False


@dataclass(frozen=True)
class UserRead:
    """A user as they were just read, None when they are gone, with the memberships that count here."""

    began: datetime
    user: UserRow | None
    groups: frozenset[GroupRef] = frozenset()


def _read_group(claimed: Claimed) -> GroupRead:
    directory, group_id, began = claimed.directory, claimed.mark.external_id, timezone.now()
    store = store_of(directory)
    try:
        name = store.describe_group(group_id).name
        rows = _all(store.members_page, group_id, claimed) if mapped(directory.source, {group_id: name}) else ()
    except errors.NotFound as error:
        if not store.is_gone(error, "GROUP"):
            raise
        return GroupRead(began, GroupRef(group_id), gone=True)
    strangers, is_partial = _strangers(directory, store, [row.user_id for row in rows], claimed)
    known = subjects_of(directory, [row.user_id for row in rows])
    members = tuple(Member(group_id, known[row.user_id], row.membership_id) for row in rows if known.get(row.user_id))
    return GroupRead(began, GroupRef(group_id, name), False, members, strangers, is_partial)


def _all(page: Callable[..., object], row_id: str, claimed: Claimed) -> tuple[MembershipRow, ...]:
    def kept(token: str) -> object:
        claimed.keep()
        return page(row_id, token)

    return tuple(every(kept))  # type: ignore[arg-type]


def _strangers(
    directory: Directory, store: IdentityStore, user_ids: list[str], claimed: Claimed
) -> tuple[tuple[UserRow, ...], bool]:
    """Describe the users whom nobody here knows; the second value says that there were too many to do so."""
    known = subjects_of(directory, user_ids)
    people = User.objects.filter(realm=directory.realm, subject__in=set(known.values()))
    on_record = set(people.values_list("subject", flat=True))
    unknown = [user_id for user_id in user_ids if user_id not in known or known[user_id] not in on_record | {""}]
    described = []
    for user_id in unknown[:MAX_STRANGERS]:
        claimed.keep()
        try:
            described.append(store.describe_user(user_id))
        except errors.NotFound as error:
            if not store.is_gone(error, "USER"):
                raise
    subjects = {row.user_id: subject for row in described if (subject := subject_of(directory, row))}
    remember(directory, subjects)
    return tuple(described), len(unknown) > MAX_STRANGERS


def _apply_group(claimed: Claimed, found: GroupRead) -> None:
    with transaction.atomic():
        directory = lock(claimed.directory.pk)
        if _is_outdated(directory, found.began):
            claimed.later(0)
            return
        subjects = subjects_of(directory, [row.user_id for row in found.strangers])
        observation = SourceObservation(
            source=directory.source,
            realm=directory.realm,
            groups=(found.group,),
            members=found.members,
            people=[_person(subjects[row.user_id], row) for row in found.strangers if subjects.get(row.user_id)],
        )
        applied = memberships.apply_source(observation, limit=limit_of(directory))
        if not applied.held:
            if found.gone:
                memberships.drop_group(directory.source, found.group.external_id)
            marks.note_read(directory.pk, subjects, found.began)
        _finish(claimed, applied, found)


def _finish(claimed: Claimed, applied: SourceApplied, found: GroupRead) -> None:
    """Close the mark of a group; everything is read where this reading could not be applied, or not all of it."""
    if applied.held or found.is_partial:
        marks.note(claimed.directory.pk, [(Kind.EVERYTHING, "")])
    claimed.done(None if applied.held else found.began)


def _read_user(claimed: Claimed) -> UserRead:
    user_id, began = claimed.mark.external_id, timezone.now()
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
    own = {row.group_id: row.membership_id for row in rows}
    known = Group.objects.filter(source=directory.source, external_id__in=own)
    names = dict(known.values_list("external_id", "name"))
    marks.note(directory.pk, ((Kind.GROUP, group_id) for group_id in own.keys() - names.keys()))
    return frozenset(GroupRef(group_id, "", own[group_id]) for group_id in mapped(directory.source, names))


def _apply_user(claimed: Claimed, found: UserRead) -> None:
    with transaction.atomic():
        directory = lock(claimed.directory.pk)
        if _is_outdated(directory, found.began):
            claimed.later(0)
            return
        subject = _subject(directory, claimed.mark.external_id, found.user)
        if subject is None:
            # Somebody is gone whose subject nobody kept.
            marks.note(directory.pk, [(Kind.EVERYTHING, "")])
        elif subject:
            memberships.hold()
            _state(directory, subject, found)
        claimed.done(found.began)


def _subject(directory: Directory, user_id: str, user: UserRow | None) -> str | None:
    """Return the subject of a user; empty for nobody's, None when it cannot be told."""
    if user is not None and (subject := subject_of(directory, user)):
        remember(directory, {user_id: subject})
    elif user is not None:
        return ""
    return subjects_of(directory, [user_id]).get(user_id)


def _state(directory: Directory, subject: str, found: UserRead) -> None:
    """Say of one person who they are, whether they are enabled, and in which groups they are."""
    person = User.objects.filter(realm=directory.realm, subject=subject).first()
    if found.user is None:
        if person is not None and person.known_by == directory.source:
            _say(directory, Person(subject, active=False))
            memberships.apply(UserObservation(person, directory.source, groups=frozenset()))
        return
    if person is None and found.user.enabled and found.groups:
        try:
            person = users.provision(realm=directory.realm, subject=subject)
        except users.UnusableIdentityError:
            return
    if person is not None:
        _say(directory, _person(subject, found.user))
        memberships.apply(UserObservation(person, directory.source, groups=found.groups))


def _say(directory: Directory, person: Person) -> None:
    memberships.apply_source(
        SourceObservation(source=directory.source, realm=directory.realm, groups=(), members=(), people=(person,))
    )


def _person(subject: str, row: UserRow) -> Person:
    return Person(subject, row.name, row.email, row.enabled)


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
        wait = (early.started_at + EARLY_EVERY - timezone.now()).total_seconds() if early else 0.0
        if wait > 0:
            claimed.later(wait)
            return
        syncs.start(directory, Trigger.EVENTS)
    claimed.done()
