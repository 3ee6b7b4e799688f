"""Profiles in the admin."""

import csv
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from provisioning import inventory
from provisioning.models import Profile
from teams.models import AuditEvent
from tests.factories import make_team, make_user
from tests.provisioning.conftest import World
from tests.teams.admin_clients import client_of, events, inline

pytestmark = pytest.mark.django_db

LIST = "/admin/provisioning/profile/"
State = Profile.State


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="hinted", autouse=True)
def _hinted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker listens in these tests: the rows are what counts."""
    monkeypatch.setattr("provisioning.queue.enqueue", lambda *args, **kwargs: True)


def make_profile(subject: str, state: Profile.State = State.FAILED, **fields: object) -> Profile:
    team = make_team()
    later = timezone.now() + timedelta(hours=1)
    due = {"due_at": None if state == State.READY else later}
    return Profile.objects.create(
        user=make_user(subject), team=team, domain=team.domain, name=f"{subject}-{team.slug}", state=state,
        **{**due, **fields},
    )  # fmt: skip


def again(*profiles: Profile) -> dict[str, object]:
    return {"action": "try_again", "_selected_action": [str(profile.pk) for profile in profiles]}


def test_the_list_tells_state_and_error(alice: Client) -> None:
    make_profile("user1", error="AccessDenied: not <allowed>", error_code="AccessDenied")
    response = alice.get(LIST)
    page = response.content.decode()
    assert "AccessDenied: not &lt;allowed&gt;" in page
    assert "failed" in page
    assert "user1-" in page
    assert not inline(response)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state__exact=ready", ["user2"]),
        ("q=user1", ["user1"]),
        ("q=request-3", ["user3"]),
        ("q=ResourceLimitExceeded", ["user1"]),
        ("q=nothing", []),
    ],
)
def test_profiles_are_found(alice: Client, query: str, found: list[str]) -> None:
    make_profile("user1", error_code="ResourceLimitExceeded")
    make_profile("user2", State.READY)
    make_profile("user3", State.CONFLICT, aws_request_id="request-3")
    profiles = alice.get(f"{LIST}?{query}").context["cl"].result_list
    assert [profile.user.subject for profile in profiles] == found


def test_profiles_are_found_by_team(alice: Client) -> None:
    first, _ = make_profile("user1"), make_profile("user2")
    profiles = alice.get(f"{LIST}?team__id__exact={first.team_id}").context["cl"].result_list
    assert list(profiles) == [first]


@pytest.mark.parametrize(
    ("state", "advice"),
    [(State.CONFLICT, "that the portal did not make"), (State.FAILED, "Put right"), (State.READY, "Nothing:")],
)
def test_the_page_says_what_to_do(state: Profile.State, advice: str) -> None:
    profile = make_profile("user1", state, error="Broken", aws_request_id="request-1")
    response = client_of("bob").get(f"{LIST}{profile.pk}/change/")
    page = response.content.decode()
    for text in (advice, "Broken", "request-1"):
        assert text in page
    assert 'name="_save"' not in page
    assert not inline(response)


def test_try_again_takes_up_what_can_be_and_says_how_many(alice: Client) -> None:
    failed, conflict, ready = (
        make_profile("user1", error="Broken", attempts=5), make_profile("user2", State.CONFLICT),
        make_profile("user3", State.READY),
    )  # fmt: skip
    page = alice.post(LIST, again(failed, conflict, ready), follow=True).content.decode()
    assert "2 profiles will be tried again now." in page
    assert "1 profile left alone: ready, or being worked on already." in page
    for profile in (failed, conflict):
        profile.refresh_from_db()
        assert profile.state == State.WANTED
        assert profile.due_at is not None
        assert profile.due_at <= timezone.now()
    log = events(action=AuditEvent.Action.PROFILE_RETRIED)
    assert sorted(event.target for event in log) == sorted([failed.name, conflict.name])
    assert {event.actor for event in log} == {"alice"}


def test_nothing_to_try_again_is_said(alice: Client) -> None:
    page = alice.post(LIST, again(make_profile("user1", State.READY)), follow=True).content.decode()
    assert "1 profile left alone" in page
    assert "will be tried" not in page


@pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
def test_only_admins_try_again(name: str) -> None:
    profile = make_profile("user1")
    client = client_of(name)
    client.post(LIST, again(profile))
    profile.refresh_from_db()
    assert profile.state == State.FAILED
    assert not events(action=AuditEvent.Action.PROFILE_RETRIED)


def test_auditors_are_not_offered_what_they_may_not_do() -> None:
    make_profile("user1")
    page = client_of("bob").get(LIST)
    assert page.status_code == 200
    assert "Try again" not in page.content.decode()


@pytest.mark.parametrize(("name", "expected"), [("alice", 200), ("bob", 200), ("charlie", 403), ("anonymous", 302)])
def test_who_may_read(name: str, expected: int) -> None:
    profile = make_profile("user1")
    client = client_of(name)
    assert client.get(LIST).status_code == expected
    assert client.get(f"{LIST}{profile.pk}/change/").status_code == expected


def test_nobody_edits_profiles_by_hand(alice: Client) -> None:
    profile = make_profile("user1")
    assert alice.get(f"{LIST}add/").status_code == 403
    assert alice.post(f"{LIST}{profile.pk}/change/", {"state": "ready"}).status_code == 403
    assert alice.post(f"{LIST}{profile.pk}/delete/", {"post": "yes"}).status_code == 403
    several = {"action": "delete_selected", "_selected_action": str(profile.pk), "post": "yes"}
    alice.post(LIST, several)
    assert Profile.objects.filter(pk=profile.pk, state=State.FAILED).exists()


def test_the_index_points_at_trouble(alice: Client) -> None:
    assert 'class="alarming"' not in alice.get("/admin/").content.decode()
    make_profile("user1", State.CONFLICT)
    page = alice.get("/admin/").content.decode()
    assert '<li class="alarming"><a href="/admin/provisioning/profile/?state__exact=conflict"><b>1</b>' in page


class TestRetireNow:
    def ended(self, subject: str, **fields: object) -> Profile:
        """A profile whose person has no access, to be deleted next week."""
        next_week = timezone.now() + timedelta(days=7)
        values = {"ended_by": Profile.End.REVOKED, "ended_at": timezone.now(), "retire_at": next_week}
        return make_profile(subject, State.RETIRING, **{**values, **fields})

    def ask(self, *profiles: Profile, **more: str) -> dict[str, object]:
        return {"action": "retire_now", "_selected_action": [str(each.pk) for each in profiles], **more}

    def test_it_asks_first_and_changes_nothing(self, alice: Client) -> None:
        profile, ready = self.ended("user1"), make_profile("user2", State.READY)
        response = alice.post(LIST, self.ask(profile, ready))
        page = response.content.decode()
        assert "cannot be undone" in page
        assert profile.name in page
        assert "1 of the selected profiles is left alone" in page
        assert not inline(response)
        before = profile.retire_at
        profile.refresh_from_db()
        assert profile.retire_at == before

    def test_it_skips_the_grace_period(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        profile, ready = self.ended("user1"), make_profile("user2", State.READY)
        page = alice.post(LIST, self.ask(profile, ready, confirmed="yes"), follow=True).content.decode()
        assert "1 profile will be deleted now. 1 profile left alone." in page
        profile.refresh_from_db()
        assert profile.retire_at is not None
        assert profile.retire_at <= timezone.now()
        (event,) = events(action=AuditEvent.Action.PROFILE_RETIRING)
        assert (event.actor, event.target) == ("alice", profile.name)

    def test_nothing_to_retire_is_said(self, alice: Client) -> None:
        page = alice.post(LIST, self.ask(self.ended("user1", managed=False))).content.decode()
        assert "None of the selected profiles" in page

    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_only_admins_do(self, name: str) -> None:
        profile = self.ended("user1")
        client_of(name).post(LIST, self.ask(profile, confirmed="yes"))
        before = profile.retire_at
        profile.refresh_from_db()
        assert profile.retire_at == before
        assert not events(action=AuditEvent.Action.PROFILE_RETIRING)

    def test_the_list_tells_when_and_filters(self, alice: Client) -> None:
        profile, _ = self.ended("user1"), make_profile("user2", State.READY)
        response = alice.get(f"{LIST}?ended_by__exact=revoked")
        assert list(response.context["cl"].result_list) == [profile]
        assert "access ended" in response.content.decode()


class TestWhatAwsHas:
    @pytest.fixture(name="world")
    def _world(self, aws: Any, make_world: Callable[..., World]) -> World:
        world = make_world()
        world.steps(State.READY)
        client, mine = world.client, {"OwnerUserProfileName": world.profile.name}
        for name, sharing in (("lab", "Private"), ("common", "Shared")):
            client.create_space(
                DomainId=world.domain_id, SpaceName=name, OwnershipSettings=mine,
                SpaceSharingSettings={"SharingType": sharing},
                SpaceSettings={"SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": 20}}},
            )  # fmt: skip
        client.create_app(DomainId=world.domain_id, SpaceName="lab", AppType="JupyterLab", AppName="notebook")
        aws.state.calls.clear()
        return world

    def page(self, world: World) -> str:
        return f"{LIST}{world.profile.pk}/change/"

    def test_it_is_read_only_when_asked(self, world: World, alice: Client) -> None:
        page = alice.get(self.page(world)).content.decode()
        assert "Show what AWS has" in page
        assert world.operations() == []

    @pytest.mark.parametrize("name", ["alice", "bob"])
    def test_it_says_what_will_go_and_what_stays(self, world: World, name: str) -> None:
        response = client_of(name).get(f"{self.page(world)}?in_aws=1")
        page = response.content.decode()
        for text in (
            "lab",
            "is deleted with its files",
            "common",
            "keeps the profile",
            "notebook",
            "JupyterLab",
            "20 GB go",
        ):
            assert text in page
        assert not inline(response)
        assert not [each for each in world.operations() if not each.startswith("List")]

    def test_aws_that_does_not_answer_is_said(self, world: World, alice: Client) -> None:
        world.aws.personality.down = True
        response = alice.get(f"{self.page(world)}?in_aws=1")
        assert response.status_code == 200
        assert "AWS could not be reached" in response.content.decode()

    def test_it_does_not_wait_for_ever(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        found = inventory.take(world.profile, seconds=-1)
        assert "did not tell all" in found.fault

    @pytest.mark.parametrize("name", ["charlie", "anonymous"])
    def test_nobody_else_asks_aws(self, world: World, name: str) -> None:
        client_of(name).get(f"{self.page(world)}?in_aws=1")
        assert world.operations() == []

    @pytest.mark.parametrize("name", ["alice", "bob"])
    def test_it_can_be_downloaded(self, world: World, name: str) -> None:
        for space in world.aws.state.all_spaces():
            space.settings["AppType"] = "=HYPERLINK()"
        response = client_of(name).get(f"{LIST}{world.profile.pk}/going.csv")
        assert response["Content-Type"].startswith("text/csv")
        assert "attachment" in response["Content-Disposition"]
        rows = list(csv.reader(response.content.decode().splitlines()))
        assert [row[:2] for row in rows[1:]] == [
            ["profile", "user1-team1"], ["app", "notebook"], ["space", "lab"], ["space", "common"],
        ]  # fmt: skip
        assert (rows[3][3], rows[3][6]) == ("'=HYPERLINK()", "20")
        assert rows[4][-1] == "stays, and keeps the profile"

    def test_a_download_that_is_not_all_says_so(self, world: World, alice: Client) -> None:
        world.aws.personality.down = True
        table = alice.get(f"{LIST}{world.profile.pk}/going.csv").content.decode()
        assert "not all,AWS could not be reached." in table

    @pytest.mark.parametrize(("name", "status"), [("charlie", 403), ("anonymous", 302)])
    def test_nobody_else_downloads_it(self, world: World, name: str, status: int) -> None:
        assert client_of(name).get(f"{LIST}{world.profile.pk}/going.csv").status_code == status
        assert world.operations() == []
