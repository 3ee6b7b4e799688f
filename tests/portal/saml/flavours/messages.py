"""Messages as well-known identity providers write them: template files, filled in and signed by the test's key.

The templates follow the vendors' documentation and samples that others published; names and ids in them are made up.
The signer is not the product's library turned round: it works out digest and signature by itself.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

from portal.demo.idp import Keys

HERE = Path(__file__).parent
ASSERTION = "{urn:oasis:names:tc:SAML:2.0:assertion}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
_EXCLUSIVE = "{http://www.w3.org/2001/10/xml-exc-c14n#}"

# Entity ids have the form of the vendors' own.
ISSUERS: Mapping[str, str] = {
    "identity-center": "https://portal.sso.eu-west-1.amazonaws.com/saml/assertion/"
    "MTExMTIyMjIzMzMzX2lucy0wMTIzNDU2Nzg5YWJjZGVm",
    "okta": "http://www.okta.com/exk1a2b3c4D5e6F7g8h9",
    "entra": "https://sts.windows.net/82869000-6ad1-48f0-8171-272ed1879600/",
    "keycloak": "https://sso.example.com/realms/studio",
    "auth0": "urn:example.eu.auth0.com",
}

Edit = Callable[[etree._Element], None]


def metadata(flavour: str, keys: Keys, *, other: Keys | None = None, following: Keys | None = None) -> bytes:
    """Return a vendor's metadata that name `keys`; `other` signs something else, `following` is for the rollover."""
    text = (HERE / flavour / "metadata.xml").read_text()
    values = {
        "issuer": ISSUERS[flavour],
        "certificate": _certificate(keys),
        "certificate_in_lines": _certificate_in_lines(keys),
        "other_certificate": _certificate(other or keys),
        "next_certificate": _certificate(following or keys),
    }
    return Template(text).substitute(values).encode()


def response(
    flavour: str,
    keys: Keys,
    *,
    portal: str,
    signed: str = "both",
    asked: str | None = None,
    issuer: str | None = None,
    edit: Edit | None = None,
    encrypt: Edit | None = None,
) -> bytes:
    """Return a vendor's answer about Alice, `edit`ed before its "response", "assertion" or "both" are signed.

    `encrypt` gets the response when the assertion has been signed and the response has not. `asked` is the
    id of the request that is answered, None where the sign-on starts at the identity provider.
    """
    text = (HERE / flavour / "response.xml").read_text()
    ids = {name: uuid4().hex for name in ("response_id", "assertion_id", "session_index")}
    root = _parse(Template(text).safe_substitute(ids))
    assertion = _assertion(root)
    values = _values(keys) | {
        "issuer": issuer or ISSUERS[flavour],
        "acs": f"{portal}/saml2/acs/",
        "audience": f"{portal}/saml2/metadata/",
        "asked": asked or "",
        "response_signature": _signature(flavour, root, wanted=signed in {"response", "both"}),
        "assertion_signature": _signature(flavour, assertion, wanted=signed in {"assertion", "both"}),
    }
    # Twice: the signatures hold names of values themselves.
    filled = Template(Template(text).safe_substitute(ids | values)).substitute(values)
    root = _parse(filled)
    for element in root.iter():
        if element.get("InResponseTo") == "":
            del element.attrib["InResponseTo"]
    if edit is not None:
        edit(_assertion(root))
    inner, outer = _assertion(root).find(f"{DS}Signature"), root.find(f"{DS}Signature")
    # The innermost first, for the outer signature covers the inner.
    if inner is not None:
        _sign(inner, keys)
    if encrypt is not None:
        encrypt(root)
    if outer is not None:
        _sign(outer, keys)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def attribute(assertion: etree._Element, name: str) -> etree._Element:
    """Return the first attribute with this Name."""
    return next(each for each in assertion.iter(f"{ASSERTION}Attribute") if each.get("Name") == name)


def drop(assertion: etree._Element, *names: str) -> None:
    """Remove all attributes with these Names."""
    for each in list(assertion.iter(f"{ASSERTION}Attribute")):
        if each.get("Name") in names:
            _parent(each).remove(each)


def add(assertion: etree._Element, name: str, *values: str, **said: str) -> None:
    """Add an attribute with these values; `said` are its other XML attributes."""
    statement = assertion.find(f"{ASSERTION}AttributeStatement")
    assert statement is not None
    element = etree.SubElement(statement, f"{ASSERTION}Attribute", {"Name": name, **said})
    for value in values:
        etree.SubElement(element, f"{ASSERTION}AttributeValue").text = value


def _parse(text: str) -> etree._Element:
    # Vendors send no white space between elements; the template files have it for the reader.
    return etree.fromstring(text.encode(), etree.XMLParser(remove_blank_text=True))


def _assertion(root: etree._Element) -> etree._Element:
    found = root.find(f"{ASSERTION}Assertion")
    assert found is not None
    return found


def _parent(element: etree._Element) -> etree._Element:
    parent = element.getparent()
    assert parent is not None
    return parent


def _values(keys: Keys) -> dict[str, str]:
    now = datetime.now(UTC)
    modulus = keys.private.public_key().public_numbers().n
    return {
        "issued": _instant(now),
        "issued_seconds": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "not_before": _instant(now - timedelta(seconds=2)),
        "soon": _instant(now + timedelta(seconds=58)),
        "not_on_or_after": _instant(now + timedelta(minutes=5)),
        "session_end": _instant(now + timedelta(hours=1)),
        "certificate": _certificate(keys),
        "certificate_in_lines": _certificate_in_lines(keys),
        "modulus": base64.b64encode(modulus.to_bytes(256, "big")).decode(),
    }


def _signature(flavour: str, element: etree._Element, *, wanted: bool) -> str:
    if not wanted:
        return ""
    return Template((HERE / flavour / "signature.xml").read_text()).safe_substitute(id=element.get("ID", ""))


def _sign(signature: etree._Element, keys: Keys) -> None:
    """Fill in digest, signature and nothing else."""
    info = _only(signature, "SignedInfo")
    _only(info, "DigestValue").text = base64.b64encode(hashlib.sha256(_covered(signature)).digest()).decode()
    value = keys.private.sign(_canonical(info), padding.PKCS1v15(), hashes.SHA256())
    _only(signature, "SignatureValue").text = base64.b64encode(value).decode()


def _covered(signature: etree._Element) -> bytes:
    """Return the octets that a signature's reference covers: its parent without the signature itself."""
    element = _parent(signature)
    place = element.index(signature)
    prefixes = [name for each in signature.iter(f"{_EXCLUSIVE}InclusiveNamespaces") for name in _prefixes(each)]
    element.remove(signature)
    octets = _canonical(element, prefixes)
    element.insert(place, signature)
    return octets


def _prefixes(element: etree._Element) -> list[str]:
    return element.get("PrefixList", "").split()


def _canonical(element: etree._Element, prefixes: list[str] | None = None) -> bytes:
    return etree.tostring(
        element, method="c14n", exclusive=True, inclusive_ns_prefixes=prefixes or None, with_tail=False
    )


def _only(parent: etree._Element, name: str) -> etree._Element:
    found = next(parent.iter(f"{DS}{name}"))
    assert isinstance(found, etree._Element)
    return found


def _certificate(keys: Keys) -> str:
    return "".join(keys.certificate_pem.strip().splitlines()[1:-1])


def _certificate_in_lines(keys: Keys) -> str:
    return "\n".join(keys.certificate_pem.strip().splitlines()[1:-1])


def _instant(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
