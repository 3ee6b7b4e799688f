"""Reads what a service provider asks: an AuthnRequest by HTTP-Redirect or HTTP-POST, with every size bounded."""

import base64
import binascii
import zlib
from dataclasses import dataclass

from lxml import etree

from portal.demo.idp.messages import ASSERTION, PROTOCOL

MAX_BYTES = 64 * 1024


class UnreadableError(ValueError):
    """The message cannot be read; the text is for the page."""


@dataclass(frozen=True)
class AuthnRequest:
    """The parts of a request that this provider heeds; `acs_url` is empty where the request names none."""

    id: str
    issuer: str
    acs_url: str


def read(text: str, *, deflated: bool) -> AuthnRequest:
    """Return the request in the `SAMLRequest` parameter, which HTTP-Redirect deflates. Raises UnreadableError."""
    try:
        xml = base64.b64decode(text, validate=True)
        if deflated:
            xml = zlib.decompressobj(-zlib.MAX_WBITS).decompress(xml, MAX_BYTES + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise UnreadableError("The SAMLRequest is not encoded as its binding says.") from error
    if len(xml) > MAX_BYTES:
        raise UnreadableError("The SAMLRequest is too long.")
    return _parse(xml)


def _parse(xml: bytes) -> AuthnRequest:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableError("The SAMLRequest is not XML.") from error
    if root.tag != f"{{{PROTOCOL}}}AuthnRequest" or b"<!DOCTYPE" in xml:
        raise UnreadableError("The SAMLRequest is not an AuthnRequest.")
    request_id = root.get("ID", "")
    if not request_id:
        raise UnreadableError("The AuthnRequest has no ID.")
    return AuthnRequest(
        request_id, root.findtext(f"{{{ASSERTION}}}Issuer") or "", root.get("AssertionConsumerServiceURL", "")
    )
