"""Metadata of identity providers: what is read from them, when they are read again, and what is wrong with them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.conf import LazySettings
from lxml import etree

from portal.demo.idp import Keys, Response, create_keys, metadata
from portal.saml import fetch, providers, sources, upkeep
from portal.saml import metadata as saml_metadata
from portal.saml.metadata import LogoutLocation, MetadataError, parse
from portal.saml.names import DS, HTTP_POST, HTTP_REDIRECT, MD
from tests.portal.saml.conftest import ISSUER, SSO, Browser
from tests.portal.saml.remote import Remote

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]


def _changed(keys: Keys, change: Callable[[etree._Element], None]) -> bytes:
    root = etree.fromstring(metadata(ISSUER, SSO, [keys.certificate_pem]))
    change(root)
    return etree.tostring(root)


def _find(root: etree._Element, name: str) -> etree._Element:
    found = root.find(f".//{MD}{name}")
    assert found is not None
    return found


def test_what_sign_on_needs_is_read(keys: Keys) -> None:
    (found,) = parse(metadata(ISSUER, SSO, [keys.certificate_pem]))

    assert found.entity_id == ISSUER
    assert found.sign_on_locations == {HTTP_REDIRECT: SSO, HTTP_POST: SSO}
    assert found.certificates == (keys.certificate,)
    assert found.valid_until is None
    assert found.logout_locations == {}


def test_where_logout_messages_go(keys: Keys) -> None:
    def change(root: etree._Element) -> None:
        role = _find(root, "IDPSSODescriptor")
        for binding, location, response in (
            (HTTP_REDIRECT, "https://idp.example.com/slo", "https://idp.example.com/slo/done"),
            (HTTP_REDIRECT, "https://idp.example.com/second", ""),
            (HTTP_POST, "https://idp.example.com/slo-post", "javascript:alert(1)"),
            ("urn:oasis:names:tc:SAML:2.0:bindings:SOAP", "https://idp.example.com/soap", ""),
        ):
            etree.SubElement(
                role,
                f"{MD}SingleLogoutService",
                {"Binding": binding, "Location": location, "ResponseLocation": response},
            )

    assert parse(_changed(keys, change))[0].logout_locations == {
        HTTP_REDIRECT: LogoutLocation("https://idp.example.com/slo", "https://idp.example.com/slo/done"),
        HTTP_POST: LogoutLocation("https://idp.example.com/slo-post", "https://idp.example.com/slo-post"),
    }


def test_several_providers_in_one_file(keys: Keys, other_keys: Keys) -> None:
    both = [metadata(ISSUER, SSO, [keys.certificate_pem]), metadata("urn:other", SSO, [other_keys.certificate_pem])]
    group = etree.Element(f"{MD}EntitiesDescriptor")
    inner = etree.SubElement(group, f"{MD}EntitiesDescriptor", {"validUntil": "2099-01-01T00:00:00Z"})
    inner.extend([etree.fromstring(each) for each in both])
    etree.SubElement(group, f"{MD}EntityDescriptor", {"entityID": "urn:a-portal"})

    found = parse(etree.tostring(group))

    assert [each.entity_id for each in found] == [ISSUER, "urn:other"]
    assert found[0].valid_until == datetime(2099, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("use", ["signing", None])
def test_a_key_is_for_signing_unless_it_says_otherwise(keys: Keys, use: str | None) -> None:
    def change(root: etree._Element) -> None:
        key = _find(root, "KeyDescriptor")
        del key.attrib["use"]
        if use:
            key.set("use", use)

    assert parse(_changed(keys, change))[0].certificates == (keys.certificate,)


def test_a_key_for_encryption_signs_nothing(keys: Keys) -> None:
    with pytest.raises(MetadataError, match="no signing certificate"):
        parse(_changed(keys, lambda root: _find(root, "KeyDescriptor").set("use", "encryption")))


def test_the_authority_in_a_chain_signs_nothing(keys: Keys) -> None:
    authority = create_keys("authority")
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(authority.certificate.subject)
        .public_key(private.public_key())
        .serial_number(2)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(authority.private, hashes.SHA256())
    )

    def change(root: etree._Element) -> None:
        data = root.find(f".//{DS}X509Data")
        assert data is not None
        data.clear()
        for certificate in (leaf, authority.certificate):
            pem = certificate.public_bytes(serialization.Encoding.PEM).decode().splitlines()
            etree.SubElement(data, f"{DS}X509Certificate").text = "\n".join(pem[1:-1])

    assert parse(_changed(keys, change))[0].certificates == (leaf,)


def test_an_empty_name_id_format_does_not_matter(keys: Keys) -> None:
    def change(root: etree._Element) -> None:
        _find(root, "NameIDFormat").text = None

    assert parse(_changed(keys, change))


@pytest.mark.parametrize(
    "location", ["http://idp.example.com/sso", "javascript:alert(1)", "//idp.example.com", "https://", "http://[", ""]
)
def test_people_are_sent_to_https_only(keys: Keys, location: str) -> None:
    assert parse(metadata(ISSUER, location, [keys.certificate_pem]))[0].sign_on_locations == {}


@pytest.mark.parametrize(
    ("wrong", "data"),
    [
        ("not well-formed", b"<a>"),
        ("not well-formed", b""),
        ("contain a DTD", b"<!DOCTYPE a><a/>"),
        ("no SAML 2.0 identity provider", b"<a/>"),
        ("larger", b" " * (saml_metadata.MAX_BYTES + 1)),
    ],
)
def test_metadata_that_cannot_be_used_say_why(wrong: str, data: bytes) -> None:
    with pytest.raises(MetadataError, match=wrong) as caught:
        parse(data)
    assert caught.value.hint


def _weak(root: etree._Element) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    now = datetime.now(UTC)
    weak = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    pem = weak.public_bytes(serialization.Encoding.PEM).decode().splitlines()
    element = root.find(f".//{DS}X509Certificate")
    assert element is not None
    element.text = "".join(pem[1:-1])


def _garbage(root: etree._Element) -> None:
    element = root.find(f".//{DS}X509Certificate")
    assert element is not None
    element.text = "AAAA"


def _twice(root: etree._Element) -> None:
    copy = etree.fromstring(etree.tostring(root))
    root.append(copy)


@pytest.mark.parametrize(
    ("wrong", "change"),
    [
        ("too weak", _weak),
        ("cannot be read", _garbage),
        ("one identity provider twice", _twice),
        ("no entity ID", lambda root: root.set("entityID", " ")),
        ("no signing certificate", lambda root: _find(root, "KeyDescriptor").clear()),
        (
            "no SAML 2.0 identity provider",
            lambda root: _find(root, "IDPSSODescriptor").set("protocolSupportEnumeration", "urn:x"),
        ),
        ("not a date", lambda root: root.set("validUntil", "soon")),
    ],
)
def test_a_provider_that_cannot_be_used_says_why(
    keys: Keys, wrong: str, change: Callable[[etree._Element], None]
) -> None:
    with pytest.raises(MetadataError, match=wrong):
        parse(_changed(keys, change))


def test_a_rollover_needs_no_restart(
    browser: Browser, answer: Answer, metadata_file: Path, keys: Keys, other_keys: Keys, look_at_once: None
) -> None:
    assert browser.bring(answer()).status_code == 302
    assert browser.bring(answer(), keys=other_keys).status_code == 403

    metadata_file.write_bytes(metadata(ISSUER, SSO, [keys.certificate_pem, other_keys.certificate_pem]))
    assert browser.bring(answer()).status_code == 302
    assert browser.bring(answer(), keys=other_keys).status_code == 302

    metadata_file.write_bytes(metadata(ISSUER, SSO, [other_keys.certificate_pem]))
    assert browser.bring(answer()).status_code == 403
    assert browser.bring(answer(), keys=other_keys).status_code == 302


def test_a_broken_file_leaves_the_last_good_copy(
    metadata_file: Path, look_at_once: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert providers.provider_for(ISSUER)

    metadata_file.write_bytes(b"<half")
    assert providers.provider_for(ISSUER)
    metadata_file.unlink()
    assert providers.provider_for(ISSUER)

    assert "not well-formed" in caplog.text
    assert "last good copy" in caplog.text


def test_a_file_is_looked_at_every_few_seconds_only(metadata_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert providers.provider_for(ISSUER)
    monkeypatch.setattr(Path, "stat", lambda *_: pytest.fail("looked"))

    assert providers.provider_for(ISSUER)


def test_the_configuration_has_no_problem(metadata_file: Path) -> None:
    assert providers.problems() == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("", "not set"),
        ("/does/not/exist.xml", "cannot be read: No such file"),
        ("/", "cannot be read: Is a directory"),
        ("http://idp.example.com/metadata", "a file or an https"),
        ("ftp://idp.example.com/metadata", "a file or an https"),
        ("https://", "a file or an https"),
    ],
)
def test_a_configuration_without_metadata_is_a_problem(settings: LazySettings, name: str, wrong: str) -> None:
    settings.SAML_IDP_METADATA = name

    ((message, hint),) = providers.problems()

    assert wrong in message
    assert hint


def test_expired_metadata_are_a_problem(metadata_file: Path, keys: Keys) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    metadata_file.write_bytes(metadata(ISSUER, SSO, [keys.certificate_pem], valid_until=past))
    assert "have expired" in providers.problems()[0][0]

    old = create_keys("old", expires=past)
    metadata_file.write_bytes(metadata(ISSUER, SSO, [old.certificate_pem]))
    assert "certificate in the identity provider's metadata has expired" in providers.problems()[0][0]


@pytest.fixture
def remote(settings: LazySettings, keys: Keys) -> Iterator[Remote]:
    """A web server that answers with metadata, named by the setting."""
    settings.SAML_METADATA_ALLOW_PRIVATE = True
    remote = Remote(metadata(ISSUER, SSO, [keys.certificate_pem]))
    settings.SAML_IDP_METADATA = remote.url
    yield remote
    remote.stop()


def test_an_address_is_asked_once_at_the_start(remote: Remote) -> None:
    assert providers.problems() == []
    assert remote.asked == 1
    assert providers.problems() == []
    assert remote.asked == 1
    assert providers.provider_for(ISSUER)


def test_an_address_that_does_not_answer_rightly_is_a_problem(remote: Remote) -> None:
    remote.status = 404
    assert "answered 404" in providers.problems()[0][0]
    remote.status, remote.body = 200, b"x" * (fetch.MAX_BYTES + 1)
    assert "too much" in providers.problems()[0][0]


def test_the_last_good_copy_survives_a_restart_without_the_address(remote: Remote) -> None:
    providers.problems()
    upkeep.seed()
    remote.status = 500
    sources._sources.clear()

    assert providers.problems() == []
    assert remote.asked == 1
    assert providers.provider_for(ISSUER)


def test_a_sign_on_never_asks_the_address(remote: Remote) -> None:
    assert providers.provider_for(ISSUER) is None
    assert providers.default_provider() is None
    assert remote.asked == 0


def test_an_address_where_nobody_listens_is_a_problem(settings: LazySettings) -> None:
    settings.SAML_METADATA_ALLOW_PRIVATE = True
    settings.SAML_IDP_METADATA = "http://127.0.0.1:1/metadata"

    assert "cannot be fetched" in providers.problems()[0][0]


def test_without_the_setting_rows_will_do(settings: LazySettings, metadata_file: Path) -> None:
    upkeep.seed()
    settings.SAML_IDP_METADATA = ""

    assert providers.problems() == []
    assert providers.provider_for(ISSUER)
