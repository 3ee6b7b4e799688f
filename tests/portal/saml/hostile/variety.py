"""Honest messages in all the ways in which identity providers write them: each must be taken."""

import secrets
from collections.abc import Callable

from lxml import etree

from portal.demo.idp import Keys
from tests.portal.saml.forging import Spoil, the
from tests.portal.saml.hostile.building import (
    EXCLUSIVE,
    MORE,
    PERSON,
    TEMPLATE,
    XMLENC,
    Signing,
    instant,
    pem_body,
    x509_data,
)
from tests.portal.saml.hostile.cases import (
    ASSERTION,
    AUDIENCE_PATH,
    AUTHN,
    CONDITIONS,
    CONFIRMATION,
    DATA,
    NAME_ID,
    RESTRICTION,
    STATEMENT,
    SUBJECT,
    Case,
    add,
    attr,
    content,
    drop,
    each,
    honest,
    text,
)

NS = "urn:oasis:names:tc:SAML:2.0"
XS = "http://www.w3.org/2001/XMLSchema"


def _attribute(name: str, *values: str, more: str = "") -> str:
    made = "".join(
        value if value.startswith("<") else f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values
    )
    return f'<saml:Attribute Name="{name}"{more}>{made}</saml:Attribute>'


def _pretty(root: etree._Element) -> None:
    etree.indent(root, "    ")
    for name in (NAME_ID, "saml:Issuer", "saml:Assertion/saml:Issuer", AUDIENCE_PATH):
        element = the(root, name)
        element.text = f"\n        {element.text}\n    "


def _returns(root: etree._Element) -> None:
    """Line ends of Windows that came through as characters."""
    for element in root.iter():
        element.text = (element.text or "").replace("\n", "\r\n")
        element.tail = (element.tail or "").replace("\n", "\r\n")


DEFAULT = (
    TEMPLATE.replace("<saml:", "<")
    .replace("</saml:", "</")
    .replace(" xmlns:saml=", " xmlns:unused=")
    .replace("<Issuer>", f'<Issuer xmlns="{NS}:assertion">', 1)
    .replace("<Assertion ", f'<Assertion xmlns="{NS}:assertion" ')
)
NESTED = TEMPLATE.replace("<samlp:", "<").replace("</samlp:", "</").replace(" xmlns:samlp=", " xmlns=")
OTHER_PREFIXES = (
    TEMPLATE.replace("samlp:", "saml2p:")
    .replace(":samlp=", ":saml2p=")
    .replace("saml:", "ns0:")
    .replace(":saml=", ":ns0=")
)
EVERYWHERE = TEMPLATE.replace(
    "<saml:AttributeValue ", f'<saml:AttributeValue xmlns:xs="{XS}" xmlns:xsi="{XS}-instance" '
)

WRITING = [
    honest("as it is"),
    honest("pretty", _pretty),
    honest("pretty with carriage returns", each(_pretty, _returns)),
    honest("default namespace for the assertion", template=DEFAULT),
    honest("default namespace for the protocol", template=NESTED),
    honest("other prefixes", template=OTHER_PREFIXES),
    honest("declarations on every value", template=EVERYWHERE),
    honest("a comment between elements", lambda root: root.insert(2, etree.Comment("canary"))),
    honest("a comment in the name", content(NAME_ID, "alice<!-- x -->.canary")),
    honest("CDATA", lambda root: setattr(the(root, NAME_ID), "text", etree.CDATA(PERSON))),
    honest("a schema's location", attr("", f"{{{XS}-instance}}schemaLocation", f"{NS}:protocol x.xsd")),
    honest("a language", attr(STATEMENT, "{http://www.w3.org/XML/1998/namespace}lang", "en")),
]


def _crlf(keys: Keys) -> str:
    body = pem_body(keys).replace("\n", "&#13;\n")
    return f"<ds:X509Data>\n<ds:X509Certificate>&#13;\n{body}&#13;\n</ds:X509Certificate>\n</ds:X509Data>"


def _value_with_returns(signature: etree._Element) -> None:
    value = the(signature, "ds:SignatureValue")
    value.text = f"\r\n{(value.text or '').strip()}\r\n".replace("\n", "\r\n")


def _one_line(signature: etree._Element) -> None:
    value = the(signature, "ds:SignatureValue")
    value.text = "".join((value.text or "").split())


MAKING = [
    *(
        honest(f"RSA with SHA-{size}", signing=Signing(method=f"{MORE}rsa-sha{size}", digest=digest, hash=f"sha{size}"))
        for size, digest in (("256", f"{XMLENC}sha256"), ("384", f"{MORE}sha384"), ("512", f"{XMLENC}sha512"))
    ),
    honest("RSA-PSS", signing=Signing(method="http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", pss=True)),
    honest("prefix list", signing=Signing(prefixes="xs")),
    honest("prefix list of the info", signing=Signing(prefixes="xs", info_prefixes="xs saml")),
    honest("prefix list of prefixes in use", signing=Signing(prefixes="ds saml", info_prefixes="ds")),
    honest("prefix list of the info with nothing in scope", signing=Signing(info_prefixes="xsd typens")),
    honest("prefix list of all", signing=Signing(prefixes="xs xsi saml samlp ds")),
    honest("prefix list with the default", signing=Signing(prefixes="#default xs"), template=DEFAULT),
    honest("prefix list of prefixes nobody declared", signing=Signing(prefixes="xsd typens")),
    honest(
        "with comments",
        signing=Signing(
            transforms=("http://www.w3.org/2000/09/xmldsig#enveloped-signature", f"{EXCLUSIVE}WithComments")
        ),
    ),
    honest("comments kept in the info", signing=Signing(canonical=f"{EXCLUSIVE}WithComments")),
    honest("no key info", signing=Signing(key_info=lambda _: "")),
    honest("a key's name", signing=Signing(key_info=lambda _: "<ds:KeyName>canary</ds:KeyName>")),
    honest(
        "a name and a certificate",
        signing=Signing(key_info=lambda keys: f"<ds:KeyName>canary</ds:KeyName>{x509_data(keys)}"),
    ),
    honest(
        "subject and issuer of the certificate",
        signing=Signing(
            key_info=lambda keys: x509_data(keys).replace(
                "</ds:X509Data>", "<ds:X509SubjectName>CN=idp</ds:X509SubjectName></ds:X509Data>"
            )
        ),
    ),
    honest("certificate with carriage returns", signing=Signing(key_info=_crlf)),
    honest("value with carriage returns", signing=Signing(dress=_value_with_returns)),
    honest("value in one line", signing=Signing(dress=_one_line)),
    honest(
        "an ID for the signature",
        signing=Signing(dress=lambda signature: signature.set("Id", f"_s{secrets.token_hex(8)}")),
    ),
    honest(
        "a type for the reference",
        signing=Signing(bend=attr("ds:Reference", "Type", "http://www.w3.org/2000/09/xmldsig#Object")),
    ),
    honest(
        "pretty signature",
        signing=Signing(
            bend=lambda info: etree.indent(info, "  "), dress=lambda signature: setattr(signature, "text", "\n  ")
        ),
    ),
]

SPEAKING = [
    honest("address of the browser", attr(DATA, "Address", "192.0.2.1")),
    honest("no session index", attr(AUTHN, "SessionIndex", None)),
    honest("end of the session", attr(AUTHN, "SessionNotOnOrAfter", "@28800s")),
    honest("end of the session in the year 9999", attr(AUTHN, "SessionNotOnOrAfter", "9999-12-31T23:59:59Z")),
    honest("signed on there long ago", attr(AUTHN, "AuthnInstant", "@-259200s")),
    honest("locality", add(AUTHN, '<saml:SubjectLocality Address="192.0.2.1" DNSName="host"/>', 0)),
    honest(
        "authority",
        add(
            f"{AUTHN}/saml:AuthnContext",
            "<saml:AuthenticatingAuthority>https://x.example</saml:AuthenticatingAuthority>",
        ),
    ),
    honest("no attribute statement", drop(STATEMENT)),
    honest("empty attribute statement", content(STATEMENT, "")),
    honest("attributes before the sign-on", lambda root: the(root, AUTHN).addprevious(the(root, STATEMENT))),
    honest(
        "two statements of attributes",
        add(ASSERTION, f"<saml:AttributeStatement>{_attribute('x', 'y')}</saml:AttributeStatement>"),
    ),
    honest("no response issuer", drop("saml:Issuer")),
    honest(
        "formats of the issuers",
        each(
            *(
                attr(path, "Format", f"{NS}:nameid-format:entity")
                for path in ("saml:Issuer", "saml:Assertion/saml:Issuer")
            )
        ),
    ),
    honest("consent", attr("", "Consent", f"{NS}:consent:unspecified")),
    honest("message of the status", add("samlp:Status", "<samlp:StatusMessage>canary</samlp:StatusMessage>")),
    honest("extensions", add("", '<samlp:Extensions><x:y xmlns:x="urn:x" z="1"/></samlp:Extensions>', 1)),
    honest(
        "persistent",
        each(
            attr(NAME_ID, "Format", f"{NS}:nameid-format:persistent"),
            attr(NAME_ID, "NameQualifier", "https://idp.example.com"),
        ),
    ),
    honest("qualified for us", attr(NAME_ID, "SPNameQualifier", "http://127.0.0.1:8000/saml2/metadata/")),
    honest("no format", attr(NAME_ID, "Format", None)),
    honest(
        "mail address",
        each(
            attr(NAME_ID, "Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"),
            text(NAME_ID, "alice@canary.example"),
        ),
        person="alice@canary.example",
    ),
    honest("umlauts and Hebrew", text(NAME_ID, "Zoë Müller אבג"), person="Zoë Müller אבג"),
    honest("signs of XML in the name", text(NAME_ID, "O'Neill <&\"> ]]"), person="O'Neill <&\"> ]]"),
    honest("256 characters", text(NAME_ID, "é" * 256), person="é" * 256),
    honest("beyond 16 bits", text(NAME_ID, "alice 𝒳"), person="alice 𝒳"),
    honest("several audiences", add(RESTRICTION, "<saml:Audience>https://other.example</saml:Audience>", 0)),
    honest("two restrictions, both with us", lambda root: _double(root, RESTRICTION)),
    honest("one use", add(CONDITIONS, "<saml:OneTimeUse/>")),
    honest("no proxies", add(CONDITIONS, '<saml:ProxyRestriction Count="0"/>')),
    honest(
        "no limits of the conditions", each(attr(CONDITIONS, "NotBefore", None), attr(CONDITIONS, "NotOnOrAfter", None))
    ),
    honest("a little late", attr(CONDITIONS, "NotOnOrAfter", "@-60s")),
    honest("a little early", attr(CONDITIONS, "NotBefore", "@100s")),
    honest(
        "clock a little ahead",
        each(attr("", "IssueInstant", "@100s"), attr(ASSERTION, "IssueInstant", "@100s")),
    ),
    honest("another confirmation too", add(SUBJECT, f'<saml:SubjectConfirmation Method="{NS}:cm:sender-vouches"/>')),
    honest(
        "another recipient too",
        add(
            SUBJECT,
            f'<saml:SubjectConfirmation Method="{NS}:cm:bearer"><saml:SubjectConfirmationData '
            f'Recipient="https://x.example" NotOnOrAfter="@300s"/></saml:SubjectConfirmation>',
        ),
    ),
    honest("a name in the confirmation", add(CONFIRMATION, "<saml:NameID>somebody</saml:NameID>", 0)),
    honest(
        "ID with digits first", lambda root: the(root, ASSERTION).set("ID", f"4{the(root, ASSERTION).get('ID', '')}")
    ),
    honest("advice", add(ASSERTION, "<saml:Advice><saml:AssertionIDRef>_x</saml:AssertionIDRef></saml:Advice>", 3)),
]

_LATER = {
    "fraction of three": lambda: instant(minutes=5).replace("Z", ".123Z"),
    "fraction of one": lambda: instant(minutes=5).replace("Z", ".5Z"),
    "fraction of seven": lambda: instant(minutes=5).replace("Z", ".1234567Z"),
    "fraction of nine": lambda: instant(minutes=5).replace("Z", ".123456789Z"),
    "no zone": lambda: instant(minutes=5).rstrip("Z"),
    "zone of zero": lambda: instant(minutes=5).replace("Z", "+00:00"),
    "zone to the east": lambda: instant(minutes=5 + 330).replace("Z", "+05:30"),
    "zone to the west": lambda: instant(minutes=5 - 480).replace("Z", "-08:00"),
    "white space": lambda: f" {instant(minutes=5)} ",
    "year 9999": lambda: "9999-12-31T23:59:59Z",
}


def _until(write: Callable[[], str]) -> Spoil:
    def spoil(root: etree._Element) -> None:
        for path in (CONDITIONS, DATA):
            the(root, path).set("NotOnOrAfter", write())

    return spoil


TELLING_TIME = [honest(f"time with {name}", _until(write)) for name, write in _LATER.items()]


def _double(root: etree._Element, path: str) -> None:
    element = the(root, path)
    element.addnext(etree.fromstring(etree.tostring(element, with_tail=False)))


ATTRIBUTES = [
    honest("user attribute", add(STATEMENT, _attribute("ssouserid", "bob.canary")), person="bob.canary"),
    honest(
        "user attribute with white space",
        add(STATEMENT, _attribute("ssouserid", "\n  bob.canary\n ")),
        person="bob.canary",
    ),
    honest(
        "user attribute without name format",
        add(STATEMENT, _attribute("ssouserid", "bob.canary", more=f' NameFormat="{NS}:attrname-format:unspecified"')),
        person="bob.canary",
    ),
    honest(
        "user attribute with a friendly name",
        add(STATEMENT, _attribute("ssouserid", "bob.canary", more=' FriendlyName="user"')),
        person="bob.canary",
    ),
    honest(
        "user attribute without a name ID",
        each(drop(NAME_ID), add(STATEMENT, _attribute("ssouserid", "bob.canary"))),
        person="bob.canary",
    ),
    honest(
        "user attribute of any type",
        add(
            STATEMENT,
            _attribute("ssouserid", '<saml:AttributeValue xsi:type="xs:anyType">bob.canary</saml:AttributeValue>'),
        ),
        person="bob.canary",
    ),
    honest(
        "only a friendly name like the user's",
        add(STATEMENT, _attribute("urn:x", "root.canary", more=' FriendlyName="ssouserid"')),
    ),
    honest("a name in other letters", add(STATEMENT, _attribute("SSOUSERID", "root.canary"))),
    honest("a longer name", add(STATEMENT, _attribute("ssouserid2", "root.canary"))),
    honest(
        "types of all kinds",
        add(
            STATEMENT,
            _attribute(
                "x",
                '<saml:AttributeValue xsi:type="xs:boolean">true</saml:AttributeValue>',
                '<saml:AttributeValue xsi:type="xs:base64Binary">AAAA</saml:AttributeValue>',
                '<saml:AttributeValue xsi:nil="true"/>',
                '<saml:AttributeValue xsi:type="xs:dateTime">2020-01-01T00:00:00Z</saml:AttributeValue>',
            ),
        ),
    ),
    honest(
        "a value with elements",
        add(
            STATEMENT,
            _attribute(
                "urn:oid:1.3.6.1.4.1.5923.1.1.1.10",
                "<saml:AttributeValue><saml:NameID>x</saml:NameID></saml:AttributeValue>",
            ),
        ),
    ),
    honest(
        "attributes of another namespace",
        add(STATEMENT, _attribute("y", "z", more=' xmlns:a="urn:a" a:OriginalIssuer="urn:b"')),
    ),
    honest("an attribute without value", add(STATEMENT, '<saml:Attribute Name="z"/>')),
    honest("1,500 values", add(STATEMENT, _attribute("z", *(f"group-{number}" for number in range(1_500))))),
    honest(
        "500 attributes",
        each(*(add(STATEMENT, _attribute(f"n{number}", "x")) for number in range(500))),
    ),
]

VARIETY: list[Case] = [*WRITING, *MAKING, *SPEAKING, *TELLING_TIME, *ATTRIBUTES]
