"""Signatures that somebody else made, moved or left out, and messages that somebody changed under them."""

from lxml import etree

from portal.saml.causes import Cause
from tests.portal.saml.forging import DS, Spoil, the
from tests.portal.saml.hostile.building import VICTIM, Signing, assertion_of, sign, x509_data
from tests.portal.saml.hostile.cases import add, attr, drop, forged, fragment, made, text
from tests.portal.saml.hostile.signing import ALONE, OTHER, own_key

C = Cause


def _theirs(how: Signing) -> Spoil:
    """Sign with a key that nobody trusts, in place of every signature."""

    def spoil(root: etree._Element) -> None:
        for signature in list(root.iter(f"{DS}Signature")):
            parent = signature.getparent()
            assert parent is not None
            parent.remove(signature)
            sign(parent, OTHER, how)

    return spoil


KEYS = [
    forged(f"key: {name}", _theirs(how), C.SIGNATURE_INVALID)
    for name, how in {
        "another certificate": Signing(),
        "another key, the right certificate": Signing(key_info=lambda _: ""),
        "a bare key": Signing(key_info=own_key),
        "an address": Signing(
            key_info=lambda _: (
                '<ds:RetrievalMethod URI="http://127.0.0.1:1/key" Type="http://www.w3.org/2000/09/xmldsig#X509Data"/>'
            )
        ),
        "a name": Signing(key_info=lambda _: "<ds:KeyName>idp</ds:KeyName>"),
        "a key and a certificate": Signing(key_info=lambda keys: own_key(keys) + x509_data(keys)),
        "not a certificate": Signing(
            key_info=lambda _: "<ds:X509Data><ds:X509Certificate>canary</ds:X509Certificate></ds:X509Data>"
        ),
    }.items()
]


def _move(path: str, xml: str = "") -> Spoil:
    """Move a signature from where it belongs; what it is about can still be found by its ID."""

    def spoil(root: etree._Element) -> None:
        signature = the(root, ".//ds:Signature")
        target = the(root, path) if path else root
        if xml:
            target.append(fragment(xml))
            target = target[-1]
        target.append(signature)

    return spoil


PLACES = [
    forged(f"place: {name}", _move(path, xml), C.SIGNATURE_PLACE, C.STRUCTURE, C.NESTED_VALUE, modes=ALONE)
    for name, (path, xml) in {
        "subject": ("saml:Assertion/saml:Subject", ""),
        "conditions": ("saml:Assertion/saml:Conditions", ""),
        "advice": ("saml:Assertion", "<saml:Advice/>"),
        "status": ("samlp:Status", ""),
        "status detail": ("samlp:Status", "<samlp:StatusDetail/>"),
        "extensions": ("", "<samlp:Extensions/>"),
        "issuer": ("saml:Issuer", ""),
        "attribute value": ("saml:Assertion/saml:AttributeStatement/saml:Attribute/saml:AttributeValue", ""),
        "confirmation data": ("saml:Assertion/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData", ""),
        "context": ("saml:Assertion/saml:AuthnStatement/saml:AuthnContext", "<saml:AuthnContextDecl/>"),
        "another": ("", '<x:x xmlns:x="urn:x"/>'),
    }.items()
] + [
    forged(
        "place: the response's on the assertion",
        lambda root: assertion_of(root).insert(1, the(root, "ds:Signature")),
        C.SIGNATURE_PLACE,
        modes=("response",),
    ),
    forged(
        "place: the assertion's on the response",
        lambda root: root.insert(1, the(root, "saml:Assertion/ds:Signature")),
        C.SIGNATURE_PLACE,
        modes=("assertion",),
    ),
    made("place: before the issuer", Signing(place=0), C.STRUCTURE),
    made("place: last", Signing(place=-1), C.STRUCTURE),
]


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)


def _theirs_on(assertion: etree._Element) -> None:
    _remove(the(assertion, "ds:Signature"))
    sign(assertion, OTHER, Signing())


def _every_signature(change: Spoil) -> Spoil:
    def spoil(root: etree._Element) -> None:
        for signature in list(root.iter(f"{DS}Signature")):
            change(signature)

    return spoil


REST = [
    forged("unsigned", _every_signature(lambda signature: _remove(signature)), C.NOT_SIGNED),
    forged("hollow", _every_signature(lambda signature: signature.clear()), C.SIGNATURE_SHAPE),
    forged("changed: name", text("saml:Assertion/saml:Subject/saml:NameID", VICTIM), C.SIGNATURE_INVALID),
    forged(
        "changed: audience",
        text("saml:Assertion/saml:Conditions/saml:AudienceRestriction/saml:Audience", VICTIM),
        C.SIGNATURE_INVALID,
    ),
    forged(
        "changed: end",
        attr("saml:Assertion/saml:Conditions", "NotOnOrAfter", "2999-01-01T00:00:00Z"),
        C.SIGNATURE_INVALID,
    ),
    forged(
        "changed: recipient",
        attr(
            "saml:Assertion/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData",
            "Recipient",
            "https://evil.example",
        ),
        C.SIGNATURE_INVALID,
    ),
    forged(
        "changed: one more attribute",
        add(
            "saml:Assertion/saml:AttributeStatement",
            f'<saml:Attribute Name="ssouserid"><saml:AttributeValue>{VICTIM}</saml:AttributeValue></saml:Attribute>',
        ),
        C.SIGNATURE_INVALID,
    ),
    forged(
        "changed: an attribute less", drop("saml:Assertion/saml:AttributeStatement/saml:Attribute"), C.SIGNATURE_INVALID
    ),
    forged("changed: white space", lambda root: setattr(assertion_of(root), "text", "\n "), C.SIGNATURE_INVALID),
    forged("changed: a namespace attribute", lambda root: assertion_of(root).set("{urn:x}y", "z"), C.SIGNATURE_INVALID),
    forged("changed: assertion ID", attr("saml:Assertion", "ID", "_other"), C.SIGNATURE_PLACE, C.SIGNATURE_INVALID),
    forged(
        "one good signature, one of another key",
        lambda root: _theirs_on(assertion_of(root)),
        C.SIGNATURE_INVALID,
        modes=("both",),
    ),
    forged(
        "one good signature, one empty",
        lambda root: the(root, "saml:Assertion/ds:Signature").clear(),
        C.SIGNATURE_SHAPE,
        C.SIGNATURE_INVALID,
        modes=("both",),
    ),
]


TAMPERING = [*KEYS, *PLACES, *REST]
