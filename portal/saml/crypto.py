"""Verification of XML signatures in this process, by signxml, and only of the one shape that SAML knows.

`verify` returns the element that the signature covers, made again from the signed bytes. Callers go on with that
element and never with the one they passed in.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography import x509
from lxml import etree
from saml2.sigver import CryptoBackend, SignatureError
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from portal.saml.causes import Cause, Refused
from portal.saml.envelope import safe_parser
from portal.saml.names import DS

_METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_CANONICAL = frozenset({_EXCLUSIVE, f"{_EXCLUSIVE}WithComments"})
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_PREFIXES = f"{{{_EXCLUSIVE}}}InclusiveNamespaces"
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)

# Namespace prefixes in one PrefixList, and characters in a digest or a signature, which is enough for 16 Kbit.
MAX_PREFIXES = 32
MAX_VALUE = 2800

_METHOD_NAMES = frozenset(method.value for method in _METHODS)
_DIGEST_NAMES = frozenset(digest.value for digest in _DIGESTS)

_CONFIGURATION = SignatureConfiguration(
    require_x509=True,
    # The signature is a child of the element that is verified, nowhere else.
    location="./",
    expect_references=1,
    signature_methods=_METHODS,
    digest_algorithms=_DIGESTS,
    # KeyInfo is the sender's own word; the pinned certificate decides.
    ignore_ambiguous_key_info=True,
)


def verify(element: etree._Element, certificates: Sequence[x509.Certificate]) -> etree._Element:
    """Return `element` as it was signed by one of `certificates`; raise `Refused` when it was not.

    The element must have exactly one `ds:Signature` child, whose one reference names the element's own ID, with SHA-2
    and RSA or ECDSA, the enveloped transform and exclusive canonicalisation.
    """
    signature = _only(element, "Signature")
    _check_shape(signature, element.get("ID", ""))
    usable = in_force(certificates)
    data = etree.tostring(element, with_tail=False)
    for certificate in usable:
        signed = _verified(data, certificate)
        if signed is None:
            continue
        if signed.tag != element.tag or signed.get("ID") != element.get("ID"):
            raise Refused(Cause.SIGNATURE_PLACE)
        return signed
    raise Refused(Cause.SIGNATURE_INVALID)


def _verified(data: bytes, certificate: x509.Certificate) -> etree._Element | None:
    # A verifier keeps what it works on in itself, so each verification gets its own.
    try:
        result = XMLVerifier().verify(
            data,
            x509_cert=certificate,
            id_attribute="ID",
            parser=safe_parser(),
            expect_config=_CONFIGURATION,
            # The shape has been checked already; the schema would refuse a PrefixList in SignedInfo.
            validate_schema=False,
        )
    except Exception:  # noqa: BLE001  (whatever a hostile signature makes a library raise, it has not verified)
        return None
    if not isinstance(result, VerifyResult):
        return None
    return result.signed_xml


def in_force(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Return the certificates that are valid now; raise `Refused` when none is."""
    now = datetime.now(UTC)
    usable = [each for each in certificates if each.not_valid_before_utc <= now <= each.not_valid_after_utc]
    if not usable:
        raise Refused(Cause.CERTIFICATE_EXPIRED)
    return usable


def _check_shape(signature: etree._Element, element_id: str) -> None:
    """Refuse every signature that is not of the one shape, before any cryptography is done."""
    _check_children(signature, required=("SignedInfo", "SignatureValue"), optional=("KeyInfo",))
    info = _only(signature, "SignedInfo")
    _check_children(info, required=("CanonicalizationMethod", "SignatureMethod", "Reference"))
    reference = _only(info, "Reference")
    _check_children(reference, required=("Transforms", "DigestMethod", "DigestValue"))
    if not element_id or reference.get("URI") != f"#{element_id}":
        raise Refused(Cause.SIGNATURE_PLACE)
    transforms = [each.get("Algorithm", "") for each in _only(reference, "Transforms")]
    canonical = [name for name in transforms if name in _CANONICAL]
    if transforms.count(_ENVELOPED) != 1 or len(canonical) != 1 or len(transforms) != 2:
        raise Refused(Cause.SIGNATURE_ALGORITHM)
    if _only(info, "CanonicalizationMethod").get("Algorithm") not in _CANONICAL:
        raise Refused(Cause.SIGNATURE_ALGORITHM)
    if _only(info, "SignatureMethod").get("Algorithm") not in _METHOD_NAMES:
        raise Refused(Cause.SIGNATURE_ALGORITHM)
    if _only(reference, "DigestMethod").get("Algorithm") not in _DIGEST_NAMES:
        raise Refused(Cause.SIGNATURE_ALGORITHM)
    _check_leaves(signature, info, reference)


def _check_leaves(signature: etree._Element, info: etree._Element, reference: etree._Element) -> None:
    """Refuse anything in the leaves of a signature that could be read in two ways or be costly to canonicalise."""
    for value in (_only(signature, "SignatureValue"), _only(reference, "DigestValue")):
        # Line ends count: some programs write them as characters.
        compact = "".join((value.text or "").split())
        if len(value) or len(compact) > MAX_VALUE or len(compact) % 4 or not _BASE64.fullmatch(compact):
            raise Refused(Cause.SIGNATURE_SHAPE)
    for parameterless in (_only(info, "SignatureMethod"), _only(reference, "DigestMethod")):
        if len(parameterless):
            raise Refused(Cause.SIGNATURE_SHAPE)
    for step in (_only(info, "CanonicalizationMethod"), *_only(reference, "Transforms")):
        # Every element is compared with every prefix of the list.
        if len(step) > 1 or any(len(child) or child.tag != _PREFIXES for child in step):
            raise Refused(Cause.SIGNATURE_SHAPE)
        if any(len(child.get("PrefixList", "").split()) > MAX_PREFIXES for child in step):
            raise Refused(Cause.SIGNATURE_SHAPE)


def _check_children(parent: etree._Element, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    # In the order of the schema. A comment's tag is a function, never a name.
    names = [child.tag for child in parent]
    must = [f"{DS}{name}" for name in required]
    may = [f"{DS}{name}" for name in optional]
    if names[: len(must)] != must or names[len(must) :] not in ([], may):
        raise Refused(Cause.SIGNATURE_SHAPE)


def _only(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{DS}{name}")
    if len(found) != 1:
        raise Refused(Cause.SIGNATURE_SHAPE)
    return found[0]


class SignxmlBackend(CryptoBackend):  # type: ignore[misc]
    """pysaml2's seam for signatures, without its `xmlsec1` program and its three processes per signature."""

    @property
    def version(self) -> str:
        """Return the version of signxml."""
        return version("signxml")

    def validate_signature(self, enctext: Any, cert_file: str, cert_type: str, node_name: str, node_id: str) -> bool:
        """Return True if this element is signed by the PEM certificate in `cert_file`, else raise SignatureError."""
        data = enctext.encode("utf-8") if isinstance(enctext, str) else bytes(enctext)
        root = etree.fromstring(data, safe_parser())
        tag = "{{{}}}{}".format(*node_name.rpartition(":")[::2])
        found = [each for each in root.iter(tag) if each.get("ID") == node_id]
        if cert_type != "pem" or len(found) != 1:
            raise SignatureError("The signed element is not there exactly once.")
        try:
            verify(found[0], [x509.load_pem_x509_certificate(Path(cert_file).read_bytes())])
        except Refused as refused:
            raise SignatureError(refused.cause.value) from None
        return True
