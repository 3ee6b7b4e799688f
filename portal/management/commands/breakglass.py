"""`manage.py breakglass USERNAME --reason "…"`: a link that signs a local administrator on once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal import breakglass, checks


class Command(BaseCommand):
    """Makes the link and prints it, to standard output only."""

    help = "Print a link that signs a local administrator on once, for an emergency; needs no identity provider."
    # Checks that have nothing to do with it, such as the identity provider's metadata, must not stop an emergency.
    requires_system_checks: list[str] | tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("username", metavar="USERNAME", help="a local account; it is made where there is none")
        parser.add_argument("--reason", required=True, help="why; the audit log keeps it")
        parser.add_argument("--minutes", type=int, default=60, help="how long the session lasts, 60 where not given")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link; exit with 1 and the reason where none can be made."""
        faults = [*checks.check_unreadable(), *checks.check_secret_key(), *checks.check_portal_url()]
        if faults:
            raise CommandError("\n".join(f"{fault.id}: {fault.msg} {fault.hint}" for fault in faults))
        minutes = options["minutes"]
        try:
            link = breakglass.make_link(username=options["username"], reason=options["reason"], minutes=minutes)
        except breakglass.RefusedError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(link)
        self.stderr.write(f"The link works once, for ten minutes; the session it opens ends after {minutes} minutes.")
