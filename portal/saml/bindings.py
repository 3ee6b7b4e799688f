"""Logout messages as they come, by redirect or by form: unpacked within bounds, and signed by the issuer's own key.

By redirect the signature is over the query as it was sent, octet for octet. By form it is enveloped, and what goes on
is what the verifier returned.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from django.conf import settings
from lxml import etree

from portal.saml import crypto, envelope, structure
from portal.saml.causes import Cause, Refused
from portal.saml.names import DS, HTTP_POST, HTTP_REDIRECT, SAML, SAMLP
from portal.saml.providers import Provider, default_provider, provider_for
from portal.saml.text import text_of

# Logout messages are small.
MAX_BYTES = 64 * 1024
MAX_RELAY_STATE = 1024
# The form field or query parameter of each message.
TAGS = {"SAMLRequest": f"{SAMLP}LogoutRequest", "SAMLResponse": f"{SAMLP}LogoutResponse"}

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_RSA: dict[str, hashes.HashAlgorithm] = {
    f"{_MORE}rsa-sha256": hashes.SHA256(),
    f"{_MORE}rsa-sha384": hashes.SHA384(),
    f"{_MORE}rsa-sha512": hashes.SHA512(),
}
_ECDSA: dict[str, hashes.HashAlgorithm] = {
    f"{_MORE}ecdsa-sha256": hashes.SHA256(),
    f"{_MORE}ecdsa-sha384": hashes.SHA384(),
    f"{_MORE}ecdsa-sha512": hashes.SHA512(),
}


@dataclass(frozen=True)
class Received:
    """A logout message whose signature has been verified; `relay_state` is the sender's own and goes back unread."""

    root: etree._Element
    provider: Provider
    binding: str
    relay_state: str = field(default="", repr=False)


def from_query(query: str) -> Received:
    """Return the message in a query string as the browser sent it; raise `Refused` for any that is not signed."""
    parts = _parts(query)
    name = _name(parts)
    root = _parse(inflate(_base64(unquote_plus(parts[name]))), TAGS[name])
    provider = _provider(root)
    if "Signature" not in parts or "SigAlg" not in parts:
        raise Refused(Cause.NOT_SIGNED, issuer=provider.entity_id)
    signed = "&".join(f"{each}={parts[each]}" for each in (name, "RelayState", "SigAlg") if each in parts)
    signature = _base64(unquote_plus(parts["Signature"]))
    _verify(signed.encode(), signature, unquote_plus(parts["SigAlg"]), provider.certificates)
    return Received(root, provider, HTTP_REDIRECT, unquote_plus(parts.get("RelayState", ""))[:MAX_RELAY_STATE])


def from_form(name: str, value: str, relay_state: str) -> Received:
    """Return the message in the form field `name`; raise `Refused` for any that is not signed."""
    root = _parse(envelope.decode(value, _limit()), TAGS[name])
    provider = _provider(root)
    places = [signature.getparent() for signature in root.iter(f"{DS}Signature")]
    if not places:
        raise Refused(Cause.NOT_SIGNED, issuer=provider.entity_id)
    if any(place is not root for place in places):
        raise Refused(Cause.SIGNATURE_PLACE, issuer=provider.entity_id)
    signed = crypto.verify(root, provider.certificates)
    if _issuer(signed) != provider.entity_id:
        raise Refused(Cause.ISSUER_MISMATCH, issuer=provider.entity_id)
    return Received(signed, provider, HTTP_POST, relay_state[:MAX_RELAY_STATE])


def inflate(data: bytes) -> bytes:
    """Return what was deflated, which may not be longer than messages are; never unpacks more than that."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        message = unpacker.decompress(data, _limit() + 1)
    except zlib.error:
        raise Refused(Cause.NOT_DEFLATED) from None
    if len(message) > _limit():
        raise Refused(Cause.TOO_LARGE)
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(Cause.NOT_DEFLATED)
    return message


def _limit() -> int:
    return min(MAX_BYTES, settings.SAML_MAX_MESSAGE_BYTES)


def _parts(query: str) -> dict[str, str]:
    """Return the parameters of the binding as they were sent, each of them once."""
    if len(query) > 2 * _limit():
        raise Refused(Cause.TOO_LARGE)
    wanted = {*TAGS, "RelayState", "SigAlg", "Signature"}
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) not in wanted:
            continue
        if name in found or name not in wanted:
            raise Refused(Cause.NO_MESSAGE)
        found[name] = value
    return found


def _name(parts: dict[str, str]) -> str:
    names = [name for name in TAGS if parts.get(name)]
    if len(names) != 1:
        raise Refused(Cause.NO_MESSAGE)
    return names[0]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", "").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Refused(Cause.NOT_BASE64) from None


def _parse(data: bytes, tag: str) -> etree._Element:
    root = envelope.parse(data)
    if root.tag != tag:
        raise Refused(Cause.NOT_A_LOGOUT)
    if root.get("Version") != "2.0":
        raise Refused(Cause.VERSION)
    structure.check_ids((root,), (root,))
    return root


def _issuer(root: etree._Element) -> str:
    issuers = root.findall(f"{SAML}Issuer")
    if len(issuers) != 1 or not text_of(issuers[0]):
        raise Refused(Cause.ISSUER_MISSING)
    return text_of(issuers[0])


def _provider(root: etree._Element) -> Provider:
    provider = provider_for(_issuer(root))
    if provider is None:
        raise Refused(Cause.ISSUER_UNKNOWN if default_provider() else Cause.METADATA_MISSING)
    if provider.expired:
        raise Refused(Cause.METADATA_EXPIRED, issuer=provider.entity_id)
    return provider


def _verify(data: bytes, signature: bytes, algorithm: str, certificates: Sequence[x509.Certificate]) -> None:
    if algorithm not in _RSA and algorithm not in _ECDSA:
        raise Refused(Cause.SIGNATURE_ALGORITHM)
    for certificate in crypto.in_force(certificates):
        key = certificate.public_key()
        try:
            if isinstance(key, rsa.RSAPublicKey) and algorithm in _RSA:
                key.verify(signature, data, padding.PKCS1v15(), _RSA[algorithm])
                return
            if isinstance(key, ec.EllipticCurvePublicKey) and algorithm in _ECDSA:
                key.verify(_dss(signature), data, ec.ECDSA(_ECDSA[algorithm]))
                return
        except InvalidSignature:
            continue
    raise Refused(Cause.SIGNATURE_INVALID)


def _dss(signature: bytes) -> bytes:
    """Return an ECDSA signature as the library takes it; XML Signature has the two numbers side by side."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
