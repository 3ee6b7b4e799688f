"""Honest messages, however they are written, sign on the person whom they name, in every way of signing."""

import pytest
from django.contrib.sessions.models import Session
from lxml import etree

from portal.demo.idp import Keys
from teams.models import AuditEvent, User
from tests.portal.saml.conftest import Browser
from tests.portal.saml.forging import the
from tests.portal.saml.hostile.building import PERSON, message, signed
from tests.portal.saml.hostile.cases import STATEMENT, Case, add, fragment
from tests.portal.saml.hostile.test_hostile import xml_of
from tests.portal.saml.hostile.variety import VARIETY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("metadata_file")]

TABLE = [(case, mode) for case in VARIETY for mode in case.modes]


@pytest.mark.parametrize(("case", "mode"), TABLE, ids=[f"{case.name}-{mode}" for case, mode in TABLE])
def test_an_honest_message_signs_on_whom_it_names(browser: Browser, keys: Keys, case: Case, mode: str) -> None:
    response = browser.bring_xml(xml_of(case, mode, keys))

    assert [event.reason for event in AuditEvent.objects.filter(outcome=AuditEvent.Outcome.REFUSED)] == []
    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.signed_on
    assert User.objects.get().subject == case.person
    assert Session.objects.count() == 1


@pytest.mark.parametrize("what", ["declaration", "byte order mark", "line ends", "comments", "empty tags", "quotes"])
def test_the_bytes_may_change_where_xml_does_not(browser: Browser, keys: Keys, what: str) -> None:
    root = message()
    etree.indent(root)
    xml = signed(root, keys, "both")
    changed = {
        "declaration": b'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n' + xml,
        "byte order mark": b"\xef\xbb\xbf" + xml,
        "line ends": xml.replace(b"\n", b"\r\n"),
        "comments": b"<!-- canary -->" + xml + b"<!-- canary -->\n",
        "empty tags": xml.replace(b"></saml:SubjectConfirmationData>", b"/>"),
        "quotes": xml.replace(b'Version="2.0"', b"Version = '2.0'"),
    }[what]

    assert browser.bring_xml(changed).status_code == 302
    assert User.objects.get().subject == PERSON


def test_comments_do_not_cut_groups_short(browser: Browser, keys: Keys) -> None:
    root = message()
    add(STATEMENT, '<saml:Attribute Name="groups"/>')(root)
    values = ("<!--x-->admins<!--y-->-of-nothing", "<!---->plain", " padded ", "", "Ädmins", "plain")
    for value in values:
        the(root, STATEMENT)[-1].append(fragment(f"<saml:AttributeValue>{value}</saml:AttributeValue>"))

    browser.bring_xml(signed(root, keys, "assertion"))

    found = User.objects.get().group_memberships.values_list("group__external_id", flat=True)
    assert set(found) == {"admins-of-nothing", "plain", "padded", "Ädmins"}
