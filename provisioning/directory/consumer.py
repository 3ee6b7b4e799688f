"""The consumer of a directory's queue: takes messages in, notes what is dirty, reads it again, listens on.

What messages say is committed before they are deleted, so that a consumer that dies loses none; what comes twice is
noted once. Messages that cannot be understood go to the dead letters in the same transaction. A backlog is taken in
first, for some seconds, and read after that: thousands of events about one group make one reading.
"""

import hashlib
import logging
import threading
import time
from collections import Counter
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from provisioning.aws.errors import AwsError
from provisioning.aws.sqs import BATCH, Message, Queue, region_of
from provisioning.directory import events, marks
from provisioning.directory.events import Hint, Ignored, UnparsableError
from provisioning.directory.stores import account_of, told
from provisioning.directory.working import work_off
from provisioning.models import DeadLetter, Directory
from teams import audit
from teams.scrubbing import storable

logger = logging.getLogger(__name__)

ACTOR = "system: directoryevents"
LISTEN = 20
# How much is taken in with one transaction, and how long that may take.
INTAKE = 1000
INTAKE_SECONDS = 2.0
# How long a backlog may keep the consumer from reading what it says.
BACKLOG_SECONDS = 15.0
WORK_SECONDS = 10.0
POLLED_EVERY = timedelta(minutes=1)
MAX_PAUSE = 30.0
MAX_BODY = 16 * 1024


class Consumer:
    """Consumes the queue of one directory until `stop` is set or the directory's row says otherwise."""

    def __init__(self, directory_id: int, stop: threading.Event) -> None:
        self.directory_id = directory_id
        self.stop = stop
        self.listening = False
        self._failures = 0

    def run(self) -> None:
        """Consume until it is time to stop. Raises nothing: what fails is tried again after a pause."""
        with audit.context(actor=ACTOR):
            while not self.stop.is_set():
                try:
                    directory = _active(self.directory_id)
                    if directory is None:
                        return
                    self.turn(directory)
                    self._failures = 0
                except AwsError as error:
                    self._failed(error)
                except DatabaseError as error:
                    logger.warning("PostgreSQL does not answer (%s); the messages stay in the queue.", error)
                    self._pause()
                finally:
                    connection.close()

    def turn(self, directory: Directory, *, listen: int = LISTEN) -> int:
        """Take in what is in the queue, waiting for the first message, and read what is dirty; returns how much came.

        Raises AwsError when the queue cannot be read.
        """
        taken, until = 0, time.monotonic() + BACKLOG_SECONDS
        while True:
            came, is_empty = self.take_in(directory, listen=0 if taken else listen)
            taken += came
            if is_empty or self.stop.is_set() or time.monotonic() > until:
                break
        work_off(directory.pk, seconds=WORK_SECONDS, stop=self.stop.is_set)
        return taken

    def take_in(self, directory: Directory, *, listen: int) -> tuple[int, bool]:
        """Note what up to `INTAKE` messages say, delete them, and return how many, and whether the queue is empty."""
        queue = Queue(account_of(directory), region_of(directory.queue_url, directory.region), directory.queue_url)
        messages, is_empty = self._receive(queue, listen)
        _polled(directory)
        if messages:
            note(directory, messages)
            _delete(queue, messages)
        return len(messages), is_empty

    def _receive(self, queue: Queue, listen: int) -> tuple[list[Message], bool]:
        self.listening = listen > 0
        try:
            messages = queue.receive(wait=listen)
        finally:
            self.listening = False
        until, batch = time.monotonic() + INTAKE_SECONDS, messages
        while batch and len(messages) < INTAKE and time.monotonic() < until and not self.stop.is_set():
            try:
                batch = queue.receive(wait=0)
            except AwsError:
                # What came so far is taken in; the next turn meets the same failure, if it lasts.
                break
            messages += batch
        return messages, not batch

    def _failed(self, error: AwsError) -> None:
        Directory.objects.filter(pk=self.directory_id).update(
            queue_failing_since=Coalesce("queue_failing_since", timezone.now()), queue_error=told(error)
        )
        # Whatever is dirty already does not wait for the queue.
        work_off(self.directory_id, seconds=WORK_SECONDS, stop=self.stop.is_set)
        self._pause()

    def _pause(self) -> None:
        self._failures += 1
        self.stop.wait(min(MAX_PAUSE, 2.0 ** min(self._failures, 8) / 2))


def note(directory: Directory, messages: list[Message]) -> None:
    """Note what messages say, in one transaction: what is dirty, and what could not be understood."""
    hints: set[Hint] = set()
    ignored: Counter[str] = Counter()
    letters = []
    for message in messages:
        try:
            found = events.parse(message.body, directory.identity_store_id)
        except UnparsableError as error:
            letters.append(_letter(directory, message, str(error)))
            continue
        if isinstance(found, Ignored):
            ignored[found.reason] += 1
        else:
            hints.add(found)
    memberships = [hint.external_id for hint in hints if hint.kind == events.MEMBERSHIP]
    with transaction.atomic():
        DeadLetter.objects.bulk_create(letters, ignore_conflicts=True)
        marks.note(directory.pk, ((hint.kind, hint.external_id) for hint in hints if hint.kind != events.MEMBERSHIP))
        if unknown := marks.note_memberships(directory, memberships):
            ignored["a membership that gave no access here"] += unknown
    for reason, number in ignored.items():
        logger.info("%s: %d events ignored: %s", directory.slug, number, reason)
    if letters:
        logger.warning("%s: %d messages could not be understood.", directory.slug, len(letters))


def _letter(directory: Directory, message: Message, reason: str) -> DeadLetter:
    # Cut first: scrubbing looks at every character.
    body = storable(audit.scrub_text(message.body[:MAX_BODY]))[:MAX_BODY]
    # What has no id of its own is told apart by what it says.
    message_id = storable(message.message_id)[:128] or hashlib.sha256(body.encode()).hexdigest()
    return DeadLetter(directory=directory, message_id=message_id, reason=reason[:500], body=body)


def _delete(queue: Queue, messages: list[Message]) -> None:
    """Delete messages whose meaning is committed; those that stay come again, and say nothing new."""
    for start in range(0, len(messages), BATCH):
        try:
            left = queue.delete(messages[start : start + BATCH])
        except AwsError as error:
            logger.warning("Messages could not be deleted: %s", told(error))
            return
        if left:
            logger.info("%d messages could not be deleted; they will come again.", left)


def _active(directory_id: int) -> Directory | None:
    """Return the directory while its queue is to be read."""
    rows = Directory.objects.select_related("account").exclude(queue_url="")
    return rows.filter(pk=directory_id, is_active=True).first()


def _polled(directory: Directory) -> None:
    """Note now and then that the queue is being read, and at once that it can be read again."""
    now = timezone.now()
    stale = Q(polled_at__isnull=True) | Q(polled_at__lt=now - POLLED_EVERY) | Q(queue_failing_since__isnull=False)
    Directory.objects.filter(stale, pk=directory.pk).update(polled_at=now, queue_failing_since=None, queue_error="")
