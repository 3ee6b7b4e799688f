"""Encrypted assertions: opened with either key of ours, and accepted only where a plain assertion would be."""

import base64
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from lxml import etree

from portal.demo.idp import Keys, Response, create_keys, make_response
from portal.demo.idp import signer as demo_signer
from portal.demo.idp.encryption import CBC, OAEP11, RSA15, XENC, XENC11, Encryption, encrypt_assertion, encrypted
from portal.demo.idp.messages import response_tree
from portal.saml import decrypt
from portal.saml import keys as own_keys
from portal.saml.causes import Cause
from teams.models import AuditEvent, User
from tests.portal.saml import sp_keys
from tests.portal.saml.conftest import Browser, assert_refused
from tests.portal.saml.forging import DS, A, P, evil, the

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]
E = f"{{{XENC}}}"
SIGNED_RESPONSE = {"sign": "response"}


@pytest.fixture(scope="session")
def sp() -> Keys:
    """The portal's key."""
    return create_keys("portal")


@pytest.fixture(scope="session")
def sp_next() -> Keys:
    """The portal's key after a rollover."""
    return create_keys("portal next")


@pytest.fixture(autouse=True)
def configured(settings: LazySettings, tmp_path: Path, sp: Keys, sp_next: Keys) -> None:
    sp_keys.use(settings, tmp_path, sp, sp_next)


def sealed(answer: Response, keys: Keys, sp: Keys, how: Encryption | None = None, *, sign: str = "assertion") -> bytes:
    """Return a response as providers make it: the assertion signed, encrypted, then the response signed."""
    root = response_tree(answer)
    if sign in {"assertion", "both"}:
        root = demo_signer._sign(root, f"{A}Assertion", keys, answer)
    encrypt_assertion(root, sp.certificate, how)
    if sign in {"response", "both"}:
        root = demo_signer._sign(root, f"{P}Response", keys, answer)
    return etree.tostring(root)


@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
@pytest.mark.parametrize(
    "how",
    [
        Encryption(),
        Encryption(digest=""),
        Encryption(digest="sha256"),
        Encryption(transport=OAEP11, digest="sha256", mgf="sha256"),
        Encryption(transport=OAEP11, digest="sha512", mgf="sha1", label=b"label"),
        Encryption(content=f"{XENC11}aes128-gcm"),
        Encryption(content=f"{XENC11}aes192-gcm"),
        Encryption(beside=True),
        Encryption(beside=True, retrieval=True),
    ],
    ids=str,
)
def test_an_encrypted_assertion_signs_on(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, how: Encryption, sign: str
) -> None:
    response = browser.bring_xml(sealed(answer(), keys, sp, how, sign=sign))

    assert response.status_code == 302
    assert User.objects.get().subject == "alice"


@pytest.mark.parametrize("bits", [128, 192, 256])
@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_cbc_is_opened(browser: Browser, answer: Answer, keys: Keys, sp: Keys, bits: int, sign: str) -> None:
    how = Encryption(content=f"{XENC}aes{bits}-cbc")

    assert browser.bring_xml(sealed(answer(), keys, sp, how, sign=sign)).status_code == 302


@pytest.mark.parametrize("spoiled", [-17, 17], ids=["padding", "XML"])
def test_of_cbc_without_a_signature_around_only_success_shows(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, spoiled: int
) -> None:
    good = sealed(answer(), keys, sp, Encryption(content=CBC))
    # The content comes after its key, and is much longer.
    ciphertext = max(re.findall(rb"CipherValue>([^<]+)<", good), key=len)
    changed = bytearray(base64.b64decode(ciphertext))
    changed[spoiled] ^= 0x55

    response = browser.bring_xml(good.replace(ciphertext, base64.b64encode(bytes(changed))))

    assert_refused(browser, response, Cause.DECRYPTION)


def test_of_cbc_not_even_a_wrong_signature_inside_shows(
    browser: Browser, answer: Answer, other_keys: Keys, sp: Keys
) -> None:
    xml = sealed(answer(), other_keys, sp, Encryption(content=CBC), sign="assertion")

    assert_refused(browser, browser.bring_xml(xml), Cause.DECRYPTION)


def test_cbc_is_not_opened_behind_a_signature_that_does_not_verify(
    browser: Browser, answer: Answer, other_keys: Keys, sp: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decrypt, "decrypt", None)
    xml = sealed(answer(), other_keys, sp, Encryption(content=CBC), sign="response")

    assert_refused(browser, browser.bring_xml(xml), Cause.SIGNATURE_INVALID)


def test_the_next_key_opens_too(browser: Browser, answer: Answer, keys: Keys, sp_next: Keys) -> None:
    assert browser.bring_xml(sealed(answer(), keys, sp_next)).status_code == 302


def test_without_a_key_the_cause_names_the_setting(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, settings: LazySettings
) -> None:
    settings.SAML_SP_KEY = settings.SAML_SP_CERTIFICATE = ""
    settings.SAML_SP_KEY_NEXT = settings.SAML_SP_CERTIFICATE_NEXT = ""

    assert_refused(browser, browser.bring_xml(sealed(answer(), keys, sp)), Cause.NO_SP_KEY)
    assert "saml_sp_key" in AuditEvent.objects.get().reason


def test_the_key_is_read_once(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.bring_xml(sealed(answer(), keys, sp))
    monkeypatch.setattr(own_keys, "load", None)

    assert browser.bring_xml(sealed(answer(), keys, sp)).status_code == 302


def test_rsa_1_5_is_refused(browser: Browser, answer: Answer, keys: Keys, sp: Keys) -> None:
    xml = sealed(answer(), keys, sp, Encryption(transport=RSA15), sign="both")

    assert_refused(browser, browser.bring_xml(xml), Cause.ENCRYPTION_ALGORITHM)


@pytest.mark.parametrize(
    "algorithm", ["", f"{XENC}tripledes-cbc", "urn:other", f"{XENC11}aes256-GCM", f"{XENC}kw-aes256"]
)
@pytest.mark.parametrize("method", ["data", "key"])
def test_other_algorithms_are_refused(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, algorithm: str, method: str
) -> None:
    root = etree.fromstring(sealed(answer(), keys, sp))
    tag = "EncryptedData" if method == "data" else "EncryptedKey"
    next(root.iter(f"{E}{tag}"))[0].set("Algorithm", algorithm)

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.ENCRYPTION_ALGORITHM)


def _another_recipient(root: etree._Element, other: Keys) -> None:
    root.replace(root[-1], encrypted(b"<a/>", other.certificate, Encryption()))


def _flip(tag: str, position: int) -> Callable[[etree._Element, Keys], None]:
    def change(root: etree._Element, _: Keys) -> None:
        value = the(next(root.iter(f"{E}{tag}")), f"{E}CipherData/{E}CipherValue")
        data = bytearray(base64.b64decode(value.text or ""))
        data[position] ^= 1
        value.text = base64.b64encode(bytes(data)).decode()

    return change


def _text(tag: str, text: str) -> Callable[[etree._Element, Keys], None]:
    def change(root: etree._Element, _: Keys) -> None:
        the(next(root.iter(f"{E}{tag}")), f"{E}CipherData/{E}CipherValue").text = text

    return change


@pytest.mark.parametrize(
    "change",
    [
        _another_recipient,
        _flip("EncryptedKey", 5),
        _flip("EncryptedKey", -1),
        _flip("EncryptedData", 3),
        _flip("EncryptedData", 40),
        _flip("EncryptedData", -1),
        _text("EncryptedData", ""),
        _text("EncryptedData", "AAAA"),
        _text("EncryptedKey", ""),
        _text("EncryptedKey", "AAAA"),
    ],
    ids=["recipient", "key", "key end", "nonce", "content", "tag", "none", "short", "no key", "short key"],
)
def test_whatever_cannot_be_decrypted_has_one_cause(
    browser: Browser, answer: Answer, keys: Keys, other_keys: Keys, sp: Keys, change: Callable[..., None]
) -> None:
    root = etree.fromstring(sealed(answer(), keys, sp))
    change(root, other_keys)

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.DECRYPTION)


def test_a_key_of_the_wrong_length_is_a_failure_like_others(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys
) -> None:
    root = etree.fromstring(sealed(answer(), keys, sp))
    next(root.iter(f"{E}EncryptedData"))[0].set("Algorithm", f"{XENC11}aes128-gcm")

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.DECRYPTION)


def _drop(tag: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        element = next(root.iter(f"{E}{tag}"))
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def _reference_elsewhere(root: etree._Element) -> None:
    info = the(next(root.iter(f"{E}EncryptedData")), f"{DS}KeyInfo")
    etree.SubElement(info, f"{DS}RetrievalMethod", {"URI": "https://evil.example/key"})


def _cipher_reference(root: etree._Element) -> None:
    data = the(next(root.iter(f"{E}EncryptedData")), f"{E}CipherData")
    data.clear()
    etree.SubElement(data, f"{E}CipherReference", {"URI": "https://evil.example/data"})


def _five_keys(root: etree._Element) -> None:
    key = next(root.iter(f"{E}EncryptedKey"))
    key.attrib.pop("Id")
    for _ in range(4):
        root[-1].append(deepcopy(key))


def _content_type(root: etree._Element) -> None:
    next(root.iter(f"{E}EncryptedData")).set("Type", f"{XENC}Content")


def _not_base64(root: etree._Element) -> None:
    the(next(root.iter(f"{E}EncryptedData")), f"{E}CipherData/{E}CipherValue").text = "é*"


@pytest.mark.parametrize(
    "change",
    [
        _drop("EncryptedData"),
        _drop("EncryptedKey"),
        _drop("CipherValue"),
        _drop("EncryptionMethod"),
        _reference_elsewhere,
        _cipher_reference,
        _five_keys,
        _content_type,
        _not_base64,
    ],
    ids=lambda change: change.__qualname__,
)
def test_an_odd_shape_is_refused(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, change: Callable[[etree._Element], None]
) -> None:
    root = etree.fromstring(sealed(answer(), keys, sp))
    change(root)

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.ENCRYPTION_SHAPE)


def test_nothing_signed_is_refused(browser: Browser, answer: Answer, keys: Keys, sp: Keys) -> None:
    assert_refused(browser, browser.bring_xml(sealed(answer(), keys, sp, sign="")), Cause.NOT_SIGNED)


@pytest.mark.parametrize("sign", ["assertion", "response", "both"])
def test_an_untrusted_signature_is_refused(
    browser: Browser, answer: Answer, other_keys: Keys, sp: Keys, sign: str
) -> None:
    assert_refused(browser, browser.bring_xml(sealed(answer(), other_keys, sp, sign=sign)), Cause.SIGNATURE_INVALID)


def test_both_signatures_count(browser: Browser, answer: Answer, keys: Keys, other_keys: Keys, sp: Keys) -> None:
    good = answer()
    root = demo_signer._sign(response_tree(good), f"{A}Assertion", other_keys, good)
    encrypt_assertion(root, sp.certificate)
    xml = etree.tostring(demo_signer._sign(root, f"{P}Response", keys, good))

    assert_refused(browser, browser.bring_xml(xml), Cause.SIGNATURE_INVALID)


def test_a_ciphertext_is_not_moved_into_another_response(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys
) -> None:
    """A response that was signed around another assertion does not vouch for this one."""
    unsigned = etree.fromstring(sealed(answer({"ssouserid": ["admin"]}), keys, sp, sign=""))
    root = etree.fromstring(sealed(answer(), keys, sp, sign="response"))
    root.replace(root[-1], unsigned[-1])

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.SIGNATURE_INVALID)


def test_encrypted_by_anybody_is_signed_by_nobody(browser: Browser, answer: Answer, keys: Keys, sp: Keys) -> None:
    """Our certificate is public: a forger encrypts around a signature that covers something else."""
    root = response_tree(answer())
    signed = demo_signer._sign(root, f"{A}Assertion", keys, answer())
    forged = evil(the(signed, "saml:Assertion"), keep_signature=True)
    signed.replace(the(signed, "saml:Assertion"), forged)
    encrypt_assertion(signed, sp.certificate)

    assert_refused(browser, browser.bring_xml(etree.tostring(signed)), Cause.SIGNATURE_PLACE)


@pytest.mark.parametrize(
    ("cause", "fields"),
    [
        (Cause.RECIPIENT, {"recipient": "https://evil.example/"}),
        (Cause.AUDIENCE, {"audience": "https://evil.example/"}),
        (Cause.NO_CONDITIONS, {"has_conditions": False}),
        (Cause.ISSUER_MISMATCH, {"assertion_issuer": "https://other.example"}),
        (Cause.VERSION, {"assertion_version": "1.1"}),
        (Cause.SIGNATURE_ALGORITHM, {"signature_algorithm": "rsa-sha1"}),
        (Cause.IN_RESPONSE_TO_UNKNOWN, {"in_response_to": "_x", "confirmation_in_response_to": "_x"}),
    ],
)
def test_every_other_check_applies(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, cause: Cause, fields: dict[str, Any]
) -> None:
    assert_refused(browser, browser.bring_xml(sealed(answer(**fields), keys, sp)), cause)


def test_no_replay_in_a_new_encryption(
    browser: Browser, other_browser: Browser, answer: Answer, keys: Keys, sp: Keys
) -> None:
    root = demo_signer._sign(response_tree(good := answer()), f"{A}Assertion", keys, good)
    plain = etree.tostring(root)
    encrypt_assertion(root, sp.certificate)

    assert browser.bring_xml(etree.tostring(root)).status_code == 302
    assert other_browser.bring_xml(plain).status_code == 403
    assert AuditEvent.objects.first().reason.startswith(Cause.REPLAYED)  # type: ignore[union-attr]


def _with_plain(keys: Keys, sp: Keys, answer: Response, plain: bytes) -> bytes:
    """Return a signed response in which these bytes are encrypted."""
    root = response_tree(answer)
    root.replace(the(root, "saml:Assertion"), encrypted(plain, sp.certificate, Encryption()))
    return etree.tostring(demo_signer._sign(root, f"{P}Response", keys, answer))


@pytest.mark.parametrize(
    ("cause", "plain"),
    [
        (Cause.ASSERTION_COUNT, b""),
        (Cause.NOT_XML, b"\x00\xff"),
        (Cause.NOT_XML, b"<a>"),
        (Cause.ASSERTION_COUNT, b"<a/><a/>"),
        (Cause.DTD, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
        (Cause.TOO_DEEP, b"<a>" * 40 + b"</a>" * 40),
        (Cause.TOO_MANY_NODES, b"<a>" + b"<b/>" * 12_001 + b"</a>"),
        (Cause.PROCESSING_INSTRUCTION, b"<?x y?><a/>"),
        (Cause.ASSERTION_COUNT, b"<a/>"),
        (Cause.ASSERTION_COUNT, f"<x xmlns='{A.strip('{}')}'><Assertion/></x>".encode()),
        (Cause.ENCRYPTED, f"<Assertion xmlns='{A.strip('{}')}'><EncryptedAssertion/></Assertion>".encode()),
        (Cause.ASSERTION_COUNT, f"<Response xmlns='{P.strip('{}')}'/>".encode()),
    ],
)
def test_what_comes_out_is_read_like_any_message(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys, cause: Cause, plain: bytes
) -> None:
    assert_refused(browser, browser.bring_xml(_with_plain(keys, sp, answer(), plain)), cause)


def test_an_id_is_used_once_inside_and_outside(browser: Browser, answer: Answer, keys: Keys, sp: Keys) -> None:
    root = etree.fromstring(sealed(answer(assertion_id="_same"), keys, sp))
    root.set("ID", "_same")

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.DUPLICATE_ID)


@pytest.mark.parametrize("tag", ["EncryptedID", "EncryptedAttribute"])
def test_encrypted_parts_inside_are_refused(browser: Browser, answer: Answer, keys: Keys, sp: Keys, tag: str) -> None:
    root = response_tree(answer())
    etree.SubElement(the(root, "saml:Assertion"), f"{A}{tag}")
    plain = etree.tostring(the(root, "saml:Assertion"))

    assert_refused(browser, browser.bring_xml(_with_plain(keys, sp, answer(), plain)), Cause.ENCRYPTED)


def test_a_plain_assertion_beside_an_encrypted_one_is_refused(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys
) -> None:
    root = etree.fromstring(make_response(keys, answer(sign="assertion")))
    root.append(encrypted(b"<a/>", sp.certificate, Encryption()))

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.ENCRYPTED)


def test_two_encrypted_assertions_are_refused(browser: Browser, answer: Answer, keys: Keys, sp: Keys) -> None:
    root = etree.fromstring(sealed(answer(), keys, sp))
    root.append(encrypted(b"<a/>", sp.certificate, Encryption()))

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.ASSERTION_COUNT)


def test_the_response_must_name_its_issuer(browser: Browser, answer: Answer, keys: Keys, sp: Keys) -> None:
    root = etree.fromstring(sealed(answer(), keys, sp))
    root.remove(the(root, "saml:Issuer"))

    assert_refused(browser, browser.bring_xml(etree.tostring(root)), Cause.ISSUER_MISSING)


def test_prefixes_that_are_declared_on_the_response_are_known_inside(
    browser: Browser, answer: Answer, keys: Keys, sp: Keys
) -> None:
    good = answer()
    root = response_tree(good)
    whole = etree.tostring(the(root, "saml:Assertion"))
    # As providers write that cut the assertion out of the document's text.
    bare = whole
    for prefix, uri in the(root, "saml:Assertion").nsmap.items():
        bare = bare.replace(f' xmlns:{prefix}="{uri}"'.encode(), b"")
    assert b"xmlns" not in bare
    names: Any = the(root, "saml:Assertion").nsmap
    outer = etree.Element(f"{P}Response", {str(name): str(value) for name, value in root.items()}, nsmap=names)
    outer.extend([root[0], root[1], encrypted(bare, sp.certificate, Encryption())])

    xml = etree.tostring(demo_signer._sign(outer, f"{P}Response", keys, good))

    assert browser.bring_xml(xml).status_code == 302
