"""The figures on the first page of the admin site."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Max, Subquery, Value
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from portal.saml import standing
from portal.saml.standing import Standing
from provisioning import sso_standing
from provisioning.costs import prices
from provisioning.directory import standing as directories
from provisioning.models import Profile, QuotaAlarm
from provisioning.quotas import PROFILE_QUOTA
from provisioning.reconcile import standing as comparisons
from provisioning.running import scans
from teams import access
from teams.models import IdentityProvider, Membership, Team

LABELS: dict[str, str] = {
    Profile.State.WANTED: "profiles waiting",
    Profile.State.CREATING: "profiles being created",
    Profile.State.READY: "profiles ready",
    Profile.State.FAILED: "profiles failed",
    Profile.State.CONFLICT: "profiles in conflict",
    Profile.State.RETIRING: "profiles without access",
    Profile.State.RETIRED: "profiles deleted",
}
# How many domains have not been scanned for apps to the end for long; there is no such figure where none is.
READ_LATE = "domains read late"
# States in which somebody has to look.
TROUBLE = frozenset({Profile.State.FAILED, Profile.State.CONFLICT})

# How many instance types a warning names.
MOST_NAMED = 5


@dataclass(frozen=True)
class Figure:
    """One number with what it counts and the list behind it."""

    label: str
    number: int
    url: str
    alarming: bool = False


@dataclass(frozen=True)
class Notice:
    """A warning with the page on which something can be done about it."""

    text: str
    url: str
    alarming: bool


def notices(figures: Iterable[Figure] | None = None) -> list[Notice]:
    """Return the warnings of all kinds, the worst of each first.

    `figures` are those that `read` gave, where they are at hand: they spare a query.
    """
    return [
        *(*_provider_notices(), *_directory_notices(), *_quota_notices(figures)),
        *(*_domain_notices(), *_scan_notices(figures), *_price_notices()),
    ]


def _domain_notices() -> list[Notice]:
    return [
        Notice(each.text, reverse("admin:teams_domain_change", args=[each.domain]), each.alarming)
        for each in sso_standing.warnings()
    ]


def _scan_notices(figures: Iterable[Figure] | None) -> list[Notice]:
    if figures is not None and not any(figure.label == READ_LATE for figure in figures):
        return []
    page = reverse("admin:provisioning_domainscan_changelist")
    return [
        Notice(f"The {scan} have not been read completely for long. {scan.error}".rstrip(), page, alarming=True)
        for scan in scans.late()
    ]


def _quota_notices(figures: Iterable[Figure] | None) -> list[Notice]:
    # Where no profile has failed, none has failed for a quota.
    failed = LABELS[Profile.State.FAILED]
    if figures is not None and not any(figure.number for figure in figures if figure.label == failed):
        return []
    return [
        Notice(
            f"The quota of profiles ({PROFILE_QUOTA}) of the AWS account {alarm.account} in {alarm.region} is used up: "
            f"no profile has been made there since {timezone.localtime(alarm.since):%Y-%m-%d %H:%M}.",
            reverse("admin:provisioning_quotaalarm_change", args=[alarm.pk]),
            alarming=True,
        )
        for alarm in QuotaAlarm.objects.select_related("account")
    ]


def _price_notices() -> list[Notice]:
    missing = prices.noted_missing()
    if not missing:
        return []
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    text = f"Some apps of this month count as nothing, because there is no price for {', '.join(missing[:MOST_NAMED])}"
    text += f"{more}."
    return [Notice(text, reverse("admin:provisioning_price_changelist"), alarming=False)]


def _directory_notices() -> list[Notice]:
    return [
        Notice(
            each.text,
            reverse(f"admin:provisioning_{each.page}_change", args=[each.pk])
            if each.pk
            else reverse(f"admin:provisioning_{each.page}_changelist"),
            each.alarming,
        )
        for each in (*directories.warnings(), *comparisons.warnings())
    ]


def _provider_notices() -> list[Notice]:
    found = standing.notices()
    pages = {
        entity_id: reverse("admin:teams_identityprovider_change", args=[pk])
        for entity_id, pk in IdentityProvider.objects.filter(
            entity_id__in={each.entity_id for each in found}
        ).values_list("entity_id", "pk")
    }
    everything = reverse("admin:teams_identityprovider_changelist")
    return [
        Notice(each.text, pages.get(each.entity_id, everything), each.standing is Standing.EXPIRED) for each in found
    ]


def _totals() -> tuple[int, int, int]:
    """Return the number of active teams, of people with access and of domains that are read late, with one query."""
    live = Membership.objects.filter(access.live()).order_by().values(everything=Value(1))
    people = live.annotate(number=Count("user", distinct=True)).values("number")
    late = scans.late().order_by().values(everything=Value(1)).annotate(number=Count("pk")).values("number")
    found = Team.objects.filter(is_active=True).aggregate(
        teams=Count("pk"), people=Max(Coalesce(Subquery(people), 0)), late=Max(Coalesce(Subquery(late), 0))
    )
    # Without an active team nobody has access.
    return found["teams"], found["people"] or 0, found["late"] or 0


def read() -> list[Figure]:
    """Return the teams, the people with access, the profiles of each state and domains read late; two queries."""
    profiles = reverse("admin:provisioning_profile_changelist")
    teams, people, late = _totals()
    scan_list = reverse("admin:provisioning_domainscan_changelist")
    by_state = dict(Profile.objects.order_by().values_list("state").annotate(number=Count("pk")))
    return [
        Figure(
            "active teams",
            teams,
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
        *([Figure(READ_LATE, late, scan_list, alarming=True)] if late else []),
    ]
