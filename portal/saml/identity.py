"""Whom a verified assertion names, and what it says about their groups and teams. Reads signed elements only."""

import logging
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from lxml import etree

from portal.saml.causes import Cause, Refused
from portal.saml.names import EMAIL_FALLBACKS, NAME_FALLBACKS, SAML, TRANSIENT, XSI
from portal.saml.providers import AttributeNames
from portal.saml.text import text_of

logger = logging.getLogger(__name__)

# The columns that the values go into.
MAX_SUBJECT = 256
MAX_NAME = 256
MAX_EMAIL = 320
MAX_GROUP = 256
MAX_TEAM = 128

# Control and format characters, surrogates, line and paragraph separators: none of them can be seen.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Of other categories and invisible as well: fillers, joiners and variation selectors.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | frozenset(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


@dataclass(frozen=True)
class Identity:
    """One person as the identity provider describes them.

    Everything but the subject is None when the assertion says nothing about it. A `groups` attribute without a value
    is a statement: the person is in no group. `ignored` names what the provider said beyond what it may.
    """

    subject: str
    name: str | None
    email: str | None
    groups: frozenset[str] | None
    teams: frozenset[str] | None
    ignored: tuple[str, ...] = ()


def read(assertion: etree._Element, names: AttributeNames) -> Identity:
    """Return the identity in a verified assertion; raise `Refused` when it does not name exactly one person."""
    attributes = _Attributes(assertion)
    return Identity(
        subject=_subject(assertion, attributes.values(names.user)),
        name=_first(attributes, (*names.name, *NAME_FALLBACKS), MAX_NAME),
        email=_first(attributes, (*names.email, *EMAIL_FALLBACKS), MAX_EMAIL),
        groups=_groups(attributes, names),
        teams=_usable(attributes.values(names.team), MAX_TEAM, "team"),
    )


class _Attributes:
    """The values of an assertion's attributes; several elements of one name add up.

    A FriendlyName is for people to read, as SAML says, so it never decides who somebody is or where they belong.
    """

    def __init__(self, assertion: etree._Element) -> None:
        self._elements = assertion.findall(f"{SAML}AttributeStatement/{SAML}Attribute")

    def values(self, names: Iterable[str], kind: str = "Name") -> list[str] | None:
        """Return the values under the first of these names that there is, None when there is none; keep blank ones."""
        found = next((elements for name in names if (elements := self._called(name, kind))), None)
        if found is None:
            return None
        return [
            text_of(value)
            for each in found
            for value in each.findall(f"{SAML}AttributeValue")
            if value.get(f"{XSI}nil") not in {"true", "1"}
        ]

    def has(self, names: Iterable[str]) -> bool:
        """Whether an attribute has one of these names."""
        return any(self._called(name) for name in names)

    def _called(self, name: str, kind: str = "Name") -> list[etree._Element]:
        return [each for each in self._elements if name and each.get(kind, "").strip() == name]


def _subject(assertion: etree._Element, values: list[str] | None) -> str:
    name_ids = assertion.findall(f"{SAML}Subject/{SAML}NameID")
    if len(name_ids) > 1:
        raise Refused(Cause.SUBJECT_AMBIGUOUS)
    # A NameID is looked at even where the attribute decides: a broken one means a broken assertion.
    named = _checked(text_of(name_ids[0])) if name_ids else None
    if values is not None:
        if len(values) != 1:
            raise Refused(Cause.SUBJECT_AMBIGUOUS if values else Cause.SUBJECT_BLANK)
        return _checked(values[0])
    if named is None:
        raise Refused(Cause.SUBJECT_MISSING)
    if name_ids[0].get("Format") == TRANSIENT:
        raise Refused(Cause.SUBJECT_TRANSIENT)
    return named


def _checked(subject: str) -> str:
    if not subject:
        raise Refused(Cause.SUBJECT_BLANK)
    if len(subject) > MAX_SUBJECT:
        raise Refused(Cause.SUBJECT_TOO_LONG)
    if _has_invisible(subject):
        raise Refused(Cause.SUBJECT_CHARACTERS)
    return subject


def _has_invisible(text: str) -> bool:
    return any(unicodedata.category(character) in _INVISIBLE or character in _FILLERS for character in text)


def _first(attributes: _Attributes, names: Iterable[str], length: int) -> str | None:
    """Return the first value under the first of these names that has one, made fit to be shown."""
    for name in names:
        for value in attributes.values([name]) or attributes.values([name], "FriendlyName") or ():
            shown = "".join(each for each in value if not _has_invisible(each))[:length].strip()
            if shown:
                return shown
    return None


def _groups(attributes: _Attributes, names: AttributeNames) -> frozenset[str] | None:
    if attributes.has(names.unknown_groups):
        # Too many groups to list: not "none", but unknown.
        return None
    return _usable(attributes.values(names.groups), MAX_GROUP, "group")


def _usable(values: list[str] | None, length: int, kind: str) -> frozenset[str] | None:
    """Return the distinct values that can be stored; one that cannot is left out and does not stop the sign-on."""
    if values is None:
        return None
    usable = frozenset(value for value in values if value and len(value) <= length and not _has_invisible(value))
    skipped = len({value for value in values if value}) - len(usable)
    if skipped:
        logger.warning("Left out %d %s values that are too long or contain invisible characters.", skipped, kind)
    return usable
