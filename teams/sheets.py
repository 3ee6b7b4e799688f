"""Access reviews and other tables as CSV, which spreadsheets open without running what somebody typed."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from django.utils import timezone

from teams.review import Line

HEADINGS = (
    *("team", "user name", "name", "e-mail", "source", "group", "role"),
    *("since", "until", "given by", "reason"),
)
# What makes a spreadsheet take a cell for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the headings and one row of CSV for each line, times with their offset from UTC."""
    return table(HEADINGS, map(_cells, lines))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the headings and the rows of any table as CSV, every cell defused."""
    writer = csv.writer(_Echo())
    yield str(writer.writerow(headings))
    for row in rows:
        yield str(writer.writerow([defused(cell) for cell in row]))


def rows_as_csv(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield headings and rows of plain values as CSV; numbers stay numbers, None is empty."""
    writer = csv.writer(_Echo())
    yield str(writer.writerow(headings))
    for row in rows:
        yield str(writer.writerow(["" if cell is None else _cell(cell) for cell in row]))


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return _time(value)
    return str(value) if isinstance(value, int | Decimal) else defused(str(value))


def defused(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: it begins with an apostrophe where it has to."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(line: Line) -> tuple[str, ...]:
    return (
        *(line.team, line.username, line.name, line.email, line.source, line.group, line.role),
        *(_time(line.since), _time(line.until), line.given_by, line.reason),
    )


def _time(moment: datetime | None) -> str:
    return timezone.localtime(moment).isoformat(timespec="seconds") if moment else ""
