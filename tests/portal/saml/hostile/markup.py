"""Tricks of the markup: what one parser reads and another does not, and what no message needs."""

from collections.abc import Callable

from portal.saml.causes import Cause
from tests.portal.saml.hostile.building import PERSON, VICTIM
from tests.portal.saml.hostile.cases import Case, written

C = Cause
NAME = PERSON.encode()
EVIL = VICTIM.encode()


def _replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(xml: bytes) -> bytes:
        assert old in xml
        return xml.replace(old, new)

    return change


def _name(name: str, new: bytes, *causes: Cause) -> Case:
    return written(f"name written as {name}", _replaced(NAME, new), *causes)


def _prolog(name: str, prolog: bytes, *causes: Cause) -> Case:
    return written(f"prolog: {name}", lambda xml: prolog + xml, *causes)


def _prefixed(declaration: bytes) -> Callable[[bytes], bytes]:
    return _replaced(b"<samlp:Response ", b"<samlp:Response " + declaration + b" ")


def _billion() -> bytes:
    entities = b'<!ENTITY a0 "x">' + b"".join(
        b'<!ENTITY a%d "%s">' % (number, b"&a%d;" % (number - 1) * 10) for number in range(1, 10)
    )
    return b"<!DOCTYPE r [" + entities + b"]>"


DTDS = [
    _prolog("doctype", b"<!DOCTYPE samlp:Response>", C.DTD),
    _prolog("entity", b'<!DOCTYPE r [<!ENTITY x "' + EVIL + b'">]>', C.DTD),
    _prolog("external entity", b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>', C.DTD),
    _prolog("parameter entity", b'<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]>', C.DTD),
    _prolog("external subset", b'<!DOCTYPE r PUBLIC "x" "http://127.0.0.1:1/x.dtd">', C.DTD),
    _prolog("attribute list", b'<!DOCTYPE r [<!ATTLIST saml:NameID Format CDATA "x">]>', C.DTD),
    _prolog("ID attribute", b'<!DOCTYPE r [<!ATTLIST saml:Subject x ID "x">]>', C.DTD),
    _prolog("a billion laughs", _billion(), C.DTD),
    written("an entity nobody declared", _replaced(NAME, b"&x;"), C.NOT_XML),
    written("a doctype behind the root", lambda xml: xml + b"<!DOCTYPE x>", C.NOT_XML),
]
PROLOGS = [
    _prolog("instruction", b"<?canary x?>", C.PROCESSING_INSTRUCTION),
    _prolog("style sheet", b'<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:1/"?>', C.PROCESSING_INSTRUCTION),
    _prolog("two declarations", b'<?xml version="1.0"?><?xml version="1.0"?>', C.NOT_XML),
    _prolog("blank before the declaration", b' <?xml version="1.0"?>', C.NOT_XML),
    _prolog("UTF-16 declared", b'<?xml version="1.0" encoding="UTF-16"?>', C.NOT_UTF8),
    _prolog("Latin-1 declared", b'<?xml version="1.0" encoding="ISO-8859-1"?>', C.NOT_UTF8),
    _prolog("UTF-7 declared", b'<?xml version="1.0" encoding="UTF-7"?>', C.NOT_UTF8),
    _prolog("EBCDIC declared", b'<?xml version="1.0" encoding="cp037"?>', C.NOT_UTF8),
    _prolog("no such version", b'<?xml version="3.0"?>', C.NOT_XML),
    _prolog("text", EVIL, C.NOT_XML),
    _prolog("another root", b"<x/>", C.NOT_XML),
    _prolog("two marks of byte order", b"\xef\xbb\xbf\xef\xbb\xbf", C.NOT_XML),
    written("UTF-16", lambda xml: xml.decode().encode("utf-16"), C.NOT_XML),
    written("UTF-16 without mark", lambda xml: xml.decode().encode("utf-16-le"), C.NOT_XML),
    written("UTF-32", lambda xml: xml.decode().encode("utf-32"), C.NOT_XML),
    written("a second document", lambda xml: xml + xml, C.NOT_XML),
    written("text behind the root", lambda xml: xml + EVIL, C.NOT_XML),
    written("an instruction behind the root", lambda xml: xml + b"<?x?>", C.PROCESSING_INSTRUCTION),
    written("zero behind the root", lambda xml: xml + b"\x00", C.NOT_XML),
    written("cut off", lambda xml: xml[:-20], C.NOT_XML),
]
TEXTS = [
    _name("another", EVIL, C.SIGNATURE_INVALID),
    _name("other letters", NAME.upper(), C.SIGNATURE_INVALID),
    _name("an instruction in it", b"alice<?x?>.canary", C.PROCESSING_INSTRUCTION),
    _name("the victim and a comment", EVIL + b"<!--" + NAME + b"-->", C.SIGNATURE_INVALID),
    _name("the victim in CDATA", b"<![CDATA[" + EVIL + b"]]>", C.SIGNATURE_INVALID),
    _name("the victim by number", b"&#114;oot.canary", C.SIGNATURE_INVALID),
    _name("zero by number", b"root&#0;" + NAME, C.NOT_XML),
    _name("a control by number", b"root&#1;" + NAME, C.NOT_XML),
    _name("half a character by number", b"root&#xD800;" + NAME, C.NOT_XML),
    _name("no character by number", b"root&#xFFFE;" + NAME, C.NOT_XML),
    _name("too large a number", b"root&#x110000;" + NAME, C.NOT_XML),
    _name("the end of CDATA", b"root]]>" + NAME, C.NOT_XML),
    _name("broken UTF-8", b"root\xc0\xaf" + NAME, C.NOT_UTF8),
    _name("half a character in UTF-8", b"root\xed\xa0\x80" + NAME, C.NOT_UTF8),
    _name("a carriage return", NAME + b"&#13;", C.SIGNATURE_INVALID),
    _name("white space around it", b" " + NAME + b"\n", C.SIGNATURE_INVALID),
]
TAGS = [
    written("an ID twice on one element", _replaced(b' ID="_a', b' ID="_x" ID="_a'), C.NOT_XML),
    written("an ID in two letters", _replaced(b' ID="_a', b' Id="_x" ID="_a'), C.SIGNATURE_INVALID, C.STRUCTURE),
    written("an ID of XML", _replaced(b"<saml:Subject>", b'<saml:Subject xml:id="_x">'), C.SIGNATURE_INVALID),
    written(
        "an attribute twice through two prefixes",
        _prefixed(b'xmlns:a="urn:a" xmlns:b="urn:a" a:x="1" b:x="2"'),
        C.NOT_XML,
    ),
    written("a prefix nobody declared", _replaced(b"<saml:Subject>", b"<x:y/><saml:Subject>"), C.NOT_XML),
    written("the prefix of XML for something else", _prefixed(b'xmlns:xml="urn:x"'), C.NOT_XML),
    written("a prefix taken back", _replaced(b"<saml:Subject>", b'<saml:Subject xmlns:saml="">'), C.NOT_XML),
    written(
        "another namespace for the assertion",
        _replaced(b":assertion", b":assertionx"),
        C.NOT_A_RESPONSE,
        C.ASSERTION_COUNT,
    ),
    written(
        "another namespace for the protocol", _replaced(b"SAML:2.0:protocol", b"SAML:1.1:protocol"), C.NOT_A_RESPONSE
    ),
    written(
        "a namespace in other letters",
        _replaced(b"urn:oasis:names:tc:SAML:2.0:protocol", b"URN:oasis:names:tc:SAML:2.0:protocol"),
        C.NOT_A_RESPONSE,
    ),
    written("a namespace with a blank", _replaced(b'tc:SAML:2.0:protocol"', b'tc:SAML:2.0:protocol "'), C.NOT_XML),
    written("another prefix within the signature", _replaced(b"saml:NameID", b"saml:NameId"), C.SIGNATURE_INVALID),
    written(
        "another default namespace for the name",
        _replaced(b"<saml:NameID ", b'<saml:NameID xmlns="urn:x" '),
        *(),
        modes=(),
    ),
    written(
        "a base for addresses",
        _replaced(b"<saml:Assertion ", b'<saml:Assertion xml:base="http://evil.example/" '),
        C.SIGNATURE_INVALID,
    ),
    written(
        "white space kept", _replaced(b"<saml:NameID ", b'<saml:NameID xml:space="preserve" '), C.SIGNATURE_INVALID
    ),
    written("a slash that closes", _replaced(b"<saml:Subject>", b"<saml:Subject/>"), C.NOT_XML),
    written("an attribute without quotes", _replaced(b'Version="2.0"', b"Version=2.0"), C.NOT_XML),
    written("a smaller sign in an attribute", _replaced(b'Version="2.0"', b'Version="<2.0"'), C.NOT_XML),
    written(
        "a hundred levels", _replaced(b"<samlp:Status>", b"<x>" * 100 + b"</x>" * 100 + b"<samlp:Status>"), C.TOO_DEEP
    ),
    written("20,000 elements", _replaced(b"<samlp:Status>", b"<x/>" * 20_000 + b"<samlp:Status>"), C.TOO_MANY_NODES),
    written(
        "200 namespaces",
        _prefixed(b" ".join(b'xmlns:n%d="urn:%d"' % (number, number) for number in range(200))),
        C.TOO_MANY_NAMESPACES,
    ),
    written(
        "2,000 attributes",
        _prefixed(b" ".join(b'n%d="%d"' % (number, number) for number in range(2000))),
        C.TOO_MANY_ATTRIBUTES,
    ),
    written("300 KB of blanks", lambda xml: xml + b" " * 300_000, C.TOO_LARGE),
]

MARKUP = [case for case in (*DTDS, *PROLOGS, *TEXTS, *TAGS) if case.modes]
