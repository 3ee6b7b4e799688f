"""Bearer tokens of SCIM clients: made, shown once, kept as a digest, revoked."""

import hashlib
import secrets
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from teams import audit, snapshots
from teams.models import AuditEvent, ScimClient, ScimToken

# Recognisable, so that the log's scrubber and scanners of leaked secrets find it.
PREFIX = "scimtok_"
_BYTES = 32
_HINT = len(PREFIX) + 4


def digest(secret: str) -> str:
    """Return the SHA-256 digest, in hexadecimal digits, by which a token is kept; 32 random bytes need no salt."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_good(token: ScimToken) -> bool:
    """Whether a token is neither revoked nor expired."""
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > timezone.now())


@transaction.atomic
def issue(client: ScimClient, *, by: str, expires_at: datetime | None = None) -> str:
    """Make a token beside those that the client has, audited, and return what it is, which nothing keeps."""
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    token = ScimToken.objects.create(
        client=client, digest=digest(secret), hint=secret[:_HINT], created_by=by, expires_at=expires_at
    )
    until = None if expires_at is None else expires_at.isoformat()
    _record(AuditEvent.Action.TOKEN_CREATED, token, {"expires": until})
    return secret


@transaction.atomic
def revoke(token: ScimToken) -> bool:
    """Refuse a token from now on, audited; answer whether it was good for anything until now."""
    changed = ScimToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
    if changed:
        _record(AuditEvent.Action.TOKEN_REVOKED, token, {})
    return bool(changed)


def _record(action: AuditEvent.Action, token: ScimToken, data: dict[str, str | None]) -> None:
    # Four characters of the secret tell tokens apart and are no help in guessing the other 39.
    audit.record(
        action, target=snapshots.target(token.client), data={"begins with": token.hint.removeprefix(PREFIX), **data}
    )
