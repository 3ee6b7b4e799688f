"""What becomes of a synchronisation whose pages are all read: applied at once, held back, or only planned."""

import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from provisioning.database import clock
from provisioning.directory import marks
from provisioning.directory.reading import write
from provisioning.directory.stores import forget_unlisted, limit_of, lock, remember, subjects_of
from provisioning.models import Directory, DirectoryPage, DirectorySync, DirtyMark
from teams import audit, memberships
from teams.memberships import GroupRef, Member, Person, RemovalLimit, SourceApplied, SourceObservation
from teams.models import AuditEvent

State = DirectorySync.State
Kind = DirectoryPage.Kind
Action = AuditEvent.Action
FINISHING = timedelta(minutes=10)


class NotHeldError(Exception):
    """The synchronisation is not held back any more: somebody decided, or a newer one took its place."""


def finish(sync: DirectorySync, claim: uuid.UUID) -> None:
    """Apply what was read, or hold it back where too many people would lose something, or only plan it.

    Raises ClaimLost when the row is somebody else's, or decided already.
    """
    with transaction.atomic():
        directory = lock(sync.directory_id)
        # Locks the row, too.
        write(sync, claim, claimed_until=timezone.now() + FINISHING)
        _finish(directory, sync)


def _finish(directory: Directory, sync: DirectorySync) -> None:
    applied = _apply(directory, sync, limit=limit_of(directory), dry_run=sync.dry_run)
    if sync.dry_run:
        _close(sync, State.PLANNED, applied)
    elif applied.held:
        _overtake(directory, sync)
        _close(sync, State.HELD, applied)
        _record(Action.SYNC_HELD, directory, sync, reason=f"{applied.people_losing} people would lose access.")
    else:
        _applied(directory, sync, applied)


def apply_held(sync_id: int, *, by: str) -> SourceApplied:
    """Apply a synchronisation that was held back, however much it takes away; `by` is the user name of an admin.

    Raises NotHeldError.
    """
    with transaction.atomic():
        directory, sync = _decide(sync_id, by)
        applied = _apply(directory, sync, limit=None, dry_run=False)
        _applied(directory, sync, applied)
    return applied


def throw_away(sync_id: int, *, by: str) -> None:
    """Forget what a synchronisation that was held back has read. Raises NotHeldError."""
    with transaction.atomic():
        directory, sync = _decide(sync_id, by)
        _close(sync, State.DISCARDED)
        _record(Action.SYNC_DISCARDED, directory, sync)


def discard_open(directory: Directory, *, reason: str) -> None:
    """Throw away what is being read or held back: the directory is another one now, or is not read any more."""
    with transaction.atomic():
        lock(directory.pk)
        for sync in directory.syncs.select_for_update().filter(state__in=(State.READING, State.HELD)):
            _close(sync, State.DISCARDED)
            _record(Action.SYNC_DISCARDED, directory, sync, reason=reason)


def _decide(sync_id: int, by: str) -> tuple[Directory, DirectorySync]:
    found = DirectorySync.objects.filter(pk=sync_id).values_list("directory_id", flat=True).first()
    if found is None:
        raise NotHeldError
    # The directory first, as everywhere.
    directory = lock(found)
    sync = DirectorySync.objects.select_for_update().filter(pk=sync_id, state=State.HELD).first()
    if sync is None:
        raise NotHeldError
    sync.decided_by = by
    return directory, sync


def _applied(directory: Directory, sync: DirectorySync, applied: SourceApplied) -> None:
    """Note that a synchronisation took effect."""
    now = clock()
    _overtake(directory, sync)
    _close(sync, State.APPLIED, applied)
    Directory.objects.filter(pk=directory.pk).update(last_success_at=now, failing_since=None, last_error="")
    marks.look_at_memberships(directory.pk)
    _record(Action.SYNC_APPLIED, directory, sync)


def _overtake(directory: Directory, sync: DirectorySync) -> None:
    """Throw away what older synchronisations had held back: this one knows better."""
    for older in directory.syncs.filter(state=State.HELD).exclude(pk=sync.pk):
        _close(older, State.DISCARDED)
        _record(Action.SYNC_DISCARDED, directory, older, reason="A newer synchronisation took its place.")


def _close(sync: DirectorySync, state: DirectorySync.State, applied: SourceApplied | None = None) -> None:
    sync.state, sync.claim, sync.claimed_until, sync.due_at = state, None, None, None
    sync.finished_at = timezone.now()
    if applied is not None:
        sync.plan = asdict(applied)
    sync.save()
    if state != State.HELD:
        sync.pages.all().delete()


def _record(action: AuditEvent.Action, directory: Directory, sync: DirectorySync, *, reason: str = "") -> None:
    numbers = {name: value for name, value in sync.plan.items() if name != "lines"}
    read = {"groups": sync.groups, "members": sync.members, "users": sync.users}
    audit.record(
        action,
        target=f"directory: {directory.slug}",
        reason=reason,
        data={"synchronisation": sync.pk, "begun_by": sync.by or sync.trigger, "read": read, "changes": numbers},
    )


def _apply(directory: Directory, sync: DirectorySync, *, limit: RemovalLimit | None, dry_run: bool) -> SourceApplied:
    """Hand everything that was read to `memberships`, but for what was read again since."""
    with ExitStack() as files:
        groups = files.enter_context(spooled(_groups(sync)))
        people = files.enter_context(spooled(_people(directory, sync)))
        members = files.enter_context(spooled(_members(directory, sync)))
        observation = SourceObservation(
            source=directory.source,
            realm=directory.realm,
            groups=(GroupRef(*row) for row in groups),
            members=(Member(*row) for row in members),
            people=(Person(*row) for row in people),
            complete=True,
            except_groups=_groups_read_since(sync),
            except_people=_people_read_since(directory, sync),
        )
        return memberships.apply_source(observation, limit=limit, dry_run=dry_run)


def _groups(sync: DirectorySync) -> Iterator[list[Any]]:
    for page in _pages(sync, Kind.GROUPS):
        yield from page.rows


def _people(directory: Directory, sync: DirectorySync) -> Iterator[list[Any]]:
    """Yield subject, name, mail address and whether they are enabled; nobody whose subject is unknown or shared.

    Nobody, either, who was read again since: their subject may be another one by now.
    """
    newer = _read_again(sync, DirtyMark.Kind.USER).keys()
    forget_unlisted(sync, but=newer)
    for page in _pages(sync, Kind.USERS):
        remember(directory, {row[0]: row[1] for row in page.rows if row[1] and row[0] not in newer})
    for page in _pages(sync, Kind.USERS):
        known = subjects_of(directory, [row[0] for row in page.rows if row[1] and row[0] not in newer])
        for user_id, _subject, *rest in page.rows:
            if known.get(user_id):
                yield [known[user_id], *rest]


def _members(directory: Directory, sync: DirectorySync) -> Iterator[list[Any]]:
    """Yield group id, subject and the membership's own id."""
    for page in _pages(sync, Kind.MEMBERS):
        known = subjects_of(directory, [user_id for _, user_id in page.rows])
        for membership_id, user_id in page.rows:
            if known.get(user_id):
                yield [page.group, known[user_id], membership_id]


def _pages(sync: DirectorySync, kind: DirectoryPage.Kind) -> Iterator[DirectoryPage]:
    return DirectoryPage.objects.filter(sync=sync, kind=kind).order_by("sequence").iterator(chunk_size=20)


def _groups_read_since(sync: DirectorySync) -> frozenset[str]:
    """Return the groups that were read again, and applied, after this synchronisation had read them."""
    again = _read_again(sync, DirtyMark.Kind.GROUP)
    pages = DirectoryPage.objects.filter(sync=sync, kind=Kind.MEMBERS, group__in=again)
    read_at: dict[str, datetime] = dict(pages.order_by().values_list("group").annotate(at=Min("read_at")))
    return frozenset(group for group, at in again.items() if at >= read_at.get(group, sync.started_at))


def _people_read_since(directory: Directory, sync: DirectorySync) -> frozenset[str]:
    """Return the subjects of users who were read again, and applied, since this synchronisation began."""
    known = subjects_of(directory, list(_read_again(sync, DirtyMark.Kind.USER)))
    return frozenset(subject for subject in known.values() if subject)


def _read_again(sync: DirectorySync, kind: DirtyMark.Kind) -> dict[str, datetime]:
    marked = DirtyMark.objects.filter(directory=sync.directory_id, kind=kind, read_at__gte=sync.started_at)
    return {
        external_id: at for external_id, at in marked.order_by("read_at").values_list("external_id", "read_at") if at
    }


@contextmanager
def spooled(rows: Iterable[list[Any]]) -> Iterator[Iterator[list[Any]]]:
    """Lay rows into a file that only this process sees, and give them back from there.

    They are copied to PostgreSQL as they are read, and meanwhile the connection cannot be asked for more.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        for row in rows:
            # Escaped, so that any text that JSON had room for survives.
            file.write(json.dumps(row))
            file.write("\n")
        file.seek(0)
        yield map(json.loads, file)
