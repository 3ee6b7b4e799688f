"""What a provider may say: one that is for a team cannot put anyone into another one, whatever it claims."""

import html
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.test import Client

from portal.demo.idp import Keys, Response
from teams import memberships
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, GroupMembership, IdentityProvider, Membership, Team, User
from tests.factories import make_mapping, make_team, make_user
from tests.portal.saml.conftest import ISSUER, SSO, Browser
from tests.portal.saml.provider_rows import make_provider

pytestmark = pytest.mark.django_db

Answer = Callable[..., Response]

RED = "https://portal.sso.eu-west-1.amazonaws.com/saml/assertion/cmVk"
BLUE = "https://portal.sso.eu-west-1.amazonaws.com/saml/assertion/Ymx1ZQ"


@pytest.fixture(name="red")
def _red(other_keys: Keys, metadata_file: object) -> Team:
    """A team with an application of its own in IAM Identity Center."""
    team = make_team("red", name="Red team")
    make_provider(RED, other_keys, name="Application 1", flavour="identity-center", only_team=team)
    return team


@pytest.fixture(name="blue")
def _blue() -> Team:
    """Another team of the same realm."""
    return make_team("blue", name="Blue team")


@pytest.fixture(name="say")
def _say(browser: Browser, answer: Answer, other_keys: Keys) -> Callable[..., int]:
    """Bring what the red application says of alice, and return the status."""

    def say(**attributes: list[str]) -> int:
        given = answer({"ssouserid": ["alice"], **attributes}, issuer=RED)
        return browser.bring(given, keys=other_keys).status_code

    return say


def teams_of(subject: str) -> set[str]:
    """Return the slugs of the teams that a person is in."""
    return set(Membership.objects.filter(user__subject=subject).values_list("team__slug", flat=True))


def told() -> list[dict[str, object]]:
    """Return what the audit says of the sign-ons, oldest first."""
    return list(AuditEvent.objects.filter(action="sign_on").order_by("id").values_list("data", flat=True))


def test_it_speaks_for_its_team(red: Team, say: Callable[..., int]) -> None:
    assert say(teamid=["red-id"], email=["alice@example.com"], name=["Alice"]) == 302

    user = User.objects.get()
    assert teams_of("alice") == {"red"}
    assert (user.name, user.email) == ("Alice", "alice@example.com")
    assert "ignored" not in told()[0]


@pytest.mark.parametrize("claimed", [["blue-id"], ["blue-id", "red-id"], ["red-id", "blue-id", "green-id"]])
def test_it_cannot_put_anyone_into_another_team(
    red: Team, blue: Team, say: Callable[..., int], claimed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert say(teamid=claimed) == 302

    assert teams_of("alice") == {"red"} & {each.removesuffix("-id") for each in claimed}
    assert "team blue-id" in str(told()[0]["ignored"])
    assert "may speak for one team only" in caplog.text


def test_its_groups_say_nothing(red: Team, blue: Team, say: Callable[..., int], settings: LazySettings) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["blue-people"]
    make_mapping("blue-people", blue)

    assert say(teamid=["red-id"], groups=["blue-people"]) == 302

    assert teams_of("alice") == {"red"}
    assert User.objects.get().role == ""
    assert not GroupMembership.objects.exists()
    assert told()[0]["ignored"] == ["groups"]


def test_its_silence_takes_nothing_away(red: Team, blue: Team, say: Callable[..., int]) -> None:
    """What other providers of the realm said of groups and teams stays."""
    make_mapping("blue-people", blue)
    alice = make_user("alice", role="auditor")
    until = datetime.now(UTC) + timedelta(hours=1)
    groups = frozenset({GroupRef("blue-people")})
    memberships.apply(UserObservation(user=alice, source="saml", groups=groups, valid_until=until))

    assert say(teamid=["red-id"], groups=[]) == 302

    alice.refresh_from_db()
    assert teams_of("alice") == {"red", "blue"}
    assert alice.role == "auditor"


def test_where_it_does_not_say_so_nobody_is_in_its_team(red: Team, say: Callable[..., int]) -> None:
    assert say(email=["alice@example.com"]) == 302

    assert teams_of("alice") == set()
    assert "ignored" not in told()[0]


def test_two_applications_of_one_realm_know_the_same_person(
    red: Team, blue: Team, answer: Answer, keys: Keys, other_keys: Keys, browser: Browser, other_browser: Browser
) -> None:
    make_provider(BLUE, keys, flavour="identity-center", only_team=blue)

    browser.bring(answer({"ssouserid": ["alice"], "teamid": ["red-id"]}, issuer=RED), keys=other_keys)
    other_browser.bring(answer({"ssouserid": ["alice"], "teamid": ["blue-id"]}, issuer=BLUE), keys=keys)

    assert User.objects.count() == 1
    assert teams_of("alice") == {"red", "blue"}


def test_one_application_cannot_sign_as_another(
    red: Team, blue: Team, answer: Answer, browser: Browser, keys: Keys
) -> None:
    make_provider(BLUE, keys, only_team=blue)

    response = browser.bring(answer({"ssouserid": ["alice"], "teamid": ["red-id"]}, issuer=RED), keys=keys)

    assert response.status_code == 403
    assert not User.objects.exists()


def test_a_team_that_a_provider_speaks_for_stays(red: Team) -> None:
    from django.db.models import ProtectedError

    with pytest.raises(ProtectedError):
        memberships.drop_team(red)


def links(client: Client, address: str = "/saml2/login/") -> list[tuple[str, str]]:
    """Return the labels and addresses that the page to choose from has."""
    response = client.get(address)
    assert response.status_code == 200
    assert response["Cache-Control"].count("no-store") == 1
    page = response.content.decode()
    parts = [part.partition('"')[0] for part in page.split('<a class="button" href="')[1:]]
    labels = [part.partition("<")[0] for part in page.split('<h2 class="tile__name">')[1:]]
    return list(zip(labels, (html.unescape(each) for each in parts), strict=True))


def test_with_several_providers_people_choose(red: Team, client: Client) -> None:
    found = links(client, "/saml2/login/?next=/t/red/")

    # The provider of the environment has no row here and no name.
    assert [label for label, _ in found] == [ISSUER, "Red team"]
    response = client.get(found[1][1])
    assert response.status_code == 302
    assert response["Location"].startswith("https://idp.example.com/sso?")
    assert "RelayState=%2Ft%2Fred%2F" in response["Location"]
    assert "Application 1" not in str(found)


def test_one_provider_is_gone_to_at_once(red: Team, client: Client, settings: LazySettings) -> None:
    settings.SAML_IDP_METADATA = ""

    assert client.get("/saml2/login/")["Location"].startswith(f"{SSO}?")


def test_who_cannot_be_gone_to_is_not_offered(red: Team, client: Client, keys: Keys) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    make_provider("https://expired.example.com", keys, until=past)
    make_provider("https://mute.example.com", keys, sign_on="javascript:alert(1)")
    make_provider("https://off.example.com", keys, is_active=False)

    assert len(links(client)) == 2


def test_a_named_provider_needs_no_choice(red: Team, client: Client) -> None:
    assert client.get("/saml2/login/", {"idp": RED}).status_code == 302
    assert client.get("/saml2/login/", {"idp": ISSUER}).status_code == 302
    IdentityProvider.objects.update(is_active=False)


def test_the_page_shows_names_as_text_and_keeps_the_policy(red: Team, client: Client, keys: Keys) -> None:
    make_provider("https://evil.example.com/?a=1&b=2", keys, name="<script>alert(1)</script>")

    response = client.get("/saml2/login/", {"next": '/"><script>alert(2)</script>'})

    page = response.content.decode()
    assert "<script>alert" not in page
    assert "https://evil.example.com/?a=1&b=2" not in page
    assert "idp=https%3A%2F%2Fevil.example.com%2F%3Fa%3D1%26b%3D2" in page
