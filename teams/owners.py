"""Who decides about a team, and what waits for a decision. Nothing here writes."""

from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from teams import access
from teams.models import AccessRequest, Membership, Team, User
from teams.prepared import Prepared


class NotAllowedError(Exception):
    """What was asked for is not done; the message says why, in words for the person who asked."""


@dataclass(frozen=True)
class OwnedTeam:
    """A team that a person owns, and how many others ask to join it."""

    slug: str
    name: str
    waiting: int


@dataclass(frozen=True)
class Overview:
    """What the landing page says beside the tiles."""

    owned: tuple[OwnedTeam, ...]
    can_ask: bool

    @property
    def waiting(self) -> int:
        """How many requests this person could decide."""
        return sum(team.waiting for team in self.owned)


def decides(user: User, team: Team) -> bool:
    """Whether this person may give access to a team and decide on requests: its owners and portal admins may."""
    may = Q(role=User.Role.ADMIN) | Q(owned_teams__team=team.pk)
    return User.objects.filter(may, pk=user.pk, is_active=True).exists()


def of(team: Team) -> list[User]:
    """Return the owners of a team who are active, by user name."""
    return list(User.objects.filter(owned_teams__team=team.pk, is_active=True).order_by("username"))


def admins() -> list[User]:
    """Return the portal admins who are active, by user name."""
    return list(User.objects.filter(role=User.Role.ADMIN, is_active=True).order_by("username"))


def requestable(user_id: int) -> QuerySet[Team]:
    """Return the teams that a person may ask to join: listed, active, and not theirs already."""
    inside = Membership.objects.filter(access.live(), user_id=user_id, team=OuterRef("pk"))
    return Team.objects.filter(~Exists(inside), is_active=True, is_requestable=True)


def waiting(team: Team) -> QuerySet[AccessRequest]:
    """Return the undecided requests of active people for a team, the oldest first."""
    pending = AccessRequest.objects.filter(team=team.pk, state=AccessRequest.State.PENDING, user__is_active=True)
    return pending.select_related("user").order_by("asked_at", "pk")


def overview(user: User) -> Overview:
    """Return what a person owns and whether there is anything to ask for, with one query."""
    rows = _OVERVIEW.rows(user=user.pk)
    owned = tuple(OwnedTeam(slug, name, number) for slug, name, active, number, _can_ask in rows if active)
    return Overview(owned, any(can_ask for *_, can_ask in rows))


_USER = -1
_OWNED = "owned_teams__team"


def _query() -> QuerySet[User, tuple[object, ...]]:
    """One row for each owned team; a single one, without a team, for who owns none."""
    pending = (
        AccessRequest.objects.filter(team=OuterRef(_OWNED), state=AccessRequest.State.PENDING, user__is_active=True)
        .exclude(user_id=_USER)
        .order_by()
        .values("team")
        .annotate(number=Count("pk"))
        .values("number")
    )
    return (
        User.objects.filter(pk=_USER)
        .annotate(waiting=Coalesce(Subquery(pending), Value(0)), can_ask=Exists(requestable(_USER)))
        .order_by(f"{_OWNED}__name", f"{_OWNED}__slug")
        .values_list(f"{_OWNED}__slug", f"{_OWNED}__name", f"{_OWNED}__is_active", "waiting", "can_ask")
    )


_OVERVIEW = Prepared(_query, user=_USER)
