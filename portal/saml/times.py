"""Instants in SAML messages."""

import re
from datetime import UTC, datetime, timedelta

from lxml import etree

from portal.saml.causes import Cause, Refused

# How far the clocks of the identity provider and the portal may be apart.
SKEW = timedelta(seconds=180)
# An assertion is taken soon after it was made; this also bounds how long its first use must be remembered.
MAX_AGE = timedelta(hours=1)

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,12})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def parse(value: str) -> datetime:
    """Return an xs:dateTime as an aware datetime, UTC where it names no zone; raise `Refused` for anything else."""
    match = _INSTANT.fullmatch(value.strip(" \t\r\n"))
    if match is None:
        raise Refused(Cause.BAD_TIME)
    seconds, fraction, zone = match.groups()
    try:
        instant = datetime.fromisoformat(f"{seconds}{(fraction or '')[:7]}{zone or 'Z'}")
        # Near the ends of the calendar an offset leaves it.
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(Cause.BAD_TIME) from None


def attribute(element: etree._Element, name: str) -> datetime | None:
    """Return the instant in an attribute, None when the attribute is absent."""
    value = element.get(name)
    return None if value is None else parse(value)


def check_issue_instant(element: etree._Element, now: datetime) -> datetime:
    """Return when a response or assertion was made; refuse one from the future or made too long ago."""
    issued = attribute(element, "IssueInstant")
    if issued is None or not now - MAX_AGE - SKEW <= issued <= now + SKEW:
        raise Refused(Cause.ISSUE_INSTANT)
    return issued
