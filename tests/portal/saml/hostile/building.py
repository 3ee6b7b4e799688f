"""Messages as other identity providers write them, signed here by hand, so that every part of a signature can be bent.

Nothing of the demo's signer and nothing of signxml is used: what two programs agree on is not one program's habit.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree

from portal.demo.idp import Keys
from tests.portal.saml.conftest import ACS, ISSUER, PORTAL
from tests.portal.saml.forging import Spoil

DSIG = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
XMLENC = "http://www.w3.org/2001/04/xmlenc#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DSIG}enveloped-signature"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
RSA_SHA256 = f"{MORE}rsa-sha256"
SHA256 = f"{XMLENC}sha256"

MODES = ("response", "assertion", "both")
# Whom the provider names, and a word that no page of ours contains: it marks what must not be repeated.
PERSON = "alice.canary"
VICTIM = "root.canary"
AUDIENCE = f"{PORTAL}/saml2/metadata/"

TEMPLATE = """\
<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" \
ID="_r{id}" Version="2.0" IssueInstant="{now}" Destination="{acs}">\
<saml:Issuer>{issuer}</saml:Issuer>\
<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>\
<saml:Assertion xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
ID="_a{id}" Version="2.0" IssueInstant="{now}">\
<saml:Issuer>{issuer}</saml:Issuer>\
<saml:Subject>\
<saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified">{person}</saml:NameID>\
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">\
<saml:SubjectConfirmationData NotOnOrAfter="{later}" Recipient="{acs}"/></saml:SubjectConfirmation>\
</saml:Subject>\
<saml:Conditions NotBefore="{before}" NotOnOrAfter="{later}">\
<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>\
<saml:AuthnStatement AuthnInstant="{now}" SessionIndex="_s{id}"><saml:AuthnContext>\
<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>\
</saml:AuthnContext></saml:AuthnStatement>\
<saml:AttributeStatement>\
<saml:Attribute Name="department"><saml:AttributeValue xsi:type="xs:string">canary</saml:AttributeValue>\
</saml:Attribute></saml:AttributeStatement>\
</saml:Assertion></samlp:Response>"""


def instant(**spans: float) -> str:
    """Return the instant that is so far from now, as SAML writes it."""
    return (datetime.now(UTC) + timedelta(**spans)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fields(person: str = PERSON) -> dict[str, str]:
    """Return the values of a template's placeholders."""
    return {
        "id": secrets.token_hex(16),
        "now": instant(),
        "before": instant(minutes=-1),
        "later": instant(minutes=5),
        "acs": ACS,
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "person": person,
    }


def message(template: str = TEMPLATE) -> etree._Element:
    """Return an unsigned response about PERSON that the portal would accept if it were signed."""
    return etree.fromstring(template.format(**fields()).encode())


@dataclass(frozen=True)
class Signing:
    """How a signature is made. `bend` changes SignedInfo before it is signed, `dress` the finished signature.

    `place` is the signature's position among the children, by default right behind the issuer. `uri`
    may hold `{id}`. `secret` signs with HMAC instead.
    """

    method: str = RSA_SHA256
    digest: str = SHA256
    hash: str = "sha256"
    canonical: str = EXCLUSIVE
    transforms: tuple[str, ...] = (ENVELOPED, EXCLUSIVE)
    prefixes: str | None = None
    info_prefixes: str | None = None
    uri: str = "#{id}"
    place: int | None = None
    pss: bool = False
    key_info: Callable[[Keys], str] | None = None
    secret: Callable[[Keys], bytes] | None = None
    bend: Spoil | None = None
    dress: Spoil | None = None


def pem_body(keys: Keys) -> str:
    """Return the certificate's base64 lines, as KeyInfo carries them."""
    return "\n".join(keys.certificate_pem.strip().splitlines()[1:-1])


def x509_data(keys: Keys) -> str:
    """Return the usual KeyInfo."""
    return f"<ds:X509Data><ds:X509Certificate>{pem_body(keys)}</ds:X509Certificate></ds:X509Data>"


def sign(element: etree._Element, keys: Keys, how: Signing) -> None:
    """Insert a signature over `element` into it."""
    # The element alone with the namespaces that are in scope, as a verifier has it in front of it.
    alone = etree.fromstring(etree.tostring(element, with_tail=False))
    prefixes = how.prefixes.split() if how.prefixes else None
    digest = hashlib.new(how.hash, canonical(alone, how.transforms[-1] if how.transforms else INCLUSIVE, prefixes))
    signature = etree.fromstring(_signature_xml(element, keys, how, base64.b64encode(digest.digest()).decode()))
    info = signature[0]
    if how.bend:
        how.bend(info)
    if how.info_prefixes:
        info[0].append(etree.fromstring(_listed(how.info_prefixes)))
    element.insert(_usual_place(element) if how.place is None else how.place % (len(element) + 1), signature)
    # In its place, because a list of prefixes takes declarations of the elements around into account.
    info = etree.fromstring(etree.tostring(signature[0], with_tail=False))
    value = _value(canonical(info, how.canonical, how.info_prefixes.split() if how.info_prefixes else None), keys, how)
    signature[1].text = base64.encodebytes(value).decode()
    if how.dress:
        how.dress(signature)


def _listed(prefixes: str) -> str:
    return f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{prefixes}"/>'


def _usual_place(element: etree._Element) -> int:
    return int(element[0].tag == "{urn:oasis:names:tc:SAML:2.0:assertion}Issuer")


def canonical(element: etree._Element, algorithm: str, prefixes: list[str] | None) -> bytes:
    """Return the canonical form of an element; an algorithm that is none counts as the exclusive one."""
    kept: Any = prefixes
    return etree.tostring(
        element,
        method="c14n",
        exclusive=algorithm != INCLUSIVE,
        with_comments=algorithm.endswith("WithComments"),
        inclusive_ns_prefixes=kept,
        with_tail=False,
    )


def _signature_xml(element: etree._Element, keys: Keys, how: Signing, digest: str) -> str:
    listed = _listed(how.prefixes) if how.prefixes else ""
    transforms = "".join(
        f'<ds:Transform Algorithm="{name}">{listed if name.startswith(EXCLUSIVE) else ""}</ds:Transform>'
        for name in how.transforms
    )
    key_info = (how.key_info or x509_data)(keys)
    return (
        f'<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{how.canonical}"/>'
        f'<ds:SignatureMethod Algorithm="{how.method}"/>'
        f'<ds:Reference URI="{how.uri.format(id=element.get("ID", ""))}"><ds:Transforms>{transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{how.digest}"/><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>'
        f"</ds:SignedInfo><ds:SignatureValue/>"
        + (f"<ds:KeyInfo>{key_info}</ds:KeyInfo>" if key_info else "")
        + "</ds:Signature>"
    )


def _value(data: bytes, keys: Keys, how: Signing) -> bytes:
    if how.secret:
        return hmac.new(how.secret(keys), data, how.hash).digest()
    algorithm: hashes.HashAlgorithm = getattr(hashes, how.hash.upper())()
    private: Any = keys.private
    if isinstance(private, ec.EllipticCurvePrivateKey):
        size = (private.key_size + 7) // 8
        numbers = utils.decode_dss_signature(private.sign(data, ec.ECDSA(algorithm)))
        return b"".join(number.to_bytes(size, "big") for number in numbers)
    assert isinstance(private, rsa.RSAPrivateKey)
    if how.pss:
        return private.sign(data, padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)
    return private.sign(data, padding.PKCS1v15(), algorithm)


def assertion_of(root: etree._Element) -> etree._Element:
    """Return the response's assertion."""
    found = root.find("{urn:oasis:names:tc:SAML:2.0:assertion}Assertion")
    assert found is not None
    return found


def signed(root: etree._Element, keys: Keys, mode: str, how: Signing | None = None) -> bytes:
    """Return the message with the signatures of a mode; the assertion's comes first, the response's covers it."""
    how = how or Signing()
    if mode in {"assertion", "both"}:
        sign(assertion_of(root), keys, how)
    if mode in {"response", "both"}:
        sign(root, keys, how)
    return etree.tostring(root)
