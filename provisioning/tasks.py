"""Celery tasks: hints to look at rows. What they find and do is in the rows; losing one costs seconds."""

from celery import shared_task

from provisioning import profiles, queue
from teams import audit

# Rows that come back later than this are left to the sweep.
NEAR = 30.0
# How many due rows one sweep hands out, and for how long the hint is good: the next sweep gives another.
SWEEP_LIMIT = 1000
HINT_SECONDS = 20.0


@shared_task(name=queue.ENSURE)
def ensure_profile(profile_id: int, request_id: str = "") -> None:
    """Make one step at a profile, and ask for the next; `request_id` is that of the web request that it began with."""
    with audit.context(actor="system: ensure_profile", request_id=request_id):
        following = profiles.ensure(profile_id)
        if following.seconds is not None and following.seconds <= NEAR:
            queue.enqueue_ensure(profile_id, countdown=following.seconds)


@shared_task(name="provisioning.tasks.sweep")
def sweep() -> None:
    """Hand out the rows that are due and that nobody works on: whatever Redis or a worker lost."""
    for profile_id in profiles.due(SWEEP_LIMIT):
        if not queue.enqueue_ensure(profile_id, expires=HINT_SECONDS):
            return


@shared_task(name="provisioning.tasks.prepare_missing")
def prepare_missing() -> None:
    """Make the rows that any live access still lacks; the sweep hands them out."""
    with audit.context(actor="system: prepare_missing"):
        profiles.prepare()
