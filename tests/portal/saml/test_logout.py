"""Single logout: leaving from here, being asked by the provider, and every message that must change nothing."""

import base64
import html
import logging
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from lxml import etree

from portal.demo.idp import Keys, Response, create_keys, encode
from portal.saml import crypto, logout, logout_messages
from portal.saml.causes import Cause
from portal.saml.logout_messages import PARTIAL, RESPONDER
from portal.saml.names import HTTP_POST, HTTP_REDIRECT, SUCCESS
from portal.saml.signing import RSA_SHA256
from teams.models import AuditEvent
from teams.session_models import SamlSession
from tests.portal.saml import slo, sp_keys
from tests.portal.saml.conftest import ISSUER, PORTAL, Browser
from tests.portal.saml.forging import DS, A, P, the
from tests.portal.saml.slo import LS, SLO, SLO_BACK, Message

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]
Sign = Callable[..., Browser]


@pytest.fixture(scope="session")
def sp() -> Keys:
    """The portal's key."""
    return create_keys("portal")


@pytest.fixture(autouse=True)
def configured(settings: LazySettings, tmp_path: Path, sp: Keys, metadata_file: Path, keys: Keys) -> None:
    sp_keys.use(settings, tmp_path, sp)
    metadata_file.write_bytes(slo.metadata_with_logout(keys))


@pytest.fixture
def signed_on(keys: Keys, answer: Answer) -> Sign:
    """Sign somebody on in a new browser, by default alice with the session index “one”."""

    def sign(who: str = "alice", index: str = "one", **fields: Any) -> Browser:
        browser = Browser(keys)
        fields = {"name_id": f"{who}@example.com", "session_index": index, **fields}
        assert browser.bring(answer({"ssouserid": [who]}, **fields)).status_code == 302
        assert browser.signed_on
        return browser

    return sign


def _out(browser: Browser) -> bool:
    """Whether the pages treat this browser as nobody's."""
    return b"Sign on to open Studio" in browser.client.get("/").content


def _get(browser: Browser, query: str) -> Any:
    return browser.client.get(f"/saml2/ls/?{query}")


def _post(browser: Browser, **form: str) -> Any:
    return browser.client.post("/saml2/ls/", urlencode(form), content_type="application/x-www-form-urlencoded")


def _url(response: Any) -> str:
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', response.content.decode())
    assert found is not None
    return html.unescape(found[1])


def _field(response: Any, name: str) -> etree._Element:
    found = re.search(rf'name="{name}" value="([^"]+)"', response.content.decode())
    assert found is not None
    return etree.fromstring(base64.b64decode(html.unescape(found[1])))


def _sign_outs() -> list[tuple[str, str, str]]:
    events = AuditEvent.objects.filter(action="sign_out", outcome="success").order_by("id")
    return [(event.actor, event.target, event.data.get("how", "")) for event in events]


def assert_refused(response: Any, cause: Cause, *, status: int = 403) -> None:
    """The page has a reference, the audit the cause, and the answer leads nowhere."""
    event = AuditEvent.objects.filter(action="sign_out", outcome="refused").first()
    assert event is not None, f"no audit row: {response.status_code}"
    assert event.reason.partition(",")[0] == cause.value
    assert response.status_code == status
    assert event.request_id[:12] in response.content.decode()
    assert "Location" not in response


# Leaving from here


def test_signing_out_here_goes_on_to_the_provider(signed_on: Sign, sp: Keys) -> None:
    browser = signed_on(name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")

    response = browser.client.post("/logout/")

    assert response.status_code == 200
    url = _url(response)
    assert url.startswith(f"{SLO}?SAMLRequest=")
    slo.verify_query(url, sp)
    request, _ = slo.unpacked(url)
    assert (request.tag, request.get("Destination"), request.get("Version")) == (f"{P}LogoutRequest", SLO, "2.0")
    assert request.findtext(f"{A}Issuer") == f"{PORTAL}/saml2/metadata/"
    assert request.findtext(f"{P}SessionIndex") == "one"
    name_id = the(request, "saml:NameID")
    assert name_id.text == "alice@example.com"
    assert name_id.items() == [("Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")]
    assert _out(browser)
    assert not Session.objects.exists()
    assert not SamlSession.objects.exists()
    assert _sign_outs() == [("alice", "alice", "here")]


def test_qualifiers_go_back_as_they_came(browser: Browser, answer: Answer, keys: Keys) -> None:
    from tests.portal.saml.forging import signed_after

    def qualify(root: etree._Element) -> None:
        name_id = the(root, "saml:Assertion/saml:Subject/saml:NameID")
        name_id.set("NameQualifier", "idp")
        name_id.set("SPNameQualifier", "sp")
        del name_id.attrib["Format"]

    browser.bring_xml(signed_after(answer(), keys, qualify))

    request, _ = slo.unpacked(_url(browser.client.post("/logout/")))

    assert the(request, "saml:NameID").items() == [("NameQualifier", "idp"), ("SPNameQualifier", "sp")]


def test_the_way_to_the_provider_needs_no_exception_for_forms(signed_on: Sign) -> None:
    response = signed_on().client.post("/logout/")

    assert "no-store" in response["Cache-Control"]
    assert "Location" not in response


def test_a_provider_that_only_takes_post_gets_a_form(
    signed_on: Sign, sp: Keys, keys: Keys, metadata_file: Path, look_at_once: None
) -> None:
    metadata_file.write_bytes(slo.metadata_with_logout(keys, (HTTP_POST,)))

    response = signed_on().client.post("/logout/")

    request = _field(response, "SAMLRequest")
    assert crypto.verify(request, [sp.certificate]).get("ID") == request.get("ID")
    assert f'action="{SLO}"' in response.content.decode()
    policy = next(part for part in response["Content-Security-Policy"].split(";") if "form-action" in part)
    assert "https://idp.example.com" in policy.split()


def test_without_a_key_signing_out_is_local(signed_on: Sign, settings: LazySettings) -> None:
    settings.SAML_SP_KEY = settings.SAML_SP_CERTIFICATE = ""
    browser = signed_on()

    assert logout.SESSION_KEY not in browser.client.session
    assert not SamlSession.objects.exists()
    assert browser.client.post("/logout/")["Location"] == "/"
    assert _out(browser)


def test_without_an_address_signing_out_is_local(
    signed_on: Sign, keys: Keys, metadata_file: Path, look_at_once: None
) -> None:
    metadata_file.write_bytes(slo.metadata_with_logout(keys, ()))
    browser = signed_on()

    assert browser.client.post("/logout/")["Location"] == "/"
    assert _out(browser)


def test_a_provider_that_is_gone_keeps_nobody_here(signed_on: Sign, settings: LazySettings, tmp_path: Path) -> None:
    browser = signed_on()
    settings.SAML_IDP_METADATA = str(tmp_path / "gone.xml")
    from teams.models import IdentityProvider

    IdentityProvider.objects.all().delete()

    browser.client.post("/logout/")

    assert _out(browser)


def test_whatever_fails_on_the_way_the_person_is_out(signed_on: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError

    browser = signed_on()
    monkeypatch.setattr(logout_messages, "request", fail)

    assert browser.client.post("/logout/")["Location"] == "/"
    assert _out(browser)


def test_nobody_is_signed_out_by_get(signed_on: Sign) -> None:
    browser = signed_on()

    assert browser.client.get("/logout/").status_code == 405
    assert browser.client.get("/saml2/logout/").status_code == 404
    assert browser.client.get("/saml2/ls/").status_code == 403
    assert not _out(browser)


def test_names_stay_out_of_the_log_and_the_audit(signed_on: Sign, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    signed_on().client.post("/logout/")

    assert "alice@example.com" not in caplog.text
    assert "alice@example.com" not in str(list(AuditEvent.objects.values()))


def _left(signed_on: Sign) -> tuple[Browser, str]:
    browser = signed_on()
    request, _ = slo.unpacked(_url(browser.client.post("/logout/")))
    return browser, request.get("ID", "")


@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
def test_the_providers_answer_is_told(signed_on: Sign, keys: Keys, binding: str) -> None:
    browser, asked = _left(signed_on)
    message = Message(in_response_to=asked)

    if binding == HTTP_REDIRECT:
        response = _get(browser, slo.query(message, keys))
    else:
        response = _post(browser, SAMLResponse=slo.form(message, keys))

    assert response["Location"] == "/"
    assert "signed out here and at your identity provider" in browser.client.get("/").content.decode()
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("status", "second"), [(RESPONDER, ""), (RESPONDER, PARTIAL), (SUCCESS, PARTIAL), ("urn:other", "")]
)
def test_an_answer_that_is_no_success_is_told_too(signed_on: Sign, keys: Keys, status: str, second: str) -> None:
    browser, asked = _left(signed_on)

    _get(browser, slo.query(Message(in_response_to=asked, status=status, second_status=second), keys))

    page = browser.client.get("/").content.decode()
    assert "perhaps not everywhere" in page
    assert "Sign on to open Studio" in page


def test_an_answer_counts_once(signed_on: Sign, keys: Keys) -> None:
    browser, asked = _left(signed_on)
    query = slo.query(Message(in_response_to=asked), keys)

    assert _get(browser, query).status_code == 302
    assert_refused(_get(browser, query), Cause.IN_RESPONSE_TO_UNKNOWN)


def test_an_answer_in_another_browser_is_refused(signed_on: Sign, keys: Keys, other_browser: Browser) -> None:
    _, asked = _left(signed_on)

    response = _get(other_browser, slo.query(Message(in_response_to=asked), keys))

    assert_refused(response, Cause.IN_RESPONSE_TO_UNKNOWN)


def test_an_answer_to_nothing_is_refused(browser: Browser, keys: Keys) -> None:
    assert_refused(_get(browser, slo.query(Message(in_response_to=""), keys)), Cause.IN_RESPONSE_TO_UNKNOWN)


def test_an_answer_signed_by_somebody_else_is_refused(signed_on: Sign, other_keys: Keys) -> None:
    browser, asked = _left(signed_on)

    response = _get(browser, slo.query(Message(in_response_to=asked), other_keys))

    assert_refused(response, Cause.SIGNATURE_INVALID)
    assert _out(browser)


def test_a_request_for_sign_on_is_no_request_for_logout(browser: Browser, keys: Keys, answer: Answer) -> None:
    asked = browser.ask()

    assert_refused(_get(browser, slo.query(Message(in_response_to=asked), keys)), Cause.IN_RESPONSE_TO_UNKNOWN)


def test_a_request_for_logout_is_no_request_for_sign_on(signed_on: Sign, keys: Keys, answer: Answer) -> None:
    browser, asked = _left(signed_on)

    assert browser.bring(answer(asked=asked)).status_code == 403
    assert not browser.signed_on


# Asked by the provider


def _ask(browser: Browser, message: Message, keys: Keys, binding: str) -> Any:
    if binding == HTTP_REDIRECT:
        return _get(browser, slo.query(message, keys))
    return _post(browser, SAMLRequest=slo.form(message, keys))


@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
def test_a_signed_request_ends_the_persons_sessions_in_all_browsers(
    signed_on: Sign, keys: Keys, other_browser: Browser, binding: str
) -> None:
    alices = [signed_on(index="one"), signed_on(index="two")]
    bob = signed_on("bob", "three")

    _ask(other_browser, Message(), keys, binding)

    assert [_out(each) for each in (*alices, bob)] == [True, True, False]
    assert _sign_outs() == [("system: identity provider", "alice", "by the identity provider")]
    event = AuditEvent.objects.get(action="sign_out")
    assert (event.data["sessions"], event.data["issuer"]) == (2, ISSUER)
    assert SamlSession.objects.count() == 1


def test_only_the_sessions_of_the_indexes_end(signed_on: Sign, keys: Keys, browser: Browser) -> None:
    alices = [signed_on(index=index) for index in ("one", "two", "three")]

    _ask(browser, Message(indexes=("one", "three", "unknown")), keys, HTTP_REDIRECT)

    assert [_out(each) for each in alices] == [True, False, True]


def test_another_persons_name_ends_nothing_here(signed_on: Sign, keys: Keys, browser: Browser) -> None:
    alice = signed_on()

    response = _ask(browser, Message(name_id="bob@example.com", indexes=("one",)), keys, HTTP_REDIRECT)

    assert not _out(alice)
    assert slo.unpacked(response["Location"])[0].find(f"{P}Status/{P}StatusCode").get("Value") == SUCCESS  # type: ignore[union-attr]
    assert _sign_outs() == []


def test_sessions_of_other_providers_go_on(signed_on: Sign, keys: Keys, browser: Browser) -> None:
    alice = signed_on()
    SamlSession.objects.update(person="another provider's")

    _ask(browser, Message(), keys, HTTP_REDIRECT)

    assert not _out(alice)


@pytest.mark.parametrize("relay_state", [None, "", "a b&c=/ä"])
def test_the_provider_gets_a_signed_answer_by_redirect(
    signed_on: Sign, keys: Keys, sp: Keys, relay_state: str | None
) -> None:
    browser = signed_on()

    response = _get(browser, slo.query(Message(id="_asked"), keys, relay_state=relay_state))

    assert response.status_code == 302
    assert response["Location"].startswith(f"{SLO_BACK}?SAMLResponse=")
    slo.verify_query(response["Location"], sp)
    root, parameters = slo.unpacked(response["Location"])
    assert (root.get("InResponseTo"), root.get("Destination")) == ("_asked", SLO_BACK)
    assert root.find(f"{P}Status/{P}StatusCode").get("Value") == SUCCESS  # type: ignore[union-attr]
    assert parameters.get("RelayState", "") == (relay_state or "")


def test_the_provider_gets_a_signed_answer_by_form(signed_on: Sign, keys: Keys, sp: Keys) -> None:
    browser = signed_on()

    response = _post(browser, SAMLRequest=slo.form(Message(id="_asked"), keys), RelayState='"><script>')

    root = _field(response, "SAMLResponse")
    assert crypto.verify(root, [sp.certificate]).get("InResponseTo") == "_asked"
    page = response.content.decode()
    assert f'action="{SLO_BACK}"' in page
    assert "<script>" not in page
    assert _out(browser)


def test_without_an_address_for_the_answer_the_sessions_end_anyway(
    signed_on: Sign, keys: Keys, metadata_file: Path, look_at_once: None
) -> None:
    browser = signed_on()
    metadata_file.write_bytes(slo.metadata_with_logout(keys, ()))

    response = _get(browser, slo.query(Message(), keys))

    assert response["Location"] == "/"
    assert _out(browser)


def test_a_cache_that_fails_makes_it_partial(signed_on: Sign, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ConnectionError

    browser = signed_on()
    monkeypatch.setattr(cache, "delete_many", fail)

    response = _get(browser, slo.query(Message(), keys))

    codes = [each.get("Value") for each in slo.unpacked(response["Location"])[0].iter(f"{P}StatusCode")]
    assert codes == [RESPONDER, PARTIAL]
    assert not Session.objects.exists()


def test_sessions_are_found_by_an_index(signed_on: Sign, keys: Keys, browser: Browser) -> None:
    signed_on()
    query = slo.query(Message(), keys)

    with CaptureQueriesContext(connection) as queries:
        _get(browser, query)

    lookups = [each["sql"] for each in queries if 'FROM "teams_samlsession"' in each["sql"]]
    assert '"teams_samlsession"."person" = ' in lookups[0]
    assert not any('FROM "django_session" WHERE NOT' in each["sql"] for each in queries)


def test_the_query_is_verified_as_it_was_sent(signed_on: Sign, keys: Keys) -> None:
    """Some write %2f, some %2F; what was signed is what was sent."""
    browser = signed_on()

    def lower(text: str) -> str:
        return re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quote(text, safe=""))

    response = _get(browser, slo.query(Message(), keys, relay_state="a b/c", quote=lower))

    assert response.status_code == 302
    assert _out(browser)


# What must change nothing


@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
def test_an_unsigned_request_ends_nothing(signed_on: Sign, keys: Keys, binding: str) -> None:
    browser = signed_on()

    if binding == HTTP_REDIRECT:
        response = _get(browser, slo.query(Message(), keys).partition("&SigAlg")[0])
    else:
        response = _post(browser, SAMLRequest=encode(etree.tostring(Message().tree())))

    assert_refused(response, Cause.NOT_SIGNED)
    assert not _out(browser)


@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
def test_the_wrong_signer_ends_nothing(signed_on: Sign, other_keys: Keys, binding: str) -> None:
    browser = signed_on()

    assert_refused(_ask(browser, Message(), other_keys, binding), Cause.SIGNATURE_INVALID)
    assert not _out(browser)


@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
def test_a_request_counts_once(signed_on: Sign, keys: Keys, binding: str) -> None:
    browser, message = signed_on(), Message(id="_once")
    _ask(browser, message, keys, binding)
    again = signed_on(index="later")

    assert_refused(_ask(browser, message, keys, binding), Cause.REPLAYED)
    assert not _out(again)


def _later(minutes: float) -> Callable[[], str]:
    """Return what tells the instant when the test runs, which may be long after all tests were collected."""
    return lambda: f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
@pytest.mark.parametrize(
    ("cause", "fields"),
    [
        (Cause.DESTINATION, {"destination": "https://evil.example/"}),
        (Cause.DESTINATION, {"destination": None}),
        (Cause.DESTINATION, {"destination": f"{PORTAL}/saml2/acs/"}),
        (Cause.ISSUE_INSTANT, {"issued": _later(-70)}),
        (Cause.ISSUE_INSTANT, {"issued": _later(10)}),
        (Cause.BAD_TIME, {"issued": "yesterday"}),
        (Cause.EXPIRED, {"not_on_or_after": _later(-10)}),
        (Cause.ISSUER_UNKNOWN, {"issuer": "https://evil.example"}),
        (Cause.ISSUER_MISSING, {"issuer": ""}),
        (Cause.VERSION, {"version": "1.1"}),
        (Cause.BAD_ID, {"id": "a b"}),
        (Cause.SUBJECT_MISSING, {"name_id": None}),
        (Cause.SUBJECT_BLANK, {"name_id": " "}),
        (Cause.STRUCTURE, {"indexes": ("",)}),
        (Cause.STRUCTURE, {"indexes": tuple(str(number) for number in range(33))}),
    ],
)
def test_a_request_that_is_signed_but_wrong_ends_nothing(
    signed_on: Sign, keys: Keys, binding: str, cause: Cause, fields: dict[str, Any]
) -> None:
    browser = signed_on()
    now = {name: value() if callable(value) else value for name, value in fields.items()}

    assert_refused(_ask(browser, replace(Message(), **now), keys, binding), cause)
    assert not _out(browser)


def _second_name(root: etree._Element) -> None:
    etree.SubElement(root, f"{A}NameID").text = "bob@example.com"


def _encrypted(root: etree._Element) -> None:
    root.replace(the(root, "saml:NameID"), etree.Element(f"{A}EncryptedID"))


def _base_id(root: etree._Element) -> None:
    root.append(etree.Element(f"{A}BaseID"))


def _foreign(root: etree._Element) -> None:
    root.append(etree.Element("{urn:other}NameID"))


@pytest.mark.parametrize(
    ("cause", "spoil"),
    [
        (Cause.SUBJECT_AMBIGUOUS, _second_name),
        (Cause.ENCRYPTED, _encrypted),
        (Cause.STRUCTURE, _base_id),
        (Cause.STRUCTURE, _foreign),
    ],
)
def test_an_odd_request_ends_nothing(
    signed_on: Sign, keys: Keys, cause: Cause, spoil: Callable[[etree._Element], None]
) -> None:
    browser = signed_on()

    assert_refused(_post(browser, SAMLRequest=slo.form(Message(), keys, before=spoil)), cause)
    assert not _out(browser)


def _other_name(root: etree._Element) -> None:
    the(root, "saml:NameID").text = "alice@example.com"


def _around(root: etree._Element) -> None:
    """The signed request hides in the extensions of a forged one, which carries the signature."""
    signed = deepcopy(root)
    signed.remove(the(signed, "ds:Signature"))
    root.set("ID", "_evil")
    extensions = etree.SubElement(root, f"{P}Extensions")
    extensions.append(signed)
    _other_name(root)


def _in_the_signature(root: etree._Element) -> None:
    signed = deepcopy(root)
    signed.remove(the(signed, "ds:Signature"))
    root.set("ID", "_evil")
    etree.SubElement(the(root, "ds:Signature"), f"{DS}Object").append(signed)
    _other_name(root)


def _same_id(root: etree._Element) -> None:
    signed = deepcopy(root)
    signed.remove(the(signed, "ds:Signature"))
    etree.SubElement(root, f"{P}Extensions").append(signed)
    _other_name(root)


def _deeper(root: etree._Element) -> None:
    signature = the(root, "ds:Signature")
    etree.SubElement(root, f"{P}Extensions").append(signature)
    _other_name(root)


@pytest.mark.parametrize(
    "attack", [_other_name, _around, _in_the_signature, _same_id, _deeper], ids=lambda attack: attack.__name__
)
def test_a_wrapped_request_ends_nothing(signed_on: Sign, keys: Keys, attack: Callable[[etree._Element], None]) -> None:
    """Bob's request was signed; an attacker wants alice out."""
    browser = signed_on()

    response = _post(browser, SAMLRequest=slo.form(Message(name_id="bob@example.com"), keys, after=attack))

    assert response.status_code == 403
    event = AuditEvent.objects.get(action="sign_out")
    assert event.reason.partition(",")[0] != Cause.UNEXPECTED
    assert not _out(browser)


def test_a_bomb_is_not_unpacked(browser: Browser, keys: Keys) -> None:
    query = slo.query(b"<a>" + b" " * 20_000_000 + b"</a>", keys)

    assert_refused(_get(browser, query), Cause.TOO_LARGE)


@pytest.mark.parametrize(
    ("cause", "query"),
    [
        (Cause.NO_MESSAGE, ""),
        (Cause.NO_MESSAGE, "SAMLRequest="),
        (Cause.NO_MESSAGE, "SAMLRequest=a&SAMLResponse=a"),
        (Cause.NO_MESSAGE, "SAMLRequest=a&SAMLRequest=a"),
        (Cause.NO_MESSAGE, "SAMLRequest=a&%53AMLRequest=a"),
        (Cause.NOT_BASE64, "SAMLRequest=*"),
        (Cause.NOT_BASE64, "SAMLRequest=%C3%A9"),
        (Cause.NOT_DEFLATED, "SAMLRequest=AAAA"),
        (Cause.NOT_DEFLATED, "SAMLRequest=PGEvPg=="),
        (Cause.TOO_LARGE, "SAMLRequest=" + "A" * 140_000),
    ],
)
def test_garbage_in_the_query_is_refused(browser: Browser, cause: Cause, query: str) -> None:
    assert_refused(_get(browser, query), cause)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (Cause.NOT_XML, b"<a"),
        (Cause.DTD, b"<!DOCTYPE a><a/>"),
        (Cause.NOT_A_LOGOUT, b"<a/>"),
        (Cause.NOT_A_LOGOUT, f"<AuthnRequest xmlns='{P[1:-1]}'/>".encode()),
        (Cause.NOT_A_LOGOUT, f"<Response xmlns='{P[1:-1]}'/>".encode()),
    ],
)
@pytest.mark.parametrize("binding", [HTTP_REDIRECT, HTTP_POST])
def test_other_documents_are_refused(browser: Browser, keys: Keys, cause: Cause, message: bytes, binding: str) -> None:
    if binding == HTTP_REDIRECT:
        response = _get(browser, slo.query(message, keys))
    else:
        response = _post(browser, SAMLRequest=encode(message))

    assert_refused(response, cause)


def test_a_sign_on_response_is_refused_here(browser: Browser, answer: Answer, keys: Keys) -> None:
    from portal.demo.idp import make_response

    xml = make_response(keys, answer(sign="both", destination=LS))

    assert_refused(_post(browser, SAMLResponse=encode(xml)), Cause.NOT_A_LOGOUT)
    assert not browser.signed_on


def test_a_logout_response_is_refused_at_the_assertion_consumer_service(signed_on: Sign, keys: Keys) -> None:
    browser, asked = _left(signed_on)

    response = browser.post(SAMLResponse=slo.form(Message(in_response_to=asked), keys))

    assert response.status_code == 403
    reason = AuditEvent.objects.filter(action="sign_on", outcome="refused").get().reason
    assert reason.startswith(Cause.NOT_A_RESPONSE)


def test_a_response_in_the_field_for_requests_is_refused(signed_on: Sign, keys: Keys) -> None:
    browser, asked = _left(signed_on)
    form = slo.form(Message(in_response_to=asked), keys)

    assert_refused(_post(browser, SAMLRequest=form), Cause.NOT_A_LOGOUT)


@pytest.mark.parametrize("algorithm", [f"{RSA_SHA256[:-3]}1", "http://www.w3.org/2000/09/xmldsig#rsa-sha1", "", "none"])
def test_weak_algorithms_are_refused(signed_on: Sign, keys: Keys, algorithm: str) -> None:
    browser = signed_on()

    assert_refused(_get(browser, slo.query(Message(), keys, algorithm=algorithm)), Cause.SIGNATURE_ALGORITHM)
    assert not _out(browser)


def test_sha_512_is_good(signed_on: Sign, keys: Keys) -> None:
    browser = signed_on()

    _get(browser, slo.query(Message(), keys, algorithm=RSA_SHA256.replace("256", "512")))

    assert _out(browser)


@pytest.mark.parametrize("change", ["RelayState=x&", "&RelayState=x"])
def test_a_relay_state_that_was_not_signed_is_refused(signed_on: Sign, keys: Keys, change: str) -> None:
    browser = signed_on()
    query = slo.query(Message(), keys)

    response = _get(browser, f"{change}{query}" if change.endswith("&") else f"{query}{change}")

    assert_refused(response, Cause.SIGNATURE_INVALID)
    assert not _out(browser)


def test_without_a_key_logout_messages_are_refused(browser: Browser, keys: Keys, settings: LazySettings) -> None:
    settings.SAML_SP_KEY = settings.SAML_SP_CERTIFICATE = ""

    assert_refused(_get(browser, slo.query(Message(), keys)), Cause.LOGOUT_WITHOUT_KEY)


def test_without_the_cache_requests_are_refused(signed_on: Sign, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError

    browser = signed_on()
    monkeypatch.setattr(cache, "add", fail)

    response = _get(browser, slo.query(Message(), keys))

    assert response.status_code == 503
    assert Session.objects.exists()


def test_without_the_database_there_is_a_page(signed_on: Sign, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def fail(*_: Any, **__: Any) -> bool:
        raise OperationalError

    browser = signed_on()
    monkeypatch.setattr(logout, "end_sessions", fail)

    assert_refused(_get(browser, slo.query(Message(), keys)), Cause.DATABASE_DOWN, status=503)


def test_garbage_leaves_a_row_a_minute(browser: Browser) -> None:
    for _ in range(5):
        _get(browser, "SAMLRequest=*")

    assert AuditEvent.objects.count() == 1
    assert not Session.objects.exists()


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(browser: Browser, method: str) -> None:
    assert getattr(browser.client, method)("/saml2/ls/").status_code == 405
