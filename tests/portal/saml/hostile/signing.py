"""Signatures of other makes: algorithms, references, transforms, keys and places that must not count."""

import base64
from collections.abc import Callable
from copy import deepcopy

from cryptography.hazmat.primitives import serialization
from lxml import etree

from portal.demo.idp import Keys, create_keys
from portal.saml.causes import Cause
from tests.portal.saml.forging import Spoil, the
from tests.portal.saml.hostile.building import (
    DSIG,
    ENVELOPED,
    EXCLUSIVE,
    INCLUSIVE,
    MORE,
    Signing,
    pem_body,
)
from tests.portal.saml.hostile.cases import Case, add, attr, drop, each, fragment, made, text

C = Cause
OTHER = create_keys("somebody else")
ALONE = ("response", "assertion")


def _der(keys: Keys) -> bytes:
    return keys.certificate.public_bytes(serialization.Encoding.DER)


def _public_pem(keys: Keys) -> bytes:
    return keys.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def own_key(keys: Keys) -> str:
    """KeyInfo with a bare key of the forger's own."""
    numbers = OTHER.private.public_key().public_numbers()
    modulus, exponent = (
        base64.b64encode(each.to_bytes((each.bit_length() + 7) // 8, "big")).decode() for each in (numbers.n, numbers.e)
    )
    key = f"<ds:Modulus>{modulus}</ds:Modulus><ds:Exponent>{exponent}</ds:Exponent>"
    return f"<ds:KeyValue><ds:RSAKeyValue>{key}</ds:RSAKeyValue></ds:KeyValue>"


METHODS = [
    made(f"method: {name.rpartition('/')[2]}", Signing(method=name), C.SIGNATURE_ALGORITHM)
    for name in (
        f"{DSIG}rsa-sha1",
        f"{MORE}rsa-md5",
        f"{MORE}rsa-sha224",
        f"{MORE}rsa-ripemd160",
        f"{DSIG}dsa-sha1",
        "http://www.w3.org/2009/xmldsig11#dsa-sha256",
        f"{MORE}ecdsa-sha1",
        f"{MORE}rsa-sha256 ",
        f"{MORE}RSA-SHA256",
        "http://www.w3.org/2007/05/xmldsig-more#rsa-pss",
        "none",
        "",
        f"{DSIG}hmac-sha1",
    )
] + [
    made("method: ECDSA with an RSA key", Signing(method=f"{MORE}ecdsa-sha256"), C.SIGNATURE_INVALID),
    made("method: another hash than named", Signing(method=f"{MORE}rsa-sha512"), C.SIGNATURE_INVALID),
    made(
        "method: SHA-1 done and named",
        Signing(method=f"{DSIG}rsa-sha1", digest=f"{DSIG}sha1", hash="sha1"),
        C.SIGNATURE_ALGORITHM,
    ),
    made("digest: SHA-1", Signing(digest=f"{DSIG}sha1"), C.SIGNATURE_ALGORITHM),
    made("digest: MD5", Signing(digest=f"{MORE}md5"), C.SIGNATURE_ALGORITHM),
    made("digest: none", Signing(digest=""), C.SIGNATURE_ALGORITHM),
]
SECRETS: dict[str, Callable[[Keys], bytes]] = {
    "certificate as PEM": lambda keys: keys.certificate_pem.encode(),
    "certificate as DER": _der,
    "certificate as base64": lambda keys: pem_body(keys).replace("\n", "").encode(),
    "public key as PEM": _public_pem,
    "nothing": lambda keys: b"",
}
HMACS = [
    made(f"HMAC: {name}", Signing(method=f"{MORE}hmac-sha256", secret=secret), C.SIGNATURE_ALGORITHM)
    for name, secret in SECRETS.items()
] + [
    made(
        "HMAC: cut to no bits",
        Signing(
            method=f"{MORE}hmac-sha256",
            secret=_der,
            bend=lambda info: the(info, "ds:SignatureMethod").append(
                fragment("<ds:HMACOutputLength>0</ds:HMACOutputLength>")
            ),
        ),
        C.SIGNATURE_ALGORITHM,
        C.SIGNATURE_SHAPE,
    ),
]

URIS = [
    made(f"reference: {name}", Signing(uri=uri), C.SIGNATURE_PLACE)
    for name, uri in {
        "empty": "",
        "hash only": "#",
        "whole document": "#xpointer(/)",
        "by xpointer": "#xpointer(id('{id}'))",
        "without hash": "{id}",
        "two hashes": "##{id}",
        "blank": " #{id}",
        "encoded": "%23{id}",
        "over http": "http://127.0.0.1:1/x#{id}",
        "file": "file:///etc/passwd",
        "another": "#_other",
        "element scheme": "#element(/1)",
    }.items()
]


def _reference(change: Callable[[etree._Element], None]) -> Spoil:
    return lambda info: change(the(info, "ds:Reference"))


def _without_uri(reference: etree._Element) -> None:
    del reference.attrib["URI"]


def _double(path: str) -> Spoil:
    def spoil(info: etree._Element) -> None:
        found = the(info, path)
        found.addnext(deepcopy(found))

    return spoil


def _bent(name: str, bend: Spoil, *causes: Cause) -> Case:
    return made(f"signed info: {name}", Signing(bend=bend), *causes)


XPATH = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>self::text()</ds:XPath></ds:Transform>'
XSLT = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet version="1.0" '
    'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><xsl:copy-of '
    "select=\"document('file:///etc/passwd')\"/></xsl:template></xsl:stylesheet></ds:Transform>"
)
INFO = [
    _bent("no URI", _reference(_without_uri), C.SIGNATURE_PLACE),
    _bent("two references", _double("ds:Reference"), C.SIGNATURE_SHAPE),
    _bent("no reference", drop("ds:Reference"), C.SIGNATURE_SHAPE),
    _bent(
        "a manifest",
        each(attr("ds:Reference", "Type", f"{DSIG}Manifest"), attr("ds:Reference", "URI", "#manifest")),
        C.SIGNATURE_PLACE,
    ),
    _bent("two canonicalisations", _double("ds:CanonicalizationMethod"), C.SIGNATURE_SHAPE),
    _bent("two methods", _double("ds:SignatureMethod"), C.SIGNATURE_SHAPE),
    _bent("two digests", _double("ds:Reference/ds:DigestValue"), C.SIGNATURE_SHAPE),
    _bent("two digest methods", _double("ds:Reference/ds:DigestMethod"), C.SIGNATURE_SHAPE),
    _bent("two lists of transforms", _double("ds:Reference/ds:Transforms"), C.SIGNATURE_SHAPE),
    _bent("no transforms", drop("ds:Reference/ds:Transforms"), C.SIGNATURE_SHAPE),
    _bent("XPath", add("ds:Reference/ds:Transforms", XPATH), C.SIGNATURE_ALGORITHM),
    _bent(
        "XPath in place",
        lambda info: the(info, "ds:Reference/ds:Transforms").replace(
            the(info, "ds:Reference/ds:Transforms")[0], fragment(XPATH)
        ),
        C.SIGNATURE_ALGORITHM,
    ),
    _bent("XSLT", add("ds:Reference/ds:Transforms", XSLT, 0), C.SIGNATURE_ALGORITHM),
    _bent(
        "an XPath inside of the canonicalisation",
        lambda info: the(info, "ds:Reference/ds:Transforms")[1].append(fragment("<ds:XPath>self::text()</ds:XPath>")),
        C.SIGNATURE_SHAPE,
    ),
    _bent(
        "something in the method",
        add("ds:SignatureMethod", "<ds:HMACOutputLength>8</ds:HMACOutputLength>"),
        C.SIGNATURE_SHAPE,
    ),
    _bent("something in the digest", add("ds:Reference/ds:DigestValue", "<ds:x/>"), C.SIGNATURE_SHAPE),
    _bent("an empty digest", text("ds:Reference/ds:DigestValue", ""), C.SIGNATURE_SHAPE),
    _bent(
        "a longer digest",
        lambda info: setattr(
            the(info, "ds:Reference/ds:DigestValue"), "text", f"{the(info, 'ds:Reference/ds:DigestValue').text}AAAA"
        ),
        C.SIGNATURE_SHAPE,
    ),
    _bent("an unknown element", add("", "<ds:x/>"), C.SIGNATURE_SHAPE),
    _bent(
        "a list of 10,000 prefixes",
        lambda info: the(info, "ds:CanonicalizationMethod").append(
            fragment(f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{"a " * 10_000}"/>')
        ),
        C.SIGNATURE_SHAPE,
    ),
    _bent(
        "10,000 elements",
        lambda info: the(info, "ds:Reference/ds:Transforms")[1].extend([fragment("<ds:x/>") for _ in range(1_000)]),
        C.SIGNATURE_SHAPE,
    ),
]

TRANSFORMS = [
    made(f"transforms: {name}", Signing(transforms=transforms), C.SIGNATURE_ALGORITHM)
    for name, transforms in {
        "none": (),
        "enveloped only": (ENVELOPED,),
        "canonical only": (EXCLUSIVE,),
        "inclusive": (ENVELOPED, INCLUSIVE),
        "twice enveloped": (ENVELOPED, ENVELOPED, EXCLUSIVE),
        "twice canonical": (ENVELOPED, EXCLUSIVE, EXCLUSIVE),
        "base64": (ENVELOPED, f"{DSIG}base64", EXCLUSIVE),
        "fifty": (ENVELOPED, *[EXCLUSIVE] * 50),
    }.items()
] + [
    made("canonicalisation: inclusive", Signing(canonical=INCLUSIVE), C.SIGNATURE_ALGORITHM),
    made("canonicalisation: unknown", Signing(canonical="urn:x"), C.SIGNATURE_ALGORITHM),
]


def _dressed(name: str, dress: Spoil, *causes: Cause) -> Case:
    return made(f"signature: {name}", Signing(dress=dress), *causes)


def _value(change: Callable[[str], str]) -> Spoil:
    def spoil(signature: etree._Element) -> None:
        value = the(signature, "ds:SignatureValue")
        value.text = change(value.text or "")

    return spoil


VALUES = [
    _dressed("empty value", _value(lambda value: ""), C.SIGNATURE_SHAPE),
    _dressed("no value", drop("ds:SignatureValue"), C.SIGNATURE_SHAPE),
    _dressed("two values", _double("ds:SignatureValue"), C.SIGNATURE_SHAPE),
    _dressed("garbage behind the value", _value(lambda value: f"{value.strip()}!!"), C.SIGNATURE_SHAPE),
    _dressed(
        "more base64 behind the value",
        _value(lambda value: f"{value.strip()}AAAA"),
        C.SIGNATURE_SHAPE,
        C.SIGNATURE_INVALID,
    ),
    _dressed("half a value", _value(lambda value: value[:172]), C.SIGNATURE_SHAPE, C.SIGNATURE_INVALID),
    _dressed("another value", _value(lambda value: base64.b64encode(b"x" * 256).decode()), C.SIGNATURE_INVALID),
    _dressed("zeros", _value(lambda value: base64.b64encode(bytes(256)).decode()), C.SIGNATURE_INVALID),
    _dressed("something in the value", add("ds:SignatureValue", "<ds:x/>"), C.SIGNATURE_SHAPE),
    _dressed(
        "a comment in the value",
        lambda signature: the(signature, "ds:SignatureValue").append(etree.Comment("x")),
        C.SIGNATURE_SHAPE,
    ),
    _dressed("a comment in the signature", lambda signature: signature.append(etree.Comment("x")), C.SIGNATURE_SHAPE),
    _dressed("two infos", _double("ds:SignedInfo"), C.SIGNATURE_SHAPE),
    _dressed("two key infos", _double("ds:KeyInfo"), C.SIGNATURE_SHAPE),
    _dressed("an object", add("", "<ds:Object/>"), C.SIGNATURE_SHAPE),
    _dressed(
        "a manifest",
        add("", '<ds:Object><ds:Manifest><ds:Reference URI="#x"/></ds:Manifest></ds:Object>'),
        C.SIGNATURE_SHAPE,
    ),
    _dressed(
        "a signature in the key info",
        lambda signature: the(signature, "ds:KeyInfo").append(fragment("<ds:Signature/>")),
        C.SIGNATURE_PLACE,
    ),
]
SIGNING = [*METHODS, *HMACS, *URIS, *INFO, *TRANSFORMS, *VALUES]
