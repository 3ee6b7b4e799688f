"""The demo identity provider's pages: whom to be, where the answer goes, and what it refuses."""

import base64
import json
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from lxml import etree

from portal.demo.idp import people, server
from portal.demo.idp.authn_request import MAX_BYTES
from portal.demo.idp.personality import Personality

PORTAL = "http://127.0.0.1:8000"
SAML = {"p": "urn:oasis:names:tc:SAML:2.0:protocol", "a": "urn:oasis:names:tc:SAML:2.0:assertion"}
REQUEST = (
    '<p:AuthnRequest xmlns:p="{p}" xmlns:a="{a}" ID="_r1" Version="2.0" AssertionConsumerServiceURL="{acs}">'
    "<a:Issuer>{issuer}</a:Issuer></p:AuthnRequest>"
)


@pytest.fixture
def idp(tmp_path: Path) -> Iterator[server.Handle]:
    handle = server.start(state_dir=tmp_path, portal_url=PORTAL)
    yield handle
    handle.stop()


def fetch(url: str, form: dict[str, str] | bytes | None = None, content_type: str = "") -> tuple[int, str]:
    body = urlencode(form).encode() if isinstance(form, dict) else form
    request = urllib.request.Request(url, body, {"Content-Type": content_type} if content_type else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def authn_request(*, issuer: str = f"{PORTAL}/saml2/metadata/", acs: str = f"{PORTAL}/saml2/acs/") -> bytes:
    return REQUEST.format(**SAML, issuer=issuer, acs=acs).encode()


def redirect(idp: server.Handle, xml: bytes, relay_state: str = "/") -> str:
    deflate = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(deflate.compress(xml) + deflate.flush()).decode()
    return f"{idp.url}/sso?{urlencode({'SAMLRequest': packed, 'RelayState': relay_state})}"


def form_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def response_of(page: str) -> etree._Element:
    return etree.fromstring(base64.b64decode(form_fields(page)["SAMLResponse"]))


def attributes(response: etree._Element) -> dict[str, list[str | None]]:
    found = response.iterfind(".//a:Attribute", SAML)
    return {a.get("Name", ""): [v.text for v in a.iterfind("a:AttributeValue", SAML)] for a in found}


def test_a_request_is_answered_for_the_person_chosen(idp: server.Handle) -> None:
    status, page = fetch(redirect(idp, authn_request(), "/teams/team1/?a=1&b=\"'<"))
    assert status == 200
    assert all(person.name in page for person in people.PEOPLE.values())
    status, page = fetch(f"{idp.url}/choose", form_fields(page) | {"person": "user1"})
    assert status == 200
    assert f'action="{PORTAL}/saml2/acs/"' in page
    assert form_fields(page)["RelayState"] == "/teams/team1/?a=1&b=\"'<"
    response = response_of(page)
    assert response.get("InResponseTo") == "_r1"
    assert attributes(response) == {
        "ssouserid": ["user1"],
        "email": ["user1@example.com"],
        "name": ["User 1"],
        "groups": ["team-1-scientists", "team-2-scientists"],
    }


def test_the_post_binding_is_not_deflated(idp: server.Handle) -> None:
    packed = base64.b64encode(authn_request()).decode()
    status, page = fetch(f"{idp.url}/sso", {"SAMLRequest": packed})
    assert status == 200
    assert form_fields(page)["in_response_to"] == "_r1"


def test_sign_on_can_start_here(idp: server.Handle) -> None:
    assert "Team 1 application" in fetch(f"{idp.url}/")[1]
    status, page = fetch(f"{idp.url}/launch", {"person": "user2", "application": "team2"})
    assert status == 200
    assert "RelayState" not in form_fields(page)
    response = response_of(page)
    assert response.get("InResponseTo") is None
    assert attributes(response)["teamid"] == ["Team2"]
    assert "groups" not in attributes(response)


def test_nobody_opens_an_application_that_is_not_theirs(idp: server.Handle) -> None:
    status, page = fetch(f"{idp.url}/launch", {"person": "user2", "application": "team1"})
    assert status == 403
    assert "User 2 is not assigned" in page


@pytest.mark.parametrize(
    ("xml", "status"),
    [
        (authn_request(acs="https://evil.example.com/acs"), 403),
        (authn_request(issuer="https://evil.example.com/"), 403),
        (b"<p:Other xmlns:p='urn:oasis:names:tc:SAML:2.0:protocol'/>", 400),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + authn_request(), 400),
        (authn_request().replace(b'ID="_r1"', b""), 400),
        (b"not xml", 400),
        (b" " * (MAX_BYTES + 1), 400),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(idp: server.Handle, xml: bytes, status: int) -> None:
    assert fetch(redirect(idp, xml))[0] == status


def test_pages_that_do_not_exist_and_choices_that_are_not_offered(idp: server.Handle) -> None:
    assert fetch(f"{idp.url}/sso")[0] == 400
    assert fetch(f"{idp.url}/sso?SAMLRequest=%25")[0] == 400
    assert fetch(f"{idp.url}/nowhere")[0] == 404
    assert fetch(f"{idp.url}/choose", {"person": "mallory"})[0] == 400
    assert fetch(f"{idp.url}/launch", {"person": "user1", "application": "team9"})[0] == 400
    assert fetch(f"{idp.url}/choose", b"x" * (server.MAX_BODY_BYTES + 1))[0] == 413


def test_the_pages_hold_to_a_strict_policy(idp: server.Handle) -> None:
    with urllib.request.urlopen(idp.url, timeout=10) as response:
        policy, page = response.headers["Content-Security-Policy"], response.read().decode()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "<style" not in page
    assert " style=" not in page
    for path, content_type in server.STATIC.items():
        with urllib.request.urlopen(f"{idp.url}{path}", timeout=10) as response:
            assert response.headers["Content-Type"] == content_type


def test_metadata_are_served_and_kept(idp: server.Handle, tmp_path: Path) -> None:
    status, served = fetch(f"{idp.url}/metadata")
    assert status == 200
    assert served.encode() == (tmp_path / "metadata.xml").read_bytes()
    assert f'entityID="{idp.url}/metadata"' in served


def behave(idp: server.Handle, **values: object) -> tuple[int, str]:
    return fetch(f"{idp.url}/_personality", json.dumps(values).encode(), "application/json")


def launched(idp: server.Handle) -> etree._Element:
    return response_of(fetch(f"{idp.url}/launch", {"person": "user1", "application": "portal"})[1])


def test_it_misbehaves_when_told(idp: server.Handle) -> None:
    assert behave(idp, fault="failing")[0] == 200
    assert launched(idp).find(".//a:Assertion", SAML) is None
    behave(idp, fault="wrong-audience")
    assert launched(idp).findtext(".//a:Audience", namespaces=SAML) == "https://another.example.com/metadata"
    behave(idp, fault="wrong-recipient")
    data = launched(idp).find(".//a:SubjectConfirmationData", SAML)
    assert data is not None
    assert data.get("Recipient") == "https://another.example.com/acs"
    behave(idp, fault="unsigned")
    assert b"SignatureValue" not in etree.tostring(launched(idp))
    behave(idp, fault="no-groups")
    assert "groups" not in attributes(launched(idp))
    behave(idp, fault="expired")
    conditions = launched(idp).find(".//a:Conditions", SAML)
    assert conditions is not None
    assert conditions.get("NotOnOrAfter", "") < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    behave(idp, fault="none", flavour="keycloak")
    assert "Role" in attributes(launched(idp))


def test_it_can_be_slow_and_still_stops_at_once(tmp_path: Path) -> None:
    handle = server.start(state_dir=tmp_path, portal_url=PORTAL, personality=Personality(delay=0.3))
    began = time.monotonic()
    assert fetch(handle.url)[0] == 200
    assert time.monotonic() - began >= 0.3
    handle.stop()


@pytest.mark.parametrize(
    "values", [{"fault": "nice"}, {"flavour": "none"}, {"delay": -1}, {"delay": "x"}, {"fault": []}, {"mood": "bad"}]
)
def test_a_personality_that_does_not_exist_is_refused(idp: server.Handle, values: dict[str, object]) -> None:
    status, text = behave(idp, **values)
    assert status == 400
    assert "error" in json.loads(text)
    assert json.loads(fetch(f"{idp.url}/_personality")[1]) == {
        "delay": 0.0,
        "fault": "none",
        "flavour": "identity-center",
    }


def test_a_form_of_another_site_cannot_change_the_personality(idp: server.Handle) -> None:
    assert fetch(f"{idp.url}/_personality", {"fault": "unsigned"})[0] == 415
