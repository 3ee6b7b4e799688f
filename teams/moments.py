"""Moments of the past: as somebody types them, and where in the audit log they are."""

from datetime import UTC, datetime, timedelta

from django.db.models import Max, Min
from django.utils import timezone

from teams.models import AuditEvent

# Ids rise with time, but a long transaction commits rows that are older than their neighbours.
DISORDER = timedelta(hours=1)


class NotAMomentError(ValueError):
    """What was typed is no date and time, or is yet to come; the message says which."""


def read_moment(text: str) -> datetime:
    """Return the moment that a text like “2026-01-31T12:00” names, in the time zone of the portal unless it says more.

    A date alone is its beginning, an empty text now. Raises NotAMomentError.
    """
    now = timezone.now()
    if not text:
        return now
    try:
        moment = datetime.fromisoformat(text)
        if timezone.is_naive(moment):
            moment = timezone.make_aware(moment)
        # Searches look a little beyond it.
        _ = moment.astimezone(UTC) - 2 * DISORDER
    except (ValueError, OverflowError) as error:
        raise NotAMomentError(f"“{text[:40]}” is no date and time; write it like 2026-01-31T12:00.") from error
    if moment > now:
        raise NotAMomentError("This moment is yet to come.")
    return moment


def first_id_since(moment: datetime) -> int | None:
    """Return an id such that no row below it is from `moment` or later, None where the log is empty.

    A binary search along the primary key, about 25 look-ups in ten million rows: it narrows a range of dates to a range
    of ids, which every index of the log ends with.
    """
    moment -= DISORDER
    ends = AuditEvent.objects.aggregate(low=Min("pk"), high=Max("pk"))
    low, high = ends["low"], ends["high"]
    if low is None:
        return None
    high += 1
    while low < high:
        middle = (low + high) // 2
        row = AuditEvent.objects.filter(pk__gte=middle).order_by("pk").values_list("pk", "at").first()
        if row is None or row[1] >= moment:
            high = middle
        else:
            low = row[0] + 1
    return int(low)
