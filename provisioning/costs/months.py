"""Calendar months in UTC, which is how AWS bills, whatever the portal's own time zone is."""

from datetime import UTC, date, datetime, timedelta


class NotAMonthError(Exception):
    """A text is no month; the message says so in words for whoever typed it."""


def of(moment: datetime) -> date:
    """Return the first day of the month that a moment is in."""
    return moment.astimezone(UTC).date().replace(day=1)


def after(month: date) -> date:
    """Return the first day of the next month."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def begins(month: date) -> datetime:
    """Return the moment at which a month begins."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def ends(month: date) -> datetime:
    """Return the moment at which a month is over: the beginning of the next one."""
    return begins(after(month))


def read(text: str, *, default: date) -> date:
    """Return the month that a text like “2026-11” means, `default` for an empty one; raises NotAMonthError."""
    if not text:
        return default
    try:
        found = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        found = None
    if found is None or not 2000 <= found.year < 9999:
        raise NotAMonthError(f"“{text[:40]}” is not a month. Write it like 2026-11.")
    return found.date()
