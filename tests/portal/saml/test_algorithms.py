"""Which signatures count: SHA-2 with RSA or ECDSA, enveloped, exclusive canonicalisation, and nothing else."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.oid import NameOID
from lxml import etree
from saml2.sigver import SignatureError

from portal.demo.idp import Keys, Response, make_response, metadata
from portal.saml.causes import Cause
from portal.saml.crypto import SignxmlBackend
from tests.portal.saml.conftest import ISSUER, SSO, Browser, assert_refused
from tests.portal.saml.forging import A, spoiled_after, the

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]
SIGNED_INFO = "saml:Assertion/ds:Signature/ds:SignedInfo"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


@pytest.mark.parametrize("size", ["256", "384", "512"])
def test_rsa_with_sha2_is_accepted(browser: Browser, answer: Answer, size: str) -> None:
    good = answer(signature_algorithm=f"rsa-sha{size}", digest_algorithm=f"sha{size}")

    assert browser.bring(good).status_code == 302


def test_ecdsa_with_sha2_is_accepted(browser: Browser, answer: Answer, metadata_file: Path, look_at_once: None) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ec")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    keys = Keys(private, certificate)  # type: ignore[arg-type]
    metadata_file.write_bytes(metadata(ISSUER, SSO, [keys.certificate_pem]))

    assert browser.bring(answer(signature_algorithm="ecdsa-sha256"), keys=keys).status_code == 302


def _resign(root: etree._Element, keys: Keys, hash_algorithm: hashes.HashAlgorithm) -> None:
    """Sign what SignedInfo says now, as the holder of the key would."""
    info = the(root, SIGNED_INFO)
    data = etree.tostring(info, method="c14n", exclusive=True)
    signature = keys.private.sign(data, padding.PKCS1v15(), hash_algorithm)
    the(root, "saml:Assertion/ds:Signature/ds:SignatureValue").text = base64.b64encode(signature).decode()


@pytest.mark.parametrize(
    ("path", "algorithm"),
    [
        ("ds:SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
        ("ds:SignatureMethod", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        ("ds:SignatureMethod", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
        ("ds:SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        ("ds:SignatureMethod", "http://www.w3.org/2000/09/xmldsig#dsa-sha1"),
        ("ds:Reference/ds:DigestMethod", "http://www.w3.org/2001/04/xmldsig-more#md5"),
        ("ds:Reference/ds:DigestMethod", "http://www.w3.org/2000/09/xmldsig#sha1"),
        ("ds:CanonicalizationMethod", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        ("ds:CanonicalizationMethod", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        ("ds:Reference/ds:Transforms/ds:Transform", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        ("ds:Reference/ds:Transforms/ds:Transform", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
        ("ds:Reference/ds:Transforms/ds:Transform", "http://www.w3.org/2000/09/xmldsig#base64"),
        ("ds:Reference/ds:Transforms/ds:Transform", EXCLUSIVE),
    ],
)
def test_another_algorithm_is_refused_although_the_provider_used_it(
    browser: Browser, answer: Answer, keys: Keys, path: str, algorithm: str
) -> None:
    def change(root: etree._Element) -> None:
        the(root, f"{SIGNED_INFO}/{path}").set("Algorithm", algorithm)
        _resign(root, keys, hashes.SHA256())

    xml = spoiled_after(make_response(keys, answer(sign="assertion")), change)

    assert_refused(browser, browser.bring_xml(xml), Cause.SIGNATURE_ALGORITHM)


def test_a_digest_that_does_not_fit_is_refused(browser: Browser, answer: Answer, keys: Keys) -> None:
    def change(root: etree._Element) -> None:
        digest = base64.b64encode(hashlib.sha256(b"something else").digest()).decode()
        the(root, f"{SIGNED_INFO}/ds:Reference/ds:DigestValue").text = digest
        _resign(root, keys, hashes.SHA256())

    xml = spoiled_after(make_response(keys, answer(sign="assertion")), change)

    assert_refused(browser, browser.bring_xml(xml), Cause.SIGNATURE_INVALID)


def test_the_public_key_is_no_shared_secret(browser: Browser, answer: Answer, keys: Keys) -> None:
    """An HMAC keyed with the certificate, which everybody knows."""

    def change(root: etree._Element) -> None:
        method = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
        the(root, f"{SIGNED_INFO}/ds:SignatureMethod").set("Algorithm", method)

    xml = spoiled_after(make_response(keys, answer(sign="assertion")), change)

    assert_refused(browser, browser.bring_xml(xml), Cause.SIGNATURE_ALGORITHM)


def test_key_info_is_not_needed_and_not_read(browser: Browser, answer: Answer, keys: Keys) -> None:
    def without(root: etree._Element) -> None:
        signature = the(root, "saml:Assertion/ds:Signature")
        signature.remove(the(signature, "ds:KeyInfo"))

    xml = spoiled_after(make_response(keys, answer(sign="assertion")), without)

    assert browser.bring_xml(xml).status_code == 302


def test_pysaml2_verifies_through_the_same_door(answer: Answer, keys: Keys, other_keys: Keys, tmp_path: Path) -> None:
    good = answer(sign="assertion")
    xml = make_response(keys, good)
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    ours.write_bytes(keys.certificate.public_bytes(serialization.Encoding.PEM))
    theirs.write_bytes(other_keys.certificate.public_bytes(serialization.Encoding.PEM))
    name = A.strip("{}") + ":Assertion"
    backend = SignxmlBackend()

    assert backend.version
    assert backend.validate_signature(xml, str(ours), "pem", name, good.assertion_id)
    with pytest.raises(SignatureError):
        backend.validate_signature(xml, str(theirs), "pem", name, good.assertion_id)
    with pytest.raises(SignatureError):
        backend.validate_signature(xml.decode(), str(ours), "pem", name, "_other")
