"""`manage.py directoryevents`: read the queues with the events of all directories, or of one, until told to stop."""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connection

from provisioning.directory.consumer import Consumer
from provisioning.models import Directory

logger = logging.getLogger(__name__)

# How soon a directory that was added or changed in the admin is noticed.
LOOK_EVERY = 5.0
# How long those that are at work may take to come to an end.
STOP_SECONDS = 8.0


class Command(BaseCommand):
    help = "Read the queues of directories and follow their events, until SIGTERM or SIGINT."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="?", default="", help="only this directory")

    def handle(self, *args: Any, **options: Any) -> None:
        """Keep one consumer for each active directory with a queue."""
        slug = options["slug"]
        if slug and not Directory.objects.filter(slug=slug).exists():
            raise CommandError(f"There is no directory “{slug}”.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Consumers(slug, stop).run()


class Consumers:
    """One thread with a consumer for each directory whose queue is to be read."""

    def __init__(self, slug: str, stop: threading.Event) -> None:
        self.slug = slug
        self.stop = stop
        self.running: dict[int, tuple[threading.Thread, Consumer]] = {}

    def run(self) -> None:
        """Start what is missing every few seconds, until told to stop; then let those at work come to an end."""
        logger.info("Listening to the queues of %s.", self.slug or "all directories")
        while not self.stop.is_set():
            self.start_missing()
            self.stop.wait(LOOK_EVERY)
        until = time.monotonic() + STOP_SECONDS
        for thread, consumer in self.running.values():
            # Who only listens has nothing to lose: a message that it is given now comes again.
            while thread.is_alive() and not consumer.listening and time.monotonic() < until:
                thread.join(0.1)

    def start_missing(self) -> None:
        """Start a consumer for each directory that has none."""
        try:
            wanted = Directory.objects.filter(is_active=True).exclude(queue_url="")
            ids = list((wanted.filter(slug=self.slug) if self.slug else wanted).values_list("pk", flat=True))
        except DatabaseError:
            return
        finally:
            connection.close()
        for pk in ids:
            if pk not in self.running or not self.running[pk][0].is_alive():
                consumer = Consumer(pk, self.stop)
                thread = threading.Thread(target=consumer.run, name=f"directory-{pk}", daemon=True)
                self.running[pk] = (thread, consumer)
                thread.start()
