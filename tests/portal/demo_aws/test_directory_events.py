"""What the queue hears of changes in the identity store."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from portal.demo.aws import events
from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.directory.telling import ORIGINS, Origin
from portal.demo.aws.seed import ACCOUNT, EVENT_QUEUE, IDENTITY_STORE, directory_id
from portal.demo.aws.server import Handle
from portal.demo.aws.state import State
from tests.portal.demo_aws.conftest import refusal
from tests.portal.demo_aws.test_directory import STORE, TEAM1, USER1

USER4 = directory_id("user4")
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"


@pytest.fixture
def heard(sqs: Any, queue_url: str) -> Callable[[], list[dict[str, Any]]]:
    """Take all events out of the queue, in the order in which they came."""

    def take() -> list[dict[str, Any]]:
        found = []
        while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return found

    return take


Heard = Callable[[], list[dict[str, Any]]]


def told(event: dict[str, Any]) -> tuple[str, str, dict[str, Any], Any]:
    """Return the service, the name, the parameters and the answer that an event tells of."""
    detail = event["detail"]
    service = detail["eventSource"].removesuffix(".amazonaws.com")
    assert event["source"] == f"aws.{service}"
    return service, detail["eventName"], detail["requestParameters"], detail["responseElements"]


def test_the_envelope(standin: Handle, store: IdentityStore, heard: Heard) -> None:
    standin.state.clock.advance(86_400)
    before = int(standin.state.clock.now())
    store.add_member("portal-admins", "user4")
    store.remove_member("portal-admins", "user4")
    first, second = heard()
    assert first["detail-type"] == "AWS API Call via CloudTrail"
    assert (first["account"], first["region"]) == (ACCOUNT, "eu-west-1")
    detail = first["detail"]
    assert (detail["eventTime"], detail["awsRegion"]) == (first["time"], "eu-west-1")
    assert before <= datetime.fromisoformat(first["time"]).timestamp() <= standin.state.clock.now()
    assert (detail["readOnly"], detail["eventType"], detail["recipientAccountId"]) == (False, "AwsApiCall", ACCOUNT)
    assert "errorCode" not in detail
    assert len({first["id"], second["id"], detail["eventID"], second["detail"]["eventID"]}) == 4


def test_members_by_the_console(store: IdentityStore, heard: Heard) -> None:
    store.add_member("team-1-scientists", "user4")
    store.remove_member(TEAM1, USER4)
    asked = {"identityStoreId": IDENTITY_STORE, "groupId": TEAM1, "member": {"memberId": USER4}}
    assert [told(event) for event in heard()] == [
        ("sso-directory", "AddMemberToGroup", asked, None),
        ("sso-directory", "RemoveMemberFromGroup", asked, None),
    ]


def test_members_by_calls(directory: Any, heard: Heard) -> None:
    made = directory.create_group_membership(**STORE, GroupId=TEAM1, MemberId={"UserId": USER4})
    directory.delete_group_membership(**STORE, MembershipId=made["MembershipId"])
    first, second = heard()
    answer = {"membershipId": made["MembershipId"], "identityStoreId": IDENTITY_STORE}
    asked = {"identityStoreId": IDENTITY_STORE, "groupId": TEAM1, "memberId": {"userId": USER4}}
    assert told(first) == ("identitystore", "CreateGroupMembership", asked, answer)
    asked = {"identityStoreId": IDENTITY_STORE, "membershipId": made["MembershipId"]}
    assert told(second) == ("identitystore", "DeleteGroupMembership", asked, None)
    assert first["detail"]["userIdentity"]["arn"] == f"arn:aws:iam::{ACCOUNT}:user/studio-portal"


def test_what_python_and_calls_do_leaves_the_same(directory: Any, store: IdentityStore, heard: Heard) -> None:
    made = directory.create_group_membership(**STORE, GroupId=TEAM1, MemberId={"UserId": USER4})
    store.remove_membership(made["MembershipId"], origin="api")
    row = store.add_member(TEAM1, USER4, origin="api")
    directory.delete_group_membership(**STORE, MembershipId=row.membership_id)
    by_call, removed, added, removed_by_call = (told(event) for event in heard())
    assert added[:3] == by_call[:3]
    assert (added[3].keys(), removed[2].keys()) == (by_call[3].keys(), removed_by_call[2].keys())
    assert removed[1] == removed_by_call[1]


def test_members_by_scim_are_masked(store: IdentityStore, heard: Heard) -> None:
    store.add_member(TEAM1, USER4, origin="scim")
    store.remove_member(TEAM1, USER4, origin="scim")
    for event, op in zip(heard(), ("ADD", "REMOVE"), strict=True):
        service, name, asked, answer = told(event)
        assert (service, name, answer) == ("identitystore-scim", "PatchGroup", None)
        operation = {"op": op, "path": "members", "value": HIDDEN}
        assert asked == {"tenantId": store.tenant_id, "id": TEAM1, "httpBody": {"operations": [operation]}}
        assert event["detail"]["userIdentity"] == {"type": "WebIdentityUser", "accountId": ACCOUNT}


USERS = {
    "console": ["CreateUser", "UpdateUser", "DisableUser", "EnableUser", "DeleteUser"],
    "api": ["CreateUser", "UpdateUser", "DeleteUser"],
    "scim": ["CreateUser", "PutUser", "PatchUser", "PatchUser", "DeleteUser"],
}
GROUP_CHANGES = {
    "console": ["CreateGroup", "UpdateGroup", "DeleteGroup"],
    "api": ["CreateGroup", "UpdateGroup", "DeleteGroup"],
    "scim": ["CreateGroup", "PatchGroup", "DeleteGroup"],
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_users_and_groups(store: IdentityStore, heard: Heard, origin: Origin) -> None:
    user = store.add_user("eve", origin=origin)
    store.add_member("portal-admins", user, None)
    store.update_user(user, display_name="Eve", origin=origin)
    if origin != "api":
        store.disable_user(user, origin=origin)
        store.enable_user(user, origin=origin)
    store.delete_user(user, origin=origin)
    group = store.add_group("guests", origin=origin)
    store.add_member(group, "user1", None)
    store.update_group(group, name="visitors", origin=origin)
    store.delete_group(group, origin=origin)
    found = [told(event) for event in heard()]
    assert [name for _, name, _, _ in found] == USERS[origin] + GROUP_CHANGES[origin]
    text = json.dumps(found)
    assert user.user_id in text
    assert group.group_id in text
    assert not any(name in text for name in ("eve", "Eve", "guests", "visitors"))


def test_the_api_disables_nobody(store: IdentityStore, heard: Heard) -> None:
    with pytest.raises(ValueError, match="console or by SCIM"):
        store.disable_user("user1", origin="api")
    assert store.find_user("user1").enabled
    assert heard() == []


def test_calls_that_change_users_and_groups_hide_what_is_sensitive(directory: Any, heard: Heard) -> None:
    made = directory.create_user(**STORE, UserName="eve", Name={"GivenName": "Eve"}, Emails=[{"Value": "eve@x"}])
    rename = [{"AttributePath": "displayName", "AttributeValue": "Eve"}]
    directory.update_user(**STORE, UserId=made["UserId"], Operations=rename)
    directory.delete_user(**STORE, UserId=made["UserId"])
    group = directory.create_group(**STORE, DisplayName="guests")["GroupId"]
    directory.update_group(**STORE, GroupId=group, Operations=[{**rename[0], "AttributeValue": "visitors"}])
    directory.delete_group(**STORE, GroupId=group)
    found = [told(event) for event in heard()]
    assert [name for _, name, _, _ in found] == USERS["api"] + GROUP_CHANGES["api"]
    assert found[0][2] == {
        "identityStoreId": IDENTITY_STORE,
        "userName": HIDDEN,
        "name": {"givenName": HIDDEN},
        "emails": [{"value": HIDDEN}],
    }
    assert found[0][3] == {"identityStoreId": IDENTITY_STORE, "userId": made["UserId"]}
    assert found[1][2]["operations"] == [{"attributePath": "displayName", "attributeValue": HIDDEN}]
    assert found[2][2:] == ({"identityStoreId": IDENTITY_STORE, "userId": made["UserId"]}, None)


def test_refused_calls_are_told_of_if_asked_for(standin: Handle, directory: Any, heard: Heard) -> None:
    pair = {**STORE, "GroupId": TEAM1, "MemberId": {"UserId": USER1}}
    refusal(directory.create_group_membership, **pair)
    assert heard() == []
    standin.personality.failed_events = True
    refusal(directory.create_group_membership, **pair)
    (event,) = heard()
    assert told(event)[1:] == (
        "CreateGroupMembership",
        {"identityStoreId": IDENTITY_STORE, "groupId": TEAM1, "memberId": {"userId": USER1}},
        None,
    )
    assert event["detail"]["errorCode"] == "ConflictException"
    assert event["detail"]["errorMessage"]


def test_events_get_lost(standin: Handle, store: IdentityStore, heard: Heard) -> None:
    standin.personality.update({"events_lost": 0.5, "seed": 1})
    for _ in range(10):
        store.add_member("portal-admins", "user4")
        store.remove_member("portal-admins", "user4")
    assert 0 < len(heard()) < 20
    standin.personality.update({"events_lost": 1})
    store.add_member("portal-admins", "user4")
    assert heard() == []


def test_events_come_twice(standin: Handle, store: IdentityStore, heard: Heard) -> None:
    standin.personality.events_duplicated = 1
    store.add_member("portal-admins", "user4")
    first, second = heard()
    assert first == second


def test_events_come_late(standin: Handle, store: IdentityStore, heard: Heard) -> None:
    standin.personality.events_delay = 300
    store.add_member("portal-admins", "user4")
    standin.state.clock.advance(290)
    assert heard() == []
    standin.state.clock.advance(11)
    assert len(heard()) == 1


def test_no_origin_and_no_queue_make_no_event(standin: Handle, store: IdentityStore, heard: Heard) -> None:
    store.add_member("portal-admins", "user4", None)
    store.load(users=["eve"], members=[("portal-admins", "eve")])
    store.event_queue = ""
    store.remove_member("portal-admins", "user4")
    assert heard() == []
    store.event_queue = EVENT_QUEUE
    store.remove_member("portal-admins", "eve")
    assert len(heard()) == 1


def test_events_are_made_by_hand() -> None:
    at = datetime(2026, 1, 10, 9, tzinfo=UTC).timestamp()
    event = events.add_member("d-1", "g", "u", account="999999999999", region="us-east-1", at=at, event_id="e")
    assert (event["account"], event["region"], event["time"]) == ("999999999999", "us-east-1", "2026-01-10T09:00:00Z")
    assert event["detail"]["eventID"] == "e"
    failed = events.api_delete_membership("d-1", "m", error_code="AccessDenied", error_message="no")
    assert (failed["detail"]["errorCode"], failed["detail"]["errorMessage"]) == ("AccessDenied", "no")
    assert events.scim_patch_group("t", "g", "ADD")["detail"]["requestParameters"]["id"] == "g"
    assert events.disable_user("d-1", "u")["detail"]["eventName"] == "DisableUser"
    assert events.enable_user("d-1", "u")["detail"]["eventName"] == "EnableUser"
    assert json.loads(json.dumps(event)) == event


def test_origins_are_all_known() -> None:
    assert get_args(Origin) == ORIGINS


def test_a_store_without_a_server() -> None:
    state = State()
    queue = state.add_queue("q")
    store = state.add_identity_store("d-1234567890", event_queue="q")
    store.load(users=["alice"], groups=["team"])
    store.add_member("team", "alice")
    assert [json.loads(row.body)["detail"]["eventName"] for row in queue.messages.values()] == ["AddMemberToGroup"]
    assert (store.members_of("team"), store.groups_of("alice")) == (["alice"], ["team"])
