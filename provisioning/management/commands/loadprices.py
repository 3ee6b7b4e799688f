"""`manage.py loadprices FILE`: the prices of instance types from a CSV file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioning.costs import prices
from teams import audit


class Command(BaseCommand):
    """Adds and changes prices; deletes none."""

    help = "Load prices per hour from a CSV file with the columns instance_type, per_hour and, if wanted, region."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", metavar="FILE", type=Path, help="a CSV file in UTF-8, divided by commas")
        parser.add_argument("--dry-run", action="store_true", help="tell what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load the file, print one line for each change; exit with 1 and all faults when there is any."""
        path: Path = options["file"]
        try:
            text = prices.decode(path.read_bytes())
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        except prices.NotTextError as error:
            raise CommandError(f"{path}: {error}") from error
        with audit.context(actor="system: loadprices"):
            made = prices.plan(text) if options["dry_run"] else prices.apply(text)
        if made.faults:
            faults = "\n".join(f"  {fault}" for fault in made.faults)
            raise CommandError(f"{path} was not loaded, nothing was changed:\n{faults}")
        for warning in made.warnings:
            self.stderr.write(warning)
        for line in made.added:
            self.stdout.write(f"{line.name}: new, {line.per_hour}")
        for line in made.changed:
            self.stdout.write(f"{line.name}: {line.before} → {line.per_hour}")
        if not made.added and not made.changed:
            self.stdout.write("no changes")
        elif options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")
