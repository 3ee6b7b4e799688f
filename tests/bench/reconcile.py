"""What it costs to compare a domain of 5,000 profiles with AWS: everything, then what AWS has changed since."""

import os
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import psutil
from django.conf import settings
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.utils import timezone

from portal.demo.aws.rows import Profile as InAws
from portal.demo.aws.server import Handle, start
from provisioning import desired
from provisioning.aws import client
from provisioning.models import Profile, Reconciliation
from provisioning.reconcile import runs
from teams.models import AwsAccount, Domain, Membership, Team, User
from tests.bench.tables import table
from tests.factories import make_domain, make_team

PROFILES = 5_000


@dataclass(frozen=True)
class Measured:
    """What one comparison took: seconds, megabytes more than before at the worst moment, calls and steps."""

    run: Reconciliation
    seconds: float
    megabytes: float
    calls: int
    steps: int


def measure() -> None:
    """Print what a comparison of everything takes, and what the next one does. The stand-in is in this process."""
    # What is measured is the portal, not its own pace.
    pace, settings.SAGEMAKER_CALLS_PER_SECOND = settings.SAGEMAKER_CALLS_PER_SECOND, 1_000_000.0
    aws, endpoint = start(), os.environ.get("AWS_ENDPOINT_URL")
    os.environ["AWS_ENDPOINT_URL"] = aws.url
    client.reset()
    try:
        domain = _fill(aws)
        runs_made = [
            ("everything", _compare(aws, domain, is_full=True)),
            ("what AWS has changed", _compare(aws, domain, is_full=False)),
        ]
    finally:
        settings.SAGEMAKER_CALLS_PER_SECOND = pace
        os.environ["AWS_ENDPOINT_URL"] = endpoint or ""
        client.reset()
        aws.stop()
    title = f"A domain of {PROFILES:,} profiles compared, its stand-in in the same process"
    rows = [_row(name, each) for name, each in runs_made]
    table(title, ("", "seconds", "MB more", "calls of AWS", "steps", "profiles looked at", "differences"), rows)


def _row(name: str, each: Measured) -> tuple[object, ...]:
    differences = sum(each.run.counts.values())
    return (
        name, f"{each.seconds:.1f}", f"{each.megabytes:.0f}", each.calls, each.steps, each.run.looked_at, differences,
    )  # fmt: skip


def _fill(aws: Handle) -> Domain:
    """Make a domain whose profiles are as they should be, since hours."""
    domain = make_domain(AwsAccount.objects.get(account_id=aws.state.home_account))
    aws.state.add_domain(domain.domain_id, account_id=domain.account.account_id, region=domain.region)
    team = make_team("many", domain=domain)
    then = timezone.now() - timedelta(hours=2)
    names = [f"many{number}" for number in range(PROFILES)]
    people = User.objects.bulk_create(User(subject=each, username=f"bench/{each}", realm="bench") for each in names)
    Membership.objects.bulk_create(Membership(user=user, team=team, source="scim:bench") for user in people)
    Profile.objects.bulk_create(
        Profile(user=user, team=team, domain=domain, name=f"{user.subject}-many", changed_at=then, due_at=None)
        for user in people
    )
    prefix = ""
    for user in people:
        made = _put(aws, team, user, then.timestamp())
        prefix = made.arn.removesuffix(made.name)
    Profile.objects.filter(team=team).update(
        state=Profile.State.READY, arn=Concat(Value(prefix), F("name")), execution_role_arn=team.execution_role_arn
    )
    return domain


def _put(aws: Handle, team: Team, user: User, then: float) -> InAws:
    wanted = desired.desired(
        name=f"{user.subject}-many", username=user.username, team_slug=team.slug, user_settings={}, team_tags={},
        execution_role_arn=team.execution_role_arn,
    )  # fmt: skip
    domain = team.domain
    profile = InAws(
        domain.account.account_id, domain.region, domain.domain_id, wanted.name, then, then,
        tags=wanted.tags, settings=wanted.user_settings,
    )  # fmt: skip
    aws.state.profiles[domain.domain_id, wanted.name] = profile
    return profile


def _compare(aws: Handle, domain: Domain, *, is_full: bool) -> Measured:
    process, done = psutil.Process(), threading.Event()
    before = worst = process.memory_info().rss
    aws.state.calls.clear()

    def watch() -> None:
        nonlocal worst
        while not done.wait(0.05):
            worst = max(worst, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun, steps, calls = time.perf_counter(), 0, 0
    run, _ = runs.start(domain, runs.Trigger.DEMAND, is_full=is_full)
    while run.state in Reconciliation.OPEN:
        runs.step(run.pk)
        steps += 1
        calls += len(aws.state.calls)
        aws.state.calls.clear()
        run.refresh_from_db()
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    return Measured(run, seconds, (worst - before) / 1e6, calls, steps)
