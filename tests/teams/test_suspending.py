"""People and teams are suspended and resumed by admins, with a reason."""

from typing import Any

import pytest
from django.test import Client

from provisioning import ending, profiles
from provisioning.models import Profile
from teams import access, users
from teams.models import Membership, Team, User
from tests.factories import make_team, make_user
from tests.teams.admin_clients import client_of, events, inline

pytestmark = pytest.mark.django_db

LISTS = {"user": "/admin/teams/user/", "team": "/admin/teams/team/"}


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.queue.enqueue", lambda *args, **kwargs: True)


@pytest.fixture(name="profile")
def _profile() -> Profile:
    """User1 in team1, whose profile is ready."""
    team, user = make_team("team1", grace_days=9), make_user("user1")
    Membership.objects.create(user=user, team=team, source="saml")
    profiles.prepare([user.pk])
    Profile.objects.update(state=Profile.State.READY, due_at=None)
    return Profile.objects.get()


def post(client: Client, kind: str, profile: Profile, action: str, **more: str) -> Any:
    chosen = profile.user_id if kind == "user" else profile.team_id
    return client.post(LISTS[kind], {"action": action, "_selected_action": [str(chosen)], **more})


@pytest.mark.parametrize("kind", ["user", "team"])
def test_asked_for_a_reason_then_suspended_then_resumed(
    profile: Profile, kind: str, django_capture_on_commit_callbacks: Any
) -> None:
    alice = client_of("alice")
    page = post(alice, kind, profile, "suspend")
    assert "deleted after 9 days" in page.content.decode()
    assert not inline(page)
    assert "Give a reason." in post(alice, kind, profile, "suspend", confirmed="yes", reason=" ").content.decode()
    assert access.role_for(profile.user_id, profile.team_id)

    with django_capture_on_commit_callbacks(execute=True):
        post(alice, kind, profile, "suspend", confirmed="yes", reason="lost laptop")
    assert access.role_for(profile.user_id, profile.team_id) is None
    profile.refresh_from_db()
    assert (profile.state, profile.ended_by) == (Profile.State.RETIRING, Profile.End.REVOKED)
    assert profile.due_at is not None
    assert [(event.actor, event.reason) for event in events(reason="lost laptop")] == [("alice", "lost laptop")]

    with django_capture_on_commit_callbacks(execute=True):
        post(alice, kind, profile, "resume", confirmed="yes", reason="found it")
    ending.restore()
    profile.refresh_from_db()
    assert profile.state in (Profile.State.READY, Profile.State.WANTED)
    assert access.role_for(profile.user_id, profile.team_id)
    assert events(reason="found it")


def test_sessions_end(profile: Profile) -> None:
    theirs = client_of("charlie")
    assert theirs.get("/").status_code == 200
    charlie = User.objects.get(username="charlie")
    data = {"action": "suspend", "_selected_action": str(charlie.pk), "confirmed": "yes", "reason": "left"}
    client_of("alice").post(LISTS["user"], data)
    assert "_auth_user_id" not in theirs.session or not theirs.get("/").context.get("person")


def test_no_source_lets_in_whom_an_admin_suspended(profile: Profile) -> None:
    users.deactivate(profile.user, by="scim:x")
    post(client_of("alice"), "user", profile, "suspend", confirmed="yes", reason="fraud")
    assert not users.reactivate(profile.user, by="scim:x")
    assert not User.objects.get(pk=profile.user_id).is_active


def test_whom_a_source_switched_off_an_admin_does_not_resume(profile: Profile) -> None:
    users.deactivate(profile.user, by="scim:x")
    post(client_of("alice"), "user", profile, "resume", confirmed="yes", reason="why not")
    assert not User.objects.get(pk=profile.user_id).is_active


def test_nobody_suspends_themselves(profile: Profile) -> None:
    alice = client_of("alice")
    me = User.objects.get(username="alice")
    data = {"action": "suspend", "_selected_action": str(me.pk), "confirmed": "yes", "reason": "tired"}
    alice.post(LISTS["user"], data)
    me.refresh_from_db()
    assert me.is_active


@pytest.mark.parametrize("kind", ["user", "team"])
@pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
def test_auditors_and_others_may_not(profile: Profile, kind: str, name: str) -> None:
    post(client_of(name), kind, profile, "suspend", confirmed="yes", reason="no")
    assert Team.objects.get().is_active
    assert User.objects.get(pk=profile.user_id).is_active
    assert not events(reason="no")


@pytest.mark.parametrize(("name", "offered"), [("alice", True), ("bob", False)])
def test_the_pages_offer_it_to_admins(profile: Profile, name: str, offered: bool) -> None:
    client = client_of(name)
    for address in (f"{LISTS['user']}{profile.user_id}/change/", f"{LISTS['team']}{profile.team_id}/change/"):
        page = client.get(address)
        assert ("Suspend…" in page.content.decode()) is offered
        assert not inline(page)
