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

LENGTH = 256
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
            "request": self.request_id, "default": DEFAULT_REALM,
        }  # fmt: skip


def load(
    groups: Iterable[tuple[str, str]],
    people: Iterable[tuple[str, str, str, bool]],
    members: Iterable[tuple[str, str, str]],
) -> int:
    """Copy groups (id, name), people (subject, name, mail address, active) and members (group id, subject, own id).

    What no column can hold is left out; returns how many rows that were.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.TABLES)
        sieve = _Sieve()
        for table, rows in (
            ("said_group (external_id, name)", sieve.groups(groups)),
            ("said_person (subject, name, email, active)", sieve.people(people)),
            ("said_member (external_group, subject, external_id)", sieve.members(members)),
        ):
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute("ANALYZE said_group, said_person, said_member")
    return sieve.skipped


def write(scope: Scope) -> Counts:
    """Make what is on record agree with what was loaded, with its audit rows, and return what changed."""
    said = scope.parameters()
    with connection.cursor() as cursor:
        cursor.execute(sql.GROUPS, said)
        (created,) = _one(cursor, sql.CREATE, said)
        deactivated, reactivated = _one(cursor, sql.PEOPLE, said)
        (unknown,) = _one(cursor, sql.UNKNOWN_MEMBERS, said)
        cursor.execute(sql.COMPARE_MEMBERS, said)
        cursor.execute(sql.WRITE_MEMBERS, said)
        _settle(cursor, said)
        if scope.complete:
            cursor.execute(sql.VANISHED, said)
        added, removed, people_added, losing = _one(cursor, sql.COUNTS, said)
    return Counts(added, removed, people_added, losing, created, deactivated, reactivated, unknown)


def change_group(scope: Scope, group: tuple[str, str], joined: list[int], left: list[int]) -> None:
    """Put users into a group (id, name) and take others out, with the evidence and the audit rows that follow."""
    load([group], (), ())
    said = {**scope.parameters(), "group": group[0], "joined": joined, "left": left}
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


def concerned() -> list[int]:
    """Return the ids of everybody whose access `write` may have changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT user_id FROM changed UNION SELECT user_id FROM touched")
        return [user_id for (user_id,) in cursor.fetchall()]


def _one(cursor: Any, statement: str, said: dict[str, Any]) -> tuple[Any, ...]:
    cursor.execute(statement, said)
    row: tuple[Any, ...] = cursor.fetchone()
    return row


class _Sieve:
    """Lets through what columns can hold, and counts the rest."""

    def __init__(self) -> None:
        self.skipped = 0

    def groups(self, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        for external_id, name in rows:
            if external_id.strip() and _fits(external_id):
                yield external_id, name if _fits(name) else ""
            else:
                self.skipped += 1

    def people(self, rows: Iterable[tuple[str, str, str, bool]]) -> Iterator[tuple[str, str, str, bool]]:
        for subject, name, email, active in rows:
            if _is_subject(subject):
                yield subject, name if _fits(name) else "", email if _fits(email) else "", active
            else:
                self.skipped += 1

    def members(self, rows: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
        for group, subject, external_id in rows:
            if _fits(group) and _is_subject(subject):
                yield group, subject, external_id if len(external_id) <= 128 and _fits(external_id) else ""
            else:
                self.skipped += 1


def _fits(text: str) -> bool:
    # The first test is quick, and nearly always enough.
    return len(text) <= LENGTH and ((text.isascii() and text.isprintable()) or _has_only_visible(text))


def _has_only_visible(text: str) -> bool:
    return not any(unicodedata.category(each) in _INVISIBLE for each in text)


def _is_subject(subject: str) -> bool:
    return bool(subject) and subject == subject.strip() and _fits(subject)
