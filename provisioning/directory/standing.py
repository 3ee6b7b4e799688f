"""What somebody has to know about directories: what fails, what waits for a decision, what nobody understood."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, Exists, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce, Concat
from django.utils import timezone

from provisioning.models import DeadLetter, Directory, DirectorySync
from teams.models import GroupMembership

# What lasts shorter than this puts itself right more often than not.
PATIENCE = timedelta(minutes=15)
LETTERS_OF = timedelta(days=1)


@dataclass(frozen=True)
class Trouble:
    """A sentence with the page where something can be done: a model's name, and a row's key or None for the list."""

    text: str
    page: str
    pk: int | None
    alarming: bool


def warnings(now: datetime | None = None) -> list[Trouble]:
    """Return what is wrong with directories, the alarming things first; one query."""
    now = now or timezone.now()
    directories: list[Any] = list(Directory.objects.annotate(**_more(now)))
    found = [*_held(directories), *_letters(sum(each.letters for each in directories))]
    for directory in directories:
        if directory.is_active:
            found.extend(_about(directory, now))
        elif directory.gives:
            text = (
                f"The inactive directory “{directory}” still gives access by what it said last: delete it to end that."
            )
            found.append(Trouble(text, "directory", directory.pk, alarming=False))
    return sorted(found, key=lambda each: not each.alarming)


def _about(directory: Directory, now: datetime) -> Iterator[Trouble]:
    since = directory.failing_since
    if since is not None and now - since > PATIENCE:
        text = f"The directory “{directory}” cannot be read since {_time(since)}. {directory.last_error}"
        yield Trouble(text, "directory", directory.pk, alarming=True)
    elif now - (directory.last_success_at or directory.created_at) > PATIENCE + _overdue(directory):
        last = f"since {_time(directory.last_success_at)}" if directory.last_success_at else "yet"
        yield Trouble(f"The directory “{directory}” has not been synchronised {last}.", "directory", directory.pk, True)
    if not directory.queue_url:
        return
    since = directory.queue_failing_since
    if since is not None and now - since > PATIENCE:
        text = f"The events of “{directory}” cannot be read since {_time(since)}. {directory.queue_error}"
        yield Trouble(text, "directory", directory.pk, alarming=True)
    elif since is None and now - (directory.polled_at or directory.created_at) > PATIENCE:
        text = f"Nobody reads the events of “{directory}”: is “manage.py directoryevents” running?"
        yield Trouble(text, "directory", directory.pk, alarming=True)


def _overdue(directory: Directory) -> timedelta:
    """Return how old the last success may be: one synchronisation may fail, and one may be held back."""
    return 3 * timedelta(minutes=directory.sync_every)


def _more(now: datetime) -> dict[str, Any]:
    """Return the columns of a directory's query: its letters, what it holds back, whether it gives while inactive."""
    held = DirectorySync.objects.filter(directory=OuterRef("pk"), state=DirectorySync.State.HELD).order_by("-id")
    letters = DeadLetter.objects.filter(directory=OuterRef("pk"), received_at__gt=now - LETTERS_OF).order_by()
    given = GroupMembership.objects.filter(group__source=Concat(Value(Directory.SOURCE), OuterRef("slug")))
    number = letters.values("directory").annotate(number=Count("pk")).values("number")
    return {
        "held": Subquery(held.values("pk")[:1]),
        "losing": Subquery(held.values("plan__people_losing")[:1]),
        "letters": Coalesce(Subquery(number), 0),
        # Whether an active one gives anything is not asked, which would take long.
        "gives": Case(When(is_active=False, then=Exists(given)), default=False),
    }


def _held(directories: Iterable[Any]) -> Iterator[Trouble]:
    for directory in directories:
        if directory.held is not None:
            number = directory.losing or 0
            text = f"A synchronisation of “{directory}” is held back: {number} people would lose access."
            yield Trouble(text, "directorysync", directory.held, alarming=True)


def _letters(number: int) -> Iterator[Trouble]:
    if number:
        what = "message of a directory's queue" if number == 1 else "messages of directories' queues"
        yield Trouble(f"{number} {what} could not be understood since yesterday.", "deadletter", None, alarming=False)


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
