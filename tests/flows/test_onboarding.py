"""Many people at once, with real workers, one of which is killed: how often AWS is asked, and nobody is forgotten."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.demo.aws.personality import Throttle
from provisioning import profiles
from provisioning.models import Profile
from teams.models import Membership
from tests.factories import make_account, make_domain, make_team, make_user
from tests.flows.test_workers import Processes, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 60
RATE = 20.0


@pytest.fixture
def processes(aws: Any, tmp_path: Path) -> Iterator[Processes]:
    started = Processes(aws.url, tmp_path / "celery.log", SAGEMAKER_CALLS_PER_SECOND=str(RATE))
    yield started
    started.kill_all()


def ready() -> int:
    return Profile.objects.filter(state=Profile.State.READY).count()


def test_a_crowd_is_onboarded_below_the_limit_though_a_worker_is_killed(
    aws: Any, idp: object, processes: Processes
) -> None:
    domain = make_domain(make_account(account_id=aws.state.home_account), domain_id="d-demo0studio1")
    team = make_team("team1", domain=domain)
    for _ in range(PEOPLE):
        Membership.objects.create(user=make_user(), team=team, source="saml")
    aws.personality.create_delay = 1.0
    aws.personality.throttle = Throttle(rate=RATE, burst=RATE, operations=["CreateUserProfile"])
    profiles.prepare()

    workers = [processes.start("worker") for _ in range(3)]
    processes.start("beat")
    wait_until(lambda: len(aws.calls("CreateUserProfile")) >= PEOPLE // 3)
    processes.kill(workers[0])
    # The claims of a killed worker run out after less than a minute.
    wait_until(lambda: ready() >= PEOPLE - 10)
    wait_until(lambda: ready() == PEOPLE)

    assert len(aws.state.all_profiles()) == PEOPLE
    assert not Profile.objects.exclude(error_code="").exists()
    outcomes = [call.outcome for call in aws.calls("CreateUserProfile")]
    assert outcomes.count("ThrottlingException") <= PEOPLE // 60
    # Each once, but for those that the killed worker had begun.
    assert len(outcomes) <= PEOPLE + 5
    looks = len(aws.calls("ListUserProfiles")) + len(aws.calls("DescribeUserProfile"))
    assert looks <= 1.1 * PEOPLE
    assert len(aws.calls("DescribeUserProfile")) <= PEOPLE // 2
