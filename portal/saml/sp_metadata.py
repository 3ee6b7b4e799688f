"""Our own metadata: what an administrator of an identity provider imports. Made once for each configuration."""

import base64
from functools import lru_cache

from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from lxml import etree

from portal.saml import keys
from portal.saml.keys import SpKey
from portal.saml.names import DS, HTTP_POST, HTTP_REDIRECT, MD, PROTOCOL
from portal.saml.verify import acs_url

CONTENT_TYPE = "application/samlmetadata+xml"
_NAME_ID_FORMATS = (
    "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
)
# The best first: identity providers that look take the first that they know.
_ENCRYPTION_METHODS = (
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
)


def ls_url() -> str:
    """Return the address that logout messages must be meant for."""
    return f"{settings.PORTAL_URL}/saml2/ls/"


def signs_requests() -> bool:
    """Whether our requests for sign-on carry a signature: with a key they do, unless that is switched off."""
    return keys.current() is not None and settings.SAML_SIGN_REQUESTS


def document() -> bytes:
    """Return the metadata as XML, with the certificates of the current and of the next key where there are any."""
    return _document(
        settings.SAML_ENTITY_ID,
        acs_url(),
        ls_url(),
        signs_requests(),
        settings.SAML_CONTACT_TECHNICAL,
        (settings.SAML_ORGANIZATION, settings.PORTAL_URL),
        keys.all_keys(),
    )


@lru_cache(maxsize=8)
def _document(
    entity_id: str,
    acs: str,
    logout: str,
    signed: bool,
    contact: str,
    organization: tuple[str, str],
    own_keys: tuple[SpKey, ...],
) -> bytes:
    # The order of the children is the schema's.
    root = etree.Element(
        f"{MD}EntityDescriptor", {"entityID": entity_id}, nsmap={"md": MD.strip("{}"), "ds": DS.strip("{}")}
    )
    role = etree.SubElement(
        root,
        f"{MD}SPSSODescriptor",
        {
            "AuthnRequestsSigned": str(signed).lower(),
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": PROTOCOL,
        },
    )
    for use in ("signing", "encryption"):
        for key in own_keys:
            _add_key(role, key, use)
    if own_keys:
        for binding in (HTTP_REDIRECT, HTTP_POST):
            etree.SubElement(role, f"{MD}SingleLogoutService", {"Binding": binding, "Location": logout})
    for name_id_format in _NAME_ID_FORMATS:
        etree.SubElement(role, f"{MD}NameIDFormat").text = name_id_format
    etree.SubElement(
        role,
        f"{MD}AssertionConsumerService",
        {"Binding": HTTP_POST, "Location": acs, "index": "0", "isDefault": "true"},
    )
    _add_organization(root, *organization)
    if contact:
        person = etree.SubElement(root, f"{MD}ContactPerson", {"contactType": "technical"})
        etree.SubElement(person, f"{MD}EmailAddress").text = f"mailto:{contact}"
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _add_key(role: etree._Element, key: SpKey, use: str) -> None:
    descriptor = etree.SubElement(role, f"{MD}KeyDescriptor", {"use": use})
    data = etree.SubElement(etree.SubElement(descriptor, f"{DS}KeyInfo"), f"{DS}X509Data")
    der = key.certificate.public_bytes(Encoding.DER)
    etree.SubElement(data, f"{DS}X509Certificate").text = base64.b64encode(der).decode()
    if use == "encryption":
        for algorithm in _ENCRYPTION_METHODS:
            etree.SubElement(descriptor, f"{MD}EncryptionMethod", {"Algorithm": algorithm})


def _add_organization(root: etree._Element, name: str, url: str) -> None:
    if not name:
        return
    organization = etree.SubElement(root, f"{MD}Organization")
    language = {"{http://www.w3.org/XML/1998/namespace}lang": "en"}
    for tag, text in (("OrganizationName", name), ("OrganizationDisplayName", name), ("OrganizationURL", url)):
        etree.SubElement(organization, f"{MD}{tag}", language).text = text
