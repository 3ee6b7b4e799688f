"""Every vendor's metadata: addresses, and only the certificates that sign SAML assertions."""

import pytest

from portal.demo.idp import Keys, create_keys
from portal.saml.metadata import IdpMetadata, parse
from portal.saml.names import HTTP_POST, HTTP_REDIRECT
from tests.portal.saml.flavours import messages

ADDRESSES = {
    "identity-center": (messages.ISSUERS["identity-center"], "https://portal.sso.eu-west-1.amazonaws.com/saml/logout/"),
    "okta": ("https://example.okta.com/app/example_studioportal_1/exk1a2b3c4D5e6F7g8h9/sso/saml", ""),
    "entra": (
        "https://login.microsoftonline.com/82869000-6ad1-48f0-8171-272ed1879600/saml2",
        "https://login.microsoftonline.com/82869000-6ad1-48f0-8171-272ed1879600/saml2",
    ),
    "keycloak": (
        "https://sso.example.com/realms/studio/protocol/saml",
        "https://sso.example.com/realms/studio/protocol/saml",
    ),
    "auth0": (
        "https://example.eu.auth0.com/samlp/a1B2c3D4e5F6g7H8",
        "https://example.eu.auth0.com/samlp/a1B2c3D4e5F6g7H8/logout",
    ),
}
flavours = pytest.mark.parametrize("flavour", ADDRESSES)


@pytest.fixture(scope="module")
def next_keys() -> Keys:
    """The key that the provider will sign with after its rollover."""
    return create_keys("next")


def read(data: bytes) -> IdpMetadata:
    """Return the only provider in the metadata."""
    (provider,) = parse(data)
    return provider


@flavours
def test_the_addresses_and_the_certificate_are_found(flavour: str, keys: Keys) -> None:
    provider = read(messages.metadata(flavour, keys))

    sign_on, logout = ADDRESSES[flavour]
    assert provider.entity_id == messages.ISSUERS[flavour]
    assert dict(provider.sign_on_locations) == {HTTP_POST: sign_on, HTTP_REDIRECT: sign_on}
    assert provider.certificates == (keys.certificate,)
    assert provider.valid_until is None
    assert bool(provider.logout_locations) == bool(logout)
    assert all(each.location.startswith(logout) for each in provider.logout_locations.values())


def test_entra_signs_with_the_next_key_too_and_ws_federations_keys_do_not_count(
    keys: Keys, next_keys: Keys, other_keys: Keys
) -> None:
    provider = read(messages.metadata("entra", keys, other=other_keys, following=next_keys))

    assert provider.certificates == (keys.certificate, next_keys.certificate)


def test_keycloaks_older_metadata_are_a_list_of_one(keys: Keys) -> None:
    text = messages.metadata("keycloak", keys).decode()
    listed = (
        '<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" Name="urn:keycloak">'
        f"{text}</EntitiesDescriptor>"
    )

    assert read(listed.encode()).entity_id == messages.ISSUERS["keycloak"]


def test_a_key_for_encryption_does_not_sign(keys: Keys, other_keys: Keys) -> None:
    text = messages.metadata("keycloak", keys).decode()
    _, _, certificate = messages.metadata("keycloak", other_keys).decode().partition("<md:KeyDescriptor")
    descriptor = "<md:KeyDescriptor" + certificate.partition("</md:KeyDescriptor>")[0] + "</md:KeyDescriptor>"
    both = text.replace(
        "<md:ArtifactResolutionService",
        descriptor.replace('use="signing"', 'use="encryption"') + "<md:ArtifactResolutionService",
    )

    assert read(both.encode()).certificates == (keys.certificate,)


def test_extensions_and_other_roles_are_passed_over(keys: Keys) -> None:
    text = messages.metadata("okta", keys).decode()
    extended = text.replace(
        "<md:IDPSSODescriptor",
        '<md:Extensions><alg:DigestMethod xmlns:alg="urn:oasis:names:tc:SAML:metadata:algsupport" '
        'Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/></md:Extensions>'
        '<md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        '<md:AssertionConsumerService index="0" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        'Location="https://example.okta.com/sso/saml2"/></md:SPSSODescriptor><md:IDPSSODescriptor',
    )

    assert dict(read(extended.encode()).sign_on_locations) == dict(read(text.encode()).sign_on_locations)
