"""What the landing page shows of a person's teams, with one query."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from provisioning import places
from teams import access
from teams.models import Membership, Team, User
from teams.prepared import Prepared


@dataclass(frozen=True)
class TeamTile:
    """A team that the person may open, where it is, and how far their profile is: no state, no profile yet."""

    slug: str
    name: str
    description: str
    account: str
    region: str
    state: str | None
    due_at: datetime | None
    hidden_apps: str | None = None
    web_portal: str | None = None

    @property
    def landings(self) -> tuple[places.Landing, ...]:
        """The places in Studio that the team's settings leave open."""
        return places.offered(places.closed(self.hidden_apps, self.web_portal))


@dataclass(frozen=True)
class Standing:
    """A team that the person may open, and how far their profile is; `changed_at` is that of the state."""

    name: str
    contact: str
    state: str | None
    due_at: datetime | None
    changed_at: datetime | None


def standing(user: User, slug: str) -> Standing | None:
    """Return how far this person's profile in a team is; None when the team is not theirs, whether it exists or not."""
    rows = _STANDING.rows(user=user.pk, slug=slug)
    return Standing(*rows[0]) if rows else None


def for_user(user: User) -> list[TeamTile]:
    """Return what this person may open, ordered by the team's name."""
    return [TeamTile(*row) for row in _TILES.rows(user=user.pk)]


_USER = -1
_SLUG = "the slug"
# In the order of the fields of TeamTile, and of Standing.
_COLUMNS = (
    *("slug", "name", "description", "domain__account__name", "domain__region", "own__state", "own__due_at"),
    *(F(places.HIDDEN_APPS), F(places.WEB_PORTAL)),
)
_STANDING_COLUMNS = ("name", "contact", "own__state", "own__due_at", "own__changed_at")


def _teams() -> QuerySet[Team]:
    live = Membership.objects.filter(access.live(), user_id=_USER, team=OuterRef("pk"))
    own = FilteredRelation("profiles", condition=Q(profiles__user_id=_USER))
    return Team.objects.filter(Exists(live)).alias(own=own)


def _query() -> QuerySet[Team, tuple[object, ...]]:
    return _teams().order_by("name", "pk").values_list(*_COLUMNS)


def _standing() -> QuerySet[Team, tuple[object, ...]]:
    return _teams().filter(slug=_SLUG).values_list(*_STANDING_COLUMNS)


_TILES = Prepared(_query, user=_USER)
_STANDING = Prepared(_standing, user=_USER, slug=_SLUG)
