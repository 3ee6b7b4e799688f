"""The shape of a response: one assertion, signatures only where SAML puts them, every ID once.

Wrapping attacks need a second assertion, a second place for a signature or a second bearer of an ID. None passes here,
and what passes is read again only from what the signature covers.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from lxml import etree

from portal.saml import crypto
from portal.saml.causes import Cause, Refused
from portal.saml.names import DS, SAML, SAMLP, SUCCESS
from portal.saml.text import text_of

_ID_NAMES = frozenset({"id", "assertionid", "responseid", "requestid"})
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,256}", re.ASCII)
_ENCRYPTED = (f"{SAML}EncryptedAssertion", f"{SAML}EncryptedID", f"{SAML}EncryptedAttribute")
_RESPONSE_CHILDREN = frozenset({f"{SAML}Issuer", f"{DS}Signature", f"{SAMLP}Extensions", f"{SAMLP}Status"})
_ASSERTION_CHILDREN = frozenset(
    {f"{DS}Signature"}
    | {
        SAML + name
        for name in (
            "Issuer",
            "Subject",
            "Conditions",
            "Advice",
            "Statement",
            "AuthnStatement",
            "AuthzDecisionStatement",
            "AttributeStatement",
        )
    }
)


@dataclass(frozen=True)
class Signed:
    """What the verifier vouches for: the assertion, and the response around it where that is signed too."""

    assertion: etree._Element
    response: etree._Element | None


def check_response(root: etree._Element) -> etree._Element:
    """Return the one assertion of a successful response; refuse any other kind of document."""
    check_envelope(root, f"{SAML}Assertion")
    if sum(1 for _ in root.iter("{*}Assertion")) != 1:
        raise Refused(Cause.ASSERTION_COUNT)
    assertion = root.findall(f"{SAML}Assertion")[0]
    check_assertion(assertion)
    check_ids((root,), (root, assertion))
    return assertion


def check_envelope(root: etree._Element, assertion_tag: str) -> None:
    """Refuse all but a successful response with one child of this tag, which is the assertion, plain or encrypted."""
    if root.tag != f"{SAMLP}Response":
        raise Refused(Cause.NOT_A_RESPONSE)
    if root.get("Version") != "2.0":
        raise Refused(Cause.VERSION)
    check_status(root)
    refuse_encrypted(root, but=assertion_tag)
    children = [child for child in root if isinstance(child.tag, str)]
    if sum(child.tag == assertion_tag for child in children) != 1 or _inner_responses(root):
        raise Refused(Cause.ASSERTION_COUNT)
    if any(child.tag not in _RESPONSE_CHILDREN and child.tag != assertion_tag for child in children):
        raise Refused(Cause.STRUCTURE)
    _check_once(root, "Signature", "Extensions", "Status")


def refuse_encrypted(root: etree._Element, *, but: str = "") -> None:
    """Refuse encrypted parts of any kind but this one."""
    if any(True for _ in root.iter(*(tag for tag in _ENCRYPTED if tag != but))):
        raise Refused(Cause.ENCRYPTED)


def check_status(root: etree._Element) -> None:
    """Refuse a response that does not say success; some say so without being signed."""
    statuses = root.findall(f"{SAMLP}Status")
    codes = statuses[0].findall(f"{SAMLP}StatusCode") if len(statuses) == 1 else []
    if len(codes) != 1 or codes[0].get("Value") != SUCCESS:
        raise Refused(Cause.STATUS)
    if any(code.get("Value") != SUCCESS for code in codes[0].iter(f"{SAMLP}StatusCode")):
        # A success because of a failure is none.
        raise Refused(Cause.STATUS)


def check_assertion(assertion: etree._Element) -> None:
    """Refuse an assertion of another version or with parts that are missing, doubled or unknown."""
    if assertion.get("Version") != "2.0":
        raise Refused(Cause.VERSION)
    if any(isinstance(child.tag, str) and child.tag not in _ASSERTION_CHILDREN for child in assertion):
        raise Refused(Cause.STRUCTURE)
    _check_once(assertion, "Signature", "Subject", "Conditions", "Advice")


def issuer_of(root: etree._Element, assertion: etree._Element) -> str:
    """Return the issuer that the assertion names; the response may leave it out but not name another."""
    issuers = assertion.findall(f"{SAML}Issuer")
    if len(issuers) != 1 or not text_of(issuers[0]):
        raise Refused(Cause.ISSUER_MISSING)
    issuer = text_of(issuers[0])
    outer = root.findall(f"{SAML}Issuer")
    if len(outer) > 1 or (outer and text_of(outer[0]) != issuer):
        raise Refused(Cause.ISSUER_MISMATCH)
    return issuer


def verify_signatures(
    root: etree._Element, assertion: etree._Element, certificates: Sequence[x509.Certificate]
) -> Signed:
    """Return what is signed; refuse a response of which neither the whole nor the assertion is.

    Where both are signed, both must verify. Raises `Refused`.
    """
    places = [signature.getparent() for signature in root.iter(f"{DS}Signature")]
    if any(place is not root and place is not assertion for place in places):
        raise Refused(Cause.SIGNATURE_PLACE)
    if not places:
        raise Refused(Cause.NOT_SIGNED)
    response = None
    signed = assertion
    if any(place is root for place in places):
        response = crypto.verify(root, certificates)
        signed = check_response(response)
    if any(place is not root for place in places):
        # From the message as it came: canonicalising the response may drop declarations that this digest counts.
        signed = crypto.verify(assertion, certificates)
        check_assertion(signed)
    return Signed(assertion=signed, response=response)


def _inner_responses(root: etree._Element) -> bool:
    return sum(1 for _ in root.iter("{*}Response")) != 1


def _check_once(parent: etree._Element, *names: str) -> None:
    """Refuse a second child of one of these names, whichever namespace of SAML it stands in."""
    for name in names:
        if sum(1 for child in parent if isinstance(child.tag, str) and etree.QName(child).localname == name) > 1:
            raise Refused(Cause.STRUCTURE)


def check_ids(trees: Iterable[etree._Element], named: Iterable[etree._Element]) -> None:
    """Refuse an ID that two elements of the trees share, and an element of `named` without a plain one."""
    seen: set[str] = set()
    for element in (each for tree in trees for each in tree.iter(etree.Element)):
        for name, value in element.attrib.items():
            if str(name).rpartition("}")[2].lower() not in _ID_NAMES:
                continue
            if value in seen:
                raise Refused(Cause.DUPLICATE_ID)
            seen.add(str(value))
    for element in named:
        if not _ID.fullmatch(element.get("ID", "")):
            raise Refused(Cause.BAD_ID)
