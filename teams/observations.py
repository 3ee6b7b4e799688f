"""What sources say, and what came of it: the values that go into `teams.memberships` and come out of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from teams.models import User


@dataclass(frozen=True)
class GroupRef:
    """A group as a source names it; an empty `name` says nothing about the name.

    `membership_id` is the source's own id of the user's membership in it, empty where it has none.
    """

    external_id: str
    name: str = ""
    membership_id: str = ""


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


class Person(NamedTuple):
    """A person as a source that knows people describes them; empty texts say nothing."""

    subject: str
    name: str = ""
    email: str = ""
    active: bool = True


class Member(NamedTuple):
    """A membership as a source states it: the group's own id, the person's subject, the membership's own id."""

    group: str
    subject: str
    external_id: str = ""


@dataclass(frozen=True)
class SourceObservation:
    """What a source said about many people at once. The iterables are read once, and may be longer than memory.

    Complete: `groups`, `members` and `people` are all that the source knows. Groups that are not named have no members,
    people whom it knew and does not describe any more are deactivated, and members of nothing. Not complete: a full
    statement about the members of exactly the named groups, and about the named people. People are created when they
    are active and a member of something.
    `except_groups` and `except_people` are left as they are, because something newer is known about them.
    """

    source: str
    realm: str
    groups: Iterable[GroupRef]
    members: Iterable[Member]
    people: Iterable[Person] = ()
    complete: bool = False
    except_groups: frozenset[str] = frozenset()
    except_people: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RemovalLimit:
    """How many people may lose something at once: a share of the source's people or a number, whichever is more."""

    share: float = 0.2
    number: int = 50

    def allows(self, losing: int, people: int) -> bool:
        """Whether so many of so many people may lose something without an admin's word."""
        return losing <= max(self.number, self.share * people)


@dataclass(frozen=True)
class Line:
    """One change: `added`, `removed`, `expired`, `again` or `deactivated`; the latter has no team and no group."""

    change: str
    username: str
    team: str
    group: str


@dataclass(frozen=True)
class SourceApplied:
    """What a statement changed, or would have changed where it was `held` or only tried.

    `added` and `removed` count pieces of evidence, `created`, `deactivated`, `reactivated` and the `people_…` people,
    `skipped` rows that name nobody or cannot be stored. `lines` has the first changes, losses first.
    """

    added: int = 0
    removed: int = 0
    people_added: int = 0
    people_losing: int = 0
    people_of_source: int = 0
    created: int = 0
    deactivated: int = 0
    reactivated: int = 0
    skipped: int = 0
    held: bool = False
    lines: tuple[Line, ...] = field(default=(), repr=False)
