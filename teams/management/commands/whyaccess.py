"""`manage.py whyaccess USER TEAM`: which evidence gives access, or what is missing."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from teams import explain
from teams.explain import Evidence, Explanation

NO_ACCESS = 1
UNKNOWN = 2


class Command(BaseCommand):
    """Exits with 0 where there is access, 1 where there is none, 2 for a name that is not known."""

    help = "Tell why somebody may open a team, or what is missing. Exit code 0: access, 1: none, 2: unknown name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("user", metavar="USER", help="a user name or mail address")
        parser.add_argument("team", metavar="TEAM", help="the slug of a team")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the explanation."""
        try:
            found = explain.explain(explain.find_user(options["user"]), explain.find_team(options["team"]))
        except explain.UnknownNameError as error:
            raise CommandError(str(error), returncode=UNKNOWN) from error
        for line in _lines(found):
            self.stdout.write(line)
        if not found.has_access:
            sys.exit(NO_ACCESS)


def _lines(found: Explanation) -> Iterator[str]:
    whom, team = found.user.username, found.team.slug
    if found.has_access:
        yield f"{whom} may open {team}, with the role {found.role}."
        yield from (f"But nobody can work with this role: {fault}" for fault in found.role_faults)
    else:
        yield f"{whom} may not open {team}."
        yield from (f"  {line}" for line in found.missing)
    if found.evidence:
        yield "Evidence:"
        yield from (f"  {_told(each)}" for each in found.evidence)
    if found.removal:
        gone = found.removal
        of = f"{gone.source}{f', group {gone.group}' if gone.group else ''}"
        why = f": {gone.reason}" if gone.reason else ""
        yield f"Last removed at {_time(gone.at)} by {gone.actor} ({of}){why}."


def _told(each: Evidence) -> str:
    parts = [each.source]
    if each.mapping_id is not None:
        parts.append(
            f"group {each.group} (id {each.group_id}) by the mapping “{each.mapping}”, priority {each.priority}"
        )
    parts.append(f"role {each.role}")
    parts.append(f"since {_time(each.since)}")
    if each.until:
        parts.append(f"{'ran out at' if each.over else 'until'} {_time(each.until)}")
    if each.note:
        parts.append(each.note)
    return "; ".join(parts) + (" [decides]" if each.decides else "")


def _time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"
