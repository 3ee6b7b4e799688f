"""Signature wrapping: every way to show the verifier one assertion and the reader another must end in a refusal."""

from collections.abc import Callable
from copy import deepcopy

import pytest
from lxml import etree

from portal.demo.idp import Keys, Response, encode, make_response
from portal.saml.causes import Cause
from teams.models import AuditEvent, User
from tests.portal.saml.conftest import Browser, assert_refused
from tests.portal.saml.forging import DS, A, P, Spoil, evil, spoiled_after, the

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]


def _assertion(root: etree._Element) -> etree._Element:
    return the(root, "saml:Assertion")


def evil_before(root: etree._Element) -> None:
    """XSW3: a forged assertion in front of the signed one."""
    root.insert(2, evil(_assertion(root)))


def evil_after(root: etree._Element) -> None:
    """A forged assertion behind the signed one."""
    root.append(evil(_assertion(root)))


def evil_around(root: etree._Element) -> None:
    """XSW4: the signed assertion inside of a forged one."""
    signed = _assertion(root)
    forged = evil(signed)
    root.replace(signed, forged)
    forged.append(signed)


def evil_with_the_signature(root: etree._Element) -> None:
    """XSW5: the forged assertion carries the signature, the signed one follows without it."""
    signed = _assertion(root)
    forged = evil(signed, keep_signature=True)
    signed.remove(the(signed, "ds:Signature"))
    root.replace(signed, forged)
    root.append(signed)


def signed_in_the_signature(root: etree._Element) -> None:
    """XSW6: the forged assertion carries the signature, and the signed one hides in it."""
    signed = _assertion(root)
    forged = evil(signed, keep_signature=True)
    root.replace(signed, forged)
    signed.remove(the(signed, "ds:Signature"))
    the(forged, "ds:Signature").append(signed)


def signed_in_an_object(root: etree._Element) -> None:
    """XSW8: the signed assertion hides in a ds:Object of the forged one's signature."""
    signed = _assertion(root)
    forged = evil(signed, keep_signature=True)
    root.replace(signed, forged)
    signed.remove(the(signed, "ds:Signature"))
    etree.SubElement(the(forged, "ds:Signature"), f"{DS}Object").append(signed)


def signed_in_extensions(root: etree._Element) -> None:
    """XSW7: the signed assertion hides in the response's extensions."""
    signed = _assertion(root)
    root.replace(signed, evil(signed))
    extensions = etree.Element(f"{P}Extensions")
    extensions.append(signed)
    root.insert(1, extensions)


def signed_in_advice(root: etree._Element) -> None:
    """The signed assertion hides in the advice of the forged one."""
    signed = _assertion(root)
    forged = evil(signed)
    root.replace(signed, forged)
    etree.SubElement(forged, f"{A}Advice").append(signed)


def signed_in_the_status(root: etree._Element) -> None:
    """The signed assertion hides in the detail of the status."""
    signed = _assertion(root)
    root.replace(signed, evil(signed))
    etree.SubElement(the(root, "samlp:Status"), f"{P}StatusDetail").append(signed)


def same_id(root: etree._Element) -> None:
    """Two assertions with the ID that the signature names."""
    signed = _assertion(root)
    forged = evil(signed)
    forged.set("ID", signed.get("ID", ""))
    root.insert(2, forged)


def id_in_other_letters(root: etree._Element) -> None:
    """The forged assertion takes the ID; what was signed carries it as `Id`, which some resolvers look for first."""
    signed = _assertion(root)
    forged = evil(signed, keep_signature=True)
    forged.set("ID", signed.get("ID", ""))
    hidden = etree.SubElement(the(forged, "ds:Signature/ds:KeyInfo"), "hidden", {"Id": signed.get("ID", "")})
    hidden.extend(deepcopy(list(signed)))
    root.replace(signed, forged)


def namespaced_id(root: etree._Element) -> None:
    """The same with an ID attribute in a namespace."""
    signed = _assertion(root)
    forged = evil(signed, keep_signature=True)
    forged.set("ID", signed.get("ID", ""))
    hidden = etree.SubElement(the(forged, "ds:Signature/ds:KeyInfo"), "hidden", {"{urn:x}ID": signed.get("ID", "")})
    hidden.extend(deepcopy(list(signed)))
    root.replace(signed, forged)


def signature_moved_up(root: etree._Element) -> None:
    """The assertion's signature, moved to the response around a forged assertion."""
    signed = _assertion(root)
    signature = the(signed, "ds:Signature")
    root.insert(1, signature)
    root.append(evil(signed))


def signature_of_the_empty_uri(root: etree._Element) -> None:
    """A reference to the whole document, whatever it is."""
    the(root, "saml:Assertion/ds:Signature/ds:SignedInfo/ds:Reference").set("URI", "")


def xpointer(root: etree._Element) -> None:
    """A reference by XPointer."""
    identity = _assertion(root).get("ID", "")
    the(root, "saml:Assertion/ds:Signature/ds:SignedInfo/ds:Reference").set("URI", f"#xpointer(id('{identity}'))")


def two_references(root: etree._Element) -> None:
    """A second reference in one signature."""
    info = the(root, "saml:Assertion/ds:Signature/ds:SignedInfo")
    info.append(deepcopy(the(info, "ds:Reference")))


def two_signatures(root: etree._Element) -> None:
    """Two signatures over one assertion."""
    signature = the(root, "saml:Assertion/ds:Signature")
    signature.addnext(deepcopy(signature))


def another_namespace(root: etree._Element) -> None:
    """A forged assertion in SAML 1.1's namespace."""
    forged = evil(_assertion(root))
    forged.tag = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
    root.insert(2, forged)


def changed_value(root: etree._Element) -> None:
    """Another name in the signed assertion."""
    the(root, "saml:Assertion/saml:AttributeStatement/saml:Attribute/saml:AttributeValue").text = "admin"


def unsigned(root: etree._Element) -> None:
    """No signature left."""
    for signature in list(root.iter(f"{DS}Signature")):
        parent = signature.getparent()
        assert parent is not None
        parent.remove(signature)


def hollow(root: etree._Element) -> None:
    """A signature without anything in it."""
    the(root, "saml:Assertion/ds:Signature").clear()


ATTACKS = [
    evil_before,
    evil_after,
    evil_around,
    evil_with_the_signature,
    signed_in_the_signature,
    signed_in_an_object,
    signed_in_extensions,
    signed_in_advice,
    signed_in_the_status,
    same_id,
    id_in_other_letters,
    namespaced_id,
    signature_moved_up,
    signature_of_the_empty_uri,
    xpointer,
    two_references,
    two_signatures,
    another_namespace,
    changed_value,
    unsigned,
    hollow,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("sign", ["assertion", "both"])
def test_a_wrapped_assertion_signs_nobody_on(
    browser: Browser, answer: Answer, keys: Keys, attack: Spoil, sign: str
) -> None:
    xml = spoiled_after(make_response(keys, answer(sign=sign)), attack)

    response = browser.bring_xml(xml)

    cause = AuditEvent.objects.get().reason.partition(",")[0]
    assert cause not in {Cause.UNEXPECTED, Cause.REPLAYED}
    assert_refused(browser, response, Cause(cause))


def response_around(root: etree._Element) -> None:
    """XSW1: the signed response inside of a forged one's signature."""
    signed = deepcopy(root)
    the(root, "ds:Signature").append(signed)
    root.set("ID", "_evil")
    root.replace(_assertion(root), evil(_assertion(root)))


def response_inside(root: etree._Element) -> None:
    """XSW2: the signed response as a child of a forged one."""
    signed = deepcopy(root)
    root.remove(the(root, "ds:Signature"))
    root.set("ID", "_evil")
    root.replace(_assertion(root), evil(_assertion(root)))
    root.append(signed)


def response_in_extensions(root: etree._Element) -> None:
    """The signed response in the extensions, its signature outside."""
    signed = deepcopy(root)
    extensions = etree.Element(f"{P}Extensions")
    extensions.append(signed)
    root.set("ID", "_evil")
    root.insert(2, extensions)
    root.replace(_assertion(root), evil(_assertion(root)))


def response_attribute(root: etree._Element) -> None:
    """Another attribute on the signed response."""
    root.set("InResponseTo", "_x")


@pytest.mark.parametrize(
    "attack",
    [
        response_around,
        response_inside,
        response_in_extensions,
        response_attribute,
        evil_before,
        evil_after,
        evil_around,
        changed_value,
        unsigned,
    ],
    ids=lambda attack: attack.__name__,
)
def test_a_wrapped_response_signs_nobody_on(browser: Browser, answer: Answer, keys: Keys, attack: Spoil) -> None:
    xml = spoiled_after(make_response(keys, answer(sign="response")), attack)

    response = browser.bring_xml(xml)

    assert_refused(browser, response, Cause(AuditEvent.objects.get().reason.partition(",")[0]))


def test_both_signatures_count_where_there_are_two(
    browser: Browser, answer: Answer, keys: Keys, other_keys: Keys
) -> None:
    good = answer(sign="assertion")
    inner = etree.fromstring(make_response(other_keys, good))
    from portal.demo.idp.signer import _sign

    xml = etree.tostring(_sign(inner, f"{P}Response", keys, good))

    assert_refused(browser, browser.bring_xml(xml), Cause.SIGNATURE_INVALID)


@pytest.mark.parametrize(
    "place", ["saml:Subject/saml:NameID", "saml:AttributeStatement/saml:Attribute/saml:AttributeValue"]
)
def test_a_comment_does_not_cut_a_name_short(browser: Browser, answer: Answer, keys: Keys, place: str) -> None:
    """Canonicalisation drops comments, so one can be slipped in behind the signature's back."""

    def comment(root: etree._Element) -> None:
        element = the(root, f"saml:Assertion/{place}")
        text = element.text or ""
        element.text = text[:3]
        element.append(etree.Comment("x"))
        element[0].tail = text[3:]

    attributes = {} if "NameID" in place else {"ssouserid": ["alice.of.example"]}
    good = make_response(keys, answer(attributes, name_id="alice.of.example"))

    browser.bring_xml(spoiled_after(good, comment))

    assert User.objects.get().subject == "alice.of.example"


def test_character_data_sections_are_text(browser: Browser, answer: Answer, keys: Keys) -> None:
    xml = make_response(keys, answer({"ssouserid": ["alice"]}))

    browser.bring_xml(xml.replace(b">alice<", b"><![CDATA[ali]]>ce<"))

    assert User.objects.get().subject == "alice"


def test_the_senders_certificate_is_not_believed(browser: Browser, answer: Answer, other_keys: Keys) -> None:
    xml = make_response(other_keys, answer())

    assert b"X509Certificate" in xml
    assert_refused(browser, browser.post(SAMLResponse=encode(xml)), Cause.SIGNATURE_INVALID)
