"""Signatures that the portal makes, in this process: over the query of a redirect, or enveloped in a posted message."""

import base64
import hashlib
import zlib
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

from portal.saml.keys import SpKey
from portal.saml.names import DS, SAML

RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"


def redirect_url(location: str, name: str, message: bytes, *, relay_state: str, key: SpKey | None) -> str:
    """Return `location` with the deflated message in its query as `name`, signed where there is a key.

    What is signed is the query from `name` to `SigAlg`, octet for octet, as the HTTP-Redirect binding says.
    """
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = packer.compress(message) + packer.flush()
    parts = [(name, base64.b64encode(deflated).decode())]
    if relay_state:
        parts.append(("RelayState", relay_state))
    if key is not None:
        parts.append(("SigAlg", RSA_SHA256))
    query = urlencode(parts)
    if key is not None:
        query += "&" + urlencode({"Signature": _sign(key, query.encode())})
    return f"{location}{'&' if '?' in location else '?'}{query}"


def enveloped(root: etree._Element, key: SpKey) -> bytes:
    """Return the message as XML with a signature behind its Issuer; `root` has an ID and gets the signature."""
    signature = etree.Element(f"{DS}Signature", nsmap={"ds": DS.strip("{}")})
    info = etree.SubElement(signature, f"{DS}SignedInfo")
    etree.SubElement(info, f"{DS}CanonicalizationMethod", {"Algorithm": _EXCLUSIVE})
    etree.SubElement(info, f"{DS}SignatureMethod", {"Algorithm": RSA_SHA256})
    reference = etree.SubElement(info, f"{DS}Reference", {"URI": f"#{root.get('ID', '')}"})
    transforms = etree.SubElement(reference, f"{DS}Transforms")
    for algorithm in (_ENVELOPED, _EXCLUSIVE):
        etree.SubElement(transforms, f"{DS}Transform", {"Algorithm": algorithm})
    etree.SubElement(reference, f"{DS}DigestMethod", {"Algorithm": _SHA256})
    # Without the signature, which is not there yet, as the enveloped transform will have it.
    digest = hashlib.sha256(_canonical(root)).digest()
    etree.SubElement(reference, f"{DS}DigestValue").text = base64.b64encode(digest).decode()
    etree.SubElement(signature, f"{DS}SignatureValue").text = _sign(key, _canonical(info))
    issuer = root.find(f"{SAML}Issuer")
    root.insert(0 if issuer is None else root.index(issuer) + 1, signature)
    return etree.tostring(root)


def _canonical(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def _sign(key: SpKey, data: bytes) -> str:
    return base64.b64encode(key.private.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()
