"""What Okta sends, and what follows from it."""

import pytest
from django.test import Client

from teams import access, memberships
from teams.models import AuditEvent, ScimUser, User
from tests.factories import make_mapping, make_team
from tests.portal.people import browser_of, is_signed_on, log
from tests.portal.scim.scim_client import Provider, read, recorded, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture(name="user")
def _user(okta: Provider) -> str:
    """The id of the user that Okta's guide creates."""
    return str(read(okta.send("POST", "Users", recorded("okta_create_user")))["id"])


def person() -> User:
    return User.objects.get(subject="test.user@okta.local")


def teams_of(user: User) -> list[str]:
    return [each.team.slug for each in access.for_user(user)]


class TestUsers:
    def test_nobody_is_found_before(self, okta: Provider) -> None:
        page = okta.get("Users", filter='userName eq "test.user@okta.local"', startIndex="1", count="100")
        assert (page["totalResults"], page["startIndex"], page["itemsPerPage"], page["Resources"]) == (0, 1, 0, [])

    def test_a_new_user_is_a_person(self, okta: Provider) -> None:
        response = okta.send("POST", "Users", recorded("okta_create_user"))
        told = read(response)
        assert response.status_code == 201
        assert response["Location"] == told["meta"]["location"]
        assert response["ETag"] == told["meta"]["version"] == 'W/"1"'
        assert (told["active"], told["externalId"]) == (True, "00ujl29u0le5T6Aj10h7")
        assert (person().realm, person().name, person().email) == ("default", "Test User", "test.user@okta.local")
        (event,) = log(action="user_created")
        assert (event.actor, event.target) == ("scim: okta", "test.user@okta.local")

    def test_a_password_is_kept_nowhere(self, okta: Provider, user: str) -> None:
        assert okta.send("PATCH", f"Users/{user}", recorded("okta_set_password")).status_code == 200
        assert "password" not in okta.get(f"Users/{user}")
        assert "1mz050nq" not in str(ScimUser.objects.values())
        assert "1mz050nq" not in str(AuditEvent.objects.values())
        assert not person().has_usable_password()

    def test_the_same_user_again_is_refused(self, okta: Provider, user: str) -> None:
        body = recorded("okta_create_user") | {"userName": "TEST.user@okta.local"}
        assert refusal(okta.send("POST", "Users", body)) == (409, "uniqueness")

    def test_a_put_states_the_whole_user(self, okta: Provider, user: str) -> None:
        told = read(okta.send("PUT", f"Users/{user}", recorded("okta_replace_user", id=user)))
        assert told["name"] == {"givenName": "Another", "middleName": "Excited", "familyName": "User"}
        assert "locale" not in told
        assert person().name == "Another User"
        (event,) = log(action="user_changed")
        assert event.data["after"]["name"] == "Another User"

    def test_deactivation_ends_access_and_the_session(self, okta: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        okta.make_group("Engineers", user)
        browser = browser_of(person())
        assert is_signed_on(browser)
        assert teams_of(person()) == ["team1"]
        assert read(okta.send("PATCH", f"Users/{user}", recorded("okta_deactivate")))["active"] is False
        assert not is_signed_on(browser)
        assert teams_of(person()) == []
        (event,) = log(action="user_deactivated")
        assert (event.actor, event.data["source"]) == ("scim: okta", "scim:okta")

    def test_reactivation_gives_the_access_back_and_not_the_session(self, okta: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        okta.make_group("Engineers", user)
        browser = browser_of(person())
        okta.send("PATCH", f"Users/{user}", recorded("okta_deactivate"))
        assert read(okta.send("PATCH", f"Users/{user}", recorded("okta_reactivate")))["active"] is True
        assert teams_of(person()) == ["team1"]
        assert not is_signed_on(browser)

    def test_whom_an_admin_switched_off_stays_off(self, okta: Provider, user: str) -> None:
        User.objects.filter(pk=person().pk).update(is_active=False)
        okta.send("PATCH", f"Users/{user}", recorded("okta_reactivate"))
        assert not person().is_active


class TestGroups:
    def test_a_group_gives_access_by_its_name_at_once(self, okta: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        group = read(okta.send("POST", "Groups", recorded("okta_create_group", name="Engineers")))["id"]
        assert teams_of(person()) == []
        response = okta.send("PATCH", f"Groups/{group}", recorded("okta_add_member", user=user))
        assert (response.status_code, response.content) == (204, b"")
        assert teams_of(person()) == ["team1"]
        (event,) = log(action="membership_added")
        assert (event.actor, event.team, event.data["source"]) == ("scim: okta", "team1", "scim:okta")
        (member,) = okta.get(f"Groups/{group}")["members"]
        assert (member["value"], member["type"]) == (user, "User")
        asked = okta.get(f"Groups/{group}", attributes="members.display")
        assert asked["members"] == [{"display": "Test User"}]
        assert member["$ref"].endswith(f"/scim/v2/Users/{user}")
        (of,) = okta.get(f"Users/{user}")["groups"]
        assert (of["value"], of["display"]) == (group, "Engineers")

    def test_a_new_mapping_takes_effect_without_a_push(self, okta: Provider, user: str) -> None:
        okta.make_group("Engineers", user)
        team = make_team("team1")
        make_mapping("Engineers", team, source="scim:okta")
        memberships.remap(team_ids=[team.pk])
        assert teams_of(person()) == ["team1"]

    def test_who_leaves_the_group_leaves_the_team(self, okta: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        group = okta.make_group("Engineers", user)["id"]
        okta.send("PATCH", f"Groups/{group}", recorded("okta_remove_member", user=user))
        assert teams_of(person()) == []
        assert "members" not in okta.get(f"Groups/{group}")

    def test_several_operations_follow_each_other(self, okta: Provider, user: str) -> None:
        other = okta.make_user("other.user@okta.local")["id"]
        group = okta.make_group("Engineers", user)["id"]
        okta.send("PATCH", f"Groups/{group}", recorded("okta_swap_members", user=user, other=other))
        assert [each["value"] for each in okta.get(f"Groups/{group}")["members"]] == [other]
        okta.send("PATCH", f"Groups/{group}", recorded("okta_replace_members", user=user, other=other))
        assert {each["value"] for each in okta.get(f"Groups/{group}")["members"]} == {user, other}

    def test_a_put_states_the_whole_group(self, okta: Provider, user: str) -> None:
        make_mapping("Scientists", make_team("team1"))
        other = okta.make_user("other.user@okta.local")["id"]
        group = okta.make_group("Engineers", other)["id"]
        body = recorded("okta_replace_group", id=group, name="Scientists", user=user)
        told = read(okta.send("PUT", f"Groups/{group}", body))
        assert [each["value"] for each in told["members"]] == [user]
        assert teams_of(person()) == ["team1"]

    def test_a_rename_changes_what_mappings_give(self, okta: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        make_mapping("Scientists", make_team("team2"))
        group = okta.make_group("Engineers", user)["id"]
        okta.send("PATCH", f"Groups/{group}", recorded("okta_rename_group", id=group, name="Scientists"))
        assert teams_of(person()) == ["team2"]
        assert okta.get(f"Users/{user}")["groups"][0]["display"] == "Scientists"

    def test_a_deleted_group_gives_nothing(self, okta: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        group = okta.make_group("Engineers", user)["id"]
        assert okta.send("DELETE", f"Groups/{group}").status_code == 204
        assert teams_of(person()) == []
        assert refusal(okta.send("GET", f"Groups/{group}")) == (404, "")
        assert refusal(okta.send("DELETE", f"Groups/{group}")) == (404, "")
        assert "groups" not in okta.get(f"Users/{user}")

    def test_a_second_group_of_one_name_is_refused(self, okta: Provider) -> None:
        okta.make_group("Engineers")
        body = recorded("okta_create_group", name="engineers")
        assert refusal(okta.send("POST", "Groups", body)) == (409, "uniqueness")
        group = okta.make_group("Scientists")["id"]
        body = recorded("okta_rename_group", id=group, name="Engineers")
        assert refusal(okta.send("PATCH", f"Groups/{group}", body)) == (409, "uniqueness")

    def test_members_whom_nobody_pushed_are_passed_over(
        self, okta: Provider, user: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        group = okta.make_group("Engineers")["id"]
        stranger = "7c0b6a0e-51f4-4a52-b6b4-5fd1bf4bd1f5"
        body = recorded("okta_replace_members", user=user, other=stranger)
        assert okta.send("PATCH", f"Groups/{group}", body).status_code == 204
        assert [each["value"] for each in okta.get(f"Groups/{group}")["members"]] == [user]
        assert "scim:okta named 1 members whom it has not pushed" in caplog.text


def test_no_session_is_made_or_read(okta: Provider) -> None:
    okta.browser = Client(enforce_csrf_checks=True)
    okta.browser.cookies["portal_session"] = "x" * 32
    response = okta.send("POST", "Users", recorded("okta_create_user"))
    assert response.status_code == 201
    assert not response.cookies
    assert "Cookie" not in response.get("Vary", "")
    assert response["Cache-Control"] == "no-store"
