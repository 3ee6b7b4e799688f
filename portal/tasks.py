"""Celery tasks of the portal itself."""

from celery import shared_task
from django.core.management import call_command

from portal import mail
from portal.saml import upkeep
from teams import audit, grants


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


@shared_task(name=mail.SEND)
def send_mail() -> None:
    """Send what the rows say is still to be sent: a hint after each change, and each minute whatever was lost."""
    with audit.context(actor="system: send_mail"):
        mail.send_due()


@shared_task(name="portal.tasks.expire_access")
def expire_access() -> None:
    """Clear away access that was given until a moment which has come."""
    with audit.context(actor="system: expire_access"):
        grants.expire()
