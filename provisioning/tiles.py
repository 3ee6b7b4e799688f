"""What the landing page shows of a person's teams, with one query."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, FilteredRelation, OuterRef, Q, QuerySet

from teams import access
from teams.models import Domain, Membership, Team, User
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
    auth_mode: str

    @property
    def single_sign_on(self) -> bool:
        """Whether Studio opens through IAM Identity Center."""
        return self.auth_mode == Domain.AuthMode.SSO


def for_user(user: User) -> list[TeamTile]:
    """Return what this person may open, ordered by the team's name."""
    return [TeamTile(*row) for row in _TILES.rows(user=user.pk)]


_USER = -1
# In the order of the fields of TeamTile.
_COLUMNS = (
    *("slug", "name", "description", "domain__account__name", "domain__region", "own__state", "own__due_at"),
    "domain__auth_mode",
)


def _query() -> QuerySet[Team, tuple[object, ...]]:
    live = Membership.objects.filter(access.live(), user_id=_USER, team=OuterRef("pk"))
    own = FilteredRelation("profiles", condition=Q(profiles__user_id=_USER))
    return Team.objects.filter(Exists(live)).alias(own=own).order_by("name", "pk").values_list(*_COLUMNS)


_TILES = Prepared(_query, user=_USER)
