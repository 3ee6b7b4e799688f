"""Reading for a synchronisation: one page of AWS's answers at a time, each kept with the place where to go on.

First all groups, then the members of those that a role mapping names, and all users last: whoever is in a group that
was read is then among the users, unless they have left since.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from provisioning.aws import errors
from provisioning.aws.identity import MAX_PAGES, Page, PagingError, token_digest
from provisioning.database import clock
from provisioning.directory.stores import mapped, note_progress, store_of, subject_of
from provisioning.models import DirectoryPage, DirectorySync

Kind = DirectoryPage.Kind
Stage = DirectorySync.Stage
CLAIM = timedelta(seconds=60)
# How often the lists of one synchronisation may be begun again.
MAX_RESTARTS = 20


class ClaimLost(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """Somebody else has the row now, or it is decided already."""


class Reading:
    """The claimed row of a synchronisation that is being read."""

    def __init__(self, sync: DirectorySync, claim: uuid.UUID) -> None:
        self.sync = sync
        self.directory = sync.directory
        self.claim = claim
        self.store = store_of(sync.directory)

    def next_page(self) -> None:
        """Read one page and keep it. Raises AwsError, ClaimLost; asks nothing when everything is read."""
        sync = self.sync
        if sync.stage == Stage.DONE:
            return
        try:
            self._read()
        except errors.Invalid:
            # AWS forgets tokens after a while; without one the request itself is wrong.
            if not sync.token or sync.restarts >= MAX_RESTARTS:
                raise
            self._begin_list_again()

    def write(self, **changes: Any) -> None:
        """Write to the row and keep the claim, for longer. Raises ClaimLost."""
        write(self.sync, self.claim, claimed_until=timezone.now() + CLAIM, **changes)

    def _read(self) -> None:
        sync, asked_at = self.sync, clock()
        if sync.stage == Stage.GROUPS:
            groups = self.store.groups_page(sync.token)
            self._keep(Kind.GROUPS, asked_at, [[row.group_id, row.name] for row in groups.rows], groups)
        elif sync.stage == Stage.MEMBERS:
            self._read_members(sync.wanted[sync.position], asked_at)
        else:
            users = self.store.users_page(sync.token)
            rows = [
                [row.user_id, subject_of(self.directory, row), row.name, row.email, row.enabled] for row in users.rows
            ]
            self._keep(Kind.USERS, asked_at, rows, users)

    def _read_members(self, group_id: str, asked_at: datetime) -> None:
        try:
            page = self.store.members_page(group_id, self.sync.token)
        except errors.NotFound as error:
            if not self.store.is_gone(error, "GROUP"):
                raise
            # It was there a moment ago, and has no members any more, whatever its first pages said.
            DirectoryPage.objects.filter(sync=self.sync, kind=Kind.MEMBERS, group=group_id).update(rows=[])
            page = Page((), "")
        self._keep(Kind.MEMBERS, asked_at, [[row.membership_id, row.user_id] for row in page.rows], page, group_id)

    def _keep(
        self, kind: DirectoryPage.Kind, asked_at: datetime, rows: Sequence[list[Any]], page: Page[Any], group: str = ""
    ) -> None:
        """Keep a page and the place behind it, in one transaction."""
        sync, asked, following = self.sync, token_digest(self.sync.token), token_digest(page.next_token)
        circle = following and DirectoryPage.objects.filter(sync=sync, kind=kind, group=group, token=following).exists()
        if circle or sync.sequence >= MAX_PAGES:
            raise PagingError("AWS's pages lead in a circle, or never end.")
        counted = {kind.value: getattr(sync, kind.value) + len(rows)}
        with transaction.atomic():
            # The claim first, so that a worker that was thought dead cannot keep a page twice.
            self.write(token=page.next_token, sequence=sync.sequence + 1, attempts=0, error="", **counted)
            DirectoryPage.objects.create(
                sync=sync, sequence=sync.sequence, kind=kind, group=group, token=asked, read_at=asked_at, rows=rows
            )
            if not page.next_token:
                self.write(**self._after(kind))
        if self.directory.failing_since:
            note_progress(self.directory.pk)
            self.directory.failing_since = None

    def _after(self, kind: DirectoryPage.Kind) -> dict[str, Any]:
        """Return where to go on behind the last page of a list."""
        if kind == Kind.USERS:
            return {"stage": Stage.DONE}
        if kind == Kind.GROUPS:
            wanted, position = self._groups_to_read(), 0
        else:
            wanted, position = self.sync.wanted, self.sync.position + 1
        stage = Stage.MEMBERS if position < len(wanted) else Stage.USERS
        return {"stage": stage, "wanted": wanted, "position": position}

    def _groups_to_read(self) -> list[str]:
        """Return the ids of the groups that a role mapping names, in a fixed order."""
        pages = DirectoryPage.objects.filter(sync=self.sync, kind=Kind.GROUPS).order_by("sequence")
        names = {group_id: name for page in pages.iterator() for group_id, name in page.rows}
        return sorted(mapped(self.directory.source, names))

    def _begin_list_again(self) -> None:
        """Forget the pages of the list that is being read, and begin it anew."""
        sync = self.sync
        kind = Kind(sync.stage)
        group = sync.wanted[sync.position] if sync.stage == Stage.MEMBERS else ""
        pages = DirectoryPage.objects.filter(sync=sync, kind=kind, group=group)
        with transaction.atomic():
            dropped = sum(len(page.rows) for page in pages)
            self.write(
                token="", restarts=sync.restarts + 1, **{kind.value: max(0, getattr(sync, kind.value) - dropped)}
            )
            pages.delete()


def write(sync: DirectorySync, token: uuid.UUID, /, **changes: Any) -> None:
    """Write to a row that is being read and claimed. Raises ClaimLost."""
    claimed = DirectorySync.objects.filter(pk=sync.pk, claim=token, state=DirectorySync.State.READING)
    if not claimed.update(**changes):
        raise ClaimLost
    for name, value in changes.items():
        setattr(sync, name, value)
