"""The SQL behind what a source says about many people at once; only `teams.memberships` calls it.

What is said is copied into temporary tables, compared with what is on record by one full join for each kind of row,
and written by set; the audit rows are made in the database too, so that nothing grows with the number of people here.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from teams import bulk_sql as sql
from teams.models import DEFAULT_REALM
from teams.observations import GroupRef, Member, Person

LENGTH = 256
OWN_ID_LENGTH = 128
# As in `teams.users`: what cannot be seen, or cannot be stored.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Counts(NamedTuple):
    """What `compare` found, in numbers; `added` and `removed` are pieces of evidence, the others people."""

    added: int
    removed: int
    people_added: int
    people_losing: int
    created: int
    deactivated: int
    reactivated: int
    unknown: int


class Scope(NamedTuple):
    """For whom a statement speaks: see `observations.SourceObservation`."""

    source: str
    realm: str
    complete: bool
    except_groups: list[str]
    except_people: list[str]
    now: datetime
    actor: str
    request_id: str

    def parameters(self) -> dict[str, Any]:
        """Return the values that the statements name."""
        return {
            "source": self.source, "realm": self.realm, "complete": self.complete, "now": self.now,
            "except": self.except_people, "except_groups": self.except_groups, "actor": self.actor,
            "request": self.request_id, "default": DEFAULT_REALM, "reason": "",
        }  # fmt: skip


def load(groups: Iterable[GroupRef], people: Iterable[Person], members: Iterable[Member]) -> int:
    """Copy what a source said. What no column can hold is left out; returns how many rows that were.

    Groups and people are numbered here, so that the many rows of members are narrow. Of two rows about one group or
    person the first counts.
    """
    sieve = _Sieve()
    with connection.cursor() as cursor:
        cursor.execute(sql.TABLES)
        for table, rows in (
            ("said_group (no, external_id, name)", sieve.groups(groups)),
            ("said_person (no, subject, name, email, active)", sieve.people(people)),
            ("said_member (group_no, person_no, external_id)", sieve.members(members)),
            # Who is only named as a member; NULL says that nothing is said of them.
            ("said_person (no, subject)", sieve.strangers()),
        ):
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute(sql.ANALYZE)
    return sieve.skipped


class _Sieve:
    """Numbers groups and people, lets through what columns can hold, and counts the rest."""

    def __init__(self) -> None:
        self.skipped = 0
        self._groups: dict[str, int] = {}
        self._people: dict[str, int] = {}
        self._strangers: list[tuple[int, str]] = []

    def groups(self, rows: Iterable[GroupRef]) -> Iterator[tuple[int, str, str]]:
        numbers = self._groups
        for row in rows:
            if row.external_id in numbers:
                continue
            if row.external_id.strip() and _fits(row.external_id):
                no = numbers[row.external_id] = len(numbers)
                yield no, row.external_id, row.name if _fits(row.name) else ""
            else:
                self.skipped += 1

    def people(self, rows: Iterable[Person]) -> Iterator[tuple[int, str, str, str, bool]]:
        numbers = self._people
        for subject, name, email, active in rows:
            if subject in numbers:
                continue
            if _is_subject(subject):
                no = numbers[subject] = len(numbers)
                yield no, subject, name if _fits(name) else "", email if _fits(email) else "", active
            else:
                self.skipped += 1

    def members(self, rows: Iterable[Member]) -> Iterator[tuple[int, int, str]]:
        groups, people = self._groups, self._people
        for group, subject, external_id in rows:
            group_no, person_no = groups.get(group), people.get(subject)
            if person_no is None and _is_subject(subject):
                person_no = people[subject] = len(people)
                self._strangers.append((person_no, subject))
            if group_no is None or person_no is None:
                self.skipped += 1
            else:
                yield group_no, person_no, external_id if len(external_id) <= OWN_ID_LENGTH else ""

    def strangers(self) -> Iterator[tuple[int, str]]:
        yield from self._strangers


def _fits(text: str) -> bool:
    # The first test is quick, and nearly always enough.
    return len(text) <= LENGTH and ((text.isascii() and text.isprintable()) or _has_only_visible(text))


def _has_only_visible(text: str) -> bool:
    return not any(unicodedata.category(each) in _INVISIBLE for each in text)


def _is_subject(subject: str) -> bool:
    return bool(subject) and subject == subject.strip() and _fits(subject)


def write(scope: Scope) -> Counts:
    """Make what is on record agree with what was loaded, with its audit rows, and return what changed."""
    said = scope.parameters()
    with connection.cursor() as cursor:
        cursor.execute(sql.GROUPS, said)
        cursor.execute(sql.KNOWN, said)
        (created,) = _one(cursor, sql.CREATE, said)
        deactivated, reactivated = _one(cursor, sql.PEOPLE, said)
        (unknown,) = _one(cursor, sql.UNKNOWN_MEMBERS, said)
        cursor.execute(sql.COMPARE_MEMBERS, said)
        cursor.execute(sql.WRITE_MEMBERS, said)
        _settle(cursor, said)
        added, removed, people_added, losing = _one(cursor, sql.COUNTS, said)
    return Counts(added, removed, people_added, losing, created, deactivated, reactivated, unknown)


def change_group(scope: Scope, group: GroupRef, joined: list[int], left: list[int]) -> None:
    """Put users into a group and take others out, with the evidence and the audit rows that follow."""
    load([group], (), ())
    said = {**scope.parameters(), "group": group.external_id, "joined": joined, "left": left}
    with connection.cursor() as cursor:
        cursor.execute(sql.GROUPS, said)
        cursor.execute(sql.CHANGE_MEMBERS, said)
        _settle(cursor, said)


def empty_group(scope: Scope, external_id: str) -> None:
    """Take everybody out of a group, with the evidence and the audit rows that follow."""
    load((), (), ())
    said = {**scope.parameters(), "group": external_id}
    with connection.cursor() as cursor:
        cursor.execute(sql.EMPTY, said)
        _settle(cursor, said)


def _settle(cursor: Any, said: dict[str, Any]) -> None:
    cursor.execute("ANALYZE touched")
    cursor.execute(sql.COMPARE_EVIDENCE, said)
    cursor.execute(sql.WRITE_EVIDENCE, said)


def people_before(scope: Scope) -> int:
    """Return how many people the source supported before `write`."""
    with connection.cursor() as cursor:
        (number,) = _one(cursor, sql.PEOPLE_BEFORE, scope.parameters())
    return int(number)


def lines(scope: Scope, limit: int) -> list[tuple[str, str, str, str]]:
    """Return the first changes that `write` made, losses first: kind, user name, team, group."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LINES, {**scope.parameters(), "limit": limit})
        return cursor.fetchall()


def forget_vanished(scope: Scope) -> None:
    """Delete the groups that a complete statement does not name; after `lines`, which tell their names."""
    if scope.complete:
        with connection.cursor() as cursor:
            cursor.execute(sql.VANISHED, scope.parameters())


def concerned() -> list[int]:
    """Return the ids of everybody whose access `write` may have changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM changed UNION SELECT user_id FROM touched")
        return [user_id for (user_id,) in cursor.fetchall()]


def _one(cursor: Any, statement: str, said: dict[str, Any]) -> tuple[Any, ...]:
    cursor.execute(statement, said)
    row: tuple[Any, ...] = cursor.fetchone()
    return row
