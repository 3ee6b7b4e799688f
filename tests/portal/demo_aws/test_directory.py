"""What the identity store answers: users, groups and who is in which."""

import contextlib
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.seed import DOMAIN, GROUPS, IDENTITY_STORE, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE, directory_id
from portal.demo.aws.server import Handle
from portal.demo.idp import people
from tests.portal.demo_aws.conftest import connect, refusal

STORE = {"IdentityStoreId": IDENTITY_STORE}
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NOBODY = "00000000-0000-0000-0000-000000000000"
USER1, TEAM1, TEAM2, ADMINS, TEAM3 = (directory_id(name) for name in ("user1", *GROUPS))


def by(path: str, value: Any) -> dict[str, Any]:
    """Return an alternate identifier by a unique attribute."""
    return {**STORE, "AlternateIdentifier": {"UniqueAttribute": {"AttributePath": path, "AttributeValue": value}}}


def error_of(call: Any, **params: Any) -> tuple[ClientError, dict[str, Any]]:
    """Return the error with which a call is refused, and its answer."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return caught.value, dict(caught.value.response)


def test_the_people_of_the_identity_provider_are_in_their_groups(directory: Any) -> None:
    for person in people.PEOPLE.values():
        user_id = directory.get_user_id(**by("userName", person.id))["UserId"]
        found = directory.describe_user(**STORE, UserId=user_id)
        assert (found["DisplayName"], found["Emails"][0]["Value"]) == (person.name, person.email)
        rows = directory.list_group_memberships_for_member(**STORE, MemberId={"UserId": user_id})["GroupMemberships"]
        assert {row["GroupId"] for row in rows} == {directory_id(group) for group in person.groups}


def test_a_user_is_described(directory: Any, store: IdentityStore) -> None:
    found = directory.describe_user(**STORE, UserId=USER1)
    assert re.fullmatch(UUID, found["UserId"])
    assert found["UserArn"] == f"arn:aws:identitystore:::user/{USER1}"
    assert (found["UserName"], found["UserStatus"], found["Revision"]) == ("user1", "ENABLED", "1")
    store.disable_user("user1")
    assert directory.describe_user(**STORE, UserId=found["UserArn"])["UserStatus"] == "DISABLED"
    assert len(store.groups_of("user1")) == 2
    store.enable_user(USER1)
    assert directory.describe_user(**STORE, UserId=USER1)["UserStatus"] == "ENABLED"


def test_groups_and_users_are_listed_whole(directory: Any) -> None:
    groups = directory.list_groups(**STORE)["Groups"]
    assert [group["DisplayName"] for group in groups] == list(GROUPS)
    described = directory.describe_group(**STORE, GroupId=TEAM1)
    assert {name: described[name] for name in groups[0]} == groups[0]
    users = directory.list_users(**STORE)["Users"]
    assert [user["UserName"] for user in users] == ["user1", "user2", "ada", "user3", "user4", "user5", "user6"]
    described = directory.describe_user(**STORE, UserId=USER1)
    assert {name: described[name] for name in users[0]} == users[0]


def test_memberships_of_a_group(directory: Any) -> None:
    rows = directory.list_group_memberships(**STORE, GroupId=TEAM1)["GroupMemberships"]
    assert [row["MemberId"]["UserId"] for row in rows] == [USER1, directory_id("user3")]
    assert rows[0]["GroupId"] == TEAM1
    assert re.fullmatch(UUID, rows[0]["MembershipId"])
    assert rows[0]["MembershipArn"].endswith(f"/{rows[0]['MembershipId']}")


def test_membership_of_several_groups_at_once(directory: Any) -> None:
    asked = [TEAM1, ADMINS]
    results = directory.is_member_in_groups(**STORE, MemberId={"UserId": USER1}, GroupIds=asked)["Results"]
    assert [(row["GroupId"], row["MembershipExists"]) for row in results] == [(TEAM1, True), (ADMINS, False)]
    assert results[0]["MemberId"] == {"UserId": USER1}
    for wrong in ([], [TEAM1] * 101):
        code, _ = refusal(directory.is_member_in_groups, **STORE, MemberId={"UserId": USER1}, GroupIds=wrong)
        assert code == "ValidationException"


def test_alternate_identifiers(directory: Any, store: IdentityStore) -> None:
    external = {"Issuer": "https://idp.example", "Id": "0042"}
    other = store.add_user("Eve", email="eve@example.com", external_ids=[external])
    group = store.add_group("Guests", external_ids=[external])
    assert directory.get_user_id(**by("userName", "eve"))["UserId"] == other.user_id
    assert directory.get_user_id(**by("emails.value", "EVE@example.com"))["UserId"] == other.user_id
    wanted = {**STORE, "AlternateIdentifier": {"ExternalId": external}}
    assert directory.get_user_id(**wanted)["UserId"] == other.user_id
    assert directory.get_group_id(**wanted)["GroupId"] == group.group_id
    assert directory.get_group_id(**by("displayName", "Guests"))["GroupId"] == group.group_id
    assert directory.describe_user(**STORE, UserId=other.user_id)["ExternalIds"] == [external]
    assert refusal(directory.get_group_id, **by("displayName", "guests"))[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"ExternalId": {"Issuer": "x"}},
        {"ExternalId": {"Issuer": "x", "Id": "y"}, **by("userName", "user1")["AlternateIdentifier"]},
        by("nickName", "x")["AlternateIdentifier"],
        by("userName", 5)["AlternateIdentifier"],
        by("user name", "x")["AlternateIdentifier"],
    ],
)
def test_alternate_identifiers_that_are_refused(directory: Any, wanted: dict[str, Any]) -> None:
    code, _ = refusal(directory.get_user_id, **STORE, AlternateIdentifier=wanted)
    assert code == "ValidationException"


@pytest.mark.parametrize(
    ("operation", "params", "kind"),
    [
        ("describe_user", {"UserId": NOBODY}, "USER"),
        ("describe_group", {"GroupId": NOBODY}, "GROUP"),
        ("get_user_id", by("userName", "nobody"), "USER"),
        ("get_group_id", by("displayName", "nothing"), "GROUP"),
        ("list_group_memberships", {"GroupId": NOBODY}, "GROUP"),
        ("list_group_memberships_for_member", {"MemberId": {"UserId": NOBODY}}, "USER"),
        ("is_member_in_groups", {"MemberId": {"UserId": NOBODY}, "GroupIds": [TEAM1]}, "USER"),
        ("is_member_in_groups", {"MemberId": {"UserId": USER1}, "GroupIds": [NOBODY]}, "GROUP"),
        ("delete_group_membership", {"MembershipId": NOBODY}, "GROUP_MEMBERSHIP"),
        ("list_users", {"IdentityStoreId": "d-0000000000"}, "IDENTITY_STORE"),
    ],
)
def test_what_does_not_exist(directory: Any, operation: str, params: dict[str, Any], kind: str) -> None:
    error, answer = error_of(getattr(directory, operation), **{**STORE, **params})
    assert isinstance(error, directory.exceptions.ResourceNotFoundException)
    assert answer["ResourceType"] == kind
    assert answer["RequestId"] == answer["ResponseMetadata"]["RequestId"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("describe_user", {"UserId": "user1"}),
        ("describe_user", {"UserId": f"906701234-{USER1}"}),
        ("describe_group", {}),
        ("list_users", {"IdentityStoreId": "d-90670"}),
        ("list_users", {"MaxResults": 101}),
        ("list_users", {"MaxResults": 0}),
        ("list_groups", {"Filters": [{"AttributePath": "DisplayName", "AttributeValue": "x"}]}),
        ("list_group_memberships_for_member", {"MemberId": {}}),
    ],
)
def test_what_is_refused(directory: Any, operation: str, params: dict[str, Any]) -> None:
    error, _ = error_of(getattr(directory, operation), **{**STORE, **params})
    assert isinstance(error, directory.exceptions.ValidationException)


def test_ids_may_begin_with_the_stores_digits(standin: Handle, directory: Any) -> None:
    other = standin.state.add_identity_store("d-1234567890", prefixed_ids=True)
    user = other.add_user("eve")
    assert re.fullmatch(f"1234567890-{UUID}", user.user_id)
    arn = f"arn:aws:identitystore::{other.account}:identitystore/{other.store_id}"
    assert directory.describe_user(IdentityStoreId=arn, UserId=user.user_id)["UserName"] == "eve"


def test_other_accounts_and_regions(standin: Handle, store: IdentityStore, sts: Any) -> None:
    role = {"RoleArn": OTHER_PORTAL_ROLE, "RoleSessionName": "portal", "ExternalId": OTHER_EXTERNAL_ID}
    foreign = connect(standin.url, "identitystore", sts.assume_role(**role)["Credentials"])
    error, _ = error_of(foreign.list_users, **STORE)
    assert isinstance(error, foreign.exceptions.AccessDeniedException)
    store.allowed_accounts.append("444455556666")
    assert foreign.list_users(**STORE)["Users"]
    elsewhere = connect(standin.url, "identitystore", region="us-east-1")
    assert error_of(elsewhere.list_users, **STORE)[1]["ResourceType"] == "IDENTITY_STORE"
    for client in (foreign, elsewhere):
        client.close()


def test_calls_are_remembered(standin: Handle, directory: Any) -> None:
    directory.list_groups(**STORE)
    (call,) = standin.calls("ListGroups")
    assert (call.service, call.params, call.outcome) == ("identitystore", STORE, "ok")


def test_twenty_calls_a_second_of_each_operation_if_asked_for(standin: Handle, directory: Any) -> None:
    def refused() -> int:
        before = len([call for call in standin.calls() if call.outcome != "ok"])
        for _ in range(25):
            with contextlib.suppress(directory.exceptions.ThrottlingException):
                directory.list_groups(**STORE)
        return len([call for call in standin.calls() if call.outcome != "ok"]) - before

    assert refused() == 0
    # So slow that the test's own time lets no further call through.
    standin.personality.directory_rate = 5
    standin.state.clock.now = lambda: 1000.0  # type: ignore[method-assign]
    assert refused() == 20
    directory.list_users(**STORE)
    standin.state.clock.now = lambda: 1001.0  # type: ignore[method-assign]
    assert refused() == 20


def test_how_long_to_wait_is_told_if_asked_for(standin: Handle, directory: Any, studio: Any) -> None:
    standin.personality.update({"throttle": {"every": 1}})
    assert "RetryAfterSeconds" not in error_of(directory.list_groups, **STORE)[1]
    standin.personality.update({"retry_after": 3})
    answer = error_of(directory.list_groups, **STORE)[1]
    assert (answer["RetryAfterSeconds"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (3, 400)
    assert "RetryAfterSeconds" not in error_of(studio.describe_domain, DomainId=DOMAIN)[1]


NAMES = [f"u{number:03}" for number in range(230)]


@pytest.fixture
def long(standin: Handle) -> IdentityStore:
    """An identity store with more rows than a page has."""
    found = standin.state.add_identity_store("d-1234567890")
    members = [("all", name) for name in NAMES] + [(f"g{name}", NAMES[0]) for name in NAMES[1:]]
    found.load(users=NAMES, groups=["all", *(f"g{name}" for name in NAMES[1:])], members=members)
    return found


LISTS = [
    ("list_users", {}, "Users"),
    ("list_groups", {}, "Groups"),
    ("list_group_memberships", {"GroupId": "all"}, "GroupMemberships"),
    ("list_group_memberships_for_member", {"MemberId": {"UserId": NAMES[0]}}, "GroupMemberships"),
]


@pytest.mark.parametrize(("operation", "params", "key"), LISTS)
@pytest.mark.parametrize("short", [False, True])
def test_pages(
    standin: Handle, directory: Any, long: IdentityStore, operation: str, params: Any, key: str, short: bool
) -> None:
    standin.personality.update({"short_pages": short, "seed": 5})
    if "GroupId" in params:
        params = {"GroupId": long.find_group("all").group_id}
    if "MemberId" in params:
        params = {"MemberId": {"UserId": long.find_user(NAMES[0]).user_id}}
    asked = {"IdentityStoreId": long.store_id, **params}
    assert len(getattr(directory, operation)(**asked)[key]) <= 50
    pages = list(directory.get_paginator(operation).paginate(**asked, PaginationConfig={"PageSize": 100}))
    rows = [repr(sorted(row.items(), key=str)) for page in pages for row in page[key]]
    assert (len(rows), len(set(rows))) == (230, 230)
    sizes = [len(page[key]) for page in pages]
    assert (min(sizes[:-1]) < 100) is short
    assert short or sizes == [100, 100, 30]
    assert "NextToken" not in pages[-1]


def test_rows_that_go_do_not_shift_pages(directory: Any, long: IdentityStore) -> None:
    asked = {"IdentityStoreId": long.store_id, "MaxResults": 100}
    token = directory.list_users(**asked)["NextToken"]
    for name in NAMES[:60] + NAMES[100:101] + NAMES[110:220]:
        long.delete_user(name)
    late = long.add_user("late").user_name
    found = [user["UserName"] for user in directory.list_users(**asked, NextToken=token)["Users"]]
    assert found == [*NAMES[101:110], *NAMES[220:], late]
    assert long.members_of("all") == [*NAMES[60:100], *NAMES[101:110], *NAMES[220:]]


@pytest.mark.parametrize("token", ["nonsense", "W10=", "ä"])
def test_tokens_that_are_refused(directory: Any, token: str) -> None:
    assert refusal(directory.list_users, **STORE, NextToken=token)[0] == "ValidationException"


def test_a_token_of_another_list(directory: Any) -> None:
    token = directory.list_users(**STORE, MaxResults=1)["NextToken"]
    assert refusal(directory.list_groups, **STORE, NextToken=token)[0] == "ValidationException"
