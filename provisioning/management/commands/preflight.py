"""`manage.py preflight [--json]`: does AWS let the portal do what the rows ask for, and what is missing?"""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from provisioning.preflight import results, running
from provisioning.preflight.results import Result


class Command(BaseCommand):
    """Changes nothing. Exits with 0 where nothing is missing, with 1 where a check failed."""

    help = "Ask AWS whether accounts, domains, roles and directories are as the portal needs them. Exit code 1: not so."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.add_argument(
            "--seconds", type=float, default=running.SECONDS, help="give up after so long (default: %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check everything and print one line for each check."""
        found = running.run(seconds=options["seconds"])
        if options["json"]:
            self.stdout.write(json.dumps([asdict(result) for result in found], indent=2, ensure_ascii=False))
        else:
            for group, each in results.grouped(found):
                self.stdout.write(group)
                for result in each:
                    self.stdout.write(f"  {_told(result)}")
        if results.failures(found):
            sys.exit(1)


def _told(result: Result) -> str:
    request = f" [{result.request_id}]" if result.request_id else ""
    return f"{result.level:7} {result.subject}: {result.line}{request}"
