"""Changes through the identity store's API, and what they do not do."""

from typing import Any

import pytest

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.seed import GROUPS, directory_id
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import refusal
from tests.portal.demo_aws.test_directory import STORE, TEAM1, USER1, by, error_of

NAME = {"GivenName": "Eve", "FamilyName": "Evans"}
EMAILS = [{"Value": "eve@example.com", "Type": "home", "Primary": True}]
EVE = {**STORE, "UserName": "eve", "DisplayName": "Eve", "Name": NAME, "Emails": EMAILS, "Title": "Guest"}


def change(path: str, value: Any = None) -> dict[str, Any]:
    """Return an operation that sets an attribute, or takes it away."""
    return {"AttributePath": path} | ({} if value is None else {"AttributeValue": value})


def test_a_user_is_made_changed_and_deleted(standin: Handle, directory: Any) -> None:
    made = directory.create_user(**EVE)
    key = {**STORE, "UserId": made["UserId"]}
    found = directory.describe_user(**key)
    assert {name: found[name] for name in EVE} == EVE
    standin.state.clock.advance(60)
    operations = [
        change("displayName", "Eve E."),
        change("name.givenName", "Eva"),
        change("emails", [{"value": "eva@example.com", "primary": True}]),
        change("title"),
    ]
    answer = directory.update_user(**key, Operations=operations)
    changed = directory.describe_user(**key)
    assert (changed["DisplayName"], changed["Name"]["GivenName"], changed["Name"]["FamilyName"]) == (
        "Eve E.",
        "Eva",
        "Evans",
    )
    assert "Title" not in changed
    assert changed["UpdatedAt"] > found["UpdatedAt"] == found["CreatedAt"] == changed["CreatedAt"]
    assert (found["Revision"], answer["Revision"], changed["Revision"]) == ("1", "2", "2")
    assert directory.get_user_id(**by("emails.value", "eva@example.com"))["UserId"] == made["UserId"]
    assert refusal(directory.get_user_id, **by("emails.value", "eve@example.com"))[0] == "ResourceNotFoundException"
    directory.delete_user(**key)
    assert refusal(directory.describe_user, **key)[0] == "ResourceNotFoundException"
    assert directory.create_user(**EVE)["UserId"] != made["UserId"]


def test_a_group_is_made_changed_and_deleted(directory: Any) -> None:
    made = directory.create_group(**STORE, DisplayName="Guests", Description="From elsewhere")
    key = {**STORE, "GroupId": made["GroupId"]}
    directory.update_group(**key, Operations=[change("displayName", "Visitors"), change("description")])
    found = directory.describe_group(**key)
    assert (found["DisplayName"], found.get("Description")) == ("Visitors", None)
    assert directory.get_group_id(**by("displayName", "Visitors"))["GroupId"] == made["GroupId"]
    directory.create_group(**STORE, DisplayName="Guests")
    directory.delete_group(**key)
    assert refusal(directory.describe_group, **key)[0] == "ResourceNotFoundException"


def test_a_membership_is_made_once_and_deleted(directory: Any, store: IdentityStore) -> None:
    pair = {**STORE, "GroupId": TEAM1, "MemberId": {"UserId": directory_id("user4")}}
    made = directory.create_group_membership(**pair)
    assert store.members_of(TEAM1) == ["user1", "user3", "user4"]
    error, answer = error_of(directory.create_group_membership, **pair)
    assert isinstance(error, directory.exceptions.ConflictException)
    assert answer["Reason"] == "UNIQUENESS_CONSTRAINT_VIOLATION"
    directory.delete_group_membership(**STORE, MembershipId=made["MembershipId"])
    assert store.members_of(TEAM1) == ["user1", "user3"]
    again = {**STORE, "MembershipId": made["MembershipId"]}
    assert refusal(directory.delete_group_membership, **again)[0] == "ResourceNotFoundException"
    assert directory.create_group_membership(**pair)["MembershipId"] != made["MembershipId"]


def test_memberships_go_with_their_user_and_their_group(directory: Any, store: IdentityStore) -> None:
    directory.delete_user(**STORE, UserId=USER1)
    assert [store.members_of(group) for group in GROUPS] == [["user3"], ["user2"], ["ada"], ["user4", "user5"]]
    directory.delete_group(**STORE, GroupId=TEAM1)
    assert store.groups_of("user3") == []
    assert len(store.contents.memberships) == 4


def test_names_are_taken_once(directory: Any) -> None:
    for call, params in (
        (directory.create_user, {"UserName": "USER1"}),
        (directory.create_user, {"UserName": "eve", "Emails": [{"Value": "user1@example.com"}]}),
        (directory.update_user, {"UserId": USER1, "Operations": [change("userName", "user2")]}),
        (directory.create_group, {"DisplayName": GROUPS[0]}),
        (directory.update_group, {"GroupId": TEAM1, "Operations": [change("displayName", GROUPS[1])]}),
    ):
        error, answer = error_of(call, **STORE, **params)
        assert isinstance(error, directory.exceptions.ConflictException)
        assert (answer["Reason"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (
            "UNIQUENESS_CONSTRAINT_VIOLATION",
            400,
        )
    assert directory.describe_user(**STORE, UserId=USER1)["UserName"] == "user1"
    directory.update_user(**STORE, UserId=USER1, Operations=[change("userName", "User1")])


def test_a_change_meant_for_another_revision(directory: Any) -> None:
    directory.update_user(**STORE, UserId=USER1, Revision="1", Operations=[change("title", "Dr")])
    for call in (directory.delete_user, directory.update_user):
        params = {"Operations": [change("title", "Prof")]} if call == directory.update_user else {}
        assert error_of(call, **STORE, UserId=USER1, Revision="1", **params)[1]["Reason"] == "CONCURRENT_MODIFICATION"


@pytest.mark.parametrize(
    "operation",
    [
        change("userStatus", "DISABLED"),
        change("active", False),
        change("identityStoreId", "d-1111111111"),
        change("name.first", "x"),
        change("emails.value.x", "x"),
        change("userName"),
        change("userName", "with space"),
        change("displayName", 5),
        change("emails", [{"value": "a@example.com"}, {"value": "b@example.com"}]),
        {},
    ],
)
def test_attributes_that_cannot_be_changed_so(directory: Any, operation: dict[str, Any]) -> None:
    code, _ = refusal(directory.update_user, **STORE, UserId=USER1, Operations=[operation])
    assert code == "ValidationException"
    assert directory.describe_user(**STORE, UserId=USER1)["Revision"] == "1"


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("create_user", {"DisplayName": "Eve"}),
        ("create_user", {"UserName": "with space"}),
        ("create_user", {"UserName": "e", "Emails": EMAILS * 2}),
        ("create_group", {}),
        ("create_group", {"DisplayName": "x" * 1025}),
        ("create_group_membership", {"GroupId": TEAM1}),
        ("create_group_membership", {"GroupId": TEAM1, "MemberId": {"UserId": "user1"}}),
    ],
)
def test_what_cannot_be_made(directory: Any, operation: str, params: dict[str, Any]) -> None:
    assert refusal(getattr(directory, operation), **STORE, **params)[0] == "ValidationException"
