"""What a sign-on brought lives as long as its session."""

import pytest
from django.test import Client

from teams import access
from teams.models import AuditEvent, Membership, User
from tests.factories import make_mapping, make_team
from tests.fixtures import IdentityProvider
from tests.teams.sources import say_groups

pytestmark = pytest.mark.django_db


def slugs(subject: str = "alice") -> list[str]:
    return [each.team.slug for each in access.for_user(User.objects.get(subject=subject))]


@pytest.fixture(autouse=True)
def _teams() -> None:
    make_team("one", saml_id="Team1")
    make_mapping("staff", make_team("two"))


def test_signing_out_ends_what_the_assertion_brought(idp: IdentityProvider, client: Client) -> None:
    idp.sign_on(client, "alice", teamid=["Team1"], groups=["staff"])
    assert slugs() == ["one", "two"]
    client.post("/logout/")
    assert slugs() == []
    # Nobody said that she left: the rows stay and give nothing, and the log tells of a sign-out only.
    assert Membership.objects.count() == 2
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.MEMBERSHIP_REMOVED).exists()
    idp.sign_on(client, "alice", groups=["staff"])
    assert slugs() == ["two"]


def test_what_another_browser_said_later_stays(idp: IdentityProvider, client: Client) -> None:
    other = Client()
    idp.sign_on(client, "alice", groups=["staff"])
    idp.sign_on(other, "alice", groups=["staff"])
    client.post("/logout/")
    assert slugs() == ["two"]
    other.post("/logout/")
    assert slugs() == []


def test_other_sources_and_people_are_left_alone(idp: IdentityProvider, client: Client) -> None:
    bob = Client()
    idp.sign_on(bob, "bob", groups=["staff"])
    idp.sign_on(client, "alice", groups=["staff"])
    say_groups(User.objects.get(subject="alice"), "staff", source="identity-center:main")
    client.post("/logout/")
    assert (slugs(), slugs("bob")) == (["two"], ["two"])


def test_signing_out_everywhere_ends_what_every_browser_brought(idp: IdentityProvider, client: Client) -> None:
    idp.sign_on(Client(), "alice", teamid=["Team1"])
    idp.sign_on(client, "alice", groups=["staff"])
    assert slugs() == ["one", "two"]
    client.post("/logout/everywhere/")
    assert slugs() == []
