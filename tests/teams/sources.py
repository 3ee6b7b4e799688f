"""What a source says, in short."""

from datetime import datetime

from teams import memberships
from teams.memberships import Applied, GroupRef, UserObservation
from teams.models import Team, User


def say_groups(user: User, *groups: str, source: str = "saml", valid_until: datetime | None = None) -> Applied:
    """State that `user` is in exactly these groups; `id=name` gives a group a name."""
    refs = frozenset(GroupRef(*group.split("=", 1)) for group in groups)
    return memberships.apply(UserObservation(user=user, source=source, groups=refs, valid_until=valid_until))


def say_teams(user: User, *teams: Team | str, source: str = "saml", valid_until: datetime | None = None) -> Applied:
    """State that `user` is in these teams, as the attribute `teamid` does."""
    ids = frozenset(team if isinstance(team, str) else team.saml_id for team in teams)
    return memberships.apply(UserObservation(user=user, source=source, teams=ids, valid_until=valid_until))
