"""Who had access to a team at a moment, worked out backwards from the memberships of today and the audit log.

What is on record today is taken; from the newest audit row back to the moment, what was added is taken away and what
was removed is put back; what had run out by then, and whoever was switched off, does not count. People come in small
groups, so that a large team needs no more memory than a small one.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

from teams import memberships, past, review_sql, role_names
from teams.models import AuditEvent, RoleMapping, Team, User
from teams.past import Past

BATCH = 500
Action = AuditEvent.Action


@dataclass(frozen=True)
class Line:
    """One piece of evidence by which a person had access. `since` and `until` are None where nothing is known."""

    team: str
    username: str
    name: str
    email: str
    source: str
    group: str
    role: str
    since: datetime | None
    until: datetime | None
    given_by: str = ""
    reason: str = ""


@dataclass(frozen=True)
class _Held:
    """Evidence on the way back; `since` is None once it was put back, `role` what the log says was its last."""

    source: str
    group: str
    mapping: int | None
    since: datetime | None
    until: datetime | None
    role: str = ""


class UnknownTeamError(LookupError):
    """Neither the teams nor the log know the slug."""


class Review:
    """One team at one moment."""

    def __init__(self, slug: str, moment: datetime) -> None:
        """Raises UnknownTeamError."""
        self._past = Past.at(moment)
        team = past.team(slug, self._past)
        if team is None:
            raise UnknownTeamError(f"There is no team with the slug “{slug}”, and the log knows of none.")
        self.slug = slug
        self.moment = moment
        self.name = str(team.get("name") or slug)
        self.was_active = bool(team.get("is_active", True))
        self.log_begins = past.log_begins()
        self._role = str(team.get("execution_role_arn") or "")
        self._account = _account(slug)
        self._template = cache(self._template_then)

    @property
    def is_before_log(self) -> bool:
        """Whether the moment is before the log begins, so that evidence may be missing."""
        return self.log_begins is None or self.moment < self.log_begins

    def lines(self, *, after: str = "", people: int | None = None) -> Iterator[Line]:
        """Yield the evidence of the moment by user name, from the one that follows `after`, of so many people."""
        if not self.was_active:
            return
        told = 0
        for batch in _batches(review_sql.names(self.slug, self._past, after)):
            for _, lines in self._people(batch):
                if people is not None and told == people:
                    return
                told += 1
                yield from lines

    def _people(self, names: list[str]) -> Iterator[tuple[str, list[Line]]]:
        """Yield those of these people who had access, each with their evidence."""
        users = {user.username: user for user in User.objects.filter(username__in=names)}
        inactive = self._inactive(names, users)
        held = self._held(names)
        words = _Words(self, held)
        for name in names:
            if name not in inactive and held[name]:
                yield name, [self._line(name, users.get(name), each, words) for each in held[name]]

    def _held(self, names: list[str]) -> dict[str, list[_Held]]:
        """Return the evidence that these people had, by user name."""
        found: dict[str, list[_Held]] = defaultdict(list)
        for row in review_sql.rows(self.slug, self._past, names):
            one = _Held(row.source or "", row.group or "", row.mapping, row.at, row.until, row.role or "")
            if row.what == "today":
                found[row.name].append(one)
            elif row.what == Action.MEMBERSHIP_ADDED:
                _take_away(found[row.name], one)
            else:
                found[row.name].append(replace(one, since=None))
        for name, each in found.items():
            found[name] = [one for one in each if self._is_live(one)]
        return found

    def _is_live(self, one: _Held) -> bool:
        begun = one.since is None or one.since <= self.moment
        return begun and (one.until is None or one.until > self.moment)

    def _inactive(self, names: list[str], users: dict[str, User]) -> set[str]:
        """Return who was switched off: what the first change after the moment says was so before it, or what is now."""
        was = {name: user.is_active for name, user in users.items()}
        switched = self._past.later().filter(review_sql.SWITCHED, target__in=names)
        firsts = switched.order_by("target", "pk").distinct("target")
        for target, action, data in firsts.values_list("target", "action", "data"):
            was[target] = action == Action.USER_DEACTIVATED or (
                action == Action.CHANGED and bool(data["before"]["is_active"])
            )
        return {name for name, active in was.items() if not active}

    def _line(self, name: str, user: User | None, one: _Held, words: "_Words") -> Line:
        given_by, reason = words.given(name, one)
        return Line(
            team=self.slug,
            username=name,
            name=user.name if user else "",
            email=user.email if user else "",
            source=one.source,
            group=one.group,
            role=self._role_of(one),
            since=one.since or words.began(name, one),
            until=one.until,
            given_by=given_by,
            reason=reason,
        )

    def _role_of(self, one: _Held) -> str:
        if one.mapping is None:
            return self._role
        template = self._template(one.mapping)
        if template is None:
            # The mapping is gone; its last role is in the log.
            return one.role or self._role
        return role_names.expand(template, account=self._account, team=self.slug, group=one.group) or self._role

    def _template_then(self, mapping_id: int) -> str | None:
        row = RoleMapping.objects.select_related("team__domain__account").filter(pk=mapping_id).first()
        return None if row is None else str(past.mapping(row, self._past).get("execution_role_arn") or "")


class _Words:
    """What the log says of evidence that began before the moment."""

    def __init__(self, review: Review, held: dict[str, list[_Held]]) -> None:
        put_back = [name for name, each in held.items() if any(one.since is None for one in each)]
        manual = [name for name, each in held.items() if any(one.source == memberships.MANUAL for one in each)]
        slug, moment = review.slug, review.moment
        self._began = review_sql.began(slug, moment, put_back) if put_back else {}
        self._given = review_sql.given(slug, moment, manual) if manual else {}

    def began(self, name: str, one: _Held) -> datetime | None:
        """Return when evidence began, None where the log does not reach back so far."""
        return self._began.get((name, one.source, one.mapping, one.group)) or self._began.get(
            (name, one.source, one.mapping, None)
        )

    def given(self, name: str, one: _Held) -> tuple[str, str]:
        """Return who gave access by hand, and why; empty for all other evidence."""
        return self._given.get(name, ("", "")) if one.source == memberships.MANUAL else ("", "")


def teams(moment: datetime) -> Iterator[Review]:
    """Yield every team that there is, and every one that was deleted after the moment, by slug."""
    gone = Past.at(moment).later().filter(action=Action.DELETED, target__startswith="team: ")
    slugs = {*Team.objects.values_list("slug", flat=True), *gone.values_list("team", flat=True)}
    for slug in sorted(slugs):
        yield Review(slug, moment)


def _take_away(held: list[_Held], added: _Held) -> None:
    """Undo an addition; a group that has another name by now is found by source and mapping."""
    same = [one for one in held if (one.source, one.mapping) == (added.source, added.mapping)]
    if same:
        held.remove(next((one for one in same if one.group == added.group), same[0]))


def _account(slug: str) -> str:
    return Team.objects.filter(slug=slug).values_list("domain__account__account_id", flat=True).first() or ""


def _batches(names: Iterator[str]) -> Iterator[list[Any]]:
    while batch := list(islice(names, BATCH)):
        yield batch
