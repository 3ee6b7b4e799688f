"""Receivers of the floor below: they make rows due and send hints, nothing else."""

from typing import Any

from django.db import transaction
from django.dispatch import receiver

from provisioning import profiles, queue
from teams.signals import access_changed

# More rows than this are left to the sweep, so that a change to a large team does not keep an admin's page waiting.
MAX_HINTS = 200


@receiver(access_changed, dispatch_uid="provisioning.access_changed")
def prepare_profiles(user_ids: frozenset[int], team_ids: frozenset[int], **_: Any) -> None:
    """Make ahead the profiles of people whose access changed, and look again at those of teams that changed."""
    ids = profiles.prepare(user_ids) if user_ids else []
    if team_ids:
        ids += profiles.look_again(team_ids)

    def send_hints() -> None:
        for profile_id in dict.fromkeys(ids[:MAX_HINTS]):
            queue.enqueue_ensure(profile_id)

    transaction.on_commit(send_hints)
