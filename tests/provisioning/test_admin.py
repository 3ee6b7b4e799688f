"""Profiles in the admin."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from provisioning.models import Profile
from teams.models import AuditEvent
from tests.factories import make_team, make_user
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
    monkeypatch.setattr("provisioning.profiles._hint", lambda profile_id: None)


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
