"""Who is in a team and why, for its owners: people with live access, with the words behind what was given by hand."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from teams import access, memberships
from teams.models import Grant, Membership, Team, User

SHOWN = 200


@dataclass
class Member:
    """A person in a team: each reason why, since when, and until when where an end is known.

    `renewed` says that each sign-on moves the end, `by_hand` that some of the access was given by hand.
    """

    user: User
    why: list[str] = field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None
    renewed: bool = False
    by_hand: bool = False
    grant: Grant | None = None


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
    evidence: defaultdict[int, list[Membership]] = defaultdict(list)
    for row in live.filter(user__in=members).select_related("group").order_by("since", "pk"):
        evidence[row.user_id].append(row)
    for user_id, rows in evidence.items():
        _add(members[user_id], rows)
    for grant in Grant.objects.filter(team=team.pk, user__in=members):
        members[grant.user_id].grant = grant
    return Roster(list(members.values()), len(found) > SHOWN)


def _add(member: Member, rows: list[Membership]) -> None:
    """Say of a member what these rows are evidence of, the oldest first; there is at least one."""
    ends = [row.valid_until for row in rows]
    known = [end for end in ends if end is not None]
    member.since = rows[0].since
    # The latest end counts, and no end at all is the latest.
    member.until = max(known) if len(known) == len(ends) else None
    member.renewed = member.until is not None and any(row.source != memberships.MANUAL for row in rows)
    member.by_hand = any(row.source == memberships.MANUAL for row in rows)
    member.why = [_why(row) for row in rows]


def _why(row: Membership) -> str:
    if row.source == memberships.MANUAL:
        return "given by hand"
    return f"group {row.group}" if row.group else f"named by {row.source}"
