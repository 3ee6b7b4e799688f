"""RFC 7643 and RFC 7644: discovery, errors, versions, pages, filters, sorting, selection of attributes."""

from typing import Any

import pytest

from portal.scim import received
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


class TestFilters:
    @pytest.fixture(autouse=True)
    def _people(self, okta: Provider) -> None:
        self.okta = okta
        work = {"type": "work", "value": "Alice@Example.com", "primary": True}
        home = {"type": "home", "value": "alice@home.example"}
        name = {"givenName": "Alice", "familyName": 'O"Hara 100%_\\'}
        extension = {ENTERPRISE: {"department": "R&D"}}
        schemas = {"schemas": [USER, ENTERPRISE]}
        alice = okta.make_user("Alice", externalId="E1", emails=[work, home], name=name, **extension, **schemas)
        okta.make_user("bob", displayName="Bob Brown", active=False, title="it's")
        self.alice = alice["id"]
        self.group = okta.make_group("Engineers", self.alice)["id"]

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ('userName eq "ALICE"', ["Alice"]),
            ('userName ne "alice"', ["bob"]),
            ('userName co "LIC"', ["Alice"]),
            ('userName sw "B"', ["bob"]),
            ('userName ew "OB"', ["bob"]),
            ('userName co "%"', []),
            ("userName pr", ["Alice", "bob"]),
            ('USERNAME EQ "alice"', ["Alice"]),
            (f'{USER}:userName eq "alice"', ["Alice"]),
            ('externalId eq "E1"', ["Alice"]),
            ('externalId eq "e1"', []),
            ("externalId pr", ["Alice"]),
            ("not (externalId pr)", ["bob"]),
            ("externalId eq null", ["bob"]),
            ("active eq true", ["Alice"]),
            ("active eq false", ["bob"]),
            ('active eq "True"', ["Alice"]),
            ('id eq "x"', []),
            ('id ne "x"', ["Alice", "bob"]),
            ('displayName eq "bob brown"', ["bob"]),
            ("displayName pr", ["bob"]),
            ('title eq "it\'s"', ["bob"]),
            ('name.givenName eq "alice"', ["Alice"]),
            ('name.familyName eq "o\\"hara 100%_\\\\"', ["Alice"]),
            ('name.familyName ew "_\\\\"', ["Alice"]),
            ('name.familyName sw "."', []),
            ("name pr", ["Alice"]),
            ('emails.value eq "alice@example.com"', ["Alice"]),
            ('emails eq "alice@example.com"', ["Alice"]),
            ('emails co "HOME"', ["Alice"]),
            ('emails.value ne "alice@example.com"', ["bob"]),
            ('emails[type eq "work" and value co "example.com"]', ["Alice"]),
            ('emails[type eq "home" and value co "example.com"]', []),
            ('emails[type eq "home" and not (value co "example.com")]', ["Alice"]),
            ('emails[primary eq true or type eq "x"]', ["Alice"]),
            ('emails[type eq "home" and display pr]', []),
            ('emails[type eq "work"].value eq "alice@example.com"', ["Alice"]),
            ('emails[type eq "home"].value eq "alice@example.com"', []),
            (f'{ENTERPRISE}:department eq "r&d"', ["Alice"]),
            ('userName eq "alice" and active eq true', ["Alice"]),
            ('userName eq "alice" and active eq false', []),
            ('userName eq "x" or externalId eq "E1" and active eq true', ["Alice"]),
            ('not (userName eq "alice") and (active eq false or title pr)', ["bob"]),
            ('meta.lastModified gt "2020-01-01T00:00:00Z"', ["Alice", "bob"]),
            ('meta.lastModified lt "2020-01-01T00:00:00Z"', []),
            (
                'meta.created ge "2020-01-01T00:00:00+02:00" and meta.created le "2999-01-01T00:00:00Z"',
                ["Alice", "bob"],
            ),
            ("groups pr", ["Alice"]),
        ],
    )
    def test_users(self, asked: str, found: list[str]) -> None:
        assert self.okta.found("Users", asked) == found

    def test_by_group_and_by_member(self) -> None:
        assert self.okta.found("Users", f'groups.value eq "{self.group}"') == ["Alice"]
        assert self.okta.found("Users", f'groups[value eq "{self.group}"]') == ["Alice"]
        assert self.okta.found("Users", f'id eq "{self.alice}"') == ["Alice"]
        assert self.okta.found("Groups", f'members.value eq "{self.alice}"') == ["Engineers"]
        assert self.okta.found("Groups", f'displayName eq "ENGINEERS" and not (members[value eq "{NOBODY}"])') == [
            "Engineers"
        ]
        assert self.okta.found("Groups", "members pr and externalId eq null") == ["Engineers"]

    @pytest.mark.parametrize(
        "asked",
        [
            "",
            "userName",
            "userName eq",
            'userName like "x"',
            'colour eq "blue"',
            'userName gt "a"',
            "title eq 5",
            'title gt "a"',
            "active gt true",
            'active co "t"',
            "active eq 5",
            'meta.lastModified gt "yesterday"',
            'meta.lastModified co "2020"',
            'meta.version eq "1"',
            'password eq "x"',
            'password sw "x"',
            'groups.display eq "x"',
            'groups[display eq "x"]',
            'groups.value co "x"',
            'emails[colour eq "x"]',
            'emails[type gt "x"]',
            'schemas eq "x"',
            'userName eq "a\\u0000"',
            'title eq "a\\ud800"',
            'emails[type eq "a\\u0000"]',
            "not (" * 40 + 'userName eq "a"' + ")" * 40,
            "userName eq " + '"' + "a" * 2000 + '"',
        ],
    )
    def test_what_is_not_supported_is_refused(self, asked: str) -> None:
        response = self.okta.browser.get(
            "/scim/v2/Users", {"filter": asked}, headers={"Authorization": f"Bearer {self.okta.secret}"}
        )
        assert refusal(response) == (400, "invalidFilter")

    @pytest.mark.parametrize("asked", ['members.display eq "x"', 'members[type eq "User"]', 'members.value sw "x"'])
    def test_what_is_not_supported_of_groups(self, asked: str) -> None:
        response = self.okta.browser.get(
            "/scim/v2/Groups", {"filter": asked}, headers={"Authorization": f"Bearer {self.okta.secret}"}
        )
        assert refusal(response) == (400, "invalidFilter")


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
