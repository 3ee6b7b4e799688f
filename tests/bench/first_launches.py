"""First launches: from the moment in which AWS has a profile in service until the browser is sent to Studio."""

import http.client
import os
import re
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from portal.demo.aws.server import Handle, start
from provisioning.aws import client
from provisioning.models import Profile
from teams.models import Membership, Team, User
from tests.bench.processes import portal, process
from tests.bench.tables import table, verdict
from tests.bench.world import Person, make_people
from tests.factories import make_domain, make_team
from tests.fixtures import identity_provider

ALONE = 16
TOGETHER = 20
CREATE_SECONDS = 3.0
DEADLINE = 60.0
_EVERY = re.compile(r'hx-trigger="every ([\d.]+)(ms|s)"')


@dataclass(frozen=True)
class Launched:
    """One first launch: seconds from the click, and from `InService`, to the redirect into Studio."""

    whole: float
    after: float


def measure() -> None:
    """Print the table."""
    identity_provider(Path(os.environ["SAML_IDP_METADATA"]))
    aws = start()
    os.environ |= {"AWS_ENDPOINT_URL": aws.url, "SAGEMAKER_CALLS_PER_SECOND": "10"}
    client.reset()
    people = make_people(TOGETHER)
    try:
        with ExitStack() as stack:
            for kind in ("worker", "beat"):
                stack.enter_context(process("-m", "celery", "-A", "portal", kind))
            port, _ = stack.enter_context(portal())
            _until_all_are_ready()
            # The first page of a process takes longer than all others.
            _at_once(aws, port, people, _make_team(aws, "warm", people))
            alone = _one_by_one(aws, port, people[:ALONE], _make_team(aws, "alone", people[:ALONE]))
            together = _at_once(aws, port, people, _make_team(aws, "together", people))
    finally:
        aws.stop()
    table("First launches, a worker, gunicorn, AWS answering at once", ("", "measured", "target", ""), [
        *_rows(alone), *_crowd_rows(together),
    ])  # fmt: skip


def _until_all_are_ready() -> None:
    """Wait for the workers, until they have made what the people of the other measurements are entitled to."""
    deadline = time.monotonic() + 2 * DEADLINE
    while Profile.objects.exclude(state=Profile.State.READY).exists() or not Profile.objects.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("the workers did not come to an end")
        time.sleep(0.2)


def _rows(alone: list[Launched]) -> list[tuple[str, str, str, str]]:
    after = [each.after for each in alone]
    middle, late = median(after), quantiles(after, n=20)[-1]
    return [
        (
            f"InService to redirect, {len(after)} one by one, median",
            f"{middle:.2f} s",
            "≤ 0.5 s",
            verdict(middle <= 0.5),
        ),
        ("… 95th percentile", f"{late:.2f} s", "≤ 1.0 s", verdict(late <= 1.0)),
    ]


def _crowd_rows(together: list[Launched]) -> list[tuple[str, str, str, str]]:
    last = max(each.whole for each in together)
    name = f"{len(together)} at once, AWS taking {CREATE_SECONDS:.0f} s: click to redirect, last"
    return [
        (name, f"{last:.2f} s", "≤ 4.5 s", verdict(last <= 4.5)),
        ("… median", f"{median(each.whole for each in together):.2f} s", "", ""),
    ]


def _make_team(aws: Handle, name: str, people: list[Person]) -> Team:
    """Make a team whose members' profiles nobody has asked for yet."""
    domain = make_domain(Team.objects.get(slug="studio").domain.account, domain_id=f"d-first{name}")
    aws.state.add_domain(domain.domain_id, account_id=domain.account.account_id, region=domain.region)
    team = make_team(f"first{name}", domain=domain)
    users = User.objects.filter(subject__in=[person.subject for person in people])
    Membership.objects.bulk_create(Membership(user=user, team=team, source="saml") for user in users)
    return team


def _one_by_one(aws: Handle, port: int, people: list[Person], team: Team) -> list[Launched]:
    found = []
    for number, person in enumerate(people):
        # AWS's time is no multiple of anybody's pause.
        aws.personality.create_delay = CREATE_SECONDS / 2 + number * 0.137
        found.append(_launch(aws, port, person, team))
    return found


def _at_once(aws: Handle, port: int, people: list[Person], team: Team) -> list[Launched]:
    aws.personality.create_delay = CREATE_SECONDS
    found: list[Launched] = []
    threads = [
        threading.Thread(target=lambda each=each: found.append(_launch(aws, port, each, team))) for each in people
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < len(people):
        raise RuntimeError("not everybody came to Studio")
    return found


def _launch(aws: Handle, port: int, person: Person, team: Team) -> Launched:
    """Click, follow the page as a browser does, and click again when it says so."""
    begun = time.time()
    place = _ask(port, "POST", f"/teams/{team.slug}/open/", person.headers)[0]
    page = f"/teams/{team.slug}/progress/"
    if not place.endswith(page):
        raise RuntimeError(f"a first launch led to {place.partition('?')[0]}")
    while time.time() < begun + DEADLINE:
        text = _ask(port, "GET", page, {**person.headers, "HX-Request": "true"})[1]
        if "data-autosubmit" in text:
            place = _ask(port, "POST", f"/teams/{team.slug}/open/", person.headers)[0]
            now = time.time()
            return Launched(now - begun, now - _in_service(aws, team, person))
        found = _EVERY.search(text)
        if found is None:
            raise RuntimeError("the page stopped asking")
        time.sleep(float(found[1]) / (1000 if found[2] == "ms" else 1))
    raise RuntimeError("a profile did not become ready")


def _in_service(aws: Handle, team: Team, person: Person) -> float:
    """Return the moment in which AWS had the profile in service."""
    profile = aws.state.profile(team.domain.domain_id, f"{person.subject}-{team.slug}")
    if profile is None:
        raise RuntimeError("AWS has no such profile")
    return profile.modified


def _ask(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[str, str]:
    """Return where an answer leads, and its text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status}")
        return answer.headers.get("Location", ""), text
    finally:
        connection.close()
