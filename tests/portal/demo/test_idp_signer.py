"""The demo identity provider's signatures hold for independent verifiers, in every flavour."""

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from signxml.exceptions import InvalidSignature
from signxml.verifier import XMLVerifier

from portal.demo.idp import (
    FLAVOURS,
    KEYCLOAK,
    Flavour,
    Keys,
    Response,
    create_keys,
    load_keys,
    make_response,
    response_for,
)
from portal.demo.idp import metadata as idp_metadata
from portal.demo.idp.messages import RESPONDER

SAML = {
    "p": "urn:oasis:names:tc:SAML:2.0:protocol",
    "a": "urn:oasis:names:tc:SAML:2.0:assertion",
    "md": "urn:oasis:names:tc:SAML:2.0:metadata",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
ISSUER = "https://idp.example.com/metadata"


@pytest.fixture(scope="module")
def keys() -> Keys:
    return create_keys(ISSUER)


@pytest.fixture
def answer() -> Response:
    return response_for(
        issuer=ISSUER,
        portal_url="http://127.0.0.1:8000",
        name_id="user1@example.com",
        attributes={"ssouserid": ["user1"], "groups": ["one", "two"]},
        in_response_to="_request",
    )


def signed_elements(xml: bytes, keys: Keys) -> set[str]:
    """Verify every signature of the message, each against its own parent, and tell what they cover."""
    root = etree.fromstring(xml)
    names = set()
    for signature in root.iterfind(".//ds:Signature", SAML):
        parent = signature.getparent()
        assert parent is not None
        result = XMLVerifier().verify(etree.tostring(parent), x509_cert=keys.certificate_pem, id_attribute="ID")
        assert not isinstance(result, list)
        assert result.signed_xml is not None
        names.add(etree.QName(result.signed_xml).localname)
    return names


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_every_flavour_verifies(keys: Keys, answer: Response, flavour: Flavour) -> None:
    expected = {"assertion": {"Assertion"}, "response": {"Response"}, "both": {"Assertion", "Response"}}
    assert signed_elements(make_response(keys, replace(answer, flavour=flavour)), keys) == expected[flavour.sign]


def test_a_changed_value_breaks_the_signature(keys: Keys, answer: Response) -> None:
    xml = make_response(keys, replace(answer, sign="response")).replace(b">user1<", b">user2<")
    with pytest.raises(InvalidSignature):
        signed_elements(xml, keys)


def test_another_certificate_does_not_verify(keys: Keys, answer: Response) -> None:
    with pytest.raises(InvalidSignature):
        signed_elements(make_response(create_keys(ISSUER), answer), keys)


def test_the_fields_arrive_where_saml_wants_them(keys: Keys, answer: Response) -> None:
    root = etree.fromstring(make_response(keys, answer))
    data = root.find(".//a:SubjectConfirmationData", SAML)
    assert data is not None
    assert root.get("Destination") == data.get("Recipient") == "http://127.0.0.1:8000/saml2/acs/"
    assert root.get("InResponseTo") == data.get("InResponseTo") == "_request"
    assert root.findtext(".//a:Audience", namespaces=SAML) == "http://127.0.0.1:8000/saml2/metadata/"
    assert root.findtext(".//a:NameID", namespaces=SAML) == "user1@example.com"
    groups = root.findall(".//a:Attribute[@Name='groups']/a:AttributeValue", SAML)
    assert [group.text for group in groups] == ["one", "two"]


def test_fields_can_be_left_out_and_repeated(keys: Keys, answer: Response) -> None:
    odd = replace(answer, audience=["one", "two"], name_id=None, recipient=None, in_response_to=None, attributes=None)
    root = etree.fromstring(make_response(keys, odd))
    assert len(root.findall(".//a:AudienceRestriction", SAML)) == 2
    assert root.find(".//a:NameID", SAML) is None
    assert root.find(".//a:AttributeStatement", SAML) is None
    assert root.get("InResponseTo") is None
    bare = etree.fromstring(make_response(keys, replace(answer, has_conditions=False, sign="nothing")))
    assert bare.find(".//a:Conditions", SAML) is None
    assert bare.find(".//ds:Signature", SAML) is None


def test_keycloak_repeats_the_attribute(keys: Keys, answer: Response) -> None:
    root = etree.fromstring(make_response(keys, replace(answer, flavour=KEYCLOAK)))
    assert len(root.findall(".//a:Attribute[@Name='Role']", SAML)) == 2


def test_a_failure_has_no_assertion(keys: Keys, answer: Response) -> None:
    xml = make_response(keys, replace(answer, status=RESPONDER))
    assert etree.fromstring(xml).find(".//a:Assertion", SAML) is None
    assert signed_elements(xml, keys) == {"Response"}


def test_weak_algorithms_can_be_made(keys: Keys, answer: Response) -> None:
    weak = replace(answer, signature_algorithm="rsa-sha1", digest_algorithm="sha1")
    assert b"xmldsig#rsa-sha1" in make_response(keys, weak)


def test_metadata_names_every_certificate(keys: Keys) -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    pems = [keys.certificate_pem, create_keys(ISSUER).certificate_pem]
    root = etree.fromstring(idp_metadata(ISSUER, "https://idp.example.com/sso", pems, valid_until=until))
    assert root.get("entityID") == ISSUER
    assert root.get("validUntil") == "2030-01-01T00:00:00.000Z"
    assert len(root.findall(".//ds:X509Certificate", SAML)) == 2
    assert len(root.findall(".//md:SingleSignOnService[@Location='https://idp.example.com/sso']", SAML)) == 2


def test_keys_are_kept_and_private(tmp_path: Path) -> None:
    first = load_keys(tmp_path / "idp", ISSUER)
    again = load_keys(tmp_path / "idp", ISSUER)
    assert again.certificate == first.certificate
    assert stat.S_IMODE((tmp_path / "idp" / "signing.pem").stat().st_mode) == 0o600


def test_a_certificate_may_have_expired() -> None:
    past = datetime.now(UTC) - timedelta(days=2)
    assert create_keys(ISSUER, expires=past).certificate.not_valid_after_utc < datetime.now(UTC)
