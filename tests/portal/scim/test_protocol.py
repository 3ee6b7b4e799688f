"""RFC 7643 and RFC 7644: discovery, errors, versions, pages, sorting, selection of attributes."""

import subprocess
import sys
from typing import Any

import pytest

from portal.scim import received, user_rows
from teams.models import GroupMembership, ScimGroup, ScimUser, User
from tests.portal.people import log
from tests.portal.scim.scim_client import ENTERPRISE, GROUP, PATCH, USER, Provider, read, refusal

pytestmark = pytest.mark.django_db

NOBODY = "7c0b6a0e-51f4-4a52-b6b4-5fd1bf4bd1f5"


class TestDiscovery:
    def test_what_is_supported(self, okta: Provider) -> None:
        told = okta.get("ServiceProviderConfig")
        supported = {name: told[name]["supported"] for name in ("patch", "bulk", "filter", "sort", "etag")}
        assert supported == {"patch": True, "bulk": False, "filter": True, "sort": True, "etag": True}
        assert told["changePassword"] == {"supported": False}

    @pytest.mark.parametrize("endpoint", ["Schemas", "ResourceTypes"])
    def test_each_is_found_by_its_id(self, okta: Provider, endpoint: str) -> None:
        page = okta.get(endpoint)
        assert page["totalResults"] == len(page["Resources"]) > 1
        for each in page["Resources"]:
            assert okta.get(f"{endpoint}/{each['id']}") == each
        assert refusal(okta.send("GET", f"{endpoint}/Nothing")) == (404, "")
        assert refusal(okta.send("GET", f"{endpoint}?filter=id+pr")) == (403, "")

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "Bulk", 501),
            ("GET", "Me", 501),
            ("POST", ".search", 501),
            ("GET", "", 404),
            ("GET", "Nothing", 404),
            ("GET", "Users/x/y", 404),
            ("GET", "Users/%00%0a", 404),
            ("PUT", "Users", 405),
            ("DELETE", "ServiceProviderConfig", 405),
            ("OPTIONS", "Groups", 405),
        ],
    )
    def test_what_is_not_there(self, okta: Provider, method: str, path: str, status: int) -> None:
        assert refusal(okta.send(method, path)) == (status, "")

    def test_a_slash_at_the_end_does_no_harm(self, okta: Provider) -> None:
        assert okta.get("Users/")["totalResults"] == 0


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "scim_type"),
        [
            (b"", "invalidSyntax"),
            (b"{", "invalidSyntax"),
            (b"[]", "invalidSyntax"),
            (b"\xff", "invalidSyntax"),
            (b'{"userName": "a", "userName": "b"}', "invalidSyntax"),
            (b'{"userName": "a\\u0000"}', "invalidSyntax"),
            (b"[" * 100_000, "invalidSyntax"),
            ({"schemas": ["urn:wrong"], "userName": "a"}, "invalidSyntax"),
            ({"schemas": [USER]}, "invalidValue"),
            ({"schemas": [USER], "userName": ""}, "invalidValue"),
            ({"schemas": [USER], "userName": 5}, "invalidValue"),
            ({"schemas": [USER], "userName": " a "}, "invalidValue"),
            ({"schemas": [USER], "userName": "a\u200bb"}, "invalidValue"),
            ({"schemas": [USER], "userName": "a" * 257}, "invalidValue"),
            ({"schemas": [USER], "userName": "a", "externalId": "a" * 257}, "invalidValue"),
            ({"schemas": [USER], "userName": "a", "active": "perhaps"}, "invalidValue"),
            ({"schemas": [USER], "userName": "a", "emails": "a@example.com"}, "invalidValue"),
        ],
    )
    def test_users_that_cannot_be(self, okta: Provider, body: Any, scim_type: str) -> None:
        assert refusal(okta.send("POST", "Users", body)) == (400, scim_type)
        assert not ScimUser.objects.exists()
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        ("body", "scim_type"),
        [
            ({"schemas": [GROUP]}, "invalidValue"),
            ({"schemas": [GROUP], "displayName": " "}, "invalidValue"),
            ({"schemas": [GROUP], "displayName": "a\u200bb"}, "invalidValue"),
            ({"schemas": [GROUP], "displayName": "a" * 257}, "invalidValue"),
            ({"schemas": [GROUP], "displayName": "a", "members": "x"}, "invalidValue"),
            ({"schemas": [GROUP], "displayName": "a", "members": [{"display": "x"}]}, "invalidValue"),
        ],
    )
    def test_groups_that_cannot_be(self, okta: Provider, body: Any, scim_type: str) -> None:
        assert refusal(okta.send("POST", "Groups", body)) == (400, scim_type)
        assert not ScimGroup.objects.exists()

    @pytest.mark.parametrize(
        ("operation", "scim_type"),
        [
            ({"op": "move", "path": "title", "value": "x"}, "invalidValue"),
            ({"op": "remove"}, "noTarget"),
            ({"op": "add", "path": "title"}, "invalidValue"),
            ({"op": "replace", "path": "emails[", "value": "x"}, "invalidPath"),
            ({"op": "replace", "path": "colour", "value": "x"}, "invalidPath"),
            ({"op": "replace", "path": 5, "value": "x"}, "invalidPath"),
            ({"op": "replace", "path": "id", "value": NOBODY}, "mutability"),
            ({"op": "replace", "path": "meta.version", "value": "x"}, "mutability"),
            ({"op": "replace", "path": "groups", "value": [{"value": NOBODY}]}, "mutability"),
            ({"op": "remove", "path": "userName"}, "mutability"),
            ({"op": "replace", "path": "userName", "value": ["x", "y"]}, "invalidValue"),
            ({"op": "replace", "path": 'emails[type ne "home"].value', "value": "x"}, "noTarget"),
            ("x", "invalidValue"),
        ],
    )
    def test_operations_that_cannot_be(self, okta: Provider, operation: Any, scim_type: str) -> None:
        user = okta.make_user("alice")
        assert refusal(okta.patch(f"Users/{user['id']}", operation)) == (400, scim_type)
        assert okta.get(f"Users/{user['id']}") == user

    @pytest.mark.parametrize(
        ("operation", "scim_type"),
        [
            ({"op": "add", "path": "members"}, "invalidValue"),
            ({"op": "add", "path": "members", "value": ["x"]}, "invalidValue"),
            ({"op": "remove", "path": 'members[display eq "x"]'}, "invalidFilter"),
            ({"op": "replace", "path": "members.value", "value": "x"}, "mutability"),
            ({"op": "replace", "path": f'members[value eq "{NOBODY}"].type', "value": "x"}, "mutability"),
            ({"op": "remove", "path": "displayName"}, "mutability"),
            ({"op": "remove"}, "noTarget"),
        ],
    )
    def test_operations_on_groups_that_cannot_be(self, okta: Provider, operation: Any, scim_type: str) -> None:
        group = okta.make_group("Engineers", okta.make_user("alice")["id"])
        assert refusal(okta.patch(f"Groups/{group['id']}", operation)) == (400, scim_type)
        assert okta.get(f"Groups/{group['id']}") == group

    @pytest.mark.parametrize(
        "body",
        [{}, {"schemas": [PATCH]}, {"schemas": [PATCH], "Operations": []}, {"schemas": [USER], "Operations": [{}]}],
    )
    def test_a_patch_without_operations(self, okta: Provider, body: Any) -> None:
        user = okta.make_user("alice")["id"]
        status, scim_type = refusal(okta.send("PATCH", f"Users/{user}", body))
        assert (status, scim_type in {"invalidValue", "invalidSyntax"}) == (400, True)

    def test_all_operations_or_none(self, okta: Provider) -> None:
        user = okta.make_user("alice", title="Scientist")
        right = {"op": "replace", "path": "title", "value": "Engineer"}
        response = okta.patch(f"Users/{user['id']}", right, {"op": "replace", "path": "id", "value": "x"})
        assert response.status_code == 400
        assert okta.get(f"Users/{user['id']}")["title"] == "Scientist"

    def test_a_body_beyond_the_limit(self, okta: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(received, "MAX_BODY_BYTES", 100)
        assert refusal(okta.send("POST", "Users", b"x" * 101)) == (413, "")

    @pytest.mark.parametrize("path", ["Users/x", f"Users/{NOBODY}", "Groups/x", f"Groups/{NOBODY}"])
    def test_ids_of_nothing(self, okta: Provider, path: str) -> None:
        for method in ("GET", "DELETE"):
            assert refusal(okta.send(method, path)) == (404, "")


class TestVersions:
    def test_a_change_against_an_old_version_is_refused(self, okta: Provider) -> None:
        for path, attribute in (
            (f"Users/{okta.make_user('alice')['id']}", "title"),
            (f"Groups/{okta.make_group('Engineers')['id']}", "externalId"),
        ):
            change = {"op": "replace", "path": attribute, "value": "x"}
            assert okta.patch(path, change, **{"If-Match": 'W/"1"'}).status_code in {200, 204}
            assert refusal(okta.patch(path, change, **{"If-Match": 'W/"1"'})) == (412, "")
            assert refusal(okta.send("DELETE", path, **{"If-Match": '"1"'})) == (412, "")
            assert okta.patch(path, change, **{"If-Match": "*"}).status_code in {200, 204}
            assert okta.send("DELETE", path, **{"If-Match": 'W/"7", W/"2"'}).status_code == 204

    def test_what_is_known_is_not_sent_again(self, okta: Provider) -> None:
        user = okta.make_user("alice")["id"]
        response = okta.send("GET", f"Users/{user}", **{"If-None-Match": 'W/"1"'})
        assert (response.status_code, response.content, response["ETag"]) == (304, b"", 'W/"1"')
        okta.make_group("Engineers", user)
        assert okta.send("GET", f"Users/{user}", **{"If-None-Match": 'W/"1"'}).status_code == 200

    def test_a_group_has_a_new_version_when_a_member_is_deleted(self, okta: Provider) -> None:
        user = okta.make_user("alice")["id"]
        group = okta.make_group("Engineers", user)["id"]
        okta.send("DELETE", f"Users/{user}")
        response = okta.send("GET", f"Groups/{group}", **{"If-None-Match": 'W/"1"'})
        assert response.status_code == 200
        assert "members" not in read(response)

    def test_nothing_changed_is_no_new_version(self, okta: Provider) -> None:
        user = okta.make_user("alice", title="x")
        response = okta.patch(f"Users/{user['id']}", {"op": "replace", "path": "title", "value": "x"})
        assert read(response) == user
        assert log(action="user_changed") == []


class TestPages:
    def test_pages_follow_each_other(self, okta: Provider) -> None:
        for number in range(5):
            okta.make_user(f"user{number}")
        first, second = okta.get("Users", count="3"), okta.get("Users", startIndex="4", count="3")
        assert (first["totalResults"], first["startIndex"], first["itemsPerPage"]) == (5, 1, 3)
        assert (second["totalResults"], second["startIndex"], second["itemsPerPage"]) == (5, 4, 2)
        names = [each["userName"] for page in (first, second) for each in page["Resources"]]
        assert names == [f"user{number}" for number in range(5)]

    @pytest.mark.parametrize(
        ("query", "items"),
        [
            ({"count": "0"}, 0),
            ({"count": "-5"}, 0),
            ({"count": "1000000"}, 2),
            ({"startIndex": "0"}, 2),
            ({"startIndex": "-3"}, 2),
            ({"startIndex": "9" * 30}, 0),
        ],
    )
    def test_the_edges(self, okta: Provider, query: dict[str, str], items: int) -> None:
        okta.make_user("alice")
        okta.make_user("bob")
        page = okta.get("Users", **query)
        assert (page["totalResults"], len(page["Resources"])) == (2, items)

    def test_no_number(self, okta: Provider) -> None:
        assert refusal(okta.send("GET", "Users?count=many")) == (400, "invalidValue")

    def test_sorted(self, okta: Provider) -> None:
        for name, title in (("bob", "z"), ("Alice", "y"), ("charlie", "X")):
            okta.make_user(name, title=title)
        assert [each["userName"] for each in okta.get("Users", sortBy="userName")["Resources"]] == [
            "Alice",
            "bob",
            "charlie",
        ]
        page = okta.get("Users", sortBy="title", sortOrder="descending")
        assert [each["title"] for each in page["Resources"]] == ["z", "y", "X"]
        assert okta.get("Users", sortBy=f"{ENTERPRISE}:department")["totalResults"] == 3
        for wrong in ("nothing", "name", "emails", "password"):
            assert refusal(okta.send("GET", f"Users?sortBy={wrong}")) == (400, "invalidPath")

    def test_a_search_by_post(self, okta: Provider) -> None:
        okta.make_user("alice")
        okta.make_user("bob")
        schemas = ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]
        asked = {"schemas": schemas, "filter": 'userName sw "a"', "attributes": ["userName"], "count": 10}
        (found,) = read(okta.send("POST", "Users/.search", asked))["Resources"]
        assert found["userName"] == "alice"
        assert "meta" not in found
        assert read(okta.send("POST", "Groups/.search", {"schemas": schemas}))["totalResults"] == 0


class TestSelection:
    def test_only_what_is_asked_for(self, okta: Provider) -> None:
        user = okta.make_user("alice", name={"givenName": "Alice", "familyName": "A"}, title="x")["id"]
        told = okta.get(f"Users/{user}", attributes="name.givenName,title")
        assert told == {"schemas": [USER], "id": user, "name": {"givenName": "Alice"}, "title": "x"}
        assert "name" not in okta.get(f"Users/{user}", excludedAttributes="name")
        assert refusal(okta.send("GET", f"Users/{user}?attributes=a&excludedAttributes=b"))[0] == 400

    def test_a_wrong_selection_changes_nothing(self, okta: Provider) -> None:
        body = {"schemas": [USER], "userName": "alice"}
        assert okta.send("POST", "Users?attributes=a&excludedAttributes=b", body).status_code == 400
        assert not ScimUser.objects.exists()

    def test_members_only_when_wanted(self, okta: Provider) -> None:
        user = okta.make_user("alice")["id"]
        group = okta.make_group("Engineers", user)["id"]
        assert okta.get(f"Groups/{group}", attributes="displayName") == {
            "schemas": [GROUP],
            "id": group,
            "displayName": "Engineers",
        }
        assert okta.get(f"Groups/{group}", attributes="members.value")["members"] == [{"value": user}]
        add = {"op": "add", "path": "externalId", "value": "e"}
        response = okta.patch(f"Groups/{group}?attributes=externalId", add)
        assert read(response) == {"schemas": [GROUP], "id": group, "externalId": "e"}


def test_a_put_that_does_not_say_whether_somebody_is_active_activates_nobody(okta: Provider) -> None:
    user = okta.make_user("alice", active=False)["id"]
    told = read(okta.send("PUT", f"Users/{user}", {"schemas": [USER], "userName": "alice", "title": "x"}))
    assert (told["active"], told["title"]) == (False, "x")
    assert not User.objects.get(subject="alice").is_active


def test_members_are_replaced_and_cleared(okta: Provider) -> None:
    user = okta.make_user("alice")["id"]
    group = okta.make_group("Engineers", user)["id"]
    okta.patch(f"Groups/{group}", {"op": "replace", "value": {"members": [], "externalId": "e"}})
    assert not GroupMembership.objects.exists()
    assert okta.get(f"Groups/{group}")["externalId"] == "e"
    okta.patch(f"Groups/{group}", {"op": "add", "value": {"members": [{"value": user}]}})
    okta.patch(f"Groups/{group}", {"op": "remove", "path": "members"})
    assert not GroupMembership.objects.exists()


def test_what_is_kept_of_a_user_has_a_limit(okta: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_rows, "MAX_ATTRIBUTES", 500)
    body = {"schemas": [USER], "userName": "alice", "title": "x" * 600}
    assert refusal(okta.send("POST", "Users", body)) == (400, "invalidValue")
    assert not User.objects.exists()


def test_attributes_of_no_schema_are_passed_over(okta: Provider) -> None:
    told = okta.make_user("alice", colour="blue")
    assert "colour" not in told
    assert okta.patch(f"Users/{told['id']}", {"op": "add", "value": {"colour": "blue"}}).status_code == 200


def test_nobody_pays_for_the_library_who_never_serves_it() -> None:
    script = (
        "import django, sys; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns; "
        "sys.exit('pydantic' in sys.modules or 'scim2_models' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
