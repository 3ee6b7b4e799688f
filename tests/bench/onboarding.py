"""Many people at once, three workers, a limit of ten calls a second: how much of it is used, and what a click feels."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from django.utils import timezone

from portal.demo.aws.personality import Throttle
from portal.demo.aws.rows import Call
from portal.demo.aws.server import Handle, start
from provisioning import launch, profiles
from provisioning.aws import client
from provisioning.models import Profile
from teams.models import AwsAccount, Membership, Team, User
from tests.bench.tables import ms, table, verdict
from tests.factories import make_domain, make_team, make_user
from tests.fixtures import identity_provider

PEOPLE = 1000
RATE = 10.0
CREATE_SECONDS = 5.0
WORKERS = 3
CLICK_EVERY = 5.0
DEADLINE = 240.0
# The first and the last seconds are not those of the crowd.
EDGE = 5.0


def measure() -> None:
    """Print the table, with all workers and with one killed halfway."""
    # Workers do not start without a provider's metadata.
    identity_provider(Path(os.environ["SAML_IDP_METADATA"]))
    rows = [row for killed in (False, True) for row in _run(killed=killed)]
    title = f"Onboarding {PEOPLE} people, {WORKERS} workers, CreateUserProfile limited to {RATE:.0f} a second"
    table(title, ("", "measured", "target", ""), rows)


def _run(*, killed: bool) -> list[tuple[str, str, str, str]]:
    aws = start()
    aws.personality.create_delay = CREATE_SECONDS
    aws.personality.throttle = Throttle(rate=RATE, burst=RATE, operations=["CreateUserProfile"])
    os.environ |= {"AWS_ENDPOINT_URL": aws.url, "SAGEMAKER_CALLS_PER_SECOND": f"{RATE}"}
    client.reset()
    team = _make_team(aws, "killed" if killed else "all")
    user = _make_ready(aws, f"launch-{team.slug}")
    processes = [_celery("worker") for _ in range(WORKERS)] + [_celery("beat")]
    try:
        alone = _launches(user, 40)
        begun = aws.state.clock.now()
        profiles.prepare()
        launches: list[float] = []
        clicks = _watch(
            team, (lambda: _kill(processes[0])) if killed else None, lambda: launches.extend(_launches(user, 1))
        )
        rows = _rows(f"one of {WORKERS} killed" if killed else "all alive", aws, begun, clicks)
        within = f"{ms(median(launches))} ms ({ms(max(launches))} ms)"
        return [
            *rows,
            ("… launch of a ready profile meanwhile, median (worst)", within, "", f"before: {ms(median(alone))} ms"),
        ]
    finally:
        for process in processes:
            _kill(process)
        aws.stop()


def _make_team(aws: Handle, name: str) -> Team:
    account = AwsAccount.objects.get(account_id=aws.state.home_account)
    domain = make_domain(account, domain_id=f"d-bench{name}")
    aws.state.add_domain(domain.domain_id, account_id=account.account_id, region=domain.region)
    team = make_team(f"onboard-{name}", domain=domain)
    people = User.objects.filter(pk__in=[make_user().pk for _ in range(PEOPLE)])
    Membership.objects.bulk_create(Membership(user=user, team=team, source="saml") for user in people)
    return team


def _make_ready(aws: Handle, name: str) -> User:
    """Return somebody whose profile in the team `name` is ready."""
    account = AwsAccount.objects.get(account_id=aws.state.home_account)
    domain = make_domain(account, domain_id=f"d-{name.replace('-', '')}")
    aws.state.add_domain(domain.domain_id, account_id=account.account_id, region=domain.region)
    team, user = make_team(name, domain=domain), make_user()
    Membership.objects.create(user=user, team=team, source="saml")
    [pk] = profiles.prepare([user.pk])
    while Profile.objects.get(pk=pk).state != Profile.State.READY:
        Profile.objects.filter(pk=pk).update(due_at=timezone.now())
        profiles.ensure(pk)
        time.sleep(0.2)
    return user


def _launches(user: User, number: int) -> list[float]:
    """Return the milliseconds that launches took, from the authorisation to the audit row."""
    slug = Team.objects.get(memberships__user=user).slug
    took = []
    for _ in range(number):
        begun = time.perf_counter()
        target = launch.find(user, slug)
        if target is None or not target.ready:
            raise RuntimeError("a ready profile does not open")
        launch.record(target, launch.open_studio(target))
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _watch(team: Team, halfway: Callable[[], None] | None, each_second: Callable[[], None]) -> list[float]:
    """Wait until everybody has their profile; returns the seconds that people took who clicked while it went on."""
    second = time.monotonic()
    rows = Profile.objects.filter(team=team)
    clicked: dict[int, float] = {}
    took: list[float] = []
    deadline = time.monotonic() + DEADLINE
    while (left := rows.exclude(state=Profile.State.READY).count()) and time.monotonic() < deadline:
        if halfway and left < PEOPLE / 2:
            halfway()
            halfway = None
        now = time.monotonic()
        done = rows.filter(pk__in=clicked, state=Profile.State.READY).values_list("pk", flat=True)
        took.extend(now - clicked.pop(pk) for pk in done)
        if not clicked or now - max(clicked.values()) > CLICK_EVERY:
            last = rows.filter(state=Profile.State.WANTED, asked_at=None).order_by("due_at").last()
            if last is not None:
                profiles.request(user_id=last.user_id, team_id=last.team_id)
                clicked[last.pk] = now
        if now > second:
            second = now + 1
            each_second()
        time.sleep(0.1)
    if left:
        raise RuntimeError(f"{left} profiles were not made in {DEADLINE:.0f} s")
    return took


def _rows(name: str, aws: Handle, begun: float, clicks: list[float]) -> list[tuple[str, str, str, str]]:
    creates = aws.calls("CreateUserProfile")
    throttled = sum(call.outcome == "ThrottlingException" for call in creates) / len(creates)
    looks = (len(aws.calls("ListUserProfiles")) + len(aws.calls("DescribeUserProfile"))) / PEOPLE
    share = _share([call for call in creates if call.outcome == "ok"])
    return [
        (f"{name}: share of the limit", f"{share:.0%}", "≥ 95 %", verdict(share >= 0.95)),
        ("… throttled", f"{throttled:.1%}", "≤ 1 %", verdict(throttled <= 0.01)),
        ("… status calls per profile", f"{looks:.2f}", "≤ 1.1", verdict(looks <= 1.1)),
        (
            f"… click to ready, AWS taking {CREATE_SECONDS:.0f} s, median of {len(clicks)} (worst)",
            f"{median(clicks):.1f} s ({max(clicks):.1f} s)",
            "",
            "",
        ),
        ("… from the first to the last", f"{max(call.at for call in creates) - begun:.0f} s", "", ""),
    ]


def _share(made: list[Call]) -> float:
    """Return the used share of the limit while there was enough to do: without the edges, and without stragglers."""
    times = sorted(call.at for call in made)[: int(PEOPLE * 0.97)]
    inside = [at for at in times if times[0] + EDGE <= at]
    return (len(inside) - 1) / (inside[-1] - inside[0]) / RATE


def _celery(kind: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "celery", "-A", "portal", kind]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(process: Any) -> None:
    process.kill()
    process.wait()
