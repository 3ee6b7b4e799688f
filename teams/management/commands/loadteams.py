"""`manage.py loadteams FILE`: teams from the AWS sample's user-profile-metadata.json."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from teams import imports, strict_json


class Command(BaseCommand):
    """Creates and changes teams; deletes none."""

    help = "Load teams from the AWS sample's user-profile-metadata.json; a second run changes only what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", metavar="FILE", type=Path, help="a file like user-profile-metadata.json")
        parser.add_argument("--dry-run", action="store_true", help="tell what would change, and change nothing")
        parser.add_argument("--region", default="", help="the Region of the domains; AWS_REGION where not given")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load the file, print one line for each change; exit with 1 and all faults when there is any."""
        path: Path = options["file"]
        region = options["region"] or settings.AWS_REGION
        if not region:
            raise CommandError("The Region of the domains is not known. Give --region or set AWS_REGION.")
        document = _read(path)
        try:
            lines = imports.load(document, region=region, dry_run=options["dry_run"])
        except imports.ImportRefusedError as error:
            faults = "\n".join(f"  {problem}" for problem in error.problems)
            raise CommandError(f"{path} was not loaded, nothing was changed:\n{faults}") from error
        for line in lines:
            self.stdout.write(line)
        if not lines:
            self.stdout.write("no changes")
        elif options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")


def _read(path: Path) -> Any:
    try:
        return strict_json.read(path.read_text("utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not a text in UTF-8.") from error
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error
