"""Users, memberships and groups in the admin."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client

from provisioning.models import Profile
from teams import audit
from teams.models import AuditEvent, User
from tests.factories import make_mapping, make_team, make_user
from tests.teams.admin_clients import client_of, errors, events
from tests.teams.sources import say_groups

pytestmark = pytest.mark.django_db

LIST = "/admin/teams/user/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


def sent(user: User, **changes: str) -> dict[str, str]:
    """Return what the browser sends for a user; an unticked box is not sent at all."""
    inlines = {
        f"{name}-{form}": str(count)
        for name, count in (
            ("profiles", user.profiles.count()),
            ("memberships", user.memberships.count()),
            ("group_memberships", user.group_memberships.count()),
        )
        for form in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    return {"role": user.role, **inlines, **changes}


def test_the_page_tells_why_a_person_has_access(alice: Client) -> None:
    user, team = make_user("user1", name="Ann Example"), make_team("team1")
    make_mapping("g-1", team)
    say_groups(user, "g-1=Staff")
    failed = Profile.State.FAILED
    Profile.objects.create(
        user=user, team=team, domain=team.domain, name="user1-team1", state=failed, error="AccessDenied: no"
    )
    page = client_of("bob").get(f"{LIST}{user.pk}/change/").content.decode()
    for text in ("Ann Example", "Team1", "saml", "Staff", "g-1 → Team1", "user1-team1", "AccessDenied: no"):
        assert text in page
    assert 'name="password"' not in page
    assert 'name="_save"' not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=PERSON1", ["person1"]),
        ("q=ann", ["person1"]),
        ("q=two@example", ["person2"]),
        ("role__exact=auditor", ["person2"]),
        ("is_active__exact=0", ["person3"]),
        ("q=nobody-at-all", []),
    ],
)
def test_people_are_found(alice: Client, query: str, found: list[str]) -> None:
    make_user("person1", name="Ann Example", email="")
    make_user("person2", name="", email="two@example.com", role=User.Role.AUDITOR)
    make_user("person3", name="", email="", is_active=False)
    response = alice.get(f"{LIST}?{query}")
    assert [user.username for user in response.context["cl"].result_list] == found


def test_a_role_is_given(
    alice: Client, told: list[frozenset[int]], committed: Callable[[], AbstractContextManager[Any]]
) -> None:
    user = make_user("user1")
    with committed():
        data = sent(user, role="auditor", is_active="on", username="forged", password="forged", session_epoch="9")
        assert alice.post(f"{LIST}{user.pk}/change/", data).status_code == 302
    kept = User.objects.get(pk=user.pk)
    assert (kept.role, kept.username, kept.password, kept.session_epoch) == ("auditor", "user1", user.password, 0)
    (event,) = events()
    assert (event.action, event.actor, event.target) == ("role_changed", "alice", "user1")
    assert event.data == {"before": {"role": ""}, "after": {"role": "auditor"}}
    assert told == [frozenset({user.pk})]


def test_switching_somebody_off_ends_every_session_for_good(alice: Client) -> None:
    user = make_user("user1", role=User.Role.AUDITOR)
    browser = Client()
    browser.force_login(user, backend="portal.saml.backend.SamlBackend")
    assert browser.get("/admin/").status_code == 200
    assert alice.post(f"{LIST}{user.pk}/change/", sent(user)).status_code == 302
    assert browser.get("/admin/").status_code == 302
    user.refresh_from_db()
    assert alice.post(f"{LIST}{user.pk}/change/", sent(user, is_active="on")).status_code == 302
    assert browser.get("/admin/").status_code == 302
    assert [event.data["after"] for event in events(action=AuditEvent.Action.CHANGED)] == [
        {"is_active": False}, {"is_active": True}
    ]  # fmt: skip


def test_role_and_activity_at_once_are_two_entries(alice: Client) -> None:
    user = make_user("user1", role=User.Role.ADMIN)
    alice.post(f"{LIST}{user.pk}/change/", sent(user, role=""))
    assert [(event.action, event.data["after"]) for event in events()] == [
        ("role_changed", {"role": ""}), ("changed", {"is_active": False})
    ]  # fmt: skip


def test_saving_without_a_change_says_nothing(alice: Client) -> None:
    user = make_user("user1")
    assert alice.post(f"{LIST}{user.pk}/change/", sent(user, is_active="on")).status_code == 302
    assert not events()


@pytest.mark.parametrize(
    ("changes", "field"), [({"role": "admin"}, "is_active"), ({"role": "auditor", "is_active": "on"}, "role")]
)
def test_nobody_takes_their_own_access_away(alice: Client, changes: dict[str, str], field: str) -> None:
    user = User.objects.get(username="alice")
    found = errors(alice.post(f"{LIST}{user.pk}/change/", {**sent(user), **changes}))
    assert "ask another admin" in found[field][0]
    assert not events()


def test_an_unknown_role_is_refused(alice: Client) -> None:
    user = make_user("user1")
    assert "role" in errors(alice.post(f"{LIST}{user.pk}/change/", sent(user, role="god", is_active="on")))


def test_no_role_without_its_audit_row(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user("user1")

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no audit")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError):
        alice.post(f"{LIST}{user.pk}/change/", sent(user, role="admin", is_active="on"))
    assert User.objects.get(pk=user.pk).role == ""


def test_memberships_are_found_by_team_and_person(alice: Client) -> None:
    for slug in ("team1", "team2"):
        make_mapping(slug, make_team(slug))
    say_groups(make_user("user1"), "team1", "team2")
    say_groups(make_user("user2"), "team2")
    team = make_team("team3")

    def found(query: str) -> int:
        return len(alice.get(f"/admin/teams/membership/?{query}").context["cl"].result_list)

    assert found("") == 3
    assert found("q=user1") == 2
    assert found(f"team__id__exact={team.pk}") == 0


def test_groups_are_listed(alice: Client) -> None:
    say_groups(make_user("user1"), "g-1=Staff")
    page = alice.get("/admin/teams/group/").content.decode()
    assert "Staff" in page
    assert "g-1" in page
