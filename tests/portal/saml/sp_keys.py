"""Keys of the portal's own, as PEM files that the settings name."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import LazySettings

from portal.demo.idp import Keys


def write(directory: Path, name: str, keys: Keys) -> tuple[str, str]:
    """Write a pair and return the paths of its key and its certificate."""
    key, certificate = directory / f"{name}.key.pem", directory / f"{name}.crt.pem"
    key.write_bytes(keys.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_text(keys.certificate_pem)
    return str(key), str(certificate)


def use(settings: LazySettings, directory: Path, current: Keys, following: Keys | None = None) -> None:
    """Configure the portal with these pairs."""
    settings.SAML_SP_KEY, settings.SAML_SP_CERTIFICATE = write(directory, "current", current)
    if following is not None:
        settings.SAML_SP_KEY_NEXT, settings.SAML_SP_CERTIFICATE_NEXT = write(directory, "next", following)
