"""Filters find what RFC 7644 says; what is not supported is refused and never passed over."""

import pytest

from tests.portal.scim.scim_client import ENTERPRISE, USER, Provider, refusal

pytestmark = pytest.mark.django_db

NOBODY = "7c0b6a0e-51f4-4a52-b6b4-5fd1bf4bd1f5"


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
