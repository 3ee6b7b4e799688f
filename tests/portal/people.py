"""People in teams, and their browsers."""

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from teams.memberships import UserObservation, apply
from teams.models import AuditEvent, Team, User

BACKEND = "portal.saml.backend.SamlBackend"
POLL = {"HX-Request": "true"}


def join(user: User, team: Team) -> User:
    """Put a person into a team for an hour."""
    until = timezone.now() + timedelta(hours=1)
    apply(UserObservation(user=user, source="saml", groups=None, teams=frozenset({team.saml_id}), valid_until=until))
    return user


def browser_of(user: User, **options: Any) -> Client:
    """Return a new browser in which this person is signed on."""
    client = Client(**options)
    client.force_login(user, backend=BACKEND)
    return client


def is_signed_on(browser: Client) -> bool:
    """Whether the portal still knows who sits at this browser."""
    return bool(browser.get("/").context["user"].is_authenticated)


def log(**filters: Any) -> list[AuditEvent]:
    """Return audit rows, oldest first."""
    return list(AuditEvent.objects.filter(**filters).order_by("id"))
