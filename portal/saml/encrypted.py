"""A response whose assertion is encrypted: what is checked before it is opened, and after.

The response's signature covers the ciphertext, so it is verified first. What comes out is read by the same bounded
parser as every message and must be one assertion, which then has to pass every check that a plain one has to pass.
"""

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from lxml import etree

from portal.saml import crypto, decrypt, envelope, keys, structure
from portal.saml.causes import Cause, Refused
from portal.saml.names import DS, SAML, XSI
from portal.saml.structure import Signed
from portal.saml.text import text_of

_SEALED = f"{SAML}EncryptedAssertion"
_ASSERTION = f"{SAML}Assertion"
# lxml's type stubs know no mapping that has both None and prefixes.
_WELL_KNOWN: Any = {"xs": "http://www.w3.org/2001/XMLSchema", "xsi": XSI.strip("{}")}


def is_sealed(root: etree._Element) -> bool:
    """Whether a message has an encrypted assertion and no other."""
    return root.find(_SEALED) is not None and not any(True for _ in root.iter("{*}Assertion"))


def check_response(root: etree._Element) -> etree._Element:
    """Return the one encrypted assertion of a successful response; refuse any other kind of document."""
    structure.check_envelope(root, _SEALED)
    if sum(1 for _ in root.iter("{*}EncryptedAssertion")) != 1:
        raise Refused(Cause.ASSERTION_COUNT)
    return root.findall(_SEALED)[0]


def issuer_of(root: etree._Element) -> str:
    """Return the issuer of the response, which must name one where the assertion's own cannot be read."""
    issuers = root.findall(f"{SAML}Issuer")
    if len(issuers) != 1 or not text_of(issuers[0]):
        raise Refused(Cause.ISSUER_MISSING)
    return text_of(issuers[0])


def open_response(root: etree._Element, certificates: Sequence[x509.Certificate]) -> Signed:
    """Return what is signed of a response with an encrypted assertion, decrypted.

    The response around, the assertion inside, or both must be signed, and whatever is signed must verify.
    """
    if not keys.all_keys():
        raise Refused(Cause.NO_SP_KEY)
    sealed, response = check_response(root), None
    places = [signature.getparent() for signature in root.iter(f"{DS}Signature")]
    if any(place is not root for place in places):
        raise Refused(Cause.SIGNATURE_PLACE)
    if places:
        response = crypto.verify(root, certificates)
        sealed = check_response(response)
    try:
        return _opened(root, sealed, response, certificates)
    except Refused as refused:
        seen = refused.cause in {Cause.ENCRYPTION_SHAPE, Cause.ENCRYPTION_ALGORITHM}
        if response is None and decrypt.is_malleable(sealed) and not seen:
            # Whether the padding, the XML or the signature inside was wrong must not show: each answer would tell a
            # stranger who changes the ciphertext a little of what is inside.
            raise Refused(Cause.DECRYPTION) from None
        raise


def _opened(
    root: etree._Element,
    sealed: etree._Element,
    response: etree._Element | None,
    certificates: Sequence[x509.Certificate],
) -> Signed:
    assertion = _assertion(decrypt.decrypt(sealed, keys.all_keys()), sealed)
    structure.check_ids((root, assertion), (root, assertion))
    if not any(True for _ in assertion.iter(f"{DS}Signature")):
        if response is None:
            raise Refused(Cause.NOT_SIGNED)
        return Signed(assertion=assertion, response=response)
    if any(signature.getparent() is not assertion for signature in assertion.iter(f"{DS}Signature")):
        raise Refused(Cause.SIGNATURE_PLACE)
    signed = crypto.verify(assertion, certificates)
    structure.check_assertion(signed)
    return Signed(assertion=signed, response=response)


def _assertion(plain: bytes, sealed: etree._Element) -> etree._Element:
    """Return the tree of the decrypted bytes, which must be one assertion and hold no other."""
    try:
        assertion = envelope.parse(plain)
    except Refused as refused:
        # Some providers leave the declarations of prefixes on the response; XML Encryption parses in that context.
        if refused.cause is not Cause.NOT_XML:
            raise
        assertion = _in_context(plain, sealed)
    if assertion.tag == "Assertion":
        assertion = _in_context(plain, sealed)
    if assertion.tag != _ASSERTION or sum(1 for _ in assertion.iter("{*}Assertion", "{*}Response")) != 1:
        raise Refused(Cause.ASSERTION_COUNT)
    structure.refuse_encrypted(assertion)
    structure.check_assertion(assertion)
    return assertion


def _in_context(plain: bytes, sealed: etree._Element) -> etree._Element:
    # Where a signature covers `sealed`, what it does not cover has been dropped: nobody binds prefixes from outside.
    context = etree.Element("context", nsmap=_WELL_KNOWN | sealed.nsmap)
    opening = etree.tostring(context).removesuffix(b"/>") + b">"
    children = list(envelope.parse(opening + plain + b"</context>"))
    if len(children) != 1:
        raise Refused(Cause.ASSERTION_COUNT)
    return children[0]
