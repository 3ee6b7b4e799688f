"""What a case of the table is, and the small changes that most cases are made of."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from portal.saml.causes import Cause
from tests.portal.saml.forging import Spoil, the
from tests.portal.saml.hostile.building import MODES, PERSON, TEMPLATE, Signing, instant

ASSERTION = "saml:Assertion"
SUBJECT = "saml:Assertion/saml:Subject"
NAME_ID = f"{SUBJECT}/saml:NameID"
CONFIRMATION = f"{SUBJECT}/saml:SubjectConfirmation"
DATA = f"{CONFIRMATION}/saml:SubjectConfirmationData"
CONDITIONS = "saml:Assertion/saml:Conditions"
RESTRICTION = f"{CONDITIONS}/saml:AudienceRestriction"
AUDIENCE_PATH = f"{RESTRICTION}/saml:Audience"
AUTHN = "saml:Assertion/saml:AuthnStatement"
STATEMENT = "saml:Assertion/saml:AttributeStatement"
VALUE = f"{STATEMENT}/saml:Attribute/saml:AttributeValue"

NAMES = (
    'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" '
    'xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:xs="http://www.w3.org/2001/XMLSchema"'
)


@dataclass(frozen=True)
class Case:
    """One message. `before` is what the provider itself says and signs, `after` what somebody makes of it on the way.

    `wire` changes the bytes at last. A case is refused for one of `causes`, or signs on `person`; no causes and no
    person mean that any refusal will do which knows what it refuses.
    """

    name: str
    before: Spoil | None = None
    after: Spoil | None = None
    wire: Callable[[bytes], bytes] | None = None
    signing: Signing | None = None
    causes: frozenset[Cause] = frozenset()
    person: str = ""
    modes: tuple[str, ...] = MODES
    template: str = TEMPLATE


def said(name: str, before: Spoil, *causes: Cause, modes: tuple[str, ...] = MODES) -> Case:
    """A provider that we trust says something that is not for us, not now or not allowed."""
    return Case(name, before=before, causes=frozenset(causes), modes=modes)


def forged(name: str, after: Spoil, *causes: Cause, modes: tuple[str, ...] = MODES) -> Case:
    """Somebody changes a good message."""
    return Case(name, after=after, causes=frozenset(causes), modes=modes)


def written(name: str, wire: Callable[[bytes], bytes], *causes: Cause, modes: tuple[str, ...] = ("both",)) -> Case:
    """Somebody changes the bytes of a good message."""
    return Case(name, wire=wire, causes=frozenset(causes), modes=modes)


def made(name: str, signing: Signing, *causes: Cause, modes: tuple[str, ...] = ("response", "assertion")) -> Case:
    """A signature of another make."""
    return Case(name, signing=signing, causes=frozenset(causes), modes=modes)


def honest(
    name: str,
    before: Spoil | None = None,
    *,
    person: str = PERSON,
    signing: Signing | None = None,
    template: str = TEMPLATE,
) -> Case:
    """A message that must be taken."""
    return Case(name, before=before, signing=signing, person=person, template=template)


def fragment(xml: str) -> etree._Element:
    """Return an element written with the usual prefixes."""
    return etree.fromstring(f"<x {NAMES}>{_dated(xml)}</x>")[0]


def _dated(value: str) -> str:
    """Put instants in place of words like `@-60s`, a minute ago when the case runs."""
    return re.sub(r"@(-?\d+)s", lambda found: instant(seconds=int(found[1])), value)


def attr(path: str, name: str, value: str | None) -> Spoil:
    """Set an XML attribute, or remove it."""

    def spoil(root: etree._Element) -> None:
        element = the(root, path) if path else root
        if value is None:
            del element.attrib[name]
        else:
            element.set(name, _dated(value))

    return spoil


def text(path: str, value: str) -> Spoil:
    """Write another text."""

    def spoil(root: etree._Element) -> None:
        the(root, path).text = value

    return spoil


def content(path: str, xml: str) -> Spoil:
    """Replace everything in an element."""

    def spoil(root: etree._Element) -> None:
        element = the(root, path)
        made = fragment(f"<y>{xml}</y>")
        for child in list(element):
            element.remove(child)
        element.text = made.text
        element.extend(list(made))

    return spoil


def add(path: str, xml: str, at: int = -1) -> Spoil:
    """Insert an element."""

    def spoil(root: etree._Element) -> None:
        parent = the(root, path) if path else root
        parent.insert(at if at >= 0 else len(parent), fragment(xml))

    return spoil


def drop(path: str) -> Spoil:
    """Remove an element."""

    def spoil(root: etree._Element) -> None:
        element = the(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return spoil


def each(*spoils: Spoil) -> Spoil:
    """Do one thing after the other."""

    def spoil(root: etree._Element) -> None:
        for one in spoils:
            one(root)

    return spoil


def swap(path: str, other: str) -> Spoil:
    """Put an element behind another one."""

    def spoil(root: etree._Element) -> None:
        the(root, other).addnext(the(root, path))

    return spoil
