"""What Microsoft Entra ID sends, and what follows from it."""

from typing import Any

import pytest

from teams import access
from teams.models import GroupMembership, User
from tests.factories import make_mapping, make_team
from tests.portal.people import browser_of, is_signed_on, log
from tests.portal.scim.scim_client import ENTERPRISE, Provider, read, recorded, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture(name="entra")
def _entra(db: None) -> Provider:
    return Provider("entra", realm="entra", subject_attribute="externalId")


@pytest.fixture(name="user")
def _user(entra: Provider) -> str:
    """The id of the user that Entra ID's tutorial creates."""
    return str(read(entra.send("POST", "Users", recorded("entra_create_user")))["id"])


def person() -> User:
    return User.objects.get(realm="entra", subject="0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef")


def patched(entra: Provider, user: str, form: str, /, **values: str) -> Any:
    response = entra.send("PATCH", f"Users/{user}", recorded(form, **values))
    assert response.status_code == 200, response.content
    return read(response)


class TestUsers:
    @pytest.mark.parametrize(
        "asked",
        [
            'userName eq "test_user_AB6490EE@testuser.com"',
            'externalId eq "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"',
            'emails[type eq "work"].value eq "Test_User_fd0ea19b@testuser.com"',
        ],
    )
    def test_a_user_is_found_by_what_entra_matches_by(self, entra: Provider, user: str, asked: str) -> None:
        assert entra.found("Users", asked) == ["Test_User_ab6490ee@testuser.com"]

    def test_people_are_known_by_the_object_id(self, entra: Provider, user: str) -> None:
        assert (person().name, person().email) == ("givenName familyName", "Test_User_fd0ea19b@testuser.com")
        assert entra.get(f"Users/{user}")[ENTERPRISE] == {"department": "Research"}

    def test_changes_in_capital_letters(self, entra: Provider, user: str) -> None:
        told = patched(entra, user, "entra_update_user")
        assert told["emails"] == [{"primary": True, "type": "work", "value": "updatedEmail@testuser.com"}]
        assert told["name"]["familyName"] == "updatedFamilyName"
        assert person().email == "updatedEmail@testuser.com"

    def test_several_replaced_at_once(self, entra: Provider, user: str) -> None:
        told = patched(entra, user, "entra_replace_several")
        assert (told["displayName"], told["name"]["familyName"]) == ("Pvlo", "Pkqf")
        assert told[ENTERPRISE] == {"department": "Research", "employeeNumber": "Eqpj"}
        assert (person().name, person().email) == ("Pvlo", "TestBcwqnm@testuser.com")

    def test_values_of_lists_and_of_the_extension(self, entra: Provider, user: str) -> None:
        told = patched(entra, user, "entra_add_values", manager="26118915-6090-4610-87e4-49d8ca9f808d")
        assert told["phoneNumbers"] == [{"type": "mobile", "value": "+1 555 0100"}]
        assert told["roles"] == [{"primary": True, "value": "Engineer"}]
        assert told[ENTERPRISE]["department"] == "Tool Design"
        assert told[ENTERPRISE]["manager"] == {"value": "26118915-6090-4610-87e4-49d8ca9f808d"}
        assert told["title"] == "Scientist"
        assert patched(entra, user, "entra_add_values", manager="x")["roles"] == told["roles"]

    def test_the_older_forms(self, entra: Provider, user: str) -> None:
        told = patched(entra, user, "entra_old_manager", manager="26118915-6090-4610-87e4-49d8ca9f808d")
        assert told[ENTERPRISE]["manager"]["value"] == "26118915-6090-4610-87e4-49d8ca9f808d"
        assert patched(entra, user, "entra_old_single_value")["displayName"] == "From a list"

    def test_dotted_keys_without_a_path(self, entra: Provider, user: str) -> None:
        told = patched(entra, user, "entra_dotted_keys")
        assert (told["displayName"], told["name"]["givenName"]) == ("Bjfe", "Babs")
        assert (told[ENTERPRISE]["department"], told["active"]) == ("Sales", True)

    @pytest.mark.parametrize("form", ["entra_disable", "entra_disable_as_text"])
    def test_disabling_ends_the_session(self, entra: Provider, user: str, form: str) -> None:
        browser = browser_of(person())
        assert patched(entra, user, form)["active"] is False
        assert not person().is_active
        assert not is_signed_on(browser)
        assert patched(entra, user, "entra_enable_as_text")["active"] is True
        assert person().is_active

    def test_a_new_user_name_is_the_same_person(self, entra: Provider, user: str) -> None:
        before = person().pk
        assert patched(entra, user, "entra_rename_user", name="new@testuser.com")["userName"] == "new@testuser.com"
        assert person().pk == before

    def test_the_feature_flag_changes_nothing(self, entra: Provider, user: str) -> None:
        body = recorded("entra_disable_as_text")
        assert entra.send("PATCH", f"Users/{user}?aadOptscim062020", body).status_code == 200
        assert not person().is_active

    def test_a_hard_delete(self, entra: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        entra.make_group("Engineers", user)
        browser = browser_of(person())
        assert entra.send("DELETE", f"Users/{user}").status_code == 204
        assert not is_signed_on(browser)
        assert not person().is_active
        assert not GroupMembership.objects.filter(user=person()).exists()
        assert refusal(entra.send("GET", f"Users/{user}")) == (404, "")
        assert len(log(action="user_deactivated")) == 1

    def test_who_is_deleted_and_comes_back_is_in_no_group(self, entra: Provider, user: str) -> None:
        make_mapping("Engineers", make_team("team1"))
        entra.make_group("Engineers", user)
        before = person().pk
        entra.send("DELETE", f"Users/{user}")
        assert entra.send("POST", "Users", recorded("entra_create_user")).status_code == 201
        assert (person().pk, person().is_active) == (before, True)
        assert access.for_user(person()) == []


class TestGroups:
    def test_members_come_and_go(self, entra: Provider, user: str) -> None:
        other = entra.make_user("other", externalId="other-object-id")["id"]
        make_mapping("Engineers", make_team("team1"))
        created = entra.send("POST", "Groups", recorded("entra_create_group", name="Engineers"))
        group = read(created)["id"]
        assert created.status_code == 201
        body = recorded("entra_add_members", user=user, other=other)
        assert entra.send("PATCH", f"Groups/{group}", body).status_code == 204
        assert [each.team.slug for each in access.for_user(person())] == ["team1"]
        assert entra.send("PATCH", f"Groups/{group}", recorded("entra_remove_members", user=user)).status_code == 204
        assert access.for_user(person()) == []
        assert [each["value"] for each in entra.get(f"Groups/{group}")["members"]] == [other]

    def test_members_are_left_out_when_asked(self, entra: Provider, user: str) -> None:
        group = entra.make_group("Engineers", user)["id"]
        assert "members" not in entra.get(f"Groups/{group}", excludedAttributes="members")
        page = entra.get("Groups", filter='displayName eq "engineers"', excludedAttributes="members")
        assert [each["displayName"] for each in page["Resources"]] == ["Engineers"]
        assert "members" not in page["Resources"][0]

    def test_a_rename(self, entra: Provider) -> None:
        group = entra.make_group("Engineers")["id"]
        entra.send("PATCH", f"Groups/{group}", recorded("entra_rename_group", name="Scientists"))
        assert entra.get(f"Groups/{group}")["displayName"] == "Scientists"

    def test_whether_somebody_is_a_member(self, entra: Provider, user: str) -> None:
        group = entra.make_group("Engineers", user)["id"]
        assert entra.found("Groups", f'id eq "{group}" and members eq "{user}"') == ["Engineers"]
        assert entra.found("Groups", f'members[value eq "{user}"]') == ["Engineers"]
        assert entra.found("Groups", f'members.value eq "{group}"') == []
