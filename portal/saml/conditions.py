"""Whether an assertion is meant for this portal, now, and answers a request. Reads signed elements only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from portal.saml import times
from portal.saml.causes import Cause, Refused
from portal.saml.names import BEARER, SAML
from portal.saml.text import text_of
from portal.saml.times import MAX_AGE, SKEW

_KNOWN_CONDITIONS = frozenset({f"{SAML}AudienceRestriction", f"{SAML}OneTimeUse", f"{SAML}ProxyRestriction"})


@dataclass(frozen=True)
class Lifetime:
    """How long the assertion could be shown again, and when the identity provider's session ends."""

    replay_until: datetime
    session_until: datetime | None


def check_destination(root: etree._Element, *, acs_url: str, required: bool) -> None:
    """Refuse a response that was addressed to somebody else; a signed one must carry an address."""
    destination = root.get("Destination")
    if destination is None and not required:
        return
    if destination != acs_url:
        raise Refused(Cause.DESTINATION)


def check_assertion(assertion: etree._Element, *, acs_url: str, audience: str, now: datetime) -> Lifetime:
    """Return the lifetime of a signed assertion that is for `audience` at `acs_url` at `now`; else raise `Refused`."""
    issued = times.check_issue_instant(assertion, now)
    ends = [check_conditions(assertion, audience=audience, now=now), check_bearer(assertion, acs_url=acs_url, now=now)]
    session_until = check_statements(assertion, now=now)
    # After MAX_AGE the assertion is refused for its age, whatever end it names.
    last = max([end for end in ends if end is not None])
    return Lifetime(replay_until=min(last, issued + MAX_AGE + SKEW) + SKEW, session_until=session_until)


def check_conditions(assertion: etree._Element, *, audience: str, now: datetime) -> datetime | None:
    """Return the end that the conditions set, None when they set none; every audience restriction must name us."""
    conditions = assertion.find(f"{SAML}Conditions")
    if conditions is None:
        raise Refused(Cause.NO_CONDITIONS)
    start, end = times.attribute(conditions, "NotBefore"), times.attribute(conditions, "NotOnOrAfter")
    if start is not None and start > now + SKEW:
        raise Refused(Cause.NOT_YET_VALID)
    if end is not None and end <= now - SKEW:
        raise Refused(Cause.EXPIRED)
    if start is not None and end is not None and end <= start > now:
        # A time that never comes; with what is allowed for clocks that differ, it could seem to be now.
        raise Refused(Cause.BAD_TIME)
    elements = [each for each in conditions if isinstance(each.tag, str)]
    if any(each.tag not in _KNOWN_CONDITIONS for each in elements):
        raise Refused(Cause.UNKNOWN_CONDITION)
    restrictions = [each for each in elements if each.tag == f"{SAML}AudienceRestriction"]
    if not restrictions:
        raise Refused(Cause.NO_AUDIENCE)
    for restriction in restrictions:
        if audience not in {text_of(each) for each in restriction.findall(f"{SAML}Audience")}:
            raise Refused(Cause.AUDIENCE)
    return end


def check_bearer(assertion: etree._Element, *, acs_url: str, now: datetime) -> datetime:
    """Return the latest end of the bearer confirmations; at least one must let us take the assertion, now."""
    refusals: list[Refused] = []
    ends: list[datetime] = []
    for data in bearer_data(assertion):
        try:
            ends.append(_check_bearer_data(data, acs_url=acs_url, now=now))
        except Refused as refused:
            refusals.append(refused)
    if ends:
        return max(ends)
    raise refusals[0] if refusals else Refused(Cause.NO_BEARER)


def _check_bearer_data(data: etree._Element, *, acs_url: str, now: datetime) -> datetime:
    if data.get("Recipient") != acs_url:
        raise Refused(Cause.RECIPIENT)
    if data.get("NotBefore") is not None:
        raise Refused(Cause.BEARER_NOT_BEFORE)
    end = times.attribute(data, "NotOnOrAfter")
    if end is None:
        raise Refused(Cause.BEARER_NO_END)
    if end <= now - SKEW:
        raise Refused(Cause.BEARER_EXPIRED)
    return end


def bearer_data(assertion: etree._Element) -> list[etree._Element]:
    """Return the data of every bearer confirmation; one without data is no confirmation at all."""
    confirmations = assertion.findall(f"{SAML}Subject/{SAML}SubjectConfirmation")
    bearers = [each for each in confirmations if each.get("Method") == BEARER]
    found = [data for bearer in bearers for data in bearer.findall(f"{SAML}SubjectConfirmationData")]
    if len(found) < len(bearers):
        raise Refused(Cause.BEARER_NO_END)
    return found


def check_statements(assertion: etree._Element, *, now: datetime) -> datetime | None:
    """Return the earliest end of the sessions at the identity provider; somebody must have signed on there."""
    statements = assertion.findall(f"{SAML}AuthnStatement")
    if not statements:
        raise Refused(Cause.NO_AUTHN_STATEMENT)
    for each in statements:
        begun = times.attribute(each, "AuthnInstant")
        if begun is None:
            raise Refused(Cause.BAD_TIME)
        if begun > now + SKEW:
            raise Refused(Cause.NOT_YET_VALID)
    ends = [end for each in statements if (end := times.attribute(each, "SessionNotOnOrAfter")) is not None]
    if any(end <= now for end in ends):
        raise Refused(Cause.SESSION_ENDED)
    return min(ends, default=None)


def in_response_to(roots: Iterable[etree._Element], assertion: etree._Element) -> str | None:
    """Return the request that is answered, None when nobody asked; response and bearer confirmations must agree."""
    named = {each.get("InResponseTo") for each in (*roots, *bearer_data(assertion))}
    if len(named) != 1:
        raise Refused(Cause.IN_RESPONSE_TO_MISMATCH)
    return named.pop()
