"""Random sequences of what several sources say, compared with a model that anybody can follow."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from teams import access, memberships, users
from teams.memberships import GroupRef, Member, Person, SourceObservation, UserObservation
from teams.models import AuditEvent, Membership, Team, User
from tests.factories import make_mapping, make_team, make_user

PEOPLE = ("ann", "ben", "cat")
GROUPS = ("g1", "g2", "g3")
DIRECTORY, SCIM, SAML, MANUAL = "identity-center:main", "scim:okta", "saml", "manual"
# Group (by id or name), source (empty: any), team, role, priority.
MAPPINGS = (
    ("g1", "", "one", "", 0),
    ("g1", "", "two", "low", 1),
    ("g2", "", "two", "high", 2),
    ("Third", "", "one", "third", 0),
    ("g3", DIRECTORY, "two", "", 9),
)
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class World:
    """What is true, kept in dictionaries: by source and person the groups with the end of each."""

    now: datetime = START
    groups: dict[tuple[str, str], dict[str, datetime | None]] = field(default_factory=lambda: defaultdict(dict))
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    given: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    off: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def evidence(self, person: str) -> list[tuple[str, int, str]]:
        """The team, priority and role of everything that speaks for a person now."""
        found = []
        for (source, who), groups in self.groups.items():
            for group, until in groups.items():
                if who != person or (until is not None and until <= self.now):
                    continue
                for mapped, only, team, role, priority in MAPPINGS:
                    if mapped in (group, self.names.get((source, group))) and only in ("", source):
                        found.append((team, priority, role))
        found += [(team, 0, "") for (who, team, _), until in self.given.items() if who == person and until > self.now]
        return found

    def access(self, person: str) -> dict[str, str]:
        """The teams that a person may open, with the role."""
        if person in self.off:
            return {}
        found: dict[str, str] = {}
        for team in ("one", "two"):
            roles = [(bool(role), priority, role) for each, priority, role in self.evidence(person) if each == team]
            if roles:
                found[team] = max(roles)[2] or f"{team}-role"
        return found


people = st.sets(st.sampled_from(PEOPLE))
groups = st.sets(st.sampled_from(GROUPS))
person, group = st.sampled_from(PEOPLE), st.sampled_from(GROUPS)
name = st.sampled_from(["", "Third", "Other"])
STEPS = st.one_of(
    st.tuples(
        st.just("whole"), st.dictionaries(group, st.tuples(people, name)), people, st.sets(st.sampled_from(PEOPLE))
    ),
    st.tuples(st.just("part"), group, people),
    st.tuples(st.just("push"), group, people, people, name),
    st.tuples(st.just("drop"), group),
    st.tuples(st.just("sign_on"), person, groups, st.integers(1, 3)),
    st.tuples(st.just("sign_out"), person),
    st.tuples(st.just("team"), person, st.sampled_from(["one", "two"]), st.integers(1, 3)),
    st.tuples(st.just("give"), person, st.sampled_from(["one", "two"]), st.integers(1, 3)),
    st.tuples(st.just("take_back"), person, st.sampled_from(["one", "two"])),
    st.tuples(st.just("off"), person),
    st.tuples(st.just("on"), person),
    st.tuples(st.just("pass"), st.integers(1, 4)),
    st.tuples(st.just("remap")),
)


class Play:
    """Each step twice: to the portal, and to the model."""

    def __init__(self) -> None:
        self.world = World()
        self.users = {each: make_user(each) for each in PEOPLE}
        self.teams = {slug: make_team(slug) for slug in ("one", "two")}
        for mapped, source, team, role, priority in MAPPINGS:
            make_mapping(mapped, self.teams[team], role=role, source=source, priority=priority)

    def step(self, kind: str, *values: Any) -> None:
        with patch("django.utils.timezone.now", lambda: self.world.now):
            getattr(self, kind)(*values)
            self.check((kind, *values))

    def whole(self, said: dict[str, tuple[set[str], str]], others: set[str], off: set[str]) -> None:
        world = self.world
        described = set().union(others, *(members for members, _ in said.values()))
        memberships.apply_source(
            SourceObservation(
                DIRECTORY,
                "default",
                [GroupRef(each, called) for each, (_, called) in said.items()],
                [Member(each, who, f"{each}-{who}") for each, (members, _) in said.items() for who in sorted(members)],
                [Person(who, active=who not in off) for who in sorted(described)],
                complete=True,
            )
        )
        for who in PEOPLE:
            world.groups[DIRECTORY, who] = {each: None for each, (members, _) in said.items() if who in members}
            gone = who in world.known and who not in described
            if (who in described & off) or gone:
                world.off.setdefault(who, DIRECTORY)
            elif who in described and world.off.get(who) == DIRECTORY:
                del world.off[who]
        world.known |= described
        world.names = {key: called for key, called in world.names.items() if key[0] != DIRECTORY or key[1] in said}
        self._call(DIRECTORY, {each: called for each, (_, called) in said.items()})

    def _call(self, source: str, names: dict[str, str]) -> None:
        self.world.names |= {(source, each): called for each, called in names.items() if called}

    def part(self, where: str, members: set[str]) -> None:
        rows = [Member(where, who) for who in sorted(members)]
        memberships.apply_source(SourceObservation(DIRECTORY, "default", [GroupRef(where)], rows))
        for who in PEOPLE:
            self.world.groups[DIRECTORY, who].pop(where, None)
            if who in members:
                self.world.groups[DIRECTORY, who][where] = None

    def push(self, where: str, joined: set[str], left: set[str], called: str) -> None:
        left = left - joined
        memberships.change_group(SCIM, GroupRef(where, called), joined=self._ids(joined), left=self._ids(left))
        self._call(SCIM, {where: called})
        for who in joined:
            self.world.groups[SCIM, who][where] = None
        for who in left:
            self.world.groups[SCIM, who].pop(where, None)

    def _ids(self, who: set[str]) -> list[int]:
        return [self.users[each].pk for each in who]

    def drop(self, where: str) -> None:
        memberships.drop_group(SCIM, where)
        self.world.names.pop((SCIM, where), None)
        for who in PEOPLE:
            self.world.groups[SCIM, who].pop(where, None)

    def sign_on(self, who: str, said: set[str], hours: int) -> None:
        until = self.world.now + hours * HOUR
        refs = frozenset(GroupRef(each) for each in said)
        memberships.apply(UserObservation(self.users[who], SAML, groups=refs, valid_until=until))
        self.world.groups[SAML, who] = dict.fromkeys(said, until)

    def sign_out(self, who: str) -> None:
        memberships.end_session(self.users[who])
        self.world.groups[SAML, who] = {}
        for key in [key for key in self.world.given if key[0] == who and key[2] == SAML]:
            del self.world.given[key]

    def team(self, who: str, slug: str, hours: int) -> None:
        until = self.world.now + hours * HOUR
        ids = frozenset({self.teams[slug].saml_id})
        memberships.apply(UserObservation(self.users[who], SAML, teams=ids, valid_until=until))
        self.world.given[who, slug, SAML] = until

    def give(self, who: str, slug: str, hours: int) -> None:
        until = self.world.now + hours * HOUR
        memberships.give(self.users[who], self.teams[slug], until=until)
        self.world.given[who, slug, MANUAL] = until

    def take_back(self, who: str, slug: str) -> None:
        memberships.take_back(self.users[who], self.teams[slug])
        self.world.given.pop((who, slug, MANUAL), None)

    def off(self, who: str) -> None:
        users.deactivate(self.users[who], by=SCIM)
        self.world.off.setdefault(who, SCIM)

    def on(self, who: str) -> None:
        users.reactivate(self.users[who], by=SCIM)
        if self.world.off.get(who) == SCIM:
            del self.world.off[who]

    def remap(self) -> None:
        memberships.remap()

    def check(self, step: tuple[Any, ...]) -> None:
        for who, user in self.users.items():
            found = {each.team.slug: each.execution_role_arn.rpartition("/")[2] for each in access.for_user(user)}
            assert found == self.world.access(who), (step, who)
            assert {slug: access.role_for(user.pk, team.pk) is not None for slug, team in self.teams.items()} == {
                slug: slug in found for slug in self.teams
            }
        self._check_log()

    def _check_log(self) -> None:
        """What the log says came and did not go is what is on record."""
        standing: Counter[tuple[Any, ...]] = Counter()
        for event in AuditEvent.objects.filter(action__startswith="membership_"):
            key = (event.target, event.team, event.data["source"], event.data.get("mapping"))
            standing[key] += 1 if event.action == "membership_added" else -1
        rows = Counter(Membership.objects.values_list("user__username", "team__slug", "source", "mapping_id"))
        assert {key: number for key, number in standing.items() if number} == rows
        assert Team.objects.count() == len(self.teams)
        assert User.objects.count() == len(PEOPLE)

    # The clock, and the sweep that follows it.
    def tick(self, hours: int) -> None:
        self.world.now += hours * HOUR
        memberships.expire()


setattr(Play, "pass", Play.tick)


class ModelTest(TestCase):
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(STEPS, max_size=12))
    def test_the_portal_and_the_model_agree(self, steps: list[tuple[Any, ...]]) -> None:
        play = Play()
        for step in steps:
            play.step(*step)
