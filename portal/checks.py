"""System checks of the configuration, each with an id, a message and a hint; an error stops the start.

`manage.py` runs them by itself; the web server and Celery call `require_valid_configuration`.
"""

import re
import sys
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register, run_checks
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MINIMUM_SECRET_LENGTH = 50

Check = Callable[..., list[CheckMessage]]


def require_valid_configuration() -> None:
    """Print every error of the configuration, one line and one hint each, and exit if there is any.

    Gunicorn and Celery do not run Django's checks by themselves.
    """
    errors = [message for message in run_checks(tags=[Tags.security]) if message.is_serious()]
    if errors:
        for error in errors:
            print(f"{error.id}: {error.msg}\n    {error.hint}", file=sys.stderr)  # noqa: T201
        print("Studio Portal does not start with this configuration.", file=sys.stderr)  # noqa: T201
        # 3 is what gunicorn takes as “do not try again”; any other code has it start workers for ever.
        raise SystemExit(3)


@register(Tags.security)
def check_unreadable(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E001 and E002: values that the settings could not even read."""
    return [Error(message, hint=hint, id=name) for name, message, hint in settings.PROBLEMS]


@register(Tags.security)
def check_secret_key(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E003: a key that can be guessed signs sessions that can be forged."""
    key = settings.SECRET_KEY
    if len(key) >= MINIMUM_SECRET_LENGTH and len(set(key)) >= 5 and not key.startswith("django-insecure-"):
        return []
    return [
        Error(
            "SECRET_KEY is too weak.",
            hint="Use at least 50 random characters: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="portal.E003",
        )
    ]


@register(Tags.security)
def check_portal_url(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E004 to E006: the public address is https (or http on loopback), nothing but an origin, and an allowed host."""
    url = urlsplit(settings.PORTAL_URL)
    if not settings.PORTAL_URL:
        return [
            Error(
                "PORTAL_URL is not set.", hint="Set the public base URL: https://portal.example.com", id="portal.E004"
            )
        ]
    if url.scheme != "https" and not settings.LOOPBACK_HTTP:
        return [
            Error(
                "PORTAL_URL must begin with https://.",
                hint="Plain http:// is accepted for 127.0.0.1 and localhost only: cookies would travel unprotected.",
                id="portal.E004",
            )
        ]
    if url.path or url.query or url.fragment or url.username or not url.hostname:
        return [
            Error(
                "PORTAL_URL must be a scheme, a host and perhaps a port.",
                hint="The portal lives at the root of its host: https://portal.example.com",
                id="portal.E005",
            )
        ]
    if not _allowed(url.hostname):
        return [
            Error(
                f"ALLOWED_HOSTS does not name {url.hostname}, the host of PORTAL_URL.",
                hint=f"Set ALLOWED_HOSTS={url.hostname}",
                id="portal.E006",
            )
        ]
    return []


def _allowed(host: str) -> bool:
    return any(
        pattern in {"*", host} or (pattern.startswith(".") and f".{host}".endswith(pattern))
        for pattern in settings.ALLOWED_HOSTS
    )


@register(Tags.security)
def check_services(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E007 and E008: the services that the portal is made for."""
    errors: list[CheckMessage] = []
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        errors.append(
            Error(
                "DATABASE_URL does not name a PostgreSQL database.",
                hint="Set postgresql://user:password@host:5432/name",
                id="portal.E007",
            )
        )
    if urlsplit(settings.REDIS_URL).scheme not in {"redis", "rediss", "unix"}:
        errors.append(
            Error("REDIS_URL is not set or is no Redis address.", hint="Set redis://host:6379/0", id="portal.E008")
        )
    return errors


@register(Tags.security)
def check_debug(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E009: DEBUG shows settings and source to anybody."""
    if settings.DEBUG and not settings.LOOPBACK_HTTP:
        return [
            Error(
                "DEBUG is on although PORTAL_URL is a public address.",
                hint="Unset DEBUG; it is for http://127.0.0.1 and http://localhost only.",
                id="portal.E009",
            )
        ]
    return []


@register(Tags.security)
def check_identity_provider(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E010: nobody can sign on without the identity provider's metadata."""
    from portal.saml import providers

    return [Error(message, hint=hint, id="portal.E010") for message, hint in providers.problems()]


@register(Tags.security)
def check_ranges(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E011: numbers that would switch a protection off or keep everybody out."""
    limits = {
        "SESSION_COOKIE_AGE": (300, 30 * 24 * 3600),
        # 0 is off.
        "SESSION_IDLE_SECONDS": (300 if settings.SESSION_IDLE_SECONDS else 0, 30 * 24 * 3600),
        "SAML_REFUSALS_PER_MINUTE": (10, 1_000_000),
        "SAML_MAX_MESSAGE_BYTES": (16 * 1024, settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "TRUSTED_PROXY_COUNT": (0, 10),
        "CELERY_WORKER_CONCURRENCY": (1, 256),
        "IDENTITYSTORE_CALLS_PER_SECOND": (0.1, 1000),
        "SAGEMAKER_CALLS_PER_SECOND": (0.1, 1000),
        "SSO_ADMIN_CALLS_PER_SECOND": (0.1, 1000),
        # 0 is off.
        "RECONCILE_HOURS": (0, 30 * 24),
        "APPS_SCAN_MINUTES": (0, 24 * 60),
        "APPS_ACTIVITY_MINUTES": (0, 7 * 24 * 60),
        "ACCESS_MAX_DAYS": (1, 3650),
        "ACCESS_REMINDER_DAYS": (1, 90),
        # A month that is not over yet is never thrown away, nor the one before.
        "USAGE_DAYS": (62, 3650),
        # A mail takes several answers, and is claimed for five minutes.
        "EMAIL_TIMEOUT": (1, 30),
    }
    return [
        Error(f"{name.removeprefix('CELERY_')} is out of range.", hint=f"Set {low} to {high}.", id="portal.E011")
        for name, (low, high) in limits.items()
        if not low <= getattr(settings, name) <= high
    ]


@register(Tags.security)
def check_own_keys(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E012, W002: a key of ours that cannot be used would be found out by people whose assertions cannot be opened."""
    from portal.saml import keys

    return [
        *(Error(message, hint=hint, id="portal.E012") for message, hint in keys.problems()),
        *(
            CheckWarning(
                f"{name} ends within 30 days.",
                hint="Make a new pair and set it as the next one, so that identity providers can learn it in time.",
                id="portal.W002",
            )
            for name in keys.ends_soon()
        ),
    ]


@register(Tags.security)
def check_mail(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E021, W003: without mail people learn of requests and decisions only when they look."""
    if not settings.MAIL_IS_ON:
        hint = "Set EMAIL_URL, so that owners hear of requests and people of decisions and of the end of their access."
        return [CheckWarning("No mail is sent.", hint=hint, id="portal.W003")]
    sender = settings.DEFAULT_FROM_EMAIL
    _name, address = parseaddr(sender)
    try:
        validate_email(address if sender.isprintable() else "")
    except ValidationError:
        hint = "Set the sender of the portal's mail: studio-portal@example.com"
        return [Error("DEFAULT_FROM_EMAIL is no mail address.", hint=hint, id="portal.E021")]
    return []


@register(Tags.security)
def check_currency(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """E024: a currency that pages and mails could not show."""
    if re.fullmatch(r"[A-Z]{3}", settings.CURRENCY):
        return []
    hint = "Set the three letters of the currency that the price table is in, like USD."
    return [Error("CURRENCY is no currency.", hint=hint, id="portal.E024")]


@register(Tags.security)
def check_region(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    """W001: domains carry their own Region, but imports and STS need one."""
    if settings.AWS_REGION:
        return []
    return [CheckWarning("AWS_REGION is not set.", hint="Set the Region of your Studio domains.", id="portal.W001")]
