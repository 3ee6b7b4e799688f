"""What surrounds the message: the form and its encodings, cookies, ways off the site, and the same answer twice."""

import base64
import gzip
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from portal.demo.idp import Keys
from portal.saml.causes import Cause
from teams.models import AuditEvent, User
from tests.portal.saml.conftest import Browser
from tests.portal.saml.hostile.building import MODES, PERSON, message, signed
from tests.portal.saml.hostile.cases import DATA, attr, each
from tests.portal.saml.hostile.test_hostile import assert_nobody_came_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("metadata_file")]

URLENCODED = "application/x-www-form-urlencoded"


@pytest.fixture
def field(keys: Keys) -> str:
    """A good message as the form carries it."""
    return base64.b64encode(signed(message(), keys, "both")).decode()


def _refused(browser: Browser, response: Any, *causes: Cause) -> None:
    assert_nobody_came_in(browser, response)
    assert response.status_code == 403
    assert AuditEvent.objects.get().reason.partition(",")[0] in causes


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/xml",
        "application/xml",
        "application/json",
        "application/samlassertion+xml",
        f"{URLENCODED}x",
        "",
        "multipart/mixed; boundary=x",
        f"{URLENCODED}; charset=utf-16",
        f"{URLENCODED}; charset=zlib",
        f"{URLENCODED}; charset=base64",
        "multipart/form-data; boundary=x; charset=utf-16",
        "multipart/form-data; boundary=x; charset=zlib",
        "multipart/form-data; boundary=x; charset=rot13",
        "multipart/form-data",
        "multipart/form-data; boundary=" + "x" * 300,
        "multipart/form-data; boundary=ä",
    ],
)
def test_a_body_of_another_kind_is_refused(browser: Browser, field: str, kind: str) -> None:
    body = urlencode({"SAMLResponse": field})
    if kind.startswith("multipart"):
        body = f'--x\r\nContent-Disposition: form-data; name="SAMLResponse"\r\n\r\n{field[:-4]}\r\n--x--\r\n'

    response = browser.client.generic("POST", "/saml2/acs/", body.encode(), content_type=kind)

    assert_nobody_came_in(browser, response)
    assert response.status_code == 403


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=UTF-8"])
def test_a_form_may_name_its_encoding(browser: Browser, field: str, charset: str) -> None:
    response = browser.client.generic(
        "POST", "/saml2/acs/", urlencode({"SAMLResponse": field}).encode(), content_type=f"{URLENCODED}{charset}"
    )

    assert response.status_code == 302


def test_a_multipart_form_is_taken(browser: Browser, field: str) -> None:
    assert browser.client.post("/saml2/acs/", {"SAMLResponse": field}).status_code == 302


@pytest.mark.parametrize("packed", ["gzip", "deflate", "raw deflate"])
@pytest.mark.parametrize("where", ["body", "field"])
def test_nothing_is_unpacked(browser: Browser, field: str, packed: str, where: str) -> None:
    pack: Callable[[bytes], bytes] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "raw deflate": lambda data: zlib.compress(data)[2:-4],
    }[packed]
    if where == "field":
        packed_field = base64.b64encode(pack(base64.b64decode(field))).decode()
        _refused(browser, browser.post(SAMLResponse=packed_field), Cause.NOT_XML)
        return
    body = pack(urlencode({"SAMLResponse": field}).encode())

    response = browser.client.generic(
        "POST", "/saml2/acs/", body, content_type=URLENCODED, headers={"Content-Encoding": packed.partition(" ")[0]}
    )

    _refused(browser, response, Cause.NO_MESSAGE)


@pytest.mark.parametrize(
    "change",
    [
        lambda field: f"{field}{field}",
        lambda field: f"{field}====",
        lambda field: f" {field}",
        lambda field: f"{field[:50]} {field[50:]}",
        lambda field: f"{field[:50]}\x00{field[50:]}",
        lambda field: f"{field[:-5]}",
        lambda field: f"data:text/xml;base64,{field}",
        lambda field: quote(field, safe="") + "%",
        lambda field: f"<x>{field}</x>",
        lambda field: base64.b64encode(field.encode()).decode(),
        lambda field: base64.b32encode(base64.b64decode(field)).decode(),
        lambda field: base64.b64decode(field).hex(),
        lambda field: base64.b64decode(field).decode(),
        lambda field: f"{field}\u2028",
    ],
    ids=range(14),
)
def test_a_field_that_is_not_quite_base64_is_refused(browser: Browser, field: str, change: Any) -> None:
    _refused(browser, browser.post(SAMLResponse=change(field)), Cause.NOT_BASE64, Cause.NOT_XML, Cause.NOT_UTF8)


@pytest.mark.parametrize(
    "form", [["SAMLResponse"] * 2, ["SAMLart"], ["samlresponse"], ["SAMLResponse "], ["SAMLRequest"]]
)
def test_the_field_is_there_once_under_its_name(browser: Browser, field: str, form: list[str]) -> None:
    body = urlencode([(name, field) for name in form])

    response = browser.client.post("/saml2/acs/", body, content_type=URLENCODED)

    _refused(browser, response, Cause.NO_MESSAGE)


def test_a_message_is_not_taken_from_the_address(browser: Browser, field: str) -> None:
    assert browser.client.get(f"/saml2/acs/?{urlencode({'SAMLResponse': field})}").status_code == 405
    assert not User.objects.exists()


AWAY = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "\r\n//evil.example",
    "/\u2028/evil.example",
    "\u00a0//evil.example",
    "https://evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "http:\\\\evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://evil.example",
    "http://127.0.0.1:8000@evil.example/",
    "http://127.0.0.1:8000.evil.example/",
    "http://127.0.0.1:80001/",
    "http://evil.example\\@127.0.0.1:8000/",
    "http://evil.example#@127.0.0.1:8000/",
    "http://evil.example?@127.0.0.1:8000/",
    "http://127.0.0.1:8000\\@evil.example/",
    "http://[::1]:8000/",
    "http://[evil",
    "http://testserver/",
    "http://evil。example/",
    "//evil。example",
    "/\\/evil.example",
    "/.\\evil.example",
    "evil.example",
    "@evil.example",
    ":80",
    "http:",
    "//",
    "/ /evil.example",
    "/%0d%0aLocation:%20//evil.example",
    "/\r\nLocation: //evil.example",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/;//evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/x" * 2000,
]


@pytest.mark.parametrize("place", AWAY, ids=range(len(AWAY)))
def test_no_relay_state_leads_off_the_site(browser: Browser, field: str, place: str) -> None:
    location = browser.post(SAMLResponse=field, RelayState=place)["Location"]

    assert location.startswith("/")
    assert location[1:2] not in {"/", "\\"}
    assert location.isascii()
    assert location.isprintable()


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_belongs_to_the_browser_that_asked(
    browser: Browser, other_browser: Browser, keys: Keys, mode: str
) -> None:
    asked = browser.ask()
    root = message()
    each(attr("", "InResponseTo", asked), attr(DATA, "InResponseTo", asked))(root)
    field = base64.b64encode(signed(root, keys, mode)).decode()

    _refused(other_browser, other_browser.post(SAMLResponse=field), Cause.IN_RESPONSE_TO_UNKNOWN)
    assert browser.post(SAMLResponse=field).status_code == 302
    assert User.objects.get().subject == PERSON


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["", DATA])
def test_an_answer_says_in_both_places_what_it_answers(browser: Browser, keys: Keys, mode: str, where: str) -> None:
    root = message()
    attr(where, "InResponseTo", browser.ask())(root)

    response = browser.bring_xml(signed(root, keys, mode))

    _refused(browser, response, Cause.IN_RESPONSE_TO_MISMATCH)


@pytest.mark.parametrize("cookie", ["x", "e30:1:x", "." * 5000, "\u00e4", "None", '{"requests":{}}', ".eJw:x:y"])
def test_a_cookie_of_ones_own_making_knows_no_request(browser: Browser, keys: Keys, cookie: str) -> None:
    root = message()
    each(attr("", "InResponseTo", "_x"), attr(DATA, "InResponseTo", "_x"))(root)
    browser.client.cookies["saml_session"] = cookie

    response = browser.bring_xml(signed(root, keys, "both"))

    _refused(browser, response, Cause.IN_RESPONSE_TO_UNKNOWN)


def test_the_same_assertion_does_not_count_in_another_response(
    browser: Browser, other_browser: Browser, keys: Keys
) -> None:
    root = message()
    browser.bring_xml(signed(root, keys, "assertion"))
    root.set("ID", "_another")

    response = other_browser.bring_xml(signed(root, keys, "response"))

    assert response.status_code == 403
    assert not other_browser.signed_on
    assert AuditEvent.objects.filter(reason__startswith=Cause.REPLAYED).count() == 1


def test_a_refusal_leaves_who_is_signed_on_alone(browser: Browser, keys: Keys, field: str) -> None:
    browser.post(SAMLResponse=field)

    assert browser.post(SAMLResponse=field).status_code == 403
    assert browser.signed_on
