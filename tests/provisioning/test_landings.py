"""Where in Studio a launch arrives: as the team says, as the person asks, and nowhere else."""

from typing import Any

import pytest
from django.test import Client

from provisioning import landings, launch, tiles
from provisioning.models import Profile, StudioSpace
from teams.models import AuditEvent
from tests.factories import make_domain
from tests.provisioning.conftest import World

OPEN = "/teams/team1/open/"


@pytest.fixture(name="ready")
def _ready(world: World) -> World:
    world.steps(Profile.State.READY)
    world.aws.state.calls.clear()
    return world


@pytest.fixture(name="client")
def _client(ready: World) -> Client:
    client = Client()
    client.force_login(ready.user, backend="portal.saml.backend.SamlBackend")
    return client


def make_space(world: World, name: str, *, sharing: str = "Private", owner: str = "", **fields: Any) -> None:
    """Make a space in AWS and its row."""
    world.client.create_space(
        DomainId=world.domain_id,
        SpaceName=name,
        OwnershipSettings={"OwnerUserProfileName": owner or world.profile.name},
        SpaceSharingSettings={"SharingType": sharing},
    )
    domain = fields.pop("domain", world.team.domain)
    StudioSpace.objects.create(domain=domain, name=name, sharing=sharing, owner=owner or world.profile.name)
    world.aws.state.calls.clear()


def minted(world: World) -> list[tuple[str | None, str | None]]:
    """Where the URLs that AWS was asked for open: landing and space."""
    calls = world.aws.calls("CreatePresignedDomainUrl")
    return [(call.params.get("LandingUri"), call.params.get("SpaceName")) for call in calls]


def test_as_the_team_says(ready: World, client: Client) -> None:
    make_space(ready, "lab", sharing="Shared")
    ready.team.landing_uri, ready.team.space_name = "app:JupyterLab:lab/tree", "lab"
    ready.team.save()
    assert client.post(OPEN).status_code == 303
    assert minted(ready) == [("app:JupyterLab:lab/tree", "lab")]
    data = AuditEvent.objects.get(action="launch").data
    assert (data["landing"], data["space"]) == ("app:JupyterLab:lab/tree", "lab")


def test_nothing_said(ready: World, client: Client) -> None:
    client.post(OPEN)
    assert minted(ready) == [(None, None)]
    assert "landing" not in AuditEvent.objects.get(action="launch").data


@pytest.mark.parametrize(
    ("landing", "uri"),
    [
        ("home", "studio::"), ("jupyterlab", "app:JupyterLab:"), ("code-editor", "app:CodeEditor:"),
        ("canvas", "app:Canvas:"),
    ],
)  # fmt: skip
def test_as_the_person_asks(ready: World, client: Client, landing: str, uri: str) -> None:
    ready.team.landing_uri = "app:JupyterServer:"
    ready.team.save()
    assert client.post(OPEN, {"landing": landing}).status_code == 303
    assert minted(ready) == [(uri, None)]


@pytest.mark.parametrize("landing", ["nowhere", "studio::", "app:JupyterLab:../x", "JupyterLab", "\0"])
def test_other_places_are_no_places(ready: World, client: Client, landing: str) -> None:
    response = client.post(OPEN, {"landing": landing})
    assert response.status_code == 404
    assert "does not open there" in response.content.decode()
    assert minted(ready) == []


class TestHidden:
    @pytest.fixture(autouse=True)
    def _hide(self, ready: World) -> None:
        ready.team.user_settings = {
            "StudioWebPortal": "DISABLED",
            "StudioWebPortalSettings": {"HiddenAppTypes": ["Canvas", "RStudioServerPro"]},
        }
        ready.team.save()

    def test_what_settings_hide_is_not_offered(self, ready: World, client: Client) -> None:
        [tile], _ = tiles.for_user(ready.user)
        assert [each.key for each in tile.landings] == ["jupyterlab", "code-editor"]
        page = client.get("/").content.decode()
        assert 'value="jupyterlab"' in page
        assert 'value="canvas"' not in page

    def test_nor_opened(self, ready: World, client: Client) -> None:
        assert client.post(OPEN, {"landing": "canvas"}).status_code == 404
        assert client.post(OPEN, {"landing": "jupyterlab"}).status_code == 303


class TestSpaces:
    def test_own_and_shared_ones(self, ready: World, client: Client) -> None:
        make_space(ready, "mine")
        make_space(ready, "ours", sharing="Shared")
        for name in ("MINE", "ours"):
            assert client.post(OPEN, {"space": name}).status_code == 303
        assert minted(ready) == [(None, "mine"), (None, "ours")]

    @pytest.mark.parametrize("name", ["theirs", "elsewhere", "nothing", "x" * 100, "a\0b"])
    def test_nobody_elses(self, ready: World, client: Client, name: str) -> None:
        StudioSpace.objects.create(domain=ready.team.domain, name="theirs", sharing="Private", owner="user2-team1")
        elsewhere = make_domain(ready.team.domain.account)
        StudioSpace.objects.create(domain=elsewhere, name="elsewhere", sharing="Shared", owner=ready.profile.name)
        response = client.post(OPEN, {"space": name})
        assert response.status_code == 404
        assert "no space of this name" in response.content.decode()
        assert minted(ready) == []

    def test_one_that_is_gone_from_aws_is_left_out(self, ready: World, client: Client) -> None:
        ready.team.space_name = "gone"
        ready.team.save()
        assert client.post(OPEN).status_code == 303
        assert minted(ready) == [(None, "gone"), (None, None)]
        assert AuditEvent.objects.get(action="launch").data["space_not_opened"] == "gone"
        assert ready.profile.state == Profile.State.READY

    def test_a_query_only_where_one_is_asked_for(self, ready: World, django_assert_num_queries: Any) -> None:
        target = launch.find(ready.user, "team1")
        assert target is not None
        with django_assert_num_queries(0):
            landings.choose(target, landing="jupyterlab")


def test_the_place_survives_the_progress_page(ready: World, client: Client) -> None:
    ready.change(state=Profile.State.WANTED)
    response = client.post(OPEN, {"landing": "jupyterlab"})
    assert response["Location"] == "/teams/team1/progress/?landing=jupyterlab"
    page = client.get(response["Location"]).content.decode()
    assert 'hx-get="/teams/team1/progress/?landing=jupyterlab"' in page
    ready.change(state=Profile.State.READY)
    page = client.get(response["Location"]).content.decode()
    assert '<input type="hidden" name="landing" value="jupyterlab">' in page
    assert "evil" not in client.get("/teams/team1/progress/?landing=evil").content.decode()


def test_nobody_elses_team(ready: World, client: Client) -> None:
    from tests.factories import make_user

    charlie = Client()
    charlie.force_login(make_user("charlie"), backend="portal.saml.backend.SamlBackend")
    assert charlie.post(OPEN, {"landing": "jupyterlab"}).status_code == 404
