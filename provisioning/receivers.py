"""Receivers of the floor below: they make rows due and send hints, nothing else."""

from typing import Any

from django.db import transaction
from django.dispatch import receiver

from provisioning import ending, profiles, queue
from teams.signals import access_changed

# More rows than this are left to the sweep, so that a change to a large team does not keep an admin's page waiting.
MAX_HINTS = 200
# More people than this are left to the tasks that look at everybody.
MAX_PEOPLE = 1000


@receiver(access_changed, dispatch_uid="provisioning.access_ended")
def retire_profiles(user_ids: frozenset[int], team_ids: frozenset[int], **_: Any) -> None:
    """Begin to retire the profiles of people whose access has ended, and restore those of teams that are active again.

    URLs need no such care: each launch asks for access itself.
    """
    if len(user_ids) > MAX_PEOPLE:
        transaction.on_commit(lambda: queue.enqueue(queue.END_ACCESS) and None)
        user_ids = frozenset()
    due = ending.end_access(user_ids) if user_ids else []
    back = []
    if team_ids:
        due += ending.end_access(team_ids=team_ids)
        back = ending.restore(team_ids=team_ids)

    def send_hints() -> None:
        for profile_id in dict.fromkeys(due[:MAX_HINTS]):
            queue.enqueue_retire(profile_id)
        for profile_id in back[:MAX_HINTS]:
            queue.enqueue_ensure(profile_id)

    transaction.on_commit(send_hints)


@receiver(access_changed, dispatch_uid="provisioning.access_changed")
def prepare_profiles(user_ids: frozenset[int], team_ids: frozenset[int], **_: Any) -> None:
    """Make ahead the profiles of people whose access changed, and look again at those of teams that changed."""
    if len(user_ids) > MAX_PEOPLE:
        transaction.on_commit(lambda: queue.enqueue(queue.PREPARE) and None)
        user_ids = frozenset()
    ids = profiles.prepare(user_ids) if user_ids else []
    if team_ids:
        ids += profiles.look_again(team_ids)

    def send_hints() -> None:
        for profile_id in dict.fromkeys(ids[:MAX_HINTS]):
            queue.enqueue_ensure(profile_id)

    transaction.on_commit(send_hints)
