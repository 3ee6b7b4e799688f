"""Encrypted assertions in the vendors' own messages, set up as their pages advise."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from lxml import etree

from portal.demo.idp import Keys, create_keys
from portal.demo.idp.encryption import CBC, GCM, Encryption, encrypt_assertion
from portal.saml.causes import Cause
from teams.models import IdentityProvider, User
from tests.portal.saml import sp_keys
from tests.portal.saml.conftest import PORTAL, Browser, assert_refused
from tests.portal.saml.flavours import messages
from tests.portal.saml.flavours.test_sign_on import ALICES

pytestmark = pytest.mark.django_db

SetUp = Callable[..., IdentityProvider]

ADVISED = [
    pytest.param("okta", "both", CBC, id="okta"),
    pytest.param("okta", "both", GCM, id="okta with GCM"),
    pytest.param("entra", "assertion", CBC, id="entra"),
    pytest.param("entra", "both", CBC, id="entra that signs both"),
    pytest.param("keycloak", "response", CBC, id="keycloak, older"),
    pytest.param("keycloak", "response", GCM, id="keycloak, newer"),
    pytest.param("auth0", "assertion", GCM, id="auth0"),
    pytest.param("auth0", "response", CBC, id="auth0 that signs the response"),
]


@pytest.fixture(scope="module")
def portal_keys() -> Keys:
    """The portal's own key."""
    return create_keys("portal")


def sealed(flavour: str, keys: Keys, portal_keys: Keys, signed: str, content: str) -> bytes:
    """Return a vendor's answer with its assertion encrypted for the portal."""

    def encrypt(root: etree._Element) -> None:
        encrypt_assertion(root, portal_keys.certificate, Encryption(content=content))

    return messages.response(flavour, keys, portal=PORTAL, signed=signed, encrypt=encrypt)


@pytest.mark.parametrize(("flavour", "signed", "content"), ADVISED)
def test_alice_signs_on_by_an_encrypted_assertion(
    set_up: SetUp,
    browser: Browser,
    keys: Keys,
    portal_keys: Keys,
    settings: LazySettings,
    tmp_path: Path,
    flavour: str,
    signed: str,
    content: str,
) -> None:
    sp_keys.use(settings, tmp_path, portal_keys)
    set_up(flavour)

    browser.bring_xml(sealed(flavour, keys, portal_keys, signed, content))

    assert User.objects.get().subject == ALICES[flavour].subject


def test_without_a_key_of_its_own_the_portal_says_what_is_missing(
    set_up: SetUp, browser: Browser, keys: Keys, portal_keys: Keys
) -> None:
    set_up("okta")

    answer = browser.bring_xml(sealed("okta", keys, portal_keys, "both", GCM))

    assert_refused(browser, answer, Cause.NO_SP_KEY)
