"""LogoutRequest and LogoutResponse: making ours, and reading those of a provider once their signature is verified."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings
from lxml import etree

from portal.saml import structure, times
from portal.saml.bindings import Received
from portal.saml.causes import Cause, Refused
from portal.saml.names import DS, SAML, SAMLP, SUCCESS
from portal.saml.session_name import SessionName
from portal.saml.sp_metadata import ls_url
from portal.saml.text import text_of

RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"
PARTIAL = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"
_REASON = "urn:oasis:names:tc:SAML:2.0:logout:user"
_LIFETIME = timedelta(minutes=5)

MAX_INDEXES = 32
_REQUEST_CHILDREN = frozenset(
    {f"{SAML}Issuer", f"{DS}Signature", f"{SAMLP}Extensions", f"{SAML}NameID", f"{SAMLP}SessionIndex"}
)


@dataclass(frozen=True)
class Asked:
    """Whose sessions a provider wants to end: those of the `indexes`, all of them where there are none."""

    request_id: str
    name_id: str = field(repr=False)
    indexes: tuple[str, ...] = field(repr=False)


def request(name: SessionName, location: str) -> etree._Element:
    """Return a LogoutRequest to `location` in the provider's own words for the person and the session."""
    now = datetime.now(UTC)
    root = _message("LogoutRequest", location, now)
    root.set("NotOnOrAfter", _instant(now + _LIFETIME))
    root.set("Reason", _REASON)
    etree.SubElement(root, f"{SAML}NameID", name.attributes).text = name.name_id
    if name.index:
        etree.SubElement(root, f"{SAMLP}SessionIndex").text = name.index
    return root


def response(in_response_to: str, location: str, *, complete: bool) -> etree._Element:
    """Return a LogoutResponse to `location`: success, or that a copy of a session may live on for some minutes."""
    root = _message("LogoutResponse", location, datetime.now(UTC))
    root.set("InResponseTo", in_response_to)
    code = etree.SubElement(
        etree.SubElement(root, f"{SAMLP}Status"), f"{SAMLP}StatusCode", {"Value": SUCCESS if complete else RESPONDER}
    )
    if not complete:
        etree.SubElement(code, f"{SAMLP}StatusCode", {"Value": PARTIAL})
    return root


def read_request(received: Received) -> Asked:
    """Return what a verified LogoutRequest asks for; raise `Refused` when it is not for us, not now, or unclear."""
    root, now = received.root, datetime.now(UTC)
    _check_addressed(root, now)
    end = times.attribute(root, "NotOnOrAfter")
    if end is not None and end <= now - times.SKEW:
        raise Refused(Cause.EXPIRED)
    structure.refuse_encrypted(root)
    if any(child.tag not in _REQUEST_CHILDREN for child in root if isinstance(child.tag, str)):
        raise Refused(Cause.STRUCTURE)
    name_ids = root.findall(f"{SAML}NameID")
    if len(name_ids) != 1:
        raise Refused(Cause.SUBJECT_AMBIGUOUS if name_ids else Cause.SUBJECT_MISSING)
    name_id = text_of(name_ids[0])
    indexes = tuple(text_of(each) for each in root.findall(f"{SAMLP}SessionIndex"))
    if not name_id:
        raise Refused(Cause.SUBJECT_BLANK)
    if len(indexes) > MAX_INDEXES or not all(indexes):
        raise Refused(Cause.STRUCTURE)
    return Asked(root.get("ID", ""), name_id, indexes)


def read_response(received: Received) -> tuple[str, bool]:
    """Return which request a verified LogoutResponse answers, and whether it says that all went well."""
    root = received.root
    _check_addressed(root, datetime.now(UTC))
    statuses = root.findall(f"{SAMLP}Status")
    if len(statuses) != 1:
        raise Refused(Cause.STRUCTURE)
    codes = [code.get("Value") for code in statuses[0].iter(f"{SAMLP}StatusCode")]
    return root.get("InResponseTo", ""), codes[:1] == [SUCCESS] and PARTIAL not in codes


def _check_addressed(root: etree._Element, now: datetime) -> None:
    if root.get("Destination") != ls_url():
        raise Refused(Cause.DESTINATION)
    times.check_issue_instant(root, now)


def _message(name: str, location: str, now: datetime) -> etree._Element:
    root = etree.Element(
        f"{SAMLP}{name}",
        {
            "ID": f"_{secrets.token_hex(16)}",
            "Version": "2.0",
            "IssueInstant": _instant(now),
            "Destination": location,
        },
        nsmap={"samlp": SAMLP.strip("{}"), "saml": SAML.strip("{}")},
    )
    etree.SubElement(root, f"{SAML}Issuer").text = settings.SAML_ENTITY_ID
    return root


def _instant(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
