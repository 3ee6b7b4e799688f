"""What is refused before any signature is looked at, and at what cost."""

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings

from portal.demo.idp import Keys, Response, encode, make_response
from portal.saml import envelope
from portal.saml.causes import Cause, Refused
from tests.portal.saml.conftest import Browser, assert_refused

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("metadata_file")]

Answer = Callable[..., Response]
LIMIT = 256 * 1024


def _attributes(count: int) -> bytes:
    return b"".join(b' a%d="x"' % number for number in range(count))


def _namespaces(count: int) -> bytes:
    return b"".join(b' xmlns:n%d="urn:%d"' % (number, number) for number in range(count))


@pytest.mark.parametrize(
    ("cause", "xml"),
    [
        (Cause.NOT_XML, b""),
        (Cause.NOT_XML, b"   "),
        (Cause.NOT_XML, b"hello"),
        (Cause.NOT_XML, b"<a>"),
        (Cause.NOT_XML, b"<a></b>"),
        (Cause.NOT_XML, b"<a/><b/>"),
        (Cause.NOT_XML, b"<a>\x00</a>"),
        (Cause.NOT_XML, b'<a x="1" x="2"/>'),
        (Cause.NOT_XML, b"<a>&undefined;</a>"),
        (Cause.NOT_XML, b"<n:a/>"),
        (Cause.NOT_XML, zlib.compress(b"<a/>")[2:-4]),
        (Cause.NOT_UTF8, b"<a>\xff</a>"),
        (Cause.NOT_XML, "<a/>".encode("utf-16")),
        (Cause.NOT_UTF8, b'<?xml version="1.0" encoding="utf-16"?><a/>'),
        (Cause.NOT_UTF8, b'<?xml version="1.0" encoding="utf-7"?><a>+ADw-</a>'),
        (Cause.DTD, b"<!DOCTYPE a><a/>"),
        (Cause.DTD, b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'),
        (Cause.DTD, b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'),
        (Cause.DTD, b'<!DOCTYPE a [<!ATTLIST a ID CDATA "x">]><a/>'),
        (Cause.PROCESSING_INSTRUCTION, b"<a><?php x ?></a>"),
        (Cause.PROCESSING_INSTRUCTION, b'<?xml-stylesheet href="x"?><a/>'),
        (Cause.TOO_DEEP, b"<a>" * 33 + b"</a>" * 33),
        (Cause.TOO_DEEP, b"<a>" * 20_000),
        (Cause.TOO_MANY_NODES, b"<a>" + b"<b/>" * 13_000 + b"</a>"),
        (Cause.TOO_MANY_NODES, b"<a>" + b"<!---->" * 13_000 + b"</a>"),
        (Cause.TOO_MANY_ATTRIBUTES, b"<a" + _attributes(25) + b"/>"),
        (Cause.TOO_MANY_ATTRIBUTES, b"<a" + _attributes(20_000) + b"/>"),
        (Cause.TOO_MANY_NAMESPACES, b"<a" + _namespaces(33) + b"/>"),
        (Cause.TOO_MANY_NAMESPACES, b"<a" + _namespaces(10_000) + b"/>"),
        (Cause.TOO_MANY_NAMESPACES, b"<a" + _namespaces(20) + b"><b" + _namespaces(20) + b"/></a>"),
        (Cause.NOT_A_RESPONSE, b"\xef\xbb\xbf<a/>"),
    ],
    ids=range(31),
)
def test_a_message_that_is_no_plain_bounded_xml_is_refused(browser: Browser, cause: Cause, xml: bytes) -> None:
    response = browser.bring_xml(xml)

    assert_refused(browser, response, Cause.NO_MESSAGE if xml == b"" else cause)


@pytest.mark.parametrize("field", ["!!!!", "PGEvPg", "PGE vPg==", "PGEvPg==PGEvPg==", "ÿ", "PGEvPg==\x00", "PGEvPg-_"])
def test_anything_but_base64_is_refused(browser: Browser, field: str) -> None:
    assert_refused(browser, browser.post(SAMLResponse=field), Cause.NOT_BASE64)


def test_lines_of_base64_are_accepted(browser: Browser, answer: Answer, keys: Keys) -> None:
    field = base64.encodebytes(make_response(keys, answer())).decode().replace("\n", "\r\n")

    assert browser.post(SAMLResponse=field).status_code == 302


def test_a_byte_order_mark_and_a_declaration_are_accepted(browser: Browser, answer: Answer, keys: Keys) -> None:
    assert browser.bring_xml(b"\xef\xbb\xbf" + make_response(keys, answer())).status_code == 302


def test_a_message_may_be_as_large_as_the_setting_says(
    browser: Browser, answer: Answer, keys: Keys, settings: LazySettings
) -> None:
    xml = make_response(keys, answer({"ssouserid": ["alice"], "other": ["x" * 20_000]}))
    settings.SAML_MAX_MESSAGE_BYTES = len(xml) - 1
    assert_refused(browser, browser.bring_xml(xml), Cause.TOO_LARGE)

    settings.SAML_MAX_MESSAGE_BYTES = len(xml)
    assert browser.bring_xml(xml).status_code == 302


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT, 3 * 1024 * 1024])
def test_a_message_that_is_too_large_is_refused(browser: Browser, size: int) -> None:
    assert_refused(browser, browser.post(SAMLResponse="A" * size * 2), Cause.TOO_LARGE)


def test_a_form_with_too_many_fields_is_refused(browser: Browser) -> None:
    assert_refused(browser, browser.post(**{f"f{number}": "x" for number in range(2000)}), Cause.NO_MESSAGE)


@pytest.mark.parametrize("form", [{"RelayState": "/"}, {"SAMLResponse": ""}, {"SAMLRequest": "PGEvPg=="}])
def test_a_form_without_a_message_is_refused(browser: Browser, form: dict[str, str]) -> None:
    assert_refused(browser, browser.post(**form), Cause.NO_MESSAGE)


def test_two_messages_are_refused(browser: Browser, answer: Answer, keys: Keys) -> None:
    field = encode(make_response(keys, answer()))

    response = browser.client.post("/saml2/acs/", {"SAMLResponse": [field, field]})

    assert_refused(browser, response, Cause.NO_MESSAGE)


def test_a_message_in_the_address_is_not_read(browser: Browser, answer: Answer, keys: Keys) -> None:
    field = encode(make_response(keys, answer()))

    response = browser.client.post("/saml2/acs/", {}, query_params={"SAMLResponse": field})

    assert_refused(browser, response, Cause.NO_MESSAGE)


def test_uploads_are_refused_unread(browser: Browser, tmp_path: Path) -> None:
    upload = tmp_path / "x.xml"
    upload.write_bytes(b"<a/>")
    with upload.open("rb") as file:
        response = browser.client.post("/saml2/acs/", {"SAMLResponse": file})

    assert_refused(browser, response, Cause.FORM_TYPE)


@pytest.mark.parametrize("kind", ["application/json", "text/xml", "application/octet-stream", ""])
def test_other_kinds_of_body_are_refused(browser: Browser, kind: str) -> None:
    response = browser.client.generic("POST", "/saml2/acs/", b"SAMLResponse=PGEvPg==", content_type=kind)

    assert_refused(browser, response, Cause.FORM_TYPE)


def test_a_broken_multipart_body_is_refused(browser: Browser) -> None:
    response = browser.client.generic("POST", "/saml2/acs/", b"--x\r\n", content_type="multipart/form-data; boundary=")

    assert_refused(browser, response, Cause.NO_MESSAGE)


HOSTILE = [
    b"<a" + _namespaces(12_000) + b"/>",
    b"<a" + _attributes(20_000) + b"/>",
    b"<a>" * 80_000,
    b"<a>" + b"<b/>" * 60_000 + b"</a>",
    b"<a " + b"x" * 250_000 + b'="1"/>',
]


@pytest.mark.parametrize("xml", HOSTILE, ids=range(len(HOSTILE)))
def test_costly_messages_are_refused_before_anything_walks_them(xml: bytes) -> None:
    with pytest.raises(Refused):
        envelope.parse(xml)


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete"])
def test_only_post_is_answered(browser: Browser, method: str) -> None:
    response = getattr(browser.client, method)("/saml2/acs/")

    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "no-store" in response["Cache-Control"]
    assert method == "head" or "Start again" in response.content.decode()
