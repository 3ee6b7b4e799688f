"""What somebody has to know about comparisons: what waits for a decision, and which domains cannot be compared."""

from collections.abc import Iterator

from django.db.models import Q

from provisioning.directory.standing import Trouble
from provisioning.models import Reconciliation

State = Reconciliation.State
PAGE = "reconciliation"


def warnings() -> list[Trouble]:
    """Return what is wrong with the last comparison of each domain, the alarming things first; one query."""
    over = Reconciliation.objects.filter(Q(dry_run=False), domain__teams__isnull=False).exclude(
        state__in=(*Reconciliation.OPEN, State.DISCARDED)
    )
    last = over.order_by("domain_id", "-id").distinct("domain_id").select_related("domain")
    return [trouble for run in last for trouble in _about(run)]


def _about(run: Reconciliation) -> Iterator[Trouble]:
    if run.state == State.HELD:
        text = f"The repairs of the domain “{run.domain}” are held back. {run.reason}"
        yield Trouble(text, PAGE, run.pk, alarming=True)
    elif run.state == State.FAILED:
        text = f"The domain “{run.domain}” could not be compared with AWS. {run.error}"
        yield Trouble(text, PAGE, run.pk, alarming=True)
