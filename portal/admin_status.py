"""The figures on the first page of the admin site."""

from dataclasses import dataclass

from django.db.models import Count
from django.urls import reverse

from provisioning.models import Profile
from teams import access
from teams.models import Membership, Team

LABELS: dict[str, str] = {
    Profile.State.WANTED: "profiles waiting",
    Profile.State.CREATING: "profiles being created",
    Profile.State.READY: "profiles ready",
    Profile.State.FAILED: "profiles failed",
    Profile.State.CONFLICT: "profiles in conflict",
}
# States in which somebody has to look.
TROUBLE = frozenset({Profile.State.FAILED, Profile.State.CONFLICT})


@dataclass(frozen=True)
class Figure:
    """One number with what it counts and the list behind it."""

    label: str
    number: int
    url: str
    alarming: bool = False


def read() -> list[Figure]:
    """Return the teams, the people with access, and the profiles of each state; three queries."""
    profiles = reverse("admin:provisioning_profile_changelist")
    people = Membership.objects.filter(access.live()).aggregate(number=Count("user", distinct=True))["number"]
    by_state = dict(Profile.objects.order_by().values_list("state").annotate(number=Count("pk")))
    return [
        Figure(
            "active teams",
            Team.objects.filter(is_active=True).count(),
            f"{reverse('admin:teams_team_changelist')}?is_active__exact=1",
        ),
        Figure("people with access", people, reverse("admin:teams_membership_changelist")),
        *(
            Figure(
                LABELS[state],
                by_state.get(state, 0),
                f"{profiles}?state__exact={state.value}",
                alarming=state in TROUBLE and by_state.get(state, 0) > 0,
            )
            for state in Profile.State
        ),
    ]
