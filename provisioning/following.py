"""How far the profiles of a team follow its form."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Q

from provisioning import ending, forms
from provisioning.models import Profile
from teams.models import Team

# So many failures are told one by one.
MOST_TOLD = 50


@dataclass(frozen=True)
class Following:
    """Of `total` profiles that are ours and in use, `present` have the present form and `failed` some failure.

    `failures` are the first of those; `found` counts profiles in use that the portal did not make and leaves as they
    are.
    """

    total: int
    present: int
    failed: int
    found: int
    failures: tuple[Profile, ...]

    @property
    def waiting(self) -> int:
        """How many are still to come, or to be looked at."""
        return self.total - self.present - self.failed


def read(team: Team) -> Following:
    """Read how far a team is; two queries."""
    rows = Profile.objects.filter(ending.live_access(), team=team)
    behind = forms.is_behind() | ~Q(state=Profile.State.READY)
    failed = Q(behind, managed=True) & ~Q(error_code="")
    numbers = rows.order_by().aggregate(
        total=Count("pk", filter=Q(managed=True)),
        present=Count("pk", filter=Q(~behind, managed=True)),
        failed=Count("pk", filter=failed),
        found=Count("pk", filter=Q(managed=False)),
    )
    failures = tuple(rows.filter(failed).select_related("user").order_by("name")[:MOST_TOLD])
    return Following(**numbers, failures=failures)


def lines(following: Following) -> Iterator[str]:
    """Yield what there is to say, a sentence each."""
    yield f"{following.present} of {following.total} profiles have the present form."
    if following.failed:
        yield f"{following.failed} failed."
    if following.waiting:
        yield f"{following.waiting} wait{'s' if following.waiting == 1 else ''} for their turn."
    if following.found:
        yield f"{following.found} more {'is' if following.found == 1 else 'are'} used as found, and left alone."
