"""What an identity provider may say and is still refused: each check of the conditions, the issuer and the subject."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from lxml import etree

from portal.demo.idp import Keys, Response, metadata
from portal.saml import replay
from portal.saml.causes import Cause
from teams import audit, users
from teams.models import AuditEvent, User
from tests.factories import make_user
from tests.portal.saml.conftest import ACS, ISSUER, PORTAL, SSO, Browser, assert_refused
from tests.portal.saml.forging import A, P, Spoil, signed_after, the

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]
NAME_ID = "saml:Assertion/saml:Subject/saml:NameID"
CONFIRMATION = "saml:Assertion/saml:Subject/saml:SubjectConfirmation"
DATA = f"{CONFIRMATION}/saml:SubjectConfirmationData"
CONDITIONS = "saml:Assertion/saml:Conditions"
AUDIENCE = f"{CONDITIONS}/saml:AudienceRestriction/saml:Audience"
VALUE = "saml:Assertion/saml:AttributeStatement/saml:Attribute/saml:AttributeValue"
AUTHN = "saml:Assertion/saml:AuthnStatement"


def ago(**spans: float) -> datetime:
    return datetime.now(UTC) - timedelta(**spans)


@pytest.mark.parametrize(
    ("cause", "fields"),
    [
        (Cause.VERSION, {"version": "1.1"}),
        (Cause.VERSION, {"assertion_version": "1.1"}),
        (Cause.STATUS, {"status": "urn:oasis:names:tc:SAML:2.0:status:Responder"}),
        (Cause.ISSUER_UNKNOWN, {"issuer": "https://other.example"}),
        (Cause.ISSUER_MISMATCH, {"assertion_issuer": "https://other.example"}),
        (Cause.DESTINATION, {"destination": "https://other.example/saml2/acs/"}),
        (Cause.DESTINATION, {"destination": ""}),
        (Cause.DESTINATION, {"destination": None, "sign": "response"}),
        (Cause.RECIPIENT, {"recipient": "https://other.example/saml2/acs/"}),
        (Cause.RECIPIENT, {"recipient": None}),
        (Cause.RECIPIENT, {"recipient": ACS.upper()}),
        (Cause.NO_AUDIENCE, {"audience": []}),
        (Cause.AUDIENCE, {"audience": "https://other.example"}),
        (Cause.AUDIENCE, {"audience": [f"{PORTAL}/saml2/metadata/", "https://other.example"]}),
        (Cause.NO_CONDITIONS, {"has_conditions": False}),
        (Cause.NOT_YET_VALID, {"not_before": ago(hours=-1)}),
        (Cause.EXPIRED, {"not_on_or_after": ago(seconds=200)}),
        (Cause.BEARER_EXPIRED, {"confirmation_not_on_or_after": ago(seconds=200)}),
        (Cause.BEARER_NO_END, {"confirmation_not_on_or_after": None}),
        (Cause.NO_BEARER, {"confirmation_method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"}),
        (Cause.NO_BEARER, {"confirmation_method": "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"}),
        (Cause.ISSUE_INSTANT, {"issued_at": ago(hours=2)}),
        (Cause.ISSUE_INSTANT, {"issued_at": ago(hours=-1)}),
        (Cause.SESSION_ENDED, {"session_not_on_or_after": ago(seconds=1)}),
        (Cause.IN_RESPONSE_TO_UNKNOWN, {"in_response_to": "_x", "confirmation_in_response_to": "_x"}),
        (Cause.IN_RESPONSE_TO_UNKNOWN, {"in_response_to": "", "confirmation_in_response_to": ""}),
        (Cause.IN_RESPONSE_TO_MISMATCH, {"in_response_to": "_x"}),
        (Cause.IN_RESPONSE_TO_MISMATCH, {"confirmation_in_response_to": "_x"}),
        (Cause.SUBJECT_BLANK, {"name_id": ""}),
        (Cause.SUBJECT_BLANK, {"name_id": " \n "}),
        (Cause.SUBJECT_TOO_LONG, {"name_id": "x" * 257}),
        (Cause.SUBJECT_CHARACTERS, {"name_id": "alice\u202ebob"}),
        (Cause.SUBJECT_CHARACTERS, {"name_id": "alice\tbob"}),
        (Cause.BAD_ID, {"assertion_id": "x" * 300}),
        (Cause.BAD_ID, {"assertion_id": "a b"}),
        (Cause.SIGNATURE_ALGORITHM, {"signature_algorithm": "rsa-sha1"}),
        (Cause.SIGNATURE_ALGORITHM, {"digest_algorithm": "sha1"}),
        (Cause.SIGNATURE_ALGORITHM, {"signature_algorithm": "rsa-sha224"}),
        (Cause.NOT_SIGNED, {"sign": "nothing"}),
    ],
)
def test_a_field_that_is_wrong_is_refused(
    browser: Browser, answer: Answer, cause: Cause, fields: dict[str, Any]
) -> None:
    assert_refused(browser, browser.bring(answer(**fields)), cause)


@pytest.mark.parametrize(
    ("cause", "attributes", "fields"),
    [
        (Cause.SUBJECT_AMBIGUOUS, {"ssouserid": ["alice", "bob"]}, {}),
        (Cause.SUBJECT_BLANK, {"ssouserid": []}, {}),
        (Cause.SUBJECT_BLANK, {"ssouserid": [" "]}, {}),
        (Cause.SUBJECT_TOO_LONG, {"ssouserid": ["x" * 257]}, {}),
        (Cause.SUBJECT_CHARACTERS, {"ssouserid": ["al\u200bice"]}, {}),
        (Cause.SUBJECT_MISSING, {}, {"name_id": None}),
        (
            Cause.SUBJECT_TRANSIENT,
            {},
            {"name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
        ),
        (Cause.SUBJECT_UNUSABLE, {"ssouserid": ["\u00a0alice"]}, {}),
    ],
)
def test_a_subject_that_is_no_one_person_is_refused(
    browser: Browser, answer: Answer, cause: Cause, attributes: dict[str, list[str]], fields: dict[str, Any]
) -> None:
    assert_refused(browser, browser.bring(answer(attributes, **fields)), cause)


def _set(path: str, name: str, value: str) -> Spoil:
    return lambda root: the(root, path).set(name, value)


def _add(path: str, tag: str, text: str = "x", **attributes: str) -> Spoil:
    def spoil(root: etree._Element) -> None:
        child = etree.SubElement(the(root, path) if path else root, tag, attributes)
        child.text = text

    return spoil


def _double(path: str) -> Spoil:
    def spoil(root: etree._Element) -> None:
        element = the(root, path)
        parent = element.getparent()
        assert parent is not None
        copy = etree.fromstring(etree.tostring(element, with_tail=False))
        copy.attrib.pop("ID", "")
        parent.append(copy)

    return spoil


def _remove(path: str) -> Spoil:
    def spoil(root: etree._Element) -> None:
        element = the(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return spoil


def _split(path: str) -> Spoil:
    """Put an element in the middle of the text, where careless readers stop."""

    def spoil(root: etree._Element) -> None:
        element = the(root, path)
        element.text = "admin"
        etree.SubElement(element, f"{A}x").tail = ".evil"

    return spoil


@pytest.mark.parametrize(
    ("cause", "spoil"),
    [
        (Cause.BAD_TIME, _set("saml:Assertion", "IssueInstant", "yesterday")),
        (Cause.BAD_TIME, _set(CONDITIONS, "NotOnOrAfter", "2030-13-01T00:00:00Z")),
        (Cause.BAD_TIME, _set(CONDITIONS, "NotBefore", "0001-01-01T00:00:00+14:00")),
        (Cause.BAD_TIME, _set(DATA, "NotOnOrAfter", "٢٠٣٠-01-01T00:00:00Z")),
        (Cause.BEARER_NOT_BEFORE, _set(DATA, "NotBefore", "2020-01-01T00:00:00Z")),
        (Cause.BEARER_NO_END, _remove(DATA)),
        (Cause.UNKNOWN_CONDITION, _add(CONDITIONS, f"{A}Condition")),
        (Cause.UNKNOWN_CONDITION, _add(CONDITIONS, "{urn:other}OneTimeUse")),
        (Cause.AUDIENCE, _remove(AUDIENCE)),
        (Cause.NO_AUTHN_STATEMENT, _remove(AUTHN)),
        (Cause.ISSUER_MISSING, _remove("saml:Assertion/saml:Issuer")),
        (Cause.ISSUER_MISSING, _double("saml:Assertion/saml:Issuer")),
        (Cause.ISSUER_MISMATCH, _double("saml:Issuer")),
        (Cause.STRUCTURE, _double("saml:Assertion/saml:Subject")),
        (Cause.STRUCTURE, _double(CONDITIONS)),
        (Cause.STRUCTURE, _add("saml:Assertion", f"{P}Extensions")),
        (Cause.STRUCTURE, _add("", f"{A}Subject")),
        (Cause.STATUS, _double("samlp:Status")),
        (Cause.STATUS, _remove("samlp:Status")),
        (Cause.SUBJECT_AMBIGUOUS, _double(NAME_ID)),
        (Cause.SUBJECT_AMBIGUOUS, _double(VALUE)),
        (Cause.SUBJECT_AMBIGUOUS, _double("saml:Assertion/saml:AttributeStatement")),
        (Cause.NESTED_VALUE, _split(NAME_ID)),
        (Cause.NESTED_VALUE, _split(VALUE)),
        (Cause.NESTED_VALUE, _split(AUDIENCE)),
        (Cause.ENCRYPTED, _add("", f"{A}EncryptedAssertion")),
        (Cause.ENCRYPTED, _add("saml:Assertion/saml:Subject", f"{A}EncryptedID")),
        (Cause.ENCRYPTED, _add("saml:Assertion/saml:AttributeStatement", f"{A}EncryptedAttribute")),
        (Cause.ASSERTION_COUNT, _double("saml:Assertion")),
        (Cause.ASSERTION_COUNT, _remove("saml:Assertion")),
        (Cause.ASSERTION_COUNT, _add("", f"{P}Response")),
        (Cause.DUPLICATE_ID, _set(VALUE, "{http://www.w3.org/XML/1998/namespace}id", "_same")),
    ],
)
def test_a_message_of_an_odd_shape_is_refused_even_if_the_provider_signed_it(
    browser: Browser, answer: Answer, keys: Keys, cause: Cause, spoil: Spoil
) -> None:
    good = answer(response_id="_same")
    signing = "nothing" if cause in {Cause.ASSERTION_COUNT, Cause.DUPLICATE_ID} else "assertion"

    xml = signed_after(good, keys, spoil, sign=signing)

    assert_refused(browser, browser.bring_xml(xml), cause)


@pytest.mark.parametrize(
    "root",
    ["LogoutResponse", "LogoutRequest", "AuthnRequest", "ArtifactResponse"],
)
def test_other_messages_are_no_answer(browser: Browser, metadata_file: Path, root: str) -> None:
    xml = etree.tostring(etree.Element(f"{P}{root}", {"Version": "2.0", "ID": "_x"}))

    assert_refused(browser, browser.bring_xml(xml), Cause.NOT_A_RESPONSE)


def test_an_assertion_on_its_own_is_no_answer(browser: Browser, answer: Answer, keys: Keys) -> None:
    root = etree.fromstring(signed_after(answer(), keys, lambda root: None))

    xml = etree.tostring(the(root, "saml:Assertion"), with_tail=False)

    assert_refused(browser, browser.bring_xml(xml), Cause.NOT_A_RESPONSE)


def test_an_untrusted_key_is_refused(browser: Browser, answer: Answer, other_keys: Keys) -> None:
    assert_refused(browser, browser.bring(answer(), keys=other_keys), Cause.SIGNATURE_INVALID)


def test_unsolicited_answers_can_be_forbidden(browser: Browser, answer: Answer, settings: LazySettings) -> None:
    settings.SAML_ALLOW_UNSOLICITED = False

    assert_refused(browser, browser.bring(answer()), Cause.UNSOLICITED)
    assert browser.bring(answer(asked=browser.ask())).status_code == 302


def test_an_answer_for_another_browser_is_refused(browser: Browser, other_browser: Browser, answer: Answer) -> None:
    asked = browser.ask()

    assert_refused(other_browser, other_browser.bring(answer(asked=asked)), Cause.IN_RESPONSE_TO_UNKNOWN)


def test_an_answer_by_another_provider_than_asked_is_refused(
    browser: Browser, answer: Answer, metadata_file: Path, keys: Keys, look_at_once: None
) -> None:
    asked = browser.ask()
    metadata_file.write_bytes(metadata("https://other.example", SSO, [keys.certificate_pem]))

    spoiled = answer(asked=asked, issuer="https://other.example")

    assert_refused(browser, browser.bring(spoiled), Cause.IN_RESPONSE_TO_UNKNOWN)


def test_an_inactive_person_is_refused(browser: Browser, answer: Answer) -> None:
    make_user("alice", is_active=False)

    response = browser.bring(answer())

    assert_refused(browser, response, Cause.INACTIVE)
    assert "switched off" in response.content.decode()
    assert AuditEvent.objects.get().target == "alice"


def test_without_the_database_there_is_a_page(
    browser: Browser, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(users, "sign_on", fail)

    assert_refused(browser, browser.bring(answer()), Cause.DATABASE_DOWN, status=503)


def test_a_refusal_that_cannot_be_audited_is_still_a_page(
    browser: Browser, answer: Answer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(audit, "record", fail)

    assert browser.bring(answer(audience="https://other.example")).status_code == 403
    assert "could not be audited" in caplog.text


def test_nothing_is_stored_when_the_audit_row_fails(
    browser: Browser, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(audit, "record", fail)

    assert browser.bring(answer()).status_code == 503
    assert not User.objects.exists()
    assert not browser.signed_on


def test_a_local_administrators_name_is_not_taken_over(browser: Browser, answer: Answer) -> None:
    make_user("alice", realm="local", username="alice", is_active=False)

    assert_refused(browser, browser.bring(answer()), Cause.SUBJECT_UNUSABLE)


def test_an_expired_certificate_is_refused(
    browser: Browser, answer: Answer, metadata_file: Path, look_at_once: None
) -> None:
    from portal.demo.idp import create_keys

    old = create_keys("idp", expires=ago(days=1))
    metadata_file.write_bytes(metadata(ISSUER, SSO, [old.certificate_pem]))

    assert_refused(browser, browser.bring(answer(), keys=old), Cause.CERTIFICATE_EXPIRED)


def test_expired_metadata_are_refused(
    browser: Browser, answer: Answer, metadata_file: Path, keys: Keys, look_at_once: None
) -> None:
    metadata_file.write_bytes(metadata(ISSUER, SSO, [keys.certificate_pem], valid_until=ago(seconds=1)))

    assert_refused(browser, browser.bring(answer()), Cause.METADATA_EXPIRED)


def test_a_message_that_surprises_us_is_refused(
    browser: Browser, answer: Answer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def surprise(**_: object) -> None:
        raise KeyError("content of the message")

    monkeypatch.setattr(replay, "spend_assertion", surprise)

    assert_refused(browser, browser.bring(answer()), Cause.UNEXPECTED)
    assert "KeyError" in caplog.text
    assert "content of the message" not in caplog.text


def test_the_log_names_the_cause_the_issuer_and_the_reference(
    browser: Browser, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    response = browser.bring(answer(audience="https://other.example"))

    line = next(record.getMessage() for record in caplog.records if record.name == "portal.saml.refusals")
    assert line == f"Sign-on refused: audience, issuer {ISSUER}, reference {response['X-Request-ID'][:12]}"


def test_what_a_trusted_provider_signed_is_always_audited(browser: Browser, answer: Answer) -> None:
    for _ in range(3):
        browser.bring(answer(audience="https://other.example"))

    events = AuditEvent.objects.all()
    assert [event.data for event in events] == [{"issuer": ISSUER}] * 3


def test_garbage_leaves_one_row_a_minute_for_each_cause(browser: Browser, metadata_file: Path) -> None:
    for _ in range(5):
        browser.bring_xml(b"<garbage/>")
        browser.bring_xml(b"<not xml")

    assert min(AuditEvent.objects.values_list("reason", flat=True)).startswith("not_a_response, reference ")
    assert AuditEvent.objects.count() == 2
