"""What is done about directories from time to time: groups that a new mapping names, and rows that are over."""

from datetime import timedelta

from django.db.models import Min
from django.utils import timezone

from provisioning.directory import marks
from provisioning.directory.stores import mapped
from provisioning.models import DeadLetter, Directory, DirectorySync, DirtyMark
from teams.models import Group, RoleMapping

State = DirectorySync.State

KEEP_SYNCS = timedelta(days=90)
KEEP_MARKS = timedelta(days=7)
KEEP_LETTERS = timedelta(days=30)


def note_unread(directory: Directory) -> int:
    """Mark the groups dirty that a role mapping names and that were never read; return how many.

    The last synchronisation read the groups that were mapped then. A group that nobody here has heard of is found by
    the next one.
    """
    last = directory.syncs.filter(state=State.APPLIED).order_by("-id").first()
    if last is None:
        return 0
    named = RoleMapping.objects.filter(source__in=("", directory.source)).order_by().values("group")
    groups = Group.objects.filter(source=directory.source)
    # Two questions, of which each has an index.
    found = [groups.filter(external_id__in=named), groups.filter(name__in=named)]
    names = dict(row for rows in found for row in rows.order_by().values_list("external_id", "name"))
    named_ids = mapped(directory.source, names)
    dirty = DirtyMark.objects.filter(directory=directory, kind=DirtyMark.Kind.GROUP, external_id__in=named_ids)
    again = dirty.filter(read_at__gte=last.started_at).order_by("read_at").values_list("external_id", "has_members")
    # What was read last counts: a group that was not mapped then has no members on record.
    read = dict.fromkeys(last.wanted, True) | dict(again)
    waiting = set(dirty.filter(done_at__isnull=True).values_list("external_id", flat=True))
    unread = {group_id for group_id in named_ids - waiting if not read.get(group_id)}
    marks.note(directory.pk, ((DirtyMark.Kind.GROUP, group_id) for group_id in unread))
    return len(unread)


def purge() -> None:
    """Delete what nobody needs any more: old synchronisations, marks that are done, dead letters."""
    now = timezone.now()
    over = DirectorySync.objects.exclude(state__in=(State.READING, State.HELD))
    # The last one that was applied says which groups were read.
    for directory in Directory.objects.all():
        last = directory.syncs.filter(state=State.APPLIED).order_by("-id").values("pk")[:1]
        over.filter(directory=directory, finished_at__lt=now - KEEP_SYNCS).exclude(pk__in=last).delete()
        # A synchronisation that is still open leaves alone what was read again since it began.
        began = directory.syncs.filter(state__in=(State.READING, State.HELD)).aggregate(at=Min("started_at"))["at"]
        oldest = min(now - KEEP_MARKS, began or now)
        directory.marks.filter(done_at__lt=oldest).delete()
    DeadLetter.objects.filter(received_at__lt=now - KEEP_LETTERS).delete()
