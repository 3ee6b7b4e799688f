"""What the portal under measurement knows."""

import os
from dataclasses import dataclass
from pathlib import Path

from django.test import Client

from portal.demo.aws.seed import ACCOUNT, DOMAIN, REGION
from provisioning import profiles
from provisioning.models import Profile
from teams import memberships
from tests.bench.messages import GROUPS
from tests.factories import make_account, make_domain, make_mapping, make_team
from tests.fixtures import identity_provider

TEAMS = 4
_TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Person:
    """Somebody who is signed on, as the headers of their browser."""

    subject: str
    headers: dict[str, str]


def make_teams() -> None:
    """Make some teams, in a domain of the stand-in, that the people of the messages are in by their groups."""
    domain = make_domain(make_account(account_id=ACCOUNT, name="Demo"), region=REGION, domain_id=DOMAIN)
    for number, group in enumerate(GROUPS[:TEAMS]):
        slug = f"team-{number}" if number else "studio"
        make_mapping(group, make_team(slug, domain=domain, description="What the team works on."))
    memberships.remap()


def make_people(number: int) -> list[Person]:
    """Sign people on, each in a browser of their own."""
    provider = identity_provider(Path(os.environ["SAML_IDP_METADATA"]))
    people = []
    for each in range(number):
        subject, client = f"user{each}", Client()
        if provider.sign_on(client, subject, groups=GROUPS).status_code != 302:
            raise RuntimeError("a sign-on was refused")
        cookies = f"portal_session={client.cookies['portal_session'].value}; portal_csrf={_TOKEN}"
        headers = {"Host": "127.0.0.1:8000", "Cookie": cookies, "X-CSRFToken": _TOKEN}
        people.append(Person(subject, headers))
    return people


def make_ready(people: list[Person]) -> None:
    """Bring the profiles of these people for the launched team to AWS, as workers do."""
    wanted = Profile.objects.filter(user__subject__in=[person.subject for person in people], team__slug="studio")
    for profile_id in wanted.values_list("pk", flat=True):
        for _ in range(10):
            Profile.objects.filter(pk=profile_id).exclude(state="ready").update(due_at="2000-01-01T00:00:00Z")
            profiles.ensure(profile_id)
            profile = Profile.objects.get(pk=profile_id)
            if profile.state == Profile.State.READY:
                break
        else:
            raise RuntimeError(f"{profile.name} is {profile.state}: {profile.error}")
        os.environ["BENCH_PROFILE"] = profile.name
