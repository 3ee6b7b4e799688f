"""Encrypts assertions for the portal's certificate: XML Encryption with RSA-OAEP and AES, as identity providers do."""

import base64
import os
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree

from portal.demo.idp.messages import ASSERTION, SIGNATURE

XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
OAEP = f"{XENC}rsa-oaep-mgf1p"
OAEP11 = f"{XENC11}rsa-oaep"
RSA15 = f"{XENC}rsa-1_5"
GCM = f"{XENC11}aes256-gcm"
CBC = f"{XENC}aes256-cbc"

_E = f"{{{XENC}}}"
_DS = f"{{{SIGNATURE}}}"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DIGESTS = {
    "sha1": f"{SIGNATURE}sha1",
    "sha256": f"{XENC}sha256",
    "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "sha512": f"{XENC}sha512",
}


@dataclass(frozen=True)
class Encryption:
    """How to encrypt: algorithms by their URIs, `digest` and `mgf` by name, and where the encrypted key stands.

    `digest` "" leaves the DigestMethod out. `beside` puts the key behind the data, `retrieval` refers to it from there.
    """

    content: str = GCM
    transport: str = OAEP
    digest: str = "sha1"
    mgf: str = "sha1"
    label: bytes = b""
    beside: bool = False
    retrieval: bool = False


def encrypt_assertion(root: etree._Element, certificate: x509.Certificate, how: Encryption | None = None) -> None:
    """Put an EncryptedAssertion for `certificate` in the place of the response's assertion."""
    assertion = root.find(f"{{{ASSERTION}}}Assertion")
    if assertion is None:
        raise ValueError("there is no assertion to encrypt")
    sealed = encrypted(etree.tostring(assertion, with_tail=False), certificate, how or Encryption())
    root.replace(assertion, sealed)


def encrypted(plain: bytes, certificate: x509.Certificate, how: Encryption) -> etree._Element:
    """Return an EncryptedAssertion element with these bytes inside."""
    key = os.urandom(int(how.content.rpartition("aes")[2][:3]) // 8)
    sealed = etree.Element(f"{{{ASSERTION}}}EncryptedAssertion", nsmap={"saml": ASSERTION, "xenc": XENC})
    data = etree.SubElement(sealed, f"{_E}EncryptedData", {"Type": f"{XENC}Element"})
    etree.SubElement(data, f"{_E}EncryptionMethod", {"Algorithm": how.content})
    info = etree.SubElement(data, f"{_DS}KeyInfo", nsmap={"ds": SIGNATURE})
    if how.retrieval:
        kind = {"Type": f"{XENC}EncryptedKey", "URI": "#_key"}
        etree.SubElement(info, f"{_DS}RetrievalMethod", kind)
    _add_key(sealed if how.beside else info, key, certificate, how)
    _add_value(data, _seal(plain, key, how.content))
    return sealed


def _add_key(parent: etree._Element, key: bytes, certificate: x509.Certificate, how: Encryption) -> None:
    element = etree.SubElement(parent, f"{_E}EncryptedKey", {"Id": "_key"})
    method = etree.SubElement(element, f"{_E}EncryptionMethod", {"Algorithm": how.transport})
    if how.label:
        etree.SubElement(method, f"{_E}OAEPparams").text = base64.b64encode(how.label).decode()
    if how.digest and how.transport != RSA15:
        etree.SubElement(method, f"{_DS}DigestMethod", {"Algorithm": _DIGESTS[how.digest]}, nsmap={"ds": SIGNATURE})
    if how.transport == OAEP11:
        etree.SubElement(method, f"{{{XENC11}}}MGF", {"Algorithm": f"{XENC11}mgf1{how.mgf}"})
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("no RSA key")
    oaep = padding.OAEP(padding.MGF1(_HASHES[how.mgf]), _HASHES[how.digest or "sha1"], how.label or None)
    _add_value(element, public.encrypt(key, padding.PKCS1v15() if how.transport == RSA15 else oaep))


def _add_value(parent: etree._Element, value: bytes) -> None:
    data = etree.SubElement(parent, f"{_E}CipherData")
    etree.SubElement(data, f"{_E}CipherValue").text = base64.encodebytes(value).decode()


def _seal(plain: bytes, key: bytes, algorithm: str) -> bytes:
    if algorithm.endswith("-gcm"):
        nonce = os.urandom(12)
        return nonce + AESGCM(key).encrypt(nonce, plain, None)
    missing = 16 - len(plain) % 16
    vector = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return vector + encryptor.update(plain + bytes(missing - 1) + bytes([missing])) + encryptor.finalize()
