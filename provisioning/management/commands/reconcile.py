"""`manage.py reconcile [--domain ID] [--dry-run]`: compare domains with AWS here and now, and print what differs."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioning.database import give_back_connection
from provisioning.models import ReconcileItem, Reconciliation
from provisioning.reconcile import runs
from teams import audit
from teams.models import Domain

State = Reconciliation.State
ACTOR = "system: reconcile command"


class Command(BaseCommand):
    help = "Compare what AWS has in each domain with what should be, and begin the repairs, within the removal limit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--domain", default="", metavar="ID", help="only the domain with this id (d-…)")
        parser.add_argument("--dry-run", action="store_true", help="change nothing, print what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare one domain after the other."""
        wanted, domains = options["domain"], Domain.objects.filter(teams__isnull=False).distinct()
        chosen = list(domains.filter(domain_id=wanted) if wanted else domains)
        if not chosen:
            raise CommandError(f"No team has a domain “{wanted}”." if wanted else "No team has a domain.")
        failed = [each.domain_id for each in chosen if not self._compare(each, dry_run=options["dry_run"])]
        if failed:
            raise CommandError(f"Not done: {', '.join(failed)}.")

    def _compare(self, domain: Domain, *, dry_run: bool) -> bool:
        """Make steps until a comparison is over; each has its deadline, and so has the whole."""
        with audit.context(actor=ACTOR):
            run, _ = runs.start(domain, runs.Trigger.DEMAND, by="reconcile command", dry_run=dry_run)
            told = ""
            while run.state in Reconciliation.OPEN:
                following = runs.step(run.pk)
                run.refresh_from_db()
                if run.error and run.error != told:
                    self.stderr.write(f"{domain.domain_id}: {run.error}")
                told = run.error
                if run.state in Reconciliation.OPEN:
                    give_back_connection()
                    # Another worker may be at it.
                    time.sleep(min(1.0 if following.seconds is None else following.seconds, 5.0))
        for item in run.items.iterator(chunk_size=500):
            self.stdout.write(line(item))
        self.stdout.write(f"{domain.domain_id}: {summary(run)}")
        broken = run.items.filter(state=ReconcileItem.State.FAILED).exists()
        return not broken and run.state in {State.DONE, State.PLANNED}


def line(item: ReconcileItem) -> str:
    """Return one difference as one line."""
    told = " ".join(filter(None, (item.reason, item.outcome)))
    return f"  {item.name}: {item.get_kind_display()} → {item.get_action_display()}{f' ({told})' if told else ''}"


def summary(run: Reconciliation) -> str:
    """Return what came of a comparison in one line."""
    kinds = ReconcileItem.Kind
    found = ", ".join(f"{run.counts[kind]} {kind.label}" for kind in kinds if run.counts.get(kind)) or "no difference"
    told = " ".join(filter(None, (run.reason, run.error)))
    return f"{run.get_state_display()}; {run.listed} profiles in AWS; {found}.{f' {told}' if told else ''}"
