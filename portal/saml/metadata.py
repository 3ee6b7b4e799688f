"""Identity providers' metadata: XML in, what sign-on needs to know of each provider out."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from portal.saml import times
from portal.saml.causes import Refused
from portal.saml.envelope import safe_parser
from portal.saml.names import DS, HTTP_POST, HTTP_REDIRECT, MD, PROTOCOL

# A federation's file may hold thousands of providers; one provider's is a few KB.
MAX_BYTES = 4 * 1024 * 1024
MAX_CERTIFICATES = 8
# Characters in SAML, bytes here: an index holds it.
MAX_ENTITY_ID = 1024
MIN_RSA_BITS = 2048
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


class MetadataError(Exception):
    """The metadata cannot be used; the text says why in words for an administrator, and what to do is in `hint`."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class LogoutLocation:
    """Where logout requests go, and where responses go: the same address unless the metadata name another."""

    location: str
    response_location: str


@dataclass(frozen=True)
class IdpMetadata:
    """One identity provider as its metadata describe it; its addresses are by binding."""

    entity_id: str
    sign_on_locations: Mapping[str, str]
    logout_locations: Mapping[str, LogoutLocation]
    certificates: tuple[x509.Certificate, ...]
    valid_until: datetime | None


def parse(data: bytes) -> tuple[IdpMetadata, ...]:
    """Return the SAML 2.0 identity providers in an Entity(ies)Descriptor; raise MetadataError if there is none."""
    root = _root(data)
    found = tuple(_descriptors(root))
    if not found:
        raise MetadataError(
            "The metadata describe no SAML 2.0 identity provider.",
            "Use the identity provider's metadata (with an IDPSSODescriptor), not the portal's own.",
        )
    names = [each.entity_id for each in found]
    if len(set(names)) != len(names):
        raise MetadataError("The metadata name one identity provider twice.", "Keep one descriptor for each entity ID.")
    return found


def extract(data: bytes, entity_id: str) -> bytes:
    """Return the descriptor of one provider out of parsed metadata, good for as long as what it was taken from."""
    for entity in _root(data).iter(f"{MD}EntityDescriptor"):
        if entity.get("entityID", "").strip() == entity_id and any(True for _ in _roles(entity)):
            until = _valid_until(entity)
            if until is not None:
                entity.set("validUntil", until.isoformat().replace("+00:00", "Z"))
            entity.tail = None
            return etree.tostring(entity, encoding="utf-8")
    raise MetadataError(f"The metadata do not describe {entity_id}.", "Check the entity ID.")


def _root(data: bytes) -> etree._Element:
    hint = "Download the metadata again from the identity provider; do not edit them by hand."
    if len(data) > MAX_BYTES:
        raise MetadataError(f"The metadata are larger than {MAX_BYTES // 1024 // 1024} MB.", hint)
    # Before anything is expanded; a DTD has no place in metadata.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise MetadataError("The metadata contain a DTD.", hint)
    try:
        root = etree.fromstring(data, safe_parser())
    except (etree.XMLSyntaxError, ValueError):
        raise MetadataError("The metadata are not well-formed XML in UTF-8.", hint) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise MetadataError("The metadata contain a DTD.", hint)
    return root


def _descriptors(root: etree._Element) -> Iterator[IdpMetadata]:
    for entity in root.iter(f"{MD}EntityDescriptor"):
        for role in _roles(entity):
            yield _provider(entity, role)
            break


def _roles(entity: etree._Element) -> Iterator[etree._Element]:
    for role in entity.findall(f"{MD}IDPSSODescriptor"):
        if PROTOCOL in role.get("protocolSupportEnumeration", "").split():
            yield role


def _provider(entity: etree._Element, role: etree._Element) -> IdpMetadata:
    entity_id = entity.get("entityID", "").strip()
    if not entity_id or len(entity_id.encode()) > MAX_ENTITY_ID:
        raise MetadataError("An identity provider in the metadata has no entity ID.", "Download the metadata again.")
    sign_on = {binding: service.get("Location", "") for binding, service in _services(role, "SingleSignOnService")}
    return IdpMetadata(
        entity_id=entity_id,
        sign_on_locations=sign_on,
        logout_locations=_logout_locations(role),
        certificates=_certificates(role, entity_id),
        valid_until=_valid_until(role),
    )


def _services(role: etree._Element, name: str) -> Iterator[tuple[str, etree._Element]]:
    """Yield the first usable endpoint of each binding that browsers carry."""
    seen: set[str] = set()
    for service in role.findall(f"{MD}{name}"):
        binding = service.get("Binding", "")
        if binding in {HTTP_REDIRECT, HTTP_POST} - seen and _is_web_address(service.get("Location", "")):
            seen.add(binding)
            yield binding, service


def _logout_locations(role: etree._Element) -> dict[str, LogoutLocation]:
    found = {}
    for binding, service in _services(role, "SingleLogoutService"):
        location, response = service.get("Location", ""), service.get("ResponseLocation", "")
        found[binding] = LogoutLocation(location, response if _is_web_address(response) else location)
    return found


def _is_web_address(location: str) -> bool:
    """Whether a browser may be sent there: https, or a provider on the same machine."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(parts.hostname)) or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _certificates(role: etree._Element, entity_id: str) -> tuple[x509.Certificate, ...]:
    """Return the signing certificates of a role; a key without a use is for signing too."""
    found: dict[bytes, x509.Certificate] = {}
    for key in role.findall(f"{MD}KeyDescriptor"):
        if key.get("use", "signing") != "signing":
            continue
        for data in key.iter(f"{DS}X509Data"):
            chain = [_certificate(each, entity_id) for each in data.findall(f"{DS}X509Certificate")]
            for certificate in chain:
                # The authority that issued the signer's certificate does not sign assertions.
                if certificate is chain[0] or certificate.subject != chain[0].issuer:
                    found.setdefault(certificate.tbs_certificate_bytes, certificate)
    if not found or len(found) > MAX_CERTIFICATES:
        raise MetadataError(
            f"{entity_id} has no signing certificate, or more than {MAX_CERTIFICATES}, in its metadata.",
            "Metadata need a KeyDescriptor for signing with an X509Certificate.",
        )
    return tuple(found.values())


def _certificate(element: etree._Element, entity_id: str) -> x509.Certificate:
    try:
        der = base64.b64decode("".join((element.text or "").split()), validate=True)
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except (binascii.Error, ValueError, TypeError, x509.InvalidVersion):
        raise MetadataError(
            f"A signing certificate of {entity_id} cannot be read.", "Download the metadata again."
        ) from None
    strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    if not strong:
        raise MetadataError(
            f"A signing key of {entity_id} is too weak or of an unknown kind.",
            f"Use RSA with at least {MIN_RSA_BITS} bits, or ECDSA on P-256, P-384 or P-521.",
        )
    return certificate


def _valid_until(role: etree._Element) -> datetime | None:
    """Return the earliest `validUntil` of the role and everything around it."""
    try:
        found = [times.attribute(each, "validUntil") for each in (role, *role.iterancestors())]
    except Refused:
        raise MetadataError("A validUntil in the metadata is not a date.", "Download the metadata again.") from None
    return min((end for end in found if end is not None), default=None)


def is_expired(valid_until: datetime | None) -> bool:
    """Whether metadata that are good until then are no longer."""
    return valid_until is not None and valid_until <= datetime.now(UTC)
