"""What a whole directory costs: 300,000 memberships of 100,000 people, first, unchanged, and with 1 % changed."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from django.utils import timezone

from teams import memberships
from teams.memberships import GroupRef, Member, Person, SourceApplied, SourceObservation
from teams.models import Group, GroupMembership, Membership, Team, User
from teams.signals import access_changed
from tests.bench.tables import table, times, verdict
from tests.factories import make_domain

PEOPLE, GROUPS, EACH = 100_000, 1_000, 3
SAMPLE = 1_000
SOURCE = "identity-center:bench"


@dataclass(frozen=True)
class Measured:
    """What one run took: seconds, and megabytes more than before at the worst moment."""

    applied: Any
    seconds: float
    megabytes: float


def measure() -> None:
    """Print what it takes, beside a loop of get_or_create on a sample."""
    # Profiles are made by workers afterwards.
    from provisioning.receivers import prepare_profiles

    access_changed.disconnect(dispatch_uid="provisioning.access_changed")
    _make_teams()
    chance = random.Random(1)
    places = [chance.sample(range(GROUPS), EACH) for _ in range(PEOPLE)]
    first = _run(lambda: _say(places))
    same = _run(lambda: _say(places))
    for number in chance.sample(range(PEOPLE), PEOPLE * EACH // 100):
        places[number] = [*places[number][1:], _other(chance, places[number])]
    changed = _run(lambda: _say(places))
    loop = _run(_naive)
    each = loop.seconds / (SAMPLE * EACH)
    access_changed.connect(prepare_profiles, dispatch_uid="provisioning.access_changed")
    rows = [
        _row("first load", first, each, 8.0),
        _row("nothing changed", same, each, 1.0),
        _row(f"1 % changed ({changed.applied.added} joined, {changed.applied.removed} left)", changed, each, 1.0),
        (f"get_or_create, {SAMPLE * EACH:,} of them", f"{loop.seconds:.1f}", f"{loop.megabytes:.0f}", "1 ×", "", ""),
    ]
    title = f"A directory of {PEOPLE:,} people and {PEOPLE * EACH:,} memberships, audit rows included"
    table(title, ("", "seconds", "MB more", "against get_or_create", "target, s and MB", ""), rows)


def _row(name: str, run: Measured, each: float, seconds: float) -> tuple[str, ...]:
    met = run.seconds <= seconds and run.megabytes <= 50
    ratio = times(each * PEOPLE * EACH / run.seconds)
    return name, f"{run.seconds:.2f}", f"{run.megabytes:.0f}", ratio, f"≤ {seconds:.0f}, ≤ 50", verdict(met)


def _make_teams() -> None:
    domain = make_domain()
    role = f"arn:aws:iam::{domain.account.account_id}:role/bench"
    teams = Team.objects.bulk_create(
        Team(slug=f"bench{n}", saml_id=f"bench{n}", name=f"Bench {n}", domain=domain, execution_role_arn=role)
        for n in range(GROUPS)
    )
    from teams.models import RoleMapping

    RoleMapping.objects.bulk_create(RoleMapping(group=_group(n), team=team) for n, team in enumerate(teams))


def _say(places: list[list[int]]) -> SourceApplied:
    def members() -> Iterator[Member]:
        for number, groups in enumerate(places):
            for group in groups:
                yield Member(_group(group), _subject(number), f"{group:08x}-0000-4000-8000-{number:012x}")

    return memberships.apply_source(
        SourceObservation(
            source=SOURCE,
            realm="default",
            groups=(GroupRef(_group(number), f"Group {number}") for number in range(GROUPS)),
            people=(
                Person(_subject(number), f"Person {number}", f"person{number}@example.com") for number in range(PEOPLE)
            ),
            members=members(),
            complete=True,
        )
    )


def _naive() -> None:
    """Do what a loop over the people would, for a few of them."""
    for number in range(SAMPLE):
        user, _ = User.objects.get_or_create(
            realm="naive", subject=_subject(number), defaults={"username": f"naive/{number}"}
        )
        for place in range(EACH):
            group, _ = Group.objects.get_or_create(source="naive", external_id=_group((number + place) % GROUPS))
            GroupMembership.objects.get_or_create(group=group, user=user)
            team = Team.objects.get(slug=f"bench{(number + place) % GROUPS}")
            mapping = team.role_mappings.get()
            Membership.objects.get_or_create(
                user=user, team=team, source="naive", group=group, mapping=mapping, defaults={"since": timezone.now()}
            )


def _run(work: Callable[[], Any]) -> Measured:
    process, done = psutil.Process(), threading.Event()
    before = worst = process.memory_info().rss

    def watch() -> None:
        nonlocal worst
        while not done.wait(0.02):
            worst = max(worst, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    applied = work()
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    return Measured(applied, seconds, (worst - before) / 1e6)


def _other(chance: random.Random, places: list[int]) -> int:
    return next(each for each in iter(lambda: chance.randrange(GROUPS), None) if each not in places)


def _group(number: int) -> str:
    return f"{number:08x}-4081-7042-c3c6-928d413009e7"


def _subject(number: int) -> str:
    return f"{number:08x}-9021-70ea-08fa-c3a10a1d8a92"
