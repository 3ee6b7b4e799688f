"""Which person a pushed user is, by the attribute that the identity provider's assertions carry, and what moves."""

from typing import Any

import pytest
from django.test import Client

from teams import access
from teams.models import ScimUser, User
from teams.signals import access_changed
from tests.factories import make_mapping, make_team, make_user
from tests.fixtures import IdentityProvider
from tests.portal.people import browser_of, is_signed_on, log
from tests.portal.scim.scim_client import USER, Provider, read, refusal

pytestmark = pytest.mark.django_db


def rename(provider: Provider, scim_id: str, attribute: str, value: object) -> Any:
    return provider.patch(f"Users/{scim_id}", {"op": "replace", "path": attribute, "value": value})


@pytest.mark.parametrize(
    ("attribute", "subject"),
    [("userName", "alice"), ("externalId", "e-1"), ("email", "alice@work.example")],
)
def test_people_are_known_by_what_the_client_says(db: None, attribute: str, subject: str) -> None:
    provider = Provider("idp", realm="partner", subject_attribute=attribute)
    emails = [
        {"type": "home", "value": "alice@home.example"},
        {"type": "work", "value": "alice@work.example"},
    ]
    provider.make_user("alice", externalId="e-1", emails=emails)
    person = User.objects.get()
    assert (person.realm, person.subject, person.username) == ("partner", subject, f"partner/{subject}")
    assert person.email == "alice@work.example"
    assert person.name == ""


@pytest.mark.parametrize("attribute", ["externalId", "email"])
def test_without_that_attribute_there_is_nobody(db: None, attribute: str) -> None:
    provider = Provider("idp", subject_attribute=attribute)
    body = {"schemas": [USER], "userName": "alice"}
    assert refusal(provider.send("POST", "Users", body)) == (400, "invalidValue")
    assert not User.objects.exists()


def test_two_resources_cannot_be_one_person(db: None) -> None:
    provider = Provider("idp", subject_attribute="externalId")
    provider.make_user("alice", externalId="e-1")
    other = provider.make_user("bob", externalId="e-2")["id"]
    body = {"schemas": [USER], "userName": "alice2", "externalId": "e-1"}
    assert refusal(provider.send("POST", "Users", body)) == (409, "uniqueness")
    assert refusal(rename(provider, other, "externalId", "e-1")) == (409, "uniqueness")
    assert User.objects.get(subject="e-2").is_active


def test_who_signed_on_before_is_taken_over(okta: Provider) -> None:
    alice = make_user("alice", name="Alice", email="old@example.com")
    okta.make_user("alice", emails=[{"value": "new@example.com"}])
    alice.refresh_from_db()
    assert (User.objects.count(), alice.name, alice.email) == (1, "Alice", "new@example.com")
    assert log(action="user_created") == []
    (event,) = log(action="user_changed")
    assert (event.actor, event.target, event.reason) == ("scim: okta", "alice", "taken over by SCIM")


def test_who_is_pushed_signs_on_to_the_pushed_teams(okta: Provider, idp: IdentityProvider) -> None:
    make_mapping("Engineers", make_team("team1"))
    okta.make_group("Engineers", okta.make_user("alice")["id"])
    browser = Client()
    idp.sign_on(browser, "alice")
    assert "Team1" in browser.get("/").content.decode()
    assert User.objects.count() == 1


def test_who_is_pushed_as_inactive_cannot_sign_on(okta: Provider, idp: IdentityProvider) -> None:
    okta.make_user("alice", active=False)
    browser = Client()
    idp.sign_on(browser, "alice")
    assert not is_signed_on(browser)


class TestAnotherName:
    def test_the_memberships_go_to_the_person_of_the_new_name(self, okta: Provider) -> None:
        make_mapping("Engineers", make_team("team1"))
        scim_id = okta.make_user("alice")["id"]
        group = okta.make_group("Engineers", scim_id)["id"]
        old = User.objects.get(subject="alice")
        browser = browser_of(old)
        told = read(rename(okta, scim_id, "userName", "alice.smith"))
        new = User.objects.get(subject="alice.smith")
        assert (told["id"], told["userName"]) == (scim_id, "alice.smith")
        assert [each.team.slug for each in access.for_user(new)] == ["team1"]
        assert access.for_user(old) == []
        assert not is_signed_on(browser)
        assert [each["value"] for each in okta.get(f"Groups/{group}")["members"]] == [scim_id]
        assert [event.target for event in log(action="user_deactivated")] == ["alice"]
        assert [event.target for event in log(action="membership_removed")] == ["alice"]
        assert [event.target for event in log(action="membership_added")] == ["alice", "alice.smith"]
        (event,) = log(action="user_changed")
        assert (event.data["before"]["person"], event.data["after"]["person"]) == ("alice", "alice.smith")

    def test_back_again(self, okta: Provider) -> None:
        scim_id = okta.make_user("alice")["id"]
        rename(okta, scim_id, "userName", "alice.smith")
        rename(okta, scim_id, "userName", "alice")
        assert User.objects.get(subject="alice").is_active
        assert not User.objects.get(subject="alice.smith").is_active

    def test_another_case_of_the_name_is_another_person(self, okta: Provider) -> None:
        scim_id = okta.make_user("alice")["id"]
        rename(okta, scim_id, "userName", "Alice")
        assert ScimUser.objects.get().user.subject == "Alice"

    def test_a_taken_name(self, okta: Provider) -> None:
        okta.make_user("alice")
        scim_id = okta.make_user("bob")["id"]
        assert refusal(rename(okta, scim_id, "userName", "ALICE")) == (409, "uniqueness")
        assert ScimUser.objects.get(scim_id=scim_id).user.subject == "bob"


def test_other_sources_keep_what_they_said(okta: Provider) -> None:
    team1, team2 = make_team("team1"), make_team("team2")
    make_mapping("Engineers", team1, source="scim:okta")
    make_mapping("Engineers", team2, source="scim:other")
    scim_id = okta.make_user("alice")["id"]
    okta.make_group("Engineers", scim_id)
    other = Provider("other")
    other.make_group("Engineers", other.make_user("alice")["id"])
    alice = User.objects.get(subject="alice")
    assert [each.team.slug for each in access.for_user(alice)] == ["team1", "team2"]
    for group in okta.get("Groups")["Resources"]:
        okta.send("DELETE", f"Groups/{group['id']}")
    assert [each.team.slug for each in access.for_user(alice)] == ["team2"]


def test_a_source_does_not_reactivate_whom_another_deactivated(okta: Provider) -> None:
    scim_id = okta.make_user("alice")["id"]
    other = Provider("other")
    other_id = other.make_user("alice")["id"]
    rename(okta, scim_id, "active", False)
    rename(other, other_id, "active", True)
    assert not User.objects.get(subject="alice").is_active


def test_nothing_is_written_when_the_log_cannot_be(okta: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no log")

    monkeypatch.setattr("teams.audit.record", fail)
    with pytest.raises(RuntimeError):
        okta.send("POST", "Users", {"schemas": [USER], "userName": "alice"})
    assert not User.objects.exists()
    assert not ScimUser.objects.exists()


def test_the_workers_are_told(okta: Provider, django_capture_on_commit_callbacks: Any) -> None:
    told: list[frozenset[int]] = []

    def note(user_ids: frozenset[int], **_: object) -> None:
        told.append(user_ids)

    access_changed.connect(note)
    try:
        make_mapping("Engineers", make_team("team1"))
        scim_id = okta.make_user("alice")["id"]
        with django_capture_on_commit_callbacks(execute=True):
            okta.make_group("Engineers", scim_id)
    finally:
        access_changed.disconnect(note)
    assert frozenset({User.objects.get(subject="alice").pk}) in told
