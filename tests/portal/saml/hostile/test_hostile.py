"""The table of hostile messages: each is refused in every way of signing, for a reason that we know."""

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from lxml import etree

from portal.demo.idp import Keys
from portal.saml.causes import Cause
from teams.models import AuditEvent, Membership, User
from tests.portal.saml.conftest import Browser
from tests.portal.saml.hostile.building import Signing, message, signed
from tests.portal.saml.hostile.cases import Case
from tests.portal.saml.hostile.markup import MARKUP
from tests.portal.saml.hostile.naming import NAMING
from tests.portal.saml.hostile.saying import SAYING
from tests.portal.saml.hostile.signing import SIGNING
from tests.portal.saml.hostile.tampering import TAMPERING
from tests.portal.saml.hostile.wrapping import WRAPPING

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("metadata_file")]

HOSTILE = [*SAYING, *NAMING, *WRAPPING, *SIGNING, *TAMPERING, *MARKUP]
TABLE = [(case, mode) for case in HOSTILE for mode in case.modes]


def xml_of(case: Case, mode: str, keys: Keys) -> bytes:
    """Return the case's message as it arrives."""
    root = message(case.template)
    if case.before:
        case.before(root)
    xml = signed(root, keys, mode, case.signing or Signing())
    if case.after:
        arrived = etree.fromstring(xml)
        case.after(arrived)
        xml = etree.tostring(arrived)
    return case.wire(xml) if case.wire else xml


def assert_nobody_came_in(browser: Browser, response: Any) -> None:
    """No session, no row of a person, no way off the site, no word of the message on the page."""
    assert not browser.signed_on
    assert "Location" not in response
    assert "portal_session" not in response.cookies
    assert not Session.objects.exists()
    assert not User.objects.exists()
    assert not Membership.objects.exists()
    page = response.content.decode()
    assert "canary" not in page.lower()
    assert response["X-Request-ID"][:12] in page


def test_every_name_is_used_once() -> None:
    names = [case.name for case in HOSTILE]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(("case", "mode"), TABLE, ids=[f"{case.name}-{mode}" for case, mode in TABLE])
def test_a_hostile_message_is_refused(browser: Browser, keys: Keys, case: Case, mode: str) -> None:
    response = browser.bring_xml(xml_of(case, mode, keys))

    assert response.status_code == 403
    assert_nobody_came_in(browser, response)
    event = AuditEvent.objects.get()
    cause = Cause(event.reason.partition(",")[0])
    assert event.outcome == AuditEvent.Outcome.REFUSED
    if case.causes:
        assert cause in case.causes
    assert cause not in {Cause.UNEXPECTED, Cause.REPLAYED}
