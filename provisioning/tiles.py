"""What the landing page shows of a person's teams, with one query."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import (
    Case,
    DateTimeField,
    Exists,
    F,
    FilteredRelation,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast
from django.utils import timezone

from provisioning import places
from provisioning.costs import budgets, months
from provisioning.models import UsageHour
from teams import access
from teams.models import Domain, Membership, Team, User
from teams.prepared import Prepared


@dataclass(frozen=True)
class TeamTile:
    """A team that the person may open, where it is, and how far their profile is: no state, no profile yet.

    `budget_spent` says that a budget keeps the person out for the rest of the month.
    """

    slug: str
    name: str
    description: str
    account: str
    region: str
    state: str | None
    due_at: datetime | None
    budget_spent: bool = False
    hidden_apps: str | None = None
    web_portal: str | None = None
    auth_mode: str = "IAM"

    @property
    def single_sign_on(self) -> bool:
        """Whether Studio opens through IAM Identity Center."""
        return self.auth_mode == Domain.AuthMode.SSO

    @property
    def landings(self) -> tuple[places.Landing, ...]:
        """The places in Studio that the team's settings leave open; Identity Center lets nobody choose."""
        if self.single_sign_on:
            return ()
        return places.offered(places.closed(self.hidden_apps, self.web_portal))


@dataclass(frozen=True)
class Standing:
    """A team that the person may open, and how far their profile is; `changed_at` is that of the state.

    The last three are the domain's, as its row has them.
    """

    name: str
    contact: str
    state: str | None
    due_at: datetime | None
    changed_at: datetime | None
    error_code: str | None
    auth_mode: str
    real_auth_mode: str
    url: str


@dataclass(frozen=True)
class Share:
    """What was spent of a budget, where there is one; `name` is the team's, empty for a person's apps in all teams."""

    name: str
    spent: Decimal
    budget: Decimal | None


def standing(user: User, slug: str) -> Standing | None:
    """Return how far this person's profile in a team is; None when the team is not theirs, whether it exists or not."""
    rows = _STANDING.rows(user=user.pk, slug=slug)
    return Standing(*rows[0]) if rows else None


def for_user(user: User, with_costs: bool = False) -> tuple[list[TeamTile], list[Share]]:
    """Return what this person may open, ordered by the team's name, and what their apps cost in the present month.

    Costs are told in all and for each team with a budget for its people; not where nothing was spent and nothing is
    limited, and not where they were not asked for.
    """
    month = months.of(timezone.now())
    if not with_costs:
        return [TeamTile(*row) for row in _TILES.rows(user=user.pk, month=month)], []
    rows = _WITH_COSTS.rows(user=user.pk, month=month, begins=months.begins(month))
    tiles = [TeamTile(*row[:-_COSTS]) for row in rows]
    shares: list[Share] = []
    for tile, (spent, budget, here, limit) in zip(tiles, (row[-_COSTS:] for row in rows), strict=True):
        if not shares:
            shares.append(Share("", spent or Decimal(0), budget))
        if limit is not None:
            shares.append(Share(tile.name, here or Decimal(0), limit))
    return tiles, shares if any(each.spent or each.budget is not None for each in shares) else []


_USER = -1
_SLUG = "the slug"
_MONTH = "the month"
_BEGINS = "the beginning of the month"
# In the order of the fields of TeamTile, and of Standing.
_COLUMNS = (
    *("slug", "name", "description", "domain__account__name", "domain__region", "own__state", "own__due_at"),
    *("budget_spent", F(places.HIDDEN_APPS), F(places.WEB_PORTAL), "domain__auth_mode"),
)
_STANDING_COLUMNS = (
    *("name", "contact", "own__state", "own__due_at", "own__changed_at", "own__error_code"),
    *("domain__auth_mode", "domain__real_auth_mode", "domain__url"),
)
# How many columns tell of costs, at the end.
_COSTS = 4


def _teams() -> QuerySet[Team]:
    live = Membership.objects.filter(access.live(), user_id=_USER, team=OuterRef("pk"))
    own = FilteredRelation("profiles", condition=Q(profiles__user_id=_USER))
    return Team.objects.filter(Exists(live)).alias(own=own)


def _tiles() -> QuerySet[Team]:
    budget_spent = Exists(budgets.refusing(budgets.marked_month(_MONTH), team=OuterRef("pk"), user=_USER))
    return _teams().annotate(budget_spent=budget_spent).order_by("name", "pk")


def _query() -> QuerySet[Team, tuple[object, ...]]:
    return _tiles().values_list(*_COLUMNS)


def _standing() -> QuerySet[Team, tuple[object, ...]]:
    return _teams().filter(slug=_SLUG).values_list(*_STANDING_COLUMNS)


def _query_with_costs() -> QuerySet[Team, tuple[object, ...]]:
    begins = Cast(Value(_BEGINS), DateTimeField())
    hours = UsageHour.objects.filter(user_id=_USER, hour__gte=begins).order_by().values("user")
    sums = hours.annotate(total=Sum("cost")).values("total")
    budget = User.objects.filter(pk=_USER).values("monthly_budget")
    here = Case(When(person_budget__isnull=False, then=Subquery(sums.filter(team=OuterRef("pk")))))
    return _tiles().values_list(*_COLUMNS, Subquery(sums), Subquery(budget), here, "person_budget")


_TILES = Prepared(_query, user=_USER, month=_MONTH)
_WITH_COSTS = Prepared(_query_with_costs, user=_USER, month=_MONTH, begins=_BEGINS)
_STANDING = Prepared(_standing, user=_USER, slug=_SLUG)
