"""What events hint at: every shape of the three sources, whatever is missing, masked, unknown or no event at all."""

import json
from typing import Any

import pytest

from portal.demo.aws import events as made
from provisioning.directory.events import EVERYTHING, GROUP, MEMBERSHIP, USER, Hint, Ignored, UnparsableError, parse

STORE = "d-1234567890"
G = "34887428-4081-7042-c3c6-928d413009e7"
U = "94e80458-9021-70ea-08fa-c3a10a1d8a92"
M = "84d80468-1111-70ea-08fa-c3a10a1d8a92"
TENANT = "2f1e4d3c-0000-4000-8000-123456789012"
GROUP_HINT, USER_HINT, ALL = Hint(GROUP, G), Hint(USER, U), Hint(EVERYTHING)


def read(event: Any) -> Hint | Ignored:
    return parse(event if isinstance(event, str) else json.dumps(event), STORE)


def changed(event: dict[str, Any], **detail: Any) -> dict[str, Any]:
    """Return an event with other values in its detail; None takes one away."""
    kept = {name: value for name, value in (event["detail"] | detail).items() if value is not None}
    return event | {"detail": kept}


ADDED = made.add_member(STORE, G, U)

SHAPES = {
    "console adds": (ADDED, GROUP_HINT),
    "console removes": (made.remove_member(STORE, G, U), GROUP_HINT),
    "console disables": (made.disable_user(STORE, U), USER_HINT),
    "console enables": (made.enable_user(STORE, U), USER_HINT),
    "console makes a user": (made.console_user("CreateUser", STORE, U), USER_HINT),
    "console changes a user": (made.console_user("UpdateUser", STORE, U), USER_HINT),
    "console deletes a user": (made.console_user("DeleteUser", STORE, U), USER_HINT),
    "console makes a group": (made.console_group("CreateGroup", STORE, G), GROUP_HINT),
    "console renames a group": (made.console_group("UpdateGroup", STORE, G), GROUP_HINT),
    "console deletes a group": (made.console_group("DeleteGroup", STORE, G), GROUP_HINT),
    "api adds": (made.api_create_membership(STORE, G, U, M), GROUP_HINT),
    "api removes": (made.api_delete_membership(STORE, M), Hint(MEMBERSHIP, M)),
    "api makes a user": (made.api_user("CreateUser", STORE, U), USER_HINT),
    "api changes a user": (made.api_user("UpdateUser", STORE, U), USER_HINT),
    "api deletes a user": (made.api_user("DeleteUser", STORE, U), USER_HINT),
    "api makes a group": (made.api_group("CreateGroup", STORE, G), GROUP_HINT),
    "api renames a group": (made.api_group("UpdateGroup", STORE, G), GROUP_HINT),
    "api deletes a group": (made.api_group("DeleteGroup", STORE, G), GROUP_HINT),
    "scim changes members": (made.scim_patch_group(TENANT, G), GROUP_HINT),
    "scim makes a group": (made.scim_group("CreateGroup", TENANT, G), GROUP_HINT),
    "scim puts a group": (made.scim_group("PutGroup", TENANT, G), GROUP_HINT),
    "scim deletes a group": (made.scim_group("DeleteGroup", TENANT, G), GROUP_HINT),
    "scim disables a user": (made.scim_patch_user(TENANT, U), USER_HINT),
    "scim puts a user": (made.scim_user("PutUser", TENANT, U), USER_HINT),
    "scim makes a user": (made.scim_user("CreateUser", TENANT, U), USER_HINT),
    "scim deletes a user": (made.scim_user("DeleteUser", TENANT, U), USER_HINT),
}


@pytest.mark.parametrize(("event", "hint"), SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_is_understood(event: dict[str, Any], hint: Hint) -> None:
    assert read(event) == hint


@pytest.mark.parametrize(("event", "hint"), SHAPES.values(), ids=SHAPES.keys())
def test_a_call_that_failed_changed_nothing(event: dict[str, Any], hint: Hint) -> None:
    failed = changed(event, errorCode="AccessDenied", errorMessage="no", responseElements=None)
    assert read(failed) == Ignored("a call that failed")


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"eventVersion": None, "eventTime": None, "responseElements": None, "eventID": None}, GROUP_HINT),
        ({"readOnly": None}, GROUP_HINT),
        ({"readOnly": True}, Ignored("a call that only reads")),
        ({"eventName": "ListMembersInGroup", "readOnly": None}, Ignored("a call that only reads")),
        ({"eventName": "AddSomethingNewToGroup"}, GROUP_HINT),
        ({"eventName": "ReplaceGroupMembers", "requestParameters": {"identityStoreId": STORE}}, ALL),
        ({"requestParameters": {"identityStoreId": STORE, "groupId": made.HIDDEN}}, ALL),
        ({"requestParameters": {"member": {"memberId": U}}}, USER_HINT),
        ({"requestParameters": None}, ALL),
        ({"requestParameters": "x"}, ALL),
        ({"requestParameters": {"groupId": f"arn:aws:identitystore:::group/{G}"}}, GROUP_HINT),
        ({"requestParameters": {"groupId": f"1234567890-{G}"}}, Hint(GROUP, f"1234567890-{G}")),
        ({"requestParameters": {"groupId": "' OR 1=1 --"}}, ALL),
        ({"requestParameters": {"identityStoreId": "d-0000000000", "groupId": G}}, "another"),
        ({"requestParameters": {"identityStoreId": f"arn:aws:identitystore::1:identitystore/{STORE}",
                                "groupId": G}}, GROUP_HINT),
        ({"eventName": "UpdatePassword"}, Ignored("a call that changes nobody's access")),
        ({"eventName": "EnableUserAuthenticationDevice"}, Ignored("a call that changes nobody's access")),
        ({"eventName": "SomethingElse"}, Ignored("a call that concerns neither people nor groups")),
        ({"eventName": "MergeUsers", "requestParameters": {}}, ALL),
        ({"requestParameters": {"groupId": f"{STORE}-{G}"}}, Hint(GROUP, f"{STORE}-{G}")),
        ({"requestParameters": {"GroupId": G.upper()}}, GROUP_HINT),
        ({"requestParameters": {"identityStoreId": made.HIDDEN, "groupId": G}}, GROUP_HINT),
        ({"eventSource": "SSO-Directory.amazonaws.com", "eventName": "addMemberToGroup"}, GROUP_HINT),
        ({"eventName": "disableuser", "requestParameters": {"userId": U}}, USER_HINT),
        ({"eventSource": "s3.amazonaws.com"}, Ignored("a call of another service")),
    ],
)  # fmt: skip
def test_odd_events_are_read_defensively(detail: dict[str, Any], expected: Any) -> None:
    found = read(changed(ADDED, **detail))
    if expected == "another":
        assert isinstance(found, Ignored)
        assert "another" in found.reason
    else:
        assert found == expected


@pytest.mark.parametrize("event", [ADDED, made.scim_patch_user(TENANT, U)])
def test_an_event_is_found_in_a_letter_of_sns_and_behind_a_byte_order_mark(event: dict[str, Any]) -> None:
    letter = {"Type": "Notification", "MessageId": M, "TopicArn": "arn:aws:sns:eu-west-1:1:t"}
    assert read("\ufeff" + json.dumps(event)) == read(event)
    assert read(letter | {"Message": json.dumps(event)}) == read(event)
    with pytest.raises(UnparsableError):
        read(letter | {"Message": "hello"})


def test_what_a_service_did_by_itself_is_understood_too() -> None:
    assert read(ADDED | {"detail-type": "AWS Service Event via CloudTrail"}) == GROUP_HINT


@pytest.mark.parametrize(
    ("kind", "detail", "expected"),
    [
        ("User Updated", {"identityStoreId": STORE, "userId": U}, USER_HINT),
        ("User Deleted", {"user": {"userId": U}}, USER_HINT),
        ("Group Updated", {"groupId": G}, GROUP_HINT),
        ("Group Membership Created", {"groupId": G, "memberId": {"userId": U}, "membershipId": M}, GROUP_HINT),
        ("Group Membership Deleted", {"membershipId": M}, Hint(MEMBERSHIP, M)),
        ("Group Membership Deleted", {"userId": U}, USER_HINT),
        ("Group Deleted", {}, ALL),
        ("Scheduled Event", {}, Ignored("an event of another kind")),
    ],
)
def test_native_notifications_are_understood(kind: str, detail: dict[str, Any], expected: Any) -> None:
    assert read({"source": "aws.identitystore", "detail-type": kind, "detail": detail}) == expected


def test_a_notification_of_another_store_is_ignored() -> None:
    detail = {"identityStoreId": "d-0000000000", "userId": U}
    found = read({"source": "aws.identitystore", "detail-type": "User Updated", "detail": detail})
    assert isinstance(found, Ignored)


@pytest.mark.parametrize(
    "body",
    [
        "", "no JSON", "[]", "null", "1", '"text"', "{}", '{"source": "x"}', '{"source": 1, "detail-type": 2}',
        '{"source": "aws.sso-directory", "detail-type": "AWS API Call via CloudTrail"}',
        '{"source": "aws.sso-directory", "detail-type": "AWS API Call via CloudTrail", "detail": []}',
        '{"source": "aws.sso-directory", "detail-type": "AWS API Call via CloudTrail", "detail": {}}',
        '{"source": "a", "detail-type": "AWS API Call via CloudTrail", "detail": {"eventSource": [], "eventName": 1}}',
        "[" * 100_000, "\x00", json.dumps(ADDED)[:-20], "1" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_with_a_reason(body: str) -> None:
    with pytest.raises(UnparsableError) as caught:
        read(body)
    assert str(caught.value)


def test_hostile_depth_and_names_do_no_harm() -> None:
    deep: dict[str, Any] = {"groupId": made.HIDDEN}
    for _ in range(50):
        deep = {"x": deep}
    assert read(changed(ADDED, requestParameters=deep)) == ALL
