"""The rows of an identity store, and tables of which pages can be cut quickly however long they are."""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


@dataclass(slots=True)
class User:
    """A person of the directory. `other` holds further members of AWS's User as they were given, `Name` for one."""

    user_id: str
    user_name: str
    display_name: str = ""
    email: str = ""
    enabled: bool = True
    external_ids: list[dict[str, str]] = field(default_factory=list)
    other: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    modified: float = 0.0
    revision: int = 1
    number: int = 0


@dataclass(slots=True)
class Group:
    """A group of the directory."""

    group_id: str
    name: str
    description: str = ""
    external_ids: list[dict[str, str]] = field(default_factory=list)
    created: float = 0.0
    modified: float = 0.0
    revision: int = 1
    number: int = 0


@dataclass(slots=True)
class Membership:
    """That a user is in a group."""

    membership_id: str
    group_id: str
    user_id: str
    created: float = 0.0
    number: int = 0


class Numbered(Protocol):
    """A row that knows its place: later rows have higher numbers."""

    number: int


R = TypeVar("R", bound=Numbered)


class Table(Generic[R]):
    """Rows by key, in the order of their numbers, which must come rising."""

    __slots__ = ("_line", "_rows")

    def __init__(self) -> None:
        self._rows: dict[str, R] = {}
        # Removed rows stay in line until they are more than the others, so that a removal costs nothing.
        self._line: list[tuple[str, R]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows.values())

    def get(self, key: str) -> R | None:
        """Return the row, or None."""
        return self._rows.get(key)

    def add(self, key: str, row: R) -> None:
        """Put a new row at the end."""
        self._rows[key] = row
        self._line.append((key, row))

    def remove(self, key: str) -> None:
        """Forget a row. Raises KeyError when there is none."""
        del self._rows[key]
        if len(self._line) > 2 * len(self._rows) + 16:
            self._line = list(self._rows.items())

    def after(self, number: int, count: int) -> list[R]:
        """Return up to `count` rows with higher numbers than `number`."""
        found: list[R] = []
        for index in range(bisect.bisect_right(self._line, number, key=_place), len(self._line)):
            if len(found) == count:
                break
            key, row = self._line[index]
            if self._rows.get(key) is row:
                found.append(row)
        return found


def _place(item: tuple[str, Numbered]) -> int:
    return item[1].number
