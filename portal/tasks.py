"""Celery tasks of the portal itself."""

from celery import shared_task
from django.core.management import call_command

from portal.saml import upkeep
from teams import audit


@shared_task(name="portal.tasks.clear_sessions")
def clear_sessions() -> None:
    """Delete the rows of sessions that are over; they open nothing, they only take room."""
    call_command("clearsessions")


@shared_task(name="portal.tasks.refresh_identity_providers")
def refresh_identity_providers() -> None:
    """Bring the rows up to date with the file of SAML_IDP_METADATA, and ask the addresses that are due."""
    upkeep.seed()
    with audit.context(actor="system: refresh_identity_providers"):
        for pk in upkeep.due():
            upkeep.refresh(pk)
