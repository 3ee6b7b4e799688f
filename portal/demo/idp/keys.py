"""The signing key and certificate of the identity provider."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=3650)


@dataclass(frozen=True)
class Keys:
    """An RSA key with its self-signed certificate."""

    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def certificate_pem(self) -> str:
        """The certificate as PEM text, as signatures and metadata carry it."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def create_keys(name: str, *, expires: datetime | None = None) -> Keys:
    """Make a 2048-bit key and a certificate for `name` that is good until `expires` (default: ten years from now)."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    start = datetime.now(UTC) - timedelta(days=1)
    end = expires or start + LIFETIME
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(start, end - timedelta(days=1)))
        .not_valid_after(end)
        .sign(private, hashes.SHA256())
    )
    return Keys(private, certificate)


def load_keys(directory: Path, name: str) -> Keys:
    """Return the keys kept in `directory`, made there on first use; only their owner may read the file.

    Raises ValueError when the file is damaged.
    """
    path = directory / "signing.pem"
    if path.exists():
        text = path.read_bytes()
        private = serialization.load_pem_private_key(text, password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError(f"{path} holds no RSA key")
        return Keys(private, x509.load_pem_x509_certificate(text))
    directory.mkdir(parents=True, exist_ok=True)
    keys = create_keys(name)
    pem = keys.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Written aside and renamed: a start that is killed half-way leaves no half a key.
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem + keys.certificate_pem.encode())
    draft.replace(path)
    return keys
