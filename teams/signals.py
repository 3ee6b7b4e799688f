"""The signals of this floor, sent by services after commit, never by `post_save`."""

from collections.abc import Iterable

from django.db import transaction
from django.dispatch import Signal

# Keyword arguments: `user_ids: frozenset[int]` whose access, role or tags may have changed and
# `team_ids: frozenset[int]` whose desired form may have changed. Receivers only enqueue.
access_changed = Signal()

# There is something to tell somebody of; which rows, the rows themselves say. Receivers only enqueue.
mail_due = Signal()


def send_access_changed(*, user_ids: Iterable[int] = (), team_ids: Iterable[int] = ()) -> None:
    """Send `access_changed` once the current transaction has committed; nothing is sent when both are empty."""
    users, teams = frozenset(user_ids), frozenset(team_ids)
    if users or teams:
        transaction.on_commit(lambda: _send(users, teams))


def _send(user_ids: frozenset[int], team_ids: frozenset[int]) -> None:
    access_changed.send(sender=None, user_ids=user_ids, team_ids=team_ids)


def send_mail_due() -> None:
    """Send `mail_due` once the current transaction has committed."""
    transaction.on_commit(lambda: mail_due.send(sender=None))
