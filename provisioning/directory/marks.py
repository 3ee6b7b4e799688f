"""What is dirty in a directory: noted by events, claimed, read again, done; thousands of hints make few readings."""

import random
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from provisioning.aws.errors import AwsError, Denied, Invalid, NotFound, Paced
from provisioning.directory.reading import ClaimLost
from provisioning.directory.stores import mapped, note_failure, note_progress, told
from provisioning.models import Directory, DirectorySync, DirtyMark
from teams.models import Group, GroupMembership

Kind = DirtyMark.Kind

CLAIM = timedelta(seconds=120)
MAX_BACKOFF = 300.0
# How long a membership that nobody knows waits for a synchronisation that may have read it.
UNRESOLVED = timedelta(seconds=60)
UNRESOLVED_BY_MARKS = timedelta(seconds=2)
LASTING = (Denied, Invalid, NotFound)

# How often something is asked for that AWS calls invalid.
MAX_REFUSED = 3
# More dirty groups and users than these cost more calls one by one than a whole synchronisation.
MANY = 200

# A mark that fails keeps its pause: events come too often to take it away.
_NOTE = """
    INSERT INTO provisioning_dirtymark (directory_id, kind, external_id, noted_at, due_at, attempts, error)
    SELECT %(directory)s, said.kind, said.id, clock_timestamp(), %(due)s, 0, ''
    FROM unnest(%(kinds)s::text[], %(ids)s::text[]) AS said (kind, id)
    ORDER BY said.kind, said.id
    ON CONFLICT (directory_id, kind, external_id) WHERE done_at IS NULL DO UPDATE
    SET noted_at = excluded.noted_at,
        due_at = CASE WHEN provisioning_dirtymark.attempts > 0 THEN provisioning_dirtymark.due_at
                      ELSE least(provisioning_dirtymark.due_at, excluded.due_at) END
"""


def note(directory_id: int, marks: Iterable[tuple[str, str]], *, due_at: datetime | None = None) -> None:
    """Mark groups, users, memberships (kind and id) or everything (with an empty id) as dirty; once each."""
    wanted = sorted({(str(kind), external_id) for kind, external_id in marks})
    if not wanted:
        return
    said: dict[str, Any] = {
        "directory": directory_id,
        "due": due_at or timezone.now(),
        "kinds": [kind for kind, _ in wanted],
        "ids": [external_id for _, external_id in wanted],
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, said)


def note_memberships(directory: Directory, membership_ids: Iterable[str]) -> int:
    """Mark the groups dirty whose memberships ended; return how many memberships gave nobody anything here.

    While anything is being read or held back, an unknown membership may be among what was read: it is then kept as a
    mark of its own until that is over.
    """
    ids = set(membership_ids)
    if not ids:
        return 0
    # Asked first: what is applied after this is seen below, and what is begun after this is newer.
    again = look_again_in(directory.pk)
    rows = GroupMembership.objects.filter(group__source=directory.source)
    found = dict(rows.filter(external_id__in=ids).values_list("external_id", "group__external_id"))
    note(directory.pk, ((Kind.GROUP, group) for group in found.values()))
    unknown = ids - found.keys()
    if not unknown:
        return 0
    if rows.filter(external_id="").exists():
        note(directory.pk, [(Kind.EVERYTHING, "")])
    elif again is not None:
        note(directory.pk, ((Kind.MEMBERSHIP, each) for each in unknown), due_at=timezone.now() + again)
    else:
        return len(unknown)
    return 0


def collapse(directory: Directory) -> bool:
    """Where very many groups and users are dirty, have everything read instead; return whether that is so.

    Groups that a role mapping names keep their marks: they are few, and doors wait for them.
    """
    waiting = DirtyMark.objects.filter(
        directory=directory, kind__in=(Kind.GROUP, Kind.USER), done_at__isnull=True, claim__isnull=True
    )
    if waiting.count() <= MANY:
        return False
    dirty = waiting.filter(kind=Kind.GROUP).values("external_id")
    groups = Group.objects.filter(source=directory.source, external_id__in=dirty)
    kept = mapped(directory.source, dict(groups.values_list("external_id", "name")))
    dropped = waiting.exclude(kind=Kind.GROUP, external_id__in=kept)
    with transaction.atomic():
        number = dropped.update(done_at=timezone.now())
        if number:
            note(directory.pk, [(Kind.EVERYTHING, "")])
    return bool(number)


def note_read(directory_id: int, user_ids: Iterable[str], read_at: datetime) -> None:
    """Note that these users were read at that moment: a synchronisation that began before knows less of them."""
    now = timezone.now()
    DirtyMark.objects.bulk_create(
        DirtyMark(directory_id=directory_id, kind=Kind.USER, external_id=each, read_at=read_at, done_at=now)
        for each in user_ids
    )


def read_since(kind: DirtyMark.Kind, directory_id: int, moment: datetime) -> set[str]:
    """Return the ids of those groups or users whose last reading began at that moment or later, and was applied."""
    newer = DirtyMark.objects.filter(directory=directory_id, kind=kind, read_at__gte=moment)
    return set(newer.values_list("external_id", flat=True))


def look_at_memberships(directory_id: int) -> None:
    """Have the memberships looked up again that were unknown: a synchronisation has just been applied."""
    open_marks = DirtyMark.objects.filter(directory=directory_id, kind=Kind.MEMBERSHIP, done_at__isnull=True)
    open_marks.update(due_at=timezone.now())


def due(directory_id: int | None = None) -> QuerySet[DirtyMark]:
    """Return the marks that are to be worked off now and that nobody works on, in the order in which they are due."""
    now = timezone.now()
    free = Q(claim__isnull=True) | Q(claimed_until__lt=now)
    waiting = DirtyMark.objects.filter(free, done_at__isnull=True, due_at__lte=now, directory__is_active=True)
    return (waiting if directory_id is None else waiting.filter(directory=directory_id)).order_by("due_at", "pk")


class Claimed:
    """A mark that this worker has claimed."""

    def __init__(self, mark: DirtyMark, token: uuid.UUID) -> None:
        self.mark = mark
        self.directory = mark.directory
        self.token = token

    def keep(self) -> None:
        """Keep the claim for longer. Raises ClaimLost."""
        self._write(claimed_until=timezone.now() + CLAIM)

    def done(self, read_at: datetime | None = None, *, has_members: bool = True) -> None:
        """Close the mark, unless it was noted again meanwhile: then it is due again. Raises ClaimLost.

        Call it in the transaction that applies what was read; `read_at` is when that reading began, None when nothing
        of it was applied. `has_members` is false for a group whose members were not asked for.
        """
        read = {} if read_at is None else {"read_at": read_at, "has_members": has_members}
        free = {"claim": None, "claimed_until": None, "attempts": 0, "error": "", **read}
        mine = DirtyMark.objects.filter(pk=self.mark.pk, claim=self.token)
        if not mine.filter(noted_at=self.mark.noted_at).update(done_at=timezone.now(), **free):
            self._write(due_at=timezone.now(), **free)
        if self.directory.failing_since and read_at is not None:
            note_progress(self.directory.pk)

    def later(self, seconds: float, **changes: object) -> None:
        """Give the claim up and come back. Raises ClaimLost."""
        self._write(due_at=timezone.now() + timedelta(seconds=seconds), claim=None, claimed_until=None, **changes)

    def failed(self, error: AwsError) -> None:
        """Take note of a call that failed, and come back with growing pauses."""
        note_failure(self.directory.pk, error)
        if isinstance(error, Paced):
            self.later(error.retry_after or 1.0)
            return
        attempts = self.mark.attempts + 1
        pause = random.uniform(0.5, 1.0) * min(MAX_BACKOFF, 2.0 ** min(attempts, 12))
        if isinstance(error, Invalid) and attempts > MAX_REFUSED and self.mark.kind != Kind.EVERYTHING:
            self._leave_to_everything()
            return
        lasting = 30.0 if isinstance(error, LASTING) else 0.0
        self.later(max(pause, lasting, error.retry_after or 0.0), attempts=attempts, error=told(error))

    def _leave_to_everything(self) -> None:
        """Have everything read, because AWS does not accept what an event named: asking again would never end."""
        with transaction.atomic():
            note(self.directory.pk, [(Kind.EVERYTHING, "")])
            self.done()

    def _write(self, **changes: object) -> None:
        if not DirtyMark.objects.filter(pk=self.mark.pk, claim=self.token).update(**changes):
            raise ClaimLost


def claim(mark_id: int) -> Claimed | None:
    """Claim a mark; None when it is not due, or somebody else has it."""
    token = uuid.uuid4()
    with transaction.atomic():
        mark = due().select_for_update(skip_locked=True, of=("self",)).filter(pk=mark_id).first()
        if mark is None:
            return None
        DirtyMark.objects.filter(pk=mark.pk).update(claim=token, claimed_until=timezone.now() + CLAIM)
    return Claimed(DirtyMark.objects.select_related("directory__account").get(pk=mark_id), token)


def look_again_in(directory_id: int) -> timedelta | None:
    """Return when to look again for an unknown membership; None when nothing is under way that may have read it."""
    states = (DirectorySync.State.READING, DirectorySync.State.HELD)
    if DirectorySync.objects.filter(directory=directory_id, dry_run=False, state__in=states).exists():
        return UNRESOLVED
    reading = DirtyMark.objects.filter(
        directory=directory_id, done_at__isnull=True, kind__in=(Kind.GROUP, Kind.USER), claimed_until__gt=timezone.now()
    )
    return UNRESOLVED_BY_MARKS if reading.exists() else None
