"""The portal's own keys: they sign our requests and open encrypted assertions, and are read once for each process.

During a rollover there are two pairs. The current one signs; either one decrypts, and our metadata show both.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

logger = logging.getLogger(__name__)

MIN_RSA_BITS = 2048
MAX_FILE_BYTES = 64 * 1024
WARN_BEFORE = timedelta(days=30)

_Paths = tuple[str, str]


@dataclass(frozen=True, eq=False)
class SpKey:
    """One key of ours with its certificate; the key never shows in a repr."""

    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    def __repr__(self) -> str:
        return f"SpKey({self.certificate.subject.rfc4514_string()!r})"


class KeyProblem(Exception):  # noqa: N818  (reported by a check, never raised to a request)
    """A key or a certificate cannot be used; the text names the setting, and what to do is in `hint`."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


_lock = threading.Lock()
_loaded: dict[_Paths, SpKey | None] = {}


def current() -> SpKey | None:
    """Return the key that signs, None when none is configured or it cannot be used."""
    return _get((settings.SAML_SP_KEY, settings.SAML_SP_CERTIFICATE))


def all_keys() -> tuple[SpKey, ...]:
    """Return the current key and, during a rollover, the next one; both decrypt and both are in our metadata."""
    pairs = (
        (settings.SAML_SP_KEY, settings.SAML_SP_CERTIFICATE),
        (settings.SAML_SP_KEY_NEXT, settings.SAML_SP_CERTIFICATE_NEXT),
    )
    return tuple(key for pair in pairs if (key := _get(pair)) is not None)


def problems() -> list[tuple[str, str]]:
    """Return what is wrong with our keys and the contact in our metadata, as (message, hint).

    Reads the files, and loads good keys, so that no request has to.
    """
    found: list[tuple[str, str]] = []
    names = (("SAML_SP_KEY", "SAML_SP_CERTIFICATE"), ("SAML_SP_KEY_NEXT", "SAML_SP_CERTIFICATE_NEXT"))
    for key_name, certificate_name in names:
        paths = (getattr(settings, key_name), getattr(settings, certificate_name))
        if not any(paths):
            continue
        try:
            key = load(*paths, key_name=key_name, certificate_name=certificate_name)
            _check_time(key, certificate_name, must_be_valid=key_name == "SAML_SP_KEY")
        except KeyProblem as problem:
            found.append((str(problem), problem.hint))
    if settings.SAML_SP_KEY_NEXT and not settings.SAML_SP_KEY:
        found.append(("SAML_SP_KEY_NEXT is set without SAML_SP_KEY.", "Set the current pair, too, or only that one."))
    if not found:
        all_keys()
    return found + _contact_problems()


def ends_soon() -> list[str]:
    """Return the names of the settings whose certificates end within WARN_BEFORE."""
    now = datetime.now(UTC)
    names = ("SAML_SP_CERTIFICATE", "SAML_SP_CERTIFICATE_NEXT")
    ends = [(name, key.certificate.not_valid_after_utc) for key, name in zip(all_keys(), names, strict=False)]
    return [name for name, end in ends if now < end <= now + WARN_BEFORE]


def _contact_problems() -> list[tuple[str, str]]:
    try:
        if settings.SAML_CONTACT_TECHNICAL:
            validate_email(settings.SAML_CONTACT_TECHNICAL)
    except ValidationError:
        return [("SAML_CONTACT_TECHNICAL is no mail address.", "Set the address alone, without a name.")]
    return []


def load(key_path: str, certificate_path: str, *, key_name: str, certificate_name: str) -> SpKey:
    """Return the pair in two PEM files; raise KeyProblem, in terms of the settings' names, when they are no pair."""
    if not key_path or not certificate_path:
        raise KeyProblem(
            f"Only one of {key_name} and {certificate_name} is set.", "Set both to PEM files, or neither of them."
        )
    hint = f"{key_name} must be a PEM file with an RSA key of at least {MIN_RSA_BITS} bits and no passphrase."
    try:
        private = serialization.load_pem_private_key(_read(key_path, key_name), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyProblem(f"{key_name} cannot be read as a private key.", hint) from None
    if not isinstance(private, rsa.RSAPrivateKey) or private.key_size < MIN_RSA_BITS:
        raise KeyProblem(f"{key_name} is too short or no RSA key.", hint)
    try:
        certificate = x509.load_pem_x509_certificate(_read(certificate_path, certificate_name))
        public = certificate.public_key()
    except ValueError:
        raise KeyProblem(
            f"{certificate_name} cannot be read as a certificate.", f"{certificate_name} must be a PEM file."
        ) from None
    if public != private.public_key():
        raise KeyProblem(
            f"{key_name} and {certificate_name} do not belong together.", "Set the certificate of this very key."
        )
    return SpKey(private, certificate)


def _get(paths: _Paths) -> SpKey | None:
    if not all(paths):
        return None
    if paths not in _loaded:
        with _lock:
            if paths not in _loaded:
                _loaded[paths] = _load_or_none(paths)
    return _loaded[paths]


def _load_or_none(paths: _Paths) -> SpKey | None:
    try:
        return load(*paths, key_name="SAML_SP_KEY", certificate_name="SAML_SP_CERTIFICATE")
    except KeyProblem as problem:
        # The system check stops a start like this; a file that vanished later must not take sign-on down.
        logger.error("The portal goes on without a key of its own: %s", problem)  # noqa: TRY400
        return None


def _read(path: str, name: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise KeyProblem(f"{name} cannot be read: {error.strerror}.", "Name a file that the portal may read.") from None


def _check_time(key: SpKey, certificate_name: str, *, must_be_valid: bool) -> None:
    now = datetime.now(UTC)
    hint = "Make a new pair, set it as the next one first, and give the identity provider our new metadata."
    if key.certificate.not_valid_after_utc <= now:
        raise KeyProblem(f"{certificate_name} has expired.", hint)
    if must_be_valid and key.certificate.not_valid_before_utc > now:
        raise KeyProblem(f"{certificate_name} is not valid yet.", hint)
