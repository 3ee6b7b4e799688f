"""`manage.py accessreview TEAM --at 2026-01-31T12:00`: who had access to a team at a moment."""

from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from teams import review, sheets
from teams.moments import NotAMomentError, read_moment
from teams.review import Line, Review


class Command(BaseCommand):
    """Reads only; prints a list, or CSV."""

    help = "Tell who had access to a team, or to all teams, at a moment."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("team", metavar="TEAM", nargs="?", help="the slug of a team")
        parser.add_argument("--all", action="store_true", help="all teams, those that were deleted since too")
        parser.add_argument(
            "--at",
            default="",
            metavar="MOMENT",
            help="like 2026-01-31T12:00, in the portal's time zone; a date alone is its beginning; now where not given",
        )
        parser.add_argument("--csv", action="store_true", help="print CSV")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print who had access; exit with 1 for a team that nobody knows, or no moment."""
        if bool(options["team"]) == options["all"]:
            raise CommandError("Give the slug of a team, or --all.")
        try:
            moment = read_moment(options["at"])
            reviews = review.teams(moment) if options["all"] else iter([Review(options["team"], moment)])
        except (NotAMomentError, review.UnknownTeamError) as error:
            raise CommandError(str(error)) from error
        if options["csv"]:
            for row in sheets.as_csv(chain.from_iterable(each.lines() for each in reviews)):
                self.stdout.write(row, ending="")
            return
        for each in reviews:
            self._tell(each)

    def _tell(self, found: Review) -> None:
        self.stdout.write(f"{found.slug} at {_time(found.moment)}")
        if found.is_before_log:
            self.stdout.write("  The log begins later: evidence that ended before it does is not known.")
        if not found.was_active:
            self.stdout.write("  The team was inactive; nobody had access.")
            return
        number = self._lines(found.lines())
        self.stdout.write(f"  {number} {'person' if number == 1 else 'people'}")

    def _lines(self, lines: Iterable[Line]) -> int:
        last, number = "", 0
        for line in lines:
            if line.username != last:
                last, number = line.username, number + 1
                self.stdout.write(f"  {' '.join(filter(None, (line.username, line.name, line.email)))}")
            self.stdout.write(f"    {_told(line)}")
        return number


def _told(line: Line) -> str:
    parts = [line.source, f"group {line.group}" if line.group else "", f"role {line.role}"]
    parts.append(f"since {_time(line.since)}" if line.since else "since before the log begins")
    parts.append(f"until {_time(line.until)}" if line.until else "")
    parts.append(f"given by {line.given_by}: {line.reason}" if line.given_by else "")
    return "; ".join(filter(None, parts))


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"
