"""Who asks: the client whose bearer token a request carries."""

from datetime import timedelta

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from portal.scim import tokens
from teams.models import ScimClient, ScimToken

# How often a use is noted: once a minute is enough to know that a token is in use.
NOTED_EVERY = timedelta(minutes=1)


def authenticate(request: HttpRequest) -> ScimClient | None:
    """Return the active client whose token is good now; None for a missing, unknown, expired or revoked one.

    The work is the same whatever was sent: one digest and one query for it. Tokens are found by their digest, so that
    how long a comparison takes tells nothing about them.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    digest = tokens.digest(secret.strip())
    token = ScimToken.objects.select_related("client").filter(digest=digest).first()
    if token is None or scheme.lower() != "bearer" or not token.client.is_active or not tokens.is_good(token):
        return None
    _note_use(token)
    return token.client


def _note_use(token: ScimToken) -> None:
    now = timezone.now()
    due = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - NOTED_EVERY)
    for row in (token, token.client):
        if row.last_used_at is None or row.last_used_at < now - NOTED_EVERY:
            type(row)._default_manager.filter(due, pk=row.pk).update(last_used_at=now)
