"""Sign-on as it should be: from either side, with every flavour of identity provider."""

from collections.abc import Callable

import pytest

from portal.demo.idp import FLAVOURS, Flavour, Response
from teams.models import AuditEvent, User
from tests.portal.saml.conftest import Browser

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_somebody_signs_on_from_the_identity_provider(
    browser: Browser, answer: Callable[..., Response], flavour: Flavour, sign: str
) -> None:
    response = browser.bring(answer({"ssouserid": ["alice"], "name": ["Alice"]}, flavour=flavour, sign=sign))

    assert (response.status_code, response["Location"]) == (302, "/")
    assert browser.signed_on
    user = User.objects.get()
    assert (user.realm, user.subject, user.name) == ("default", "alice", "Alice")
    event = AuditEvent.objects.get(action=AuditEvent.Action.SIGN_ON)
    assert (event.actor, event.target, event.outcome) == ("alice", "alice", "success")
    assert event.data["how"] == "started at the identity provider"
