"""Our own metadata, our key, the signatures of our requests, and the check of the configuration."""

import base64
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import etree

from portal import checks
from portal.demo.idp import Keys, create_keys, metadata
from portal.saml import crypto, signing
from portal.saml.names import DS, HTTP_POST, HTTP_REDIRECT, MD
from tests.portal.saml import sp_keys
from tests.portal.saml.conftest import ISSUER, PORTAL, SSO

pytestmark = pytest.mark.django_db

ROLE = f"{MD}SPSSODescriptor"


@pytest.fixture(scope="session")
def sp() -> Keys:
    """The portal's key."""
    return create_keys("portal")


@pytest.fixture(scope="session")
def sp_next() -> Keys:
    """The portal's key after a rollover."""
    return create_keys("portal next")


def _ours(client: Client) -> etree._Element:
    return etree.fromstring(client.get("/saml2/metadata/").content)


def _certificates(root: etree._Element, use: str) -> list[str]:
    path = f"{ROLE}/{MD}KeyDescriptor[@use='{use}']/{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate"
    return [each.text or "" for each in root.findall(path)]


def _text(keys: Keys) -> str:
    return base64.b64encode(keys.certificate.public_bytes(serialization.Encoding.DER)).decode()


def test_without_a_key_there_are_no_certificates_and_no_logout(client: Client) -> None:
    root = _ours(client)

    assert root.findall(f"{ROLE}/{MD}KeyDescriptor") == []
    assert root.findall(f"{ROLE}/{MD}SingleLogoutService") == []
    assert root.find(ROLE).get("AuthnRequestsSigned") == "false"  # type: ignore[union-attr]


def test_with_a_key_it_is_there_for_both_uses(client: Client, settings: LazySettings, tmp_path: Path, sp: Keys) -> None:
    sp_keys.use(settings, tmp_path, sp)

    root = _ours(client)

    assert _certificates(root, "signing") == _certificates(root, "encryption") == [_text(sp)]
    assert root.find(ROLE).get("AuthnRequestsSigned") == "true"  # type: ignore[union-attr]
    services = root.findall(f"{ROLE}/{MD}SingleLogoutService")
    assert [(each.get("Binding"), each.get("Location")) for each in services] == [
        (HTTP_REDIRECT, f"{PORTAL}/saml2/ls/"),
        (HTTP_POST, f"{PORTAL}/saml2/ls/"),
    ]


def test_during_a_rollover_both_certificates_are_there(
    client: Client, settings: LazySettings, tmp_path: Path, sp: Keys, sp_next: Keys
) -> None:
    sp_keys.use(settings, tmp_path, sp, sp_next)

    root = _ours(client)

    assert _certificates(root, "signing") == _certificates(root, "encryption") == [_text(sp), _text(sp_next)]


def test_the_children_stand_in_the_order_of_the_schema(
    client: Client, settings: LazySettings, tmp_path: Path, sp: Keys
) -> None:
    sp_keys.use(settings, tmp_path, sp)
    settings.SAML_ORGANIZATION, settings.SAML_CONTACT_TECHNICAL = "Example & Sons", "saml@example.com"

    root = _ours(client)

    role = [etree.QName(child).localname for child in root[0]]
    order = ["KeyDescriptor", "SingleLogoutService", "NameIDFormat", "AssertionConsumerService"]
    assert role == sorted(role, key=order.index)
    assert set(role) == set(order)
    assert [etree.QName(child).localname for child in root] == ["SPSSODescriptor", "Organization", "ContactPerson"]
    key = root[0].findall(f"{MD}KeyDescriptor[@use='encryption']")[0]
    assert [etree.QName(child).localname for child in key] == ["KeyInfo", *["EncryptionMethod"] * 3]


def test_they_are_valid_by_pysaml2s_schemas(client: Client, settings: LazySettings, tmp_path: Path, sp: Keys) -> None:
    from saml2.xml.schema import validate

    sp_keys.use(settings, tmp_path, sp, sp)
    settings.SAML_ORGANIZATION, settings.SAML_CONTACT_TECHNICAL = "Example", "saml@example.com"

    validate(client.get("/saml2/metadata/").content.decode())


def test_the_contact_and_the_organization_are_named(client: Client, settings: LazySettings) -> None:
    settings.SAML_ORGANIZATION, settings.SAML_CONTACT_TECHNICAL = "Example & Sons", "saml@example.com"

    root = _ours(client)

    person = root.find(f"{MD}ContactPerson")
    assert person is not None
    assert (person.get("contactType"), person.findtext(f"{MD}EmailAddress")) == ("technical", "mailto:saml@example.com")
    assert root.findtext(f"{MD}Organization/{MD}OrganizationName") == "Example & Sons"
    assert root.findtext(f"{MD}Organization/{MD}OrganizationURL") == PORTAL


def test_the_assertion_consumer_service_is_the_default(client: Client) -> None:
    service = _ours(client).find(f"{ROLE}/{MD}AssertionConsumerService")

    assert service is not None
    assert (service.get("index"), service.get("isDefault")) == ("0", "true")


def test_they_may_be_kept_for_minutes_and_cost_no_query(client: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/saml2/metadata/")

    assert list(queries) == []
    assert (response["Cache-Control"], response.get("Vary")) == ("public, max-age=300", None)
    assert response.cookies == {}


def test_they_are_read_only(client: Client) -> None:
    assert client.post("/saml2/metadata/").status_code == 405
    assert client.head("/saml2/metadata/").status_code == 200


def _signed_query(location: str) -> tuple[str, dict[str, str]]:
    query = urlsplit(location).query
    return query.rpartition("&Signature=")[0], {name: values[0] for name, values in parse_qs(query).items()}


def test_requests_are_signed_over_the_query(
    client: Client, metadata_file: Path, settings: LazySettings, tmp_path: Path, sp: Keys
) -> None:
    sp_keys.use(settings, tmp_path, sp)

    location = client.get("/saml2/login/", {"next": "/teams/red/ä b/"})["Location"]

    signed, query = _signed_query(location)
    assert query["SigAlg"] == signing.RSA_SHA256
    assert [part.partition("=")[0] for part in signed.split("&")] == ["SAMLRequest", "RelayState", "SigAlg"]
    sp.private.public_key().verify(
        base64.b64decode(query["Signature"]), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert b"AuthnRequest" in zlib.decompress(base64.b64decode(query["SAMLRequest"]), wbits=-15)


def test_without_a_key_requests_are_not_signed(client: Client, metadata_file: Path) -> None:
    assert "Signature" not in client.get("/saml2/login/")["Location"]


def test_signing_requests_can_be_switched_off(
    client: Client, metadata_file: Path, settings: LazySettings, tmp_path: Path, sp: Keys
) -> None:
    sp_keys.use(settings, tmp_path, sp)
    settings.SAML_SIGN_REQUESTS = False

    assert "Signature" not in client.get("/saml2/login/")["Location"]
    assert _ours(client).find(ROLE).get("AuthnRequestsSigned") == "false"  # type: ignore[union-attr]


def test_posted_requests_carry_a_signature(
    client: Client,
    metadata_file: Path,
    settings: LazySettings,
    tmp_path: Path,
    sp: Keys,
    keys: Keys,
    look_at_once: None,
) -> None:
    sp_keys.use(settings, tmp_path, sp)
    root = etree.fromstring(metadata(ISSUER, SSO, [keys.certificate_pem]))
    for service in root.findall(f".//{MD}SingleSignOnService[@Binding='{HTTP_REDIRECT}']"):
        root[0].remove(service)
    metadata_file.write_bytes(etree.tostring(root))

    page = client.get("/saml2/login/").content.decode()

    message = base64.b64decode(page.partition('name="SAMLRequest" value="')[2].partition('"')[0])
    request = etree.fromstring(message)
    assert [etree.QName(child).localname for child in request][:2] == ["Issuer", "Signature"]
    assert crypto.verify(request, [sp.certificate]).get("ID") == request.get("ID")


def test_a_key_shows_nothing_of_itself(settings: LazySettings, tmp_path: Path, sp: Keys) -> None:
    from portal.saml import keys as own_keys

    sp_keys.use(settings, tmp_path, sp)

    assert repr(own_keys.current()) == "SpKey('CN=portal')"


def _pem(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _messages() -> list[str]:
    found = checks.check_own_keys()
    assert all(each.id == "portal.E012" and each.hint for each in found)
    return [each.msg for each in found]


def test_no_key_is_no_problem() -> None:
    assert _messages() == []


def test_a_good_pair_is_no_problem(settings: LazySettings, tmp_path: Path, sp: Keys, sp_next: Keys) -> None:
    sp_keys.use(settings, tmp_path, sp, sp_next)

    assert _messages() == []


def _missing(key: Path, certificate: Path) -> None:
    key.unlink()


def _no_pem(key: Path, certificate: Path) -> None:
    key.write_text("nothing")


def _locked(key: Path, certificate: Path) -> None:
    key.write_bytes(_pem(rsa.generate_private_key(65537, 2048), b"secret"))


def _weak(key: Path, certificate: Path) -> None:
    key.write_bytes(_pem(rsa.generate_private_key(65537, 1024)))


def _elliptic(key: Path, certificate: Path) -> None:
    key.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))


def _no_certificate(key: Path, certificate: Path) -> None:
    certificate.write_text("nothing")


def _another_certificate(key: Path, certificate: Path) -> None:
    certificate.write_text(create_keys("x").certificate_pem)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_missing, "SAML_SP_KEY cannot be read: No such file or directory."),
        (_no_pem, "SAML_SP_KEY cannot be read as a private key."),
        (_locked, "SAML_SP_KEY cannot be read as a private key."),
        (_weak, "SAML_SP_KEY is too short or no RSA key."),
        (_elliptic, "SAML_SP_KEY is too short or no RSA key."),
        (_no_certificate, "SAML_SP_CERTIFICATE cannot be read as a certificate."),
        (_another_certificate, "SAML_SP_KEY and SAML_SP_CERTIFICATE do not belong together."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_pair_that_cannot_be_used_stops_the_start(
    client: Client,
    settings: LazySettings,
    tmp_path: Path,
    sp: Keys,
    change: Callable[[Path, Path], None],
    message: str,
) -> None:
    sp_keys.use(settings, tmp_path, sp)
    change(Path(settings.SAML_SP_KEY), Path(settings.SAML_SP_CERTIFICATE))

    assert _messages() == [message]
    # And where the file went after the start, sign-on goes on without it.
    assert client.get("/saml2/metadata/").status_code == 200


def test_half_a_pair_stops_the_start(settings: LazySettings, tmp_path: Path, sp: Keys) -> None:
    sp_keys.use(settings, tmp_path, sp)
    settings.SAML_SP_CERTIFICATE = ""

    assert _messages() == ["Only one of SAML_SP_KEY and SAML_SP_CERTIFICATE is set."]


def test_an_expired_certificate_stops_the_start(settings: LazySettings, tmp_path: Path) -> None:
    sp_keys.use(settings, tmp_path, create_keys("old", expires=datetime.now(UTC) - timedelta(days=1)))

    assert _messages() == ["SAML_SP_CERTIFICATE has expired."]


def test_a_next_pair_needs_a_current_one(settings: LazySettings, tmp_path: Path, sp: Keys) -> None:
    settings.SAML_SP_KEY_NEXT, settings.SAML_SP_CERTIFICATE_NEXT = sp_keys.write(tmp_path, "next", sp)

    assert _messages() == ["SAML_SP_KEY_NEXT is set without SAML_SP_KEY."]


def test_a_certificate_that_ends_soon_is_a_warning(settings: LazySettings, tmp_path: Path) -> None:
    sp_keys.use(settings, tmp_path, create_keys("soon", expires=datetime.now(UTC) + timedelta(days=20)))

    found = checks.check_own_keys()

    assert [(each.id, each.msg, each.is_serious()) for each in found] == [
        ("portal.W002", "SAML_SP_CERTIFICATE ends within 30 days.", False)
    ]


@pytest.mark.parametrize("contact", ["nobody", "Nobody <nobody@example.com>", "a@example.com\x00"])
def test_a_contact_that_is_no_address_stops_the_start(settings: LazySettings, contact: str) -> None:
    settings.SAML_CONTACT_TECHNICAL = contact

    assert _messages() == ["SAML_CONTACT_TECHNICAL is no mail address."]
