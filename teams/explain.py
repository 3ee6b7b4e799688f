"""Why somebody may open a team, or why not: the evidence, and where there is none, what is missing. Only reads."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from teams import access, memberships, role_names
from teams.models import (
    AccessRequest,
    AuditEvent,
    Grant,
    Group,
    GroupMembership,
    Membership,
    RoleMapping,
    Team,
    User,
)

# A team with more mappings, or a mapping with more groups, is told in part.
MAX_WAYS = 200
MAX_KNOWN = 20


class UnknownNameError(LookupError):
    """There is no such person or team, or several; the message is for whoever asked."""


@dataclass(frozen=True)
class Evidence:
    """One reason for access; `group` and `mapping` are empty where the source names the team itself."""

    source: str
    group: str
    group_id: str
    mapping_id: int | None
    mapping: str
    priority: int
    role: str
    since: datetime
    until: datetime | None
    over: bool
    decides: bool
    note: str = ""


@dataclass(frozen=True)
class KnownGroup:
    """A group on record that a mapping is about, and how long the person has been in it; None: they are not."""

    source: str
    external_id: str
    name: str
    role: str
    since: datetime | None
    until: datetime | None
    over: bool


@dataclass(frozen=True)
class Way:
    """A mapping by which people come into the team, with the groups that it is about."""

    mapping_id: int
    source: str
    group: str
    priority: int
    known: tuple[KnownGroup, ...]


@dataclass(frozen=True)
class Removal:
    """The last time that evidence of this person for this team went, as the log has it."""

    event_id: int
    at: datetime
    actor: str
    reason: str
    source: str
    group: str


@dataclass(frozen=True)
class Explanation:
    """Everything that bears on one person's access to one team."""

    user: User
    team: Team
    # The role with which they work, None without access, and what is wrong with it: then Studio does not open.
    role: str | None
    role_faults: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...]
    ways: tuple[Way, ...]
    removal: Removal | None

    @property
    def has_access(self) -> bool:
        """Whether the person may open the team now."""
        return self.role is not None


def find_user(text: str) -> User:
    """Return the person with this user name or mail address. Raises UnknownNameError."""
    text = text.strip()
    if user := User.objects.filter(username=text).first():
        return user
    found = list(User.objects.filter(email__iexact=text).order_by("username")[:5]) if text else []
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(user.username for user in found)
        raise UnknownNameError(f"Several people have the mail address “{text}”: {names}. Give a user name.")
    raise UnknownNameError(
        f"Nobody is known as “{text}”: they have never signed on, and no directory has named them. Is it the user name?"
    )


def find_team(text: str) -> Team:
    """Return the team with this slug. Raises UnknownNameError."""
    team = Team.objects.select_related("domain__account").filter(slug=text.strip()).first()
    if team is None:
        raise UnknownNameError(f"There is no team with the slug “{text.strip()}”.")
    return team


def explain(user: User, team: Team) -> Explanation:
    """Return why this person may open this team, or what is missing; about ten queries, whatever the team's size."""
    now = timezone.now()
    evidence = _evidence(user, team, now)
    role = access.role_for(user.pk, team.pk)
    ways = _ways(user, team, now)
    faults = role_names.faults(role, account=team.domain.account.account_id) if role else []
    return Explanation(
        user=user,
        team=team,
        role=role,
        role_faults=tuple(faults),
        evidence=evidence,
        missing=() if role else tuple(_missing(user, team, evidence, ways)),
        ways=ways,
        removal=_removal(user, team),
    )


def _evidence(user: User, team: Team, now: datetime) -> tuple[Evidence, ...]:
    rows = (
        Membership.objects.filter(user=user, team=team)
        .select_related("group", "mapping")
        .annotate(role=access.ROLE)
        .order_by(*access.DECIDES)
    )
    usable = user.is_active and team.is_active
    found: list[Evidence] = []
    for row in rows:
        over = row.valid_until is not None and row.valid_until <= now
        found.append(
            Evidence(
                source=row.source,
                group=str(row.group or ""),
                group_id=row.group.external_id if row.group else "",
                mapping_id=row.mapping_id,
                mapping=row.mapping.group if row.mapping else "",
                priority=row.mapping.priority if row.mapping else 0,
                role=row.role,
                since=row.since,
                until=row.valid_until,
                over=over,
                decides=usable and not over and not any(each.decides for each in found),
                note=_given(user, team) if row.source == memberships.MANUAL else "",
            )
        )
    return tuple(found)


def _given(user: User, team: Team) -> str:
    grant = Grant.objects.filter(user=user, team=team).first()
    return f"given by {grant.given_by}: {grant.reason}" if grant else ""


def _ways(user: User, team: Team, now: datetime) -> tuple[Way, ...]:
    mappings = list(team.role_mappings.select_related("team__domain__account").order_by("-priority", "pk")[:MAX_WAYS])
    return tuple(Way(each.pk, each.source, each.group, each.priority, _known(user, each, now)) for each in mappings)


def _known(user: User, mapping: RoleMapping, now: datetime) -> tuple[KnownGroup, ...]:
    groups = list(role_names.known_groups(source=mapping.source, group=mapping.group)[:MAX_KNOWN])
    joined = {each.group_id: each for each in GroupMembership.objects.filter(user=user, group__in=groups)}
    return tuple(_known_group(mapping, group, joined.get(group.pk), now) for group in groups)


def _known_group(mapping: RoleMapping, group: Group, joined: GroupMembership | None, now: datetime) -> KnownGroup:
    until = joined.valid_until if joined else None
    return KnownGroup(
        source=group.source,
        external_id=group.external_id,
        name=group.name,
        role=role_names.for_group(mapping, group),
        since=joined.since if joined else None,
        until=until,
        over=until is not None and until <= now,
    )


def _missing(user: User, team: Team, evidence: tuple[Evidence, ...], ways: tuple[Way, ...]) -> list[str]:
    found = []
    if not user.is_active:
        by = f"by the source {user.deactivated_by}" if user.deactivated_by else "by an admin"
        found.append(f"{user.username} is inactive, switched off {by}{_when(user.username)}.")
    if not team.is_active:
        found.append(f"The team is inactive{_when(f'team: {team.slug}')}.")
    if any(not each.over for each in evidence):
        return found
    found += [f"The evidence of {each.source} ran out at {_time(each.until)}." for each in evidence if each.until]
    found += [_lack(way) for way in ways]
    if not ways:
        found.append("No group is mapped to the team.")
    if not evidence:
        found.append(f"No sign-on named the team by its SAML team id “{team.saml_id}”, and nobody gave access by hand.")
    if asked := AccessRequest.objects.filter(user=user, team=team, state=AccessRequest.State.PENDING).first():
        found.append(f"A request of {_time(asked.asked_at)} waits to be decided.")
    return found


def _lack(way: Way) -> str:
    """Return why one mapping does not give access."""
    group = f"“{way.group}”{f' of {way.source}' if way.source else ''}"
    if not way.known:
        return f"The group {group} is mapped, but no source has named such a group."
    ended = max((each.until for each in way.known if each.until and each.over), default=None)
    if ended:
        return f"The person was in the mapped group {group} until {_time(ended)}."
    return f"The person is not in the mapped group {group}."


def _when(target: str) -> str:
    """Return when, and by whom, something was switched off, empty where the log does not tell."""
    action = AuditEvent.Action
    off = Q(action=action.USER_DEACTIVATED) | Q(action=action.CHANGED, data__after__is_active=False)
    event = AuditEvent.objects.filter(off, target=target).order_by("-id").first()
    return f" at {_time(event.at)} by {event.actor}" if event else ""


def _removal(user: User, team: Team) -> Removal | None:
    event = (
        AuditEvent.objects.filter(target=user.username, team=team.slug, action=AuditEvent.Action.MEMBERSHIP_REMOVED)
        .order_by("-id")
        .first()
    )
    if event is None:
        return None
    data = event.data if isinstance(event.data, dict) else {}
    source, group = str(data.get("source") or ""), str(data.get("group") or "")
    return Removal(event.pk, event.at, event.actor, event.reason, source, group)


def _time(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment else "an unknown time"
