"""Random statements, edits and passing time, compared with a simple model of what ought to follow."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teams import access, memberships
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, Membership, RoleMapping
from tests.factories import make_mapping, make_team, make_user

START = datetime(2030, 1, 1, tzinfo=UTC)
SOURCES = ["saml", "saml:partner"]
GROUPS = ["g1", "g2", "g3"]
NAMES = ["", "Staff", "Chess", "g2"]


@dataclass
class World:
    """What sources said, as plain data; `evidence` follows from it."""

    now: datetime = START
    names: dict[tuple[str, str], str] = field(default_factory=dict)  # (source, group) -> name
    inside: dict[tuple[int, str, str], datetime | None] = field(default_factory=dict)  # (user, source, group) -> end
    named: dict[tuple[int, str, int], datetime | None] = field(default_factory=dict)  # (user, source, team) -> end
    mappings: dict[int, tuple[str, str, int]] = field(default_factory=dict)  # id -> (source, group, team)

    def evidence(self) -> set[tuple[int, int, str, str | None, int | None]]:
        """Return (user, team, source, group, mapping) for everything that holds now."""
        direct = {(user, team, source, None, None) for (user, source, team), end in self.named.items() if self._on(end)}
        mapped = {
            (user, team, source, group, mapping)
            for (user, source, group), end in self.inside.items()
            for mapping, (wanted_source, wanted, team) in self.mappings.items()
            if self._on(end)
            and wanted_source in {"", source}
            and wanted in {group, self.names.get((source, group), "") or group}
        }
        return direct | mapped

    def _on(self, end: datetime | None) -> bool:
        return end is None or end > self.now


ends = st.none() | st.integers(0, 4)
groups = st.dictionaries(st.sampled_from(GROUPS), st.sampled_from(NAMES)) | st.none()
says = st.tuples(
    st.just("say"), st.integers(0, 2), st.sampled_from(SOURCES), groups, st.none() | st.sets(st.integers(0, 2)), ends
)
waits = st.tuples(st.just("wait"), st.integers(1, 3))
maps = st.tuples(
    st.just("map"), st.sampled_from(["", *SOURCES]), st.sampled_from([*GROUPS, "Staff", "Chess"]), st.integers(0, 2)
)
drops = st.tuples(st.just("drop"), st.integers(0, 5))
moves = st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 2))
steps = st.lists(says | says | waits | maps | drops | moves, min_size=1, max_size=15)


# Nothing much happens without mappings: begin with one of each kind.
BEGINNING = [("map", "", "g1", 0), ("map", "saml", "g2", 1), ("map", "saml:partner", "g2", 2), ("map", "", "Staff", 1)]


class Replay:
    """Carries each step out twice: in the database and in the model."""

    def __init__(self) -> None:
        self.world = World()
        self.users = [make_user() for _ in range(3)]
        self.teams = [make_team() for _ in range(3)]

    def say(
        self, user: int, source: str, groups: dict[str, str] | None, teams: set[int] | None, hours: int | None
    ) -> None:
        who, end = self.users[user], None if hours is None else self.world.now + timedelta(hours=hours)
        memberships.apply(
            UserObservation(
                user=who,
                source=source,
                groups=None if groups is None else frozenset(GroupRef(*each) for each in groups.items()),
                teams=None if teams is None else frozenset(self.teams[team].saml_id for team in teams),
                valid_until=end,
            )
        )
        world = self.world
        if groups is not None:
            world.inside = {key: old for key, old in world.inside.items() if key[:2] != (who.pk, source)}
            world.inside |= {(who.pk, source, group): end for group in groups}
            world.names |= {(source, group): name for group, name in groups.items() if name}
        if end is None or end > world.now:
            world.named |= {(who.pk, source, self.teams[team].pk): end for team in teams or ()}

    def wait(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)

    def map(self, source: str, group: str, team: int) -> None:
        wanted = (source, group, self.teams[team].pk)
        if wanted not in self.world.mappings.values():
            with transaction.atomic():
                memberships.hold()
                mapping = make_mapping(group, self.teams[team], source=source)
                memberships.remap(team_ids=[mapping.team_id])
            self.world.mappings[mapping.pk] = wanted

    def drop(self, number: int) -> None:
        for mapping in sorted(self.world.mappings)[number : number + 1]:
            memberships.drop_mapping(RoleMapping.objects.get(pk=mapping), by="admin")
            del self.world.mappings[mapping]

    def move(self, number: int, team: int) -> None:
        for mapping in sorted(self.world.mappings)[number : number + 1]:
            source, group, old = self.world.mappings[mapping]
            wanted = (source, group, self.teams[team].pk)
            if wanted not in self.world.mappings.values():
                RoleMapping.objects.filter(pk=mapping).update(team=self.teams[team])
                memberships.remap(team_ids=[old, self.teams[team].pk])
                self.world.mappings[mapping] = wanted

    def check(self) -> None:
        """Compare what is live with the model, what people see with both, and the log with what is on record."""
        live = set(
            Membership.objects.filter(access.live()).values_list(
                "user_id", "team_id", "source", "group__external_id", "mapping_id"
            )
        )
        assert live == self.world.evidence()
        for user in self.users:
            seen = {each.team.pk for each in access.for_user(user)}
            assert seen == {team for who, team, *_ in live if who == user.pk}
        assert self._told() == self._recorded()

    def _told(self) -> Counter[tuple[str, str, str]]:
        """Return how often each (user, team, source) was added, less how often it was removed."""
        balance: Counter[tuple[str, str, str]] = Counter()
        for event in AuditEvent.objects.all():
            balance[event.target, event.team, event.data["source"]] += 1 if event.action == "membership_added" else -1
        return +balance

    def _recorded(self) -> Counter[tuple[str, str, str]]:
        return Counter(Membership.objects.values_list("user__username", "team__slug", "source"))


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_memberships_are_what_the_model_says(steps: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        replay = Replay()
        with mock.patch.object(timezone, "now", side_effect=lambda: replay.world.now):
            for name, *arguments in steps:
                getattr(replay, name)(*arguments)
                replay.check()
        transaction.set_rollback(True)
