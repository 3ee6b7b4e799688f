"""SAML 2.0 messages as XML, unsigned: the response with its assertion, and the metadata."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

from portal.demo.idp.flavours import IDENTITY_CENTER, Flavour, Signed

PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
SCHEMA = "http://www.w3.org/2001/XMLSchema"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
RESPONDER = "urn:oasis:names:tc:SAML:2.0:status:Responder"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
EMAIL_ADDRESS = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
PASSWORD_TRANSPORT = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
HTTP_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
HTTP_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

LIFETIME = timedelta(minutes=5)


def new_id() -> str:
    """Return a fresh message id, an XML NCName."""
    return f"_{secrets.token_hex(16)}"


@dataclass(frozen=True, kw_only=True)
class Response:
    """Every field of a response and its one assertion; `response_for` fills it rightly, `dataclasses.replace` wrongly.

    None leaves the element or XML attribute out. Times are aware. `audience` as a sequence gives several
    AudienceRestrictions. `attributes` None leaves the AttributeStatement out, an empty mapping leaves it empty.
    `sign` None signs as the flavour does.
    """

    issuer: str
    name_id: str | None
    audience: str | Sequence[str] | None
    recipient: str | None
    destination: str | None
    in_response_to: str | None
    confirmation_in_response_to: str | None
    issued_at: datetime
    not_before: datetime | None
    not_on_or_after: datetime | None
    confirmation_not_on_or_after: datetime | None
    attributes: Mapping[str, Sequence[str]] | None = field(default_factory=dict)
    session_not_on_or_after: datetime | None = None
    authn_instant: datetime | None = None
    session_index: str | None = None
    authn_context: str = PASSWORD_TRANSPORT
    name_id_format: str | None = EMAIL_ADDRESS
    confirmation_method: str = BEARER
    has_conditions: bool = True
    assertion_issuer: str | None = None
    response_id: str = field(default_factory=new_id)
    assertion_id: str = field(default_factory=new_id)
    version: str = "2.0"
    assertion_version: str = "2.0"
    status: str = SUCCESS
    flavour: Flavour = IDENTITY_CENTER
    sign: Signed | None = None
    signature_algorithm: str = "rsa-sha256"
    digest_algorithm: str = "sha256"


def response_for(
    *,
    issuer: str,
    portal_url: str,
    name_id: str,
    attributes: Mapping[str, Sequence[str]] | None = None,
    in_response_to: str | None = None,
    flavour: Flavour = IDENTITY_CENTER,
    lifetime: timedelta = LIFETIME,
    now: datetime | None = None,
) -> Response:
    """Return the response that the portal at `portal_url` should accept; `in_response_to` None makes it unsolicited."""
    now = now or datetime.now(UTC)
    acs_url = f"{portal_url}/saml2/acs/"
    return Response(
        issuer=issuer,
        name_id=name_id,
        audience=f"{portal_url}/saml2/metadata/",
        recipient=acs_url,
        destination=acs_url,
        in_response_to=in_response_to,
        confirmation_in_response_to=in_response_to,
        issued_at=now,
        not_before=now - timedelta(minutes=1),
        not_on_or_after=now + lifetime,
        confirmation_not_on_or_after=now + lifetime,
        attributes=attributes,
        flavour=flavour,
    )


def encode(xml: bytes) -> str:
    """Return a message as the form field of the HTTP-POST binding carries it."""
    return base64.b64encode(xml).decode()


def response_tree(answer: Response) -> etree._Element:
    """Return the unsigned `Response` element."""
    flavour = answer.flavour
    spaces = {flavour.protocol_prefix: PROTOCOL}
    if flavour.assertion_prefix:
        spaces[flavour.assertion_prefix] = ASSERTION
    root = etree.Element(
        f"{{{PROTOCOL}}}Response",
        _present(
            ID=answer.response_id,
            Version=answer.version,
            IssueInstant=_instant(answer.issued_at),
            Destination=answer.destination,
            InResponseTo=answer.in_response_to,
        ),
        nsmap=spaces,
    )
    root.append(_assertion_element("Issuer", answer, text=answer.issuer))
    status = etree.SubElement(root, f"{{{PROTOCOL}}}Status")
    etree.SubElement(status, f"{{{PROTOCOL}}}StatusCode", {"Value": answer.status})
    if answer.status == SUCCESS:
        root.append(_assertion(answer))
    return root


def _assertion(answer: Response) -> etree._Element:
    # The prefixes of the attribute values' types stand here, where providers put them, and within what is signed.
    assertion = etree.Element(
        f"{{{ASSERTION}}}Assertion",
        _present(ID=answer.assertion_id, Version=answer.assertion_version, IssueInstant=_instant(answer.issued_at)),
        nsmap=_assertion_names(answer) | {"xs": SCHEMA, "xsi": INSTANCE},
    )
    _child(assertion, "Issuer", text=answer.assertion_issuer or answer.issuer)
    _add_subject(assertion, answer)
    if answer.has_conditions:
        _add_conditions(assertion, answer)
    statement = _child(
        assertion,
        "AuthnStatement",
        AuthnInstant=_instant(answer.authn_instant or answer.issued_at),
        SessionIndex=answer.session_index or answer.assertion_id,
        SessionNotOnOrAfter=_instant(answer.session_not_on_or_after),
    )
    _child(_child(statement, "AuthnContext"), "AuthnContextClassRef", text=answer.authn_context)
    if answer.attributes is not None:
        _add_attributes(assertion, answer)
    return assertion


def _add_subject(assertion: etree._Element, answer: Response) -> None:
    subject = _child(assertion, "Subject")
    if answer.name_id is not None:
        _child(subject, "NameID", text=answer.name_id, Format=answer.name_id_format)
    confirmation = _child(subject, "SubjectConfirmation", Method=answer.confirmation_method)
    _child(
        confirmation,
        "SubjectConfirmationData",
        NotOnOrAfter=_instant(answer.confirmation_not_on_or_after),
        Recipient=answer.recipient,
        InResponseTo=answer.confirmation_in_response_to,
    )


def _add_conditions(assertion: etree._Element, answer: Response) -> None:
    conditions = _child(
        assertion,
        "Conditions",
        NotBefore=_instant(answer.not_before),
        NotOnOrAfter=_instant(answer.not_on_or_after),
    )
    audiences = [answer.audience] if isinstance(answer.audience, str) else answer.audience or []
    for audience in audiences:
        _child(_child(conditions, "AudienceRestriction"), "Audience", text=audience)


def _add_attributes(assertion: etree._Element, answer: Response) -> None:
    flavour = answer.flavour
    statement = _child(assertion, "AttributeStatement")
    for name, values in (answer.attributes or {}).items():
        for chunk in [[value] for value in values] if flavour.element_per_value else [values]:
            attribute = _child(
                statement, "Attribute", Name=flavour.claims.get(name, name), NameFormat=flavour.name_format
            )
            for value in chunk:
                _child(attribute, "AttributeValue", text=value).set(f"{{{INSTANCE}}}type", "xs:string")


def metadata(
    entity_id: str, sso_url: str, certificates: Sequence[str], *, valid_until: datetime | None = None
) -> bytes:
    """Return the identity provider's metadata: its sign-on address and its signing certificates (PEM texts)."""
    root = etree.Element(
        f"{{{METADATA}}}EntityDescriptor",
        _present(entityID=entity_id, validUntil=_instant(valid_until)),
        nsmap={"md": METADATA, "ds": SIGNATURE},
    )
    descriptor = etree.SubElement(
        root,
        f"{{{METADATA}}}IDPSSODescriptor",
        {"WantAuthnRequestsSigned": "false", "protocolSupportEnumeration": PROTOCOL},
    )
    for certificate in certificates:
        key = etree.SubElement(descriptor, f"{{{METADATA}}}KeyDescriptor", {"use": "signing"})
        data = etree.SubElement(etree.SubElement(key, f"{{{SIGNATURE}}}KeyInfo"), f"{{{SIGNATURE}}}X509Data")
        lines = certificate.strip().splitlines()
        etree.SubElement(data, f"{{{SIGNATURE}}}X509Certificate").text = "".join(lines[1:-1])
    etree.SubElement(descriptor, f"{{{METADATA}}}NameIDFormat").text = EMAIL_ADDRESS
    for binding in (HTTP_REDIRECT, HTTP_POST):
        etree.SubElement(descriptor, f"{{{METADATA}}}SingleSignOnService", {"Binding": binding, "Location": sso_url})
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _assertion_element(name: str, answer: Response, *, text: str) -> etree._Element:
    element = etree.Element(f"{{{ASSERTION}}}{name}", nsmap=_assertion_names(answer))
    element.text = text
    return element


def _assertion_names(answer: Response) -> Any:
    # lxml's type stubs know no mapping that has both None and prefixes.
    return {answer.flavour.assertion_prefix: ASSERTION}


def _child(parent: etree._Element, name: str, *, text: str | None = None, **attributes: str | None) -> etree._Element:
    child = etree.SubElement(parent, f"{{{ASSERTION}}}{name}", _present(**attributes))
    child.text = text
    return child


def _present(**attributes: str | None) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value is not None}


def _instant(when: datetime | None) -> str | None:
    if when is None:
        return None
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
