"""Celery tasks: hints to look at rows. What they find and do is in the rows; losing one costs seconds."""

from celery import shared_task

from provisioning import ending, profiles, queue
from provisioning.rows import State
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


@shared_task(name=queue.RETIRE)
def retire_profile(profile_id: int, request_id: str = "") -> None:
    """Make one step at a profile whose access has ended, and ask for the next, of whatever kind it is by then."""
    with audit.context(actor="system: retire_profile", request_id=request_id):
        following = profiles.retire(profile_id)
        if following.seconds is not None and following.seconds <= NEAR:
            enqueue = queue.enqueue_retire if following.state == State.RETIRING else queue.enqueue_ensure
            enqueue(profile_id, countdown=following.seconds)


@shared_task(name="provisioning.tasks.sweep")
def sweep() -> None:
    """Hand out the rows that are due and that nobody works on: whatever Redis or a worker lost."""
    for profile_id in profiles.due(SWEEP_LIMIT):
        if not queue.enqueue_ensure(profile_id, expires=HINT_SECONDS):
            return
    for profile_id in profiles.due_to_retire(SWEEP_LIMIT):
        if not queue.enqueue_retire(profile_id, expires=HINT_SECONDS):
            return


@shared_task(name=queue.END_ACCESS)
def end_access() -> None:
    """Retire the profiles of everybody whose access has ended, by whatever and if only by time; the sweep goes on."""
    with audit.context(actor="system: end_access"):
        ending.end_access()


@shared_task(name="provisioning.tasks.prepare_missing")
def prepare_missing() -> None:
    """Make the rows that any live access still lacks; the sweep hands them out."""
    with audit.context(actor="system: prepare_missing"):
        profiles.prepare()
