"""The grammar of responses, as far as SAML's schemas give one: which element stands where, with which attributes.

Nothing that is read depends on it: how often the parts that matter may stand there is checked where they are read. It
keeps out what two programs could read in two ways. Where the schemas let anything in, anything may stand. Three habits
of identity providers are let pass that a schema would not: attributes of other namespaces, IDs that begin with a
digit, and an empty AttributeStatement.
"""

from dataclasses import dataclass

from lxml import etree

from portal.saml.causes import Cause, Refused
from portal.saml.names import DS, SAML, SAMLP

_PREFIXES = {"saml": SAML, "samlp": SAMLP, "ds": DS}


def _tag(name: str) -> str:
    prefix, _, local = name.partition(":")
    return _PREFIXES[prefix] + local


@dataclass(frozen=True)
class _Rule:
    """Attributes that an element may and must have, and the place in the order of each element that may stand in it.

    `text` says whether it may hold text instead of elements.
    """

    attributes: frozenset[str]
    required: frozenset[str]
    places: dict[str, int]
    text: bool


def _rule(attributes: str = "", *groups: str, required: str = "", text: bool = False) -> _Rule:
    """Return a rule from names with blanks between them; the elements of one group stand in any order."""
    places = {_tag(name): place for place, group in enumerate(groups) for name in group.split()}
    must = frozenset(required.split())
    return _Rule(frozenset(attributes.split()) | must, must, places, text)


_NAME = _rule("NameQualifier SPNameQualifier Format SPProvidedID", text=True)
_TEXT = _rule(text=True)
_WHO = "saml:BaseID saml:NameID saml:EncryptedID"
# An element that is not listed may hold anything, for instance Extensions, Advice and AttributeValue.
_RULES = {
    _tag(name): rule
    for name, rule in {
        "samlp:Response": _rule(
            "ID InResponseTo Version IssueInstant Destination Consent",
            "saml:Issuer",
            "ds:Signature",
            "samlp:Extensions",
            "samlp:Status",
            "saml:Assertion saml:EncryptedAssertion",
        ),
        "samlp:Status": _rule("", "samlp:StatusCode", "samlp:StatusMessage", "samlp:StatusDetail"),
        "samlp:StatusCode": _rule("", "samlp:StatusCode", required="Value"),
        "samlp:StatusMessage": _TEXT,
        "saml:Assertion": _rule(
            "ID Version IssueInstant",
            "saml:Issuer",
            "ds:Signature",
            "saml:Subject",
            "saml:Conditions",
            "saml:Advice",
            "saml:Statement saml:AuthnStatement saml:AuthzDecisionStatement saml:AttributeStatement",
        ),
        "saml:Issuer": _NAME,
        "saml:NameID": _NAME,
        "saml:Subject": _rule("", _WHO, "saml:SubjectConfirmation"),
        "saml:SubjectConfirmation": _rule("", _WHO, "saml:SubjectConfirmationData", required="Method"),
        "saml:Conditions": _rule(
            "NotBefore NotOnOrAfter", "saml:Condition saml:AudienceRestriction saml:OneTimeUse saml:ProxyRestriction"
        ),
        "saml:AudienceRestriction": _rule("", "saml:Audience"),
        "saml:Audience": _TEXT,
        "saml:OneTimeUse": _rule(),
        "saml:ProxyRestriction": _rule("Count", "saml:Audience"),
        "saml:AuthnStatement": _rule(
            "SessionIndex SessionNotOnOrAfter", "saml:SubjectLocality", "saml:AuthnContext", required="AuthnInstant"
        ),
        "saml:SubjectLocality": _rule("Address DNSName"),
        "saml:AuthnContext": _rule(
            "",
            "saml:AuthnContextClassRef",
            "saml:AuthnContextDecl saml:AuthnContextDeclRef",
            "saml:AuthenticatingAuthority",
        ),
        "saml:AuthnContextClassRef": _TEXT,
        "saml:AttributeStatement": _rule("", "saml:Attribute saml:EncryptedAttribute"),
        "saml:Attribute": _rule("NameFormat FriendlyName", "saml:AttributeValue", required="Name"),
    }.items()
}


def check(element: etree._Element) -> None:
    """Refuse a response or an assertion with something in it that stands in the wrong place or is not known."""
    rule = _RULES.get(str(element.tag))
    if rule is None:
        return
    _check_attributes(element, rule)
    _check_text(element, rule)
    place = 0
    for child in element.iterchildren(etree.Element):
        at = rule.places.get(str(child.tag))
        if at is None or at < place:
            raise Refused(Cause.STRUCTURE)
        place = at
        check(child)


def _check_attributes(element: etree._Element, rule: _Rule) -> None:
    names = {str(name) for name in element.attrib if not str(name).startswith("{")}
    if not rule.required <= names <= rule.attributes:
        raise Refused(Cause.STRUCTURE)


def _check_text(element: etree._Element, rule: _Rule) -> None:
    """Refuse text between elements; comments do not count."""
    if rule.text:
        return
    if any(text and text.strip(" \t\r\n") for text in (element.text, *(child.tail for child in element))):
        raise Refused(Cause.STRUCTURE)
