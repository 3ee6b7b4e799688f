"""An identity provider's side of single logout: metadata with an address for it, and messages by either binding."""

import base64
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

from portal.demo.idp import Keys, metadata
from portal.saml.keys import SpKey
from portal.saml.names import HTTP_POST, HTTP_REDIRECT, MD, SUCCESS
from portal.saml.signing import RSA_SHA256, enveloped
from tests.portal.saml.conftest import ISSUER, PORTAL, SSO
from tests.portal.saml.forging import A, P

SLO = "https://idp.example.com/slo"
SLO_BACK = "https://idp.example.com/slo/back"
LS = f"{PORTAL}/saml2/ls/"

Spoil = Callable[[etree._Element], Any]


def metadata_with_logout(keys: Keys, bindings: tuple[str, ...] = (HTTP_REDIRECT, HTTP_POST)) -> bytes:
    """Return the provider's metadata with a SingleLogoutService for each binding."""
    root = etree.fromstring(metadata(ISSUER, SSO, [keys.certificate_pem]))
    role = root[0]
    first = next(role.iter(f"{MD}NameIDFormat"))
    for binding in bindings:
        service = etree.Element(
            f"{MD}SingleLogoutService", {"Binding": binding, "Location": SLO, "ResponseLocation": SLO_BACK}
        )
        first.addprevious(service)
    return etree.tostring(root)


@dataclass(frozen=True, kw_only=True)
class Message:
    """A LogoutRequest, or with `in_response_to` a LogoutResponse; None leaves an XML attribute out."""

    name_id: str | None = "alice@example.com"
    indexes: tuple[str, ...] = ()
    issuer: str = ISSUER
    destination: str | None = LS
    issued: str = ""
    not_on_or_after: str | None = None
    in_response_to: str | None = None
    status: str = SUCCESS
    second_status: str = ""
    version: str = "2.0"
    id: str = ""

    @property
    def field(self) -> str:
        """The name of the form field or query parameter."""
        return "SAMLRequest" if self.in_response_to is None else "SAMLResponse"

    def tree(self) -> etree._Element:
        """Return the message, not signed."""
        name = "LogoutRequest" if self.in_response_to is None else "LogoutResponse"
        attributes = {
            "ID": self.id or f"_{secrets.token_hex(16)}",
            "Version": self.version,
            "IssueInstant": self.issued or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "Destination": self.destination,
            "NotOnOrAfter": self.not_on_or_after,
            "InResponseTo": self.in_response_to,
        }
        root = etree.Element(
            f"{P}{name}", {key: value for key, value in attributes.items() if value is not None}, nsmap={"p": P[1:-1]}
        )
        etree.SubElement(root, f"{A}Issuer").text = self.issuer
        if self.in_response_to is not None:
            code = etree.SubElement(etree.SubElement(root, f"{P}Status"), f"{P}StatusCode", {"Value": self.status})
            if self.second_status:
                etree.SubElement(code, f"{P}StatusCode", {"Value": self.second_status})
            return root
        if self.name_id is not None:
            etree.SubElement(root, f"{A}NameID").text = self.name_id
        for index in self.indexes:
            etree.SubElement(root, f"{P}SessionIndex").text = index
        return root


def form(message: Message, keys: Keys, *, before: Spoil | None = None, after: Spoil | None = None) -> str:
    """Return the form field of a message signed by `keys`, spoiled before or after it is signed."""
    root = message.tree()
    if before:
        before(root)
    xml = enveloped(root, SpKey(keys.private, keys.certificate))
    if after:
        root = etree.fromstring(xml)
        after(root)
        xml = etree.tostring(root)
    return base64.b64encode(xml).decode()


def query(
    message: Message | bytes,
    keys: Keys,
    *,
    name: str = "SAMLRequest",
    relay_state: str | None = None,
    algorithm: str = RSA_SHA256,
    quote: Callable[[str], str] = quote_plus,
) -> str:
    """Return the query string of a message signed by `keys`."""
    if isinstance(message, Message):
        name = message.field
        message = etree.tostring(message.tree())
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(message) + packer.flush()
    parts = [f"{name}={quote(base64.b64encode(packed).decode())}"]
    if relay_state is not None:
        parts.append(f"RelayState={quote(relay_state)}")
    parts.append(f"SigAlg={quote(algorithm)}")
    signed = "&".join(parts)
    digest = {"sha1": hashes.SHA1(), "sha512": hashes.SHA512()}.get(algorithm.rpartition("-")[2], hashes.SHA256())
    signature = keys.private.sign(signed.encode(), padding.PKCS1v15(), digest)
    return f"{signed}&Signature={quote(base64.b64encode(signature).decode())}"


def unpacked(url: str) -> tuple[etree._Element, dict[str, str]]:
    """Return the message in an address of the Redirect binding, and all of its parameters."""
    parameters = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    value = parameters.get("SAMLRequest") or parameters["SAMLResponse"]
    return etree.fromstring(zlib.decompress(base64.b64decode(value), wbits=-15)), parameters


def verify_query(url: str, keys: Keys) -> None:
    """Raise InvalidSignature unless the query is signed by `keys`."""
    signed, _, signature = urlsplit(url).query.rpartition("&Signature=")
    data = base64.b64decode(parse_qs(f"s={signature}")["s"][0])
    keys.private.public_key().verify(data, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
