"""Opens encrypted assertions in this process: RSA-OAEP for the key, AES for the content, nothing else.

RSA 1.5 is refused: it tells an attacker who may ask often enough what is inside. AES-CBC could do so, too, where no
signature covers the ciphertext (Jager and Somorovsky, “How to Break XML Encryption”, 2011), and Entra ID sends just
that; whoever opens it must let nothing show but success, `is_malleable` says when. Whatever fails behind the choice of
algorithms fails with one cause, at the same place.
"""

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree

from portal.saml.causes import Cause, Refused
from portal.saml.keys import SpKey
from portal.saml.names import DS

XENC = "{http://www.w3.org/2001/04/xmlenc#}"
XENC11 = "{http://www.w3.org/2009/xmlenc11#}"
_XENC, _XENC11 = XENC.strip("{}"), XENC11.strip("{}")

# Recipients of one assertion.
MAX_ENCRYPTED_KEYS = 4
_MAX_LABEL_BYTES = 1024

# Lengths of keys in bytes.
_GCM = {f"{_XENC11}aes{bits}-gcm": bits // 8 for bits in (128, 192, 256)}
_CBC = {f"{_XENC}aes{bits}-cbc": bits // 8 for bits in (128, 192, 256)}
_OAEP, _OAEP11 = f"{_XENC}rsa-oaep-mgf1p", f"{_XENC11}rsa-oaep"
_SHA1 = hashes.SHA1()  # noqa: S303  (inside OAEP it need not resist collisions, and it is the standard's default)
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "http://www.w3.org/2000/09/xmldsig#sha1": _SHA1,
    f"{_XENC}sha256": hashes.SHA256(),
    "http://www.w3.org/2001/04/xmldsig-more#sha384": hashes.SHA384(),
    f"{_XENC}sha512": hashes.SHA512(),
}
_MASKS: dict[str, hashes.HashAlgorithm] = {
    f"{_XENC11}mgf1sha1": _SHA1,
    f"{_XENC11}mgf1sha224": hashes.SHA224(),
    f"{_XENC11}mgf1sha256": hashes.SHA256(),
    f"{_XENC11}mgf1sha384": hashes.SHA384(),
    f"{_XENC11}mgf1sha512": hashes.SHA512(),
}


def is_malleable(sealed: etree._Element) -> bool:
    """Whether the content's algorithm lets a stranger change what comes out without knowing the key."""
    methods = sealed.findall(f"{XENC}EncryptedData/{XENC}EncryptionMethod")
    return any(method.get("Algorithm") not in _GCM for method in methods)


def decrypt(sealed: etree._Element, own_keys: Sequence[SpKey]) -> bytes:
    """Return the bytes inside of an EncryptedAssertion.

    Raises `Refused`: ENCRYPTION_SHAPE and ENCRYPTION_ALGORITHM for what can be seen from outside, DECRYPTION for
    everything else.
    """
    data = _only(sealed, f"{XENC}EncryptedData")
    if data.get("Type", f"{_XENC}Element") != f"{_XENC}Element":
        raise Refused(Cause.ENCRYPTION_SHAPE)
    algorithm = _only(data, f"{XENC}EncryptionMethod").get("Algorithm", "")
    length = _GCM.get(algorithm) or _CBC.get(algorithm)
    if length is None:
        raise Refused(Cause.ENCRYPTION_ALGORITHM)
    content = _value(data)
    wrapped = [(_value(each), _transport(each)) for each in _encrypted_keys(sealed, data)]
    for value, oaep in wrapped:
        for own in own_keys:
            plain = _open(content, _unwrap(value, oaep, own, length), gcm=algorithm in _GCM)
            if plain is not None:
                return plain
    raise Refused(Cause.DECRYPTION)


def _unwrap(value: bytes, oaep: padding.OAEP, own: SpKey, length: int) -> bytes:
    """Return the content's key; where there is none, a random one, so that the failure shows only later."""
    instead = os.urandom(length)
    try:
        key = own.private.decrypt(value, oaep)
    except ValueError:
        return instead
    return key if len(key) == length else instead


def _open(content: bytes, key: bytes, *, gcm: bool) -> bytes | None:
    if gcm:
        try:
            return AESGCM(key).decrypt(content[:12], content[12:], None)
        except (InvalidTag, ValueError):
            return None
    if len(content) < 32 or len(content) % 16:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(content[:16])).decryptor()
    padded = decryptor.update(content[16:]) + decryptor.finalize()
    return padded[: -padded[-1]] if 1 <= padded[-1] <= 16 else None


def _encrypted_keys(sealed: etree._Element, data: etree._Element) -> list[etree._Element]:
    """Return the encrypted keys in the data's KeyInfo and beside the data; references lead nowhere else."""
    info = _only(data, f"{DS}KeyInfo")
    found = [*info.findall(f"{XENC}EncryptedKey"), *sealed.findall(f"{XENC}EncryptedKey")]
    names = {f"#{each.get('Id')}" for each in found if each.get("Id")}
    if any(each.get("URI") not in names for each in info.findall(f"{DS}RetrievalMethod")):
        raise Refused(Cause.ENCRYPTION_SHAPE)
    if not 1 <= len(found) <= MAX_ENCRYPTED_KEYS:
        raise Refused(Cause.ENCRYPTION_SHAPE)
    return found


def _transport(encrypted_key: etree._Element) -> padding.OAEP:
    method = _only(encrypted_key, f"{XENC}EncryptionMethod")
    algorithm = method.get("Algorithm")
    digest, mask = method.findall(f"{DS}DigestMethod"), method.findall(f"{XENC11}MGF")
    if algorithm not in {_OAEP, _OAEP11} or len(digest) > 1 or len(mask) > 1 or (mask and algorithm == _OAEP):
        raise Refused(Cause.ENCRYPTION_ALGORITHM)
    digest_hash = _DIGESTS.get(digest[0].get("Algorithm", "")) if digest else _SHA1
    mask_hash = _MASKS.get(mask[0].get("Algorithm", "")) if mask else _SHA1
    if digest_hash is None or mask_hash is None:
        raise Refused(Cause.ENCRYPTION_ALGORITHM)
    labels = method.findall(f"{XENC}OAEPparams")
    label = _bytes(labels[0]) if labels else b""
    if len(labels) > 1 or len(label) > _MAX_LABEL_BYTES:
        raise Refused(Cause.ENCRYPTION_SHAPE)
    return padding.OAEP(mgf=padding.MGF1(mask_hash), algorithm=digest_hash, label=label or None)


def _value(parent: etree._Element) -> bytes:
    return _bytes(_only(_only(parent, f"{XENC}CipherData"), f"{XENC}CipherValue"))


def _bytes(element: etree._Element) -> bytes:
    try:
        return base64.b64decode("".join((element.text or "").split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Refused(Cause.ENCRYPTION_SHAPE) from None


def _only(parent: etree._Element, tag: str) -> etree._Element:
    found = parent.findall(tag)
    if len(found) != 1:
        raise Refused(Cause.ENCRYPTION_SHAPE)
    return found[0]
