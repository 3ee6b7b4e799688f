"""`manage.py syncdirectory [SLUG] [--dry-run]`: synchronise directories here and now, and print what changes."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from provisioning.directory import syncs
from provisioning.models import Directory, DirectorySync
from teams import audit

State = DirectorySync.State
Trigger = DirectorySync.Trigger
ACTOR = "system: syncdirectory"


class Command(BaseCommand):
    help = "Read whole directories and apply what they say, within the limit of removals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", nargs="?", default="", help="only this directory")
        parser.add_argument("--dry-run", action="store_true", help="change nothing, print what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        """Synchronise one directory after the other."""
        slug, active = options["slug"], Directory.objects.filter(is_active=True)
        directories = list(active.filter(slug=slug) if slug else active)
        if not directories:
            raise CommandError(f"There is no active directory “{slug}”." if slug else "There is no active directory.")
        failed = [each.slug for each in directories if not self._synchronise(each, dry_run=options["dry_run"])]
        if failed:
            raise CommandError(f"Not synchronised: {', '.join(failed)}.")

    def _synchronise(self, directory: Directory, *, dry_run: bool) -> bool:
        with audit.context(actor=ACTOR):
            sync, _ = syncs.start(directory, Trigger.DEMAND, by="syncdirectory", dry_run=dry_run)
            told = ""
            while sync.state == State.READING:
                following = syncs.step(sync.pk)
                sync.refresh_from_db()
                if sync.error and sync.error != told:
                    self.stderr.write(f"{directory.slug}: {sync.error}; it will be tried again.")
                told = sync.error
                if sync.state == State.READING:
                    connection.close()
                    # Another worker may be at it.
                    time.sleep(min(1.0 if following.seconds is None else following.seconds, 5.0))
        self.stdout.write(f"{directory.slug}: {describe(sync)}")
        for line in sync.plan.get("lines", []):
            group = f"({line['group']})" if line["group"] else ""
            self.stdout.write(f"  {line['change']} {line['username']} {line['team']} {group}".rstrip())
        return sync.state in {State.APPLIED, State.PLANNED}


def describe(sync: DirectorySync) -> str:
    """Return in one sentence what became of a synchronisation."""
    plan = sync.plan
    if not plan:
        return f"{sync.get_state_display()}. {sync.error}".strip()
    verb = {State.PLANNED.value: "would be changed", State.HELD.value: "held back"}.get(sync.state, "changed")
    numbers = (
        f"{verb}: {plan['added']} memberships added, {plan['removed']} removed, {plan['people_losing']} of "
        f"{plan['people_of_source']} people losing something, {plan['created']} people created, "
        f"{plan['deactivated']} deactivated, {plan['reactivated']} activated again, {plan['skipped']} rows skipped"
    )
    read = f"{sync.groups} groups, {sync.users} users and {sync.members} memberships read"
    over = "; this is more than the limit, and waits for an admin" if plan["held"] else ""
    return f"{read}; {numbers}{over}."
