"""What a trusted provider signs about somebody and is still refused: nobody, more than one, or nobody we can tell."""

from lxml import etree

from portal.saml.causes import Cause
from tests.portal.saml.conftest import ISSUER
from tests.portal.saml.forging import Spoil, the
from tests.portal.saml.hostile.building import VICTIM
from tests.portal.saml.hostile.cases import (
    ASSERTION,
    CONDITIONS,
    CONFIRMATION,
    NAME_ID,
    STATEMENT,
    SUBJECT,
    Case,
    add,
    attr,
    content,
    drop,
    each,
    fragment,
    said,
    swap,
    text,
)

C = Cause
NS = "urn:oasis:names:tc:SAML:2.0"


def _name(value: str, *causes: Cause, name: str) -> Case:
    return said(f"name: {name}", text(NAME_ID, value), *causes)


_INVISIBLE = {
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "right to left": "\u202e",
    "isolate": "\u2066",
    "soft hyphen": "\u00ad",
    "byte order mark": "\ufeff",
    "line separator": "\u2028",
    "tab": "\t",
    "line feed": "\n",
    "carriage return": "\r",
    "delete": "\x7f",
    "next line": "\x85",
    "tag": "\U000e0041",
    "Hangul filler": "\u3164",
    "grapheme joiner": "\u034f",
    "variation selector": "\ufe0f",
}
NAMES = [_name(f"root{sign}.canary", C.SUBJECT_CHARACTERS, name=name) for name, sign in _INVISIBLE.items()]
NAMES += [
    _name("", C.SUBJECT_BLANK, name="empty"),
    _name(" \t\r\n ", C.SUBJECT_BLANK, name="white space"),
    _name("\u00a0", C.SUBJECT_BLANK, C.SUBJECT_UNUSABLE, name="unbreakable space"),
    _name("\u3000", C.SUBJECT_BLANK, C.SUBJECT_UNUSABLE, name="wide space"),
    _name("\u200b", C.SUBJECT_CHARACTERS, name="nothing to see"),
    _name("\u00a0root.canary", C.SUBJECT_UNUSABLE, C.SUBJECT_CHARACTERS, name="unbreakable space in front"),
    _name("x" * 300, C.SUBJECT_TOO_LONG, name="300 characters"),
    _name("x" * 100_000, C.SUBJECT_TOO_LONG, name="100,000 characters"),
    said("name: none", drop(NAME_ID), C.SUBJECT_MISSING),
    said("name: no subject", drop(SUBJECT), C.NO_BEARER, C.SUBJECT_MISSING),
    said("name: transient", attr(NAME_ID, "Format", f"{NS}:nameid-format:transient"), C.SUBJECT_TRANSIENT),
    said("name: two", add(SUBJECT, f"<saml:NameID>{VICTIM}</saml:NameID>", 0), C.SUBJECT_AMBIGUOUS),
    said(
        "name: two subjects",
        add(ASSERTION, f"<saml:Subject><saml:NameID>{VICTIM}</saml:NameID></saml:Subject>", 1),
        C.STRUCTURE,
    ),
    said("name: nested", content(NAME_ID, f"root<saml:x/>{VICTIM}"), C.NESTED_VALUE),
    said("name: a name in the name", content(NAME_ID, f"<saml:NameID>{VICTIM}</saml:NameID>"), C.NESTED_VALUE),
    said(
        "name: base id",
        content(SUBJECT, f'<saml:BaseID NameQualifier="{VICTIM}"/>'),
        C.NO_BEARER,
        C.STRUCTURE,
        C.SUBJECT_MISSING,
    ),
    said(
        "name: another namespace",
        each(drop(NAME_ID), add(SUBJECT, f'<x:NameID xmlns:x="urn:x">{VICTIM}</x:NameID>', 0)),
        C.SUBJECT_MISSING,
    ),
    said(
        "name: only in the confirmation",
        each(drop(NAME_ID), add(CONFIRMATION, f"<saml:NameID>{VICTIM}</saml:NameID>", 0)),
        C.SUBJECT_MISSING,
    ),
    said("name: encrypted", add(SUBJECT, "<saml:EncryptedID/>", 0), C.ENCRYPTED, C.SUBJECT_AMBIGUOUS, C.STRUCTURE),
]


def _user(*values: str) -> Spoil:
    made = "".join(f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values)
    return add(STATEMENT, f'<saml:Attribute Name="ssouserid">{made}</saml:Attribute>')


def _user_behind(root: etree._Element) -> None:
    """Name somebody in the last statement as well."""
    statement = the(root, f"{STATEMENT}[last()]")
    statement.append(fragment('<saml:Attribute Name="ssouserid"/>'))
    statement[-1].append(fragment("<saml:AttributeValue>alice.canary</saml:AttributeValue>"))


ATTRIBUTES = [
    said("attribute: no value", _user(), C.SUBJECT_BLANK),
    said("attribute: empty value", _user(""), C.SUBJECT_BLANK),
    said("attribute: blank value", _user(" \n "), C.SUBJECT_BLANK),
    said("attribute: two values", _user("alice.canary", VICTIM), C.SUBJECT_AMBIGUOUS),
    said("attribute: a value and an empty one", _user("alice.canary", ""), C.SUBJECT_AMBIGUOUS),
    said("attribute: twice", each(_user("alice.canary"), _user(VICTIM)), C.SUBJECT_AMBIGUOUS),
    said("attribute: nested", _user(f"<saml:NameID>{VICTIM}</saml:NameID>"), C.NESTED_VALUE),
    said("attribute: 300 characters", _user("x" * 300), C.SUBJECT_TOO_LONG),
    said(
        "attribute: nil",
        add(STATEMENT, '<saml:Attribute Name="ssouserid"><saml:AttributeValue xsi:nil="true"/></saml:Attribute>'),
        C.SUBJECT_BLANK,
    ),
    said(
        "attribute: in a second statement",
        each(add(ASSERTION, "<saml:AttributeStatement/>", 5), _user(VICTIM), _user_behind),
        C.SUBJECT_AMBIGUOUS,
    ),
    said("attribute: encrypted", add(STATEMENT, "<saml:EncryptedAttribute/>"), C.ENCRYPTED, C.STRUCTURE),
    said(
        "attribute: none of its name",
        add(STATEMENT, f"<saml:Attribute><saml:AttributeValue>{VICTIM}</saml:AttributeValue></saml:Attribute>"),
        C.STRUCTURE,
    ),
]

SHAPES = [
    said("version: 1.1", attr("", "Version", "1.1"), C.VERSION),
    said("version: 2.1", attr("", "Version", "2.1"), C.VERSION),
    said("version: none", attr("", "Version", None), C.VERSION),
    said("version: assertion 1.1", attr(ASSERTION, "Version", "1.1"), C.VERSION),
    said("version: no assertion version", attr(ASSERTION, "Version", None), C.VERSION),
    said("version: 2", attr(ASSERTION, "Version", "2"), C.VERSION),
    said("shape: conditions first", swap("saml:Assertion/saml:Subject", CONDITIONS), C.STRUCTURE),
    said("shape: conditions last", swap(CONDITIONS, STATEMENT), C.STRUCTURE),
    said("shape: status last", swap("samlp:Status", ASSERTION), C.STRUCTURE),
    said("shape: issuer last", swap("saml:Assertion/saml:Issuer", STATEMENT), C.STRUCTURE),
    said("shape: confirmation before the name", swap(NAME_ID, CONFIRMATION), C.STRUCTURE),
    said("shape: unknown element", add(ASSERTION, '<x:more xmlns:x="urn:x"/>'), C.STRUCTURE),
    said("shape: unknown element of SAML", add(ASSERTION, "<saml:NameID>x</saml:NameID>"), C.STRUCTURE),
    said("shape: unknown element in the subject", add(SUBJECT, '<x:NameID xmlns:x="urn:x"/>'), C.STRUCTURE),
    said("shape: unknown attribute of the assertion", attr(ASSERTION, "AssertionID", "_x"), C.STRUCTURE),
    said("shape: unknown attribute of the response", attr("", "id", "_x"), C.STRUCTURE),
    said("shape: unknown attribute of the conditions", attr(CONDITIONS, "notOnOrAfter", "_x"), C.STRUCTURE),
    said("shape: text between elements", lambda root: setattr(root[0], "tail", VICTIM), C.STRUCTURE),
    said("shape: text in the subject", text(SUBJECT, VICTIM), C.STRUCTURE),
    said(
        "shape: an attribute statement in the advice",
        add(
            ASSERTION,
            f"<saml:Advice><saml:Assertion><saml:Issuer>{ISSUER}</saml:Issuer></saml:Assertion></saml:Advice>",
            3,
        ),
        C.ASSERTION_COUNT,
    ),
    said("shape: a statement in the subject", add(SUBJECT, "<saml:AttributeStatement/>"), C.STRUCTURE),
    said(
        "shape: a value without attribute", add(STATEMENT, "<saml:AttributeValue>x</saml:AttributeValue>"), C.STRUCTURE
    ),
    said("shape: an answer of an artifact", add("", "<samlp:ArtifactResponse/>"), C.STRUCTURE),
    said("id: none", attr(ASSERTION, "ID", None), C.BAD_ID, modes=("response",)),
    said("id: empty", attr(ASSERTION, "ID", ""), C.BAD_ID, modes=("response",)),
    said("id: the response has none", attr("", "ID", None), C.BAD_ID, modes=("assertion",)),
    said("id: too long", attr(ASSERTION, "ID", "x" * 300), C.BAD_ID),
    said("id: white space", attr(ASSERTION, "ID", "a b"), C.BAD_ID),
    said("id: a quotation mark", attr(ASSERTION, "ID", "a'b"), C.BAD_ID),
]

NAMING = [*NAMES, *ATTRIBUTES, *SHAPES]
