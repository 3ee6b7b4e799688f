"""Who is in a team and why, for its owners: people with live access, with the words behind what was given by hand."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from teams import access, memberships
from teams.models import Grant, Membership, Team, User

SHOWN = 200


@dataclass
class Member:
    """A person in a team: each reason why, since when, until when (None: no end is known), and what was given."""

    user: User
    why: list[str] = field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None
    grant: Grant | None = None
    by_hand: bool = False


@dataclass(frozen=True)
class Roster:
    """The people whom a page shows; `more` when there are others whom a search would find."""

    members: list[Member]
    more: bool


def read(team: Team, query: str) -> Roster:
    """Return the people in a team, by name, `SHOWN` at most; `query` is part of a name, user name or mail address."""
    live = Membership.objects.filter(access.live(), team=team.pk)
    people = User.objects.filter(Exists(live.filter(user=OuterRef("pk"))))
    if query:
        people = people.filter(Q(name__icontains=query) | Q(username__icontains=query) | Q(email__icontains=query))
    found = list(people.order_by("name", "username")[: SHOWN + 1])
    members = {user.pk: Member(user) for user in found[:SHOWN]}
    for row in live.filter(user__in=members).select_related("group").order_by("since", "pk"):
        _add(members[row.user_id], row)
    for grant in Grant.objects.filter(team=team.pk, user__in=members):
        members[grant.user_id].grant = grant
    return Roster(list(members.values()), len(found) > SHOWN)


def _add(member: Member, row: Membership) -> None:
    first = member.since is None
    member.since = row.since if first or (member.since and row.since < member.since) else member.since
    # The latest end counts, and no end at all is the latest.
    if first:
        member.until = row.valid_until
    elif member.until is not None:
        member.until = None if row.valid_until is None else max(member.until, row.valid_until)
    member.by_hand = member.by_hand or row.source == memberships.MANUAL
    member.why.append(_why(row))


def _why(row: Membership) -> str:
    if row.source == memberships.MANUAL:
        return "given by hand"
    return f"group {row.group}" if row.group else f"named by {row.source}"
