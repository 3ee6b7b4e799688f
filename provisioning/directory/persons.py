"""What a directory says of single people: who they are, whether they are enabled, and in which groups they are.

Call all of it in a transaction that holds the lock of the directory's row.
"""

from dataclasses import dataclass
from datetime import datetime

from provisioning.aws.identity import UserRow
from provisioning.directory import marks
from provisioning.directory.stores import forget_subject, remember, subject_of, subjects_of
from provisioning.models import Directory, DirtyMark
from teams import memberships, users
from teams.memberships import GroupRef, Person, SourceObservation, UserObservation
from teams.models import GroupMembership, User

Kind = DirtyMark.Kind


@dataclass(frozen=True)
class UserRead:
    """A user as they were just read, None when they are gone, with the memberships that count here."""

    began: datetime
    user: UserRow | None
    groups: frozenset[GroupRef] = frozenset()


def person_of(subject: str, row: UserRow) -> Person:
    """Return how a user is described to `memberships`."""
    return Person(subject, row.name, row.email, row.enabled)


def groups_read_since(directory: Directory, user_id: str, found: UserRead) -> bool:
    """Whether a group that this user is in, or was, has been read again since: that reading may know better."""
    newer = marks.read_since(Kind.GROUP, directory.pk, found.began)
    if not newer:
        return False
    subject = subjects_of(directory, [user_id]).get(user_id, "")
    rows = GroupMembership.objects.filter(user__realm=directory.realm, user__subject=subject)
    recorded = rows.filter(group__source=directory.source, group__external_id__in=newer)
    return any(group.external_id in newer for group in found.groups) or recorded.exists()


def state_user(directory: Directory, user_id: str, found: UserRead) -> None:
    """Apply what was read of a user; whoever had their subject before, or has it too, is looked at as well."""
    before = subjects_of(directory, [user_id]).get(user_id)
    subject = subject_of(directory, found.user) if found.user is not None else ""
    if found.user is None and before is None:
        # Somebody is gone whose subject nobody kept.
        marks.note(directory.pk, [(Kind.EVERYTHING, "")])
        return
    memberships.hold()
    if before and before != subject:
        _state(directory, before, UserRead(found.began, None))
    others = forget_subject(directory, user_id, but=subject)
    marks.note(directory.pk, ((Kind.USER, each) for each in others))
    if subject:
        remember(directory, {user_id: subject})
        if own := subjects_of(directory, [user_id]).get(user_id):
            _state(directory, own, found)


def _state(directory: Directory, subject: str, found: UserRead) -> None:
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
        _say(directory, person_of(subject, found.user))
        memberships.apply(UserObservation(person, directory.source, groups=found.groups))


def _say(directory: Directory, person: Person) -> None:
    memberships.apply_source(
        SourceObservation(source=directory.source, realm=directory.realm, groups=(), members=(), people=(person,))
    )
