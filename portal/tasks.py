"""Celery tasks of the portal itself."""

from celery import shared_task
from django.core.management import call_command


@shared_task(name="portal.tasks.clear_sessions")
def clear_sessions() -> None:
    """Delete the rows of sessions that are over; they open nothing, they only take room."""
    call_command("clearsessions")
