"""The events that tell of changes in an identity store, as EventBridge puts them into a queue. Nothing here is sent.

Who changes something decides what its event tells: the console names group and user, a removal through the API names
only the membership, and a change by SCIM masks the members.
"""

import datetime as dt
import time
import uuid
from typing import Any, TypedDict, Unpack

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
DETAIL_TYPE = "AWS API Call via CloudTrail"
Event = dict[str, Any]


class Envelope(TypedDict, total=False):
    """What any event can be given: where and when it happened (seconds since the epoch), its ids, why it failed."""

    account: str
    region: str
    at: float
    event_id: str
    error_code: str
    error_message: str


def call(
    service: str,
    name: str,
    parameters: dict[str, Any],
    response: dict[str, Any] | None = None,
    identity: dict[str, Any] | None = None,
    **envelope: Unpack[Envelope],
) -> Event:
    """Return the event of one call of `service`, for example `identitystore`; a failed call has no response."""
    account, region = envelope.get("account", "111122223333"), envelope.get("region", "eu-west-1")
    moment = dt.datetime.fromtimestamp(envelope.get("at") or time.time(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    detail = {
        "eventVersion": "1.08",
        "userIdentity": identity or _admin(account),
        "eventTime": moment,
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": "198.51.100.7",
        "requestParameters": parameters,
        **_outcome(response, envelope),
        "requestID": str(uuid.uuid4()),
        "eventID": envelope.get("event_id") or str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
    }
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": f"aws.{service}",
        "account": account,
        "time": moment,
        "region": region,
        "resources": [],
        "detail": detail,
    }


def add_member(store_id: str, group_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what the console leaves when somebody is put into a group."""
    return _console("AddMemberToGroup", store_id, {"groupId": group_id, "member": {"memberId": user_id}}, **envelope)


def remove_member(store_id: str, group_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what the console leaves when somebody is taken out of a group."""
    asked = {"groupId": group_id, "member": {"memberId": user_id}}
    return _console("RemoveMemberFromGroup", store_id, asked, **envelope)


def console_user(name: str, store_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what the console leaves for one user: CreateUser, UpdateUser, DisableUser, EnableUser or DeleteUser."""
    if name == "CreateUser":
        return _console(name, store_id, {"userName": HIDDEN}, {"user": {"userId": user_id}}, **envelope)
    return _console(name, store_id, {"userId": user_id}, **envelope)


def disable_user(store_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what the console leaves when a user is disabled."""
    return console_user("DisableUser", store_id, user_id, **envelope)


def enable_user(store_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what the console leaves when a user is enabled again."""
    return console_user("EnableUser", store_id, user_id, **envelope)


def console_group(name: str, store_id: str, group_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what the console leaves for one group: CreateGroup, UpdateGroup or DeleteGroup."""
    if name == "CreateGroup":
        return _console(name, store_id, {"displayName": HIDDEN}, {"group": {"groupId": group_id}}, **envelope)
    return _console(name, store_id, {"groupId": group_id}, **envelope)


def api_create_membership(
    store_id: str, group_id: str, user_id: str, membership_id: str, **envelope: Unpack[Envelope]
) -> Event:
    """Return what CreateGroupMembership leaves."""
    asked = {"identityStoreId": store_id, "groupId": group_id, "memberId": {"userId": user_id}}
    answer = {"membershipId": membership_id, "identityStoreId": store_id}
    return call("identitystore", "CreateGroupMembership", asked, answer, **envelope)


def api_delete_membership(store_id: str, membership_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what DeleteGroupMembership leaves: neither the group nor the user."""
    asked = {"identityStoreId": store_id, "membershipId": membership_id}
    return call("identitystore", "DeleteGroupMembership", asked, **envelope)


def api_user(name: str, store_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what CreateUser, UpdateUser or DeleteUser leaves."""
    return _api_write(name, "userId", store_id, user_id, {"userName": HIDDEN}, **envelope)


def api_group(name: str, store_id: str, group_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what CreateGroup, UpdateGroup or DeleteGroup leaves."""
    return _api_write(name, "groupId", store_id, group_id, {"displayName": HIDDEN}, **envelope)


def scim_group(name: str, tenant_id: str, group_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what an outside provider leaves for one group: CreateGroup, PutGroup or DeleteGroup."""
    return _scim(name, tenant_id, group_id, {"displayName": HIDDEN, "members": HIDDEN}, **envelope)


def scim_patch_group(
    tenant_id: str, group_id: str, op: str = "REMOVE", path: str = "members", **envelope: Unpack[Envelope]
) -> Event:
    """Return what an outside provider leaves when it changes a group; whom it puts in or takes out is masked."""
    operations = {"operations": [{"op": op, "path": path, "value": HIDDEN}]}
    return _scim("PatchGroup", tenant_id, group_id, operations, **envelope)


def scim_patch_user(
    tenant_id: str, user_id: str, path: str = "active", op: str = "REPLACE", **envelope: Unpack[Envelope]
) -> Event:
    """Return what an outside provider leaves when it changes a user, disabling included; the new value is masked."""
    operations = {"operations": [{"op": op, "path": path, "value": HIDDEN}]}
    return _scim("PatchUser", tenant_id, user_id, operations, **envelope)


def scim_user(name: str, tenant_id: str, user_id: str, **envelope: Unpack[Envelope]) -> Event:
    """Return what an outside provider leaves for one user: CreateUser, PutUser or DeleteUser."""
    return _scim(name, tenant_id, user_id, {"userName": HIDDEN, "active": HIDDEN}, **envelope)


def _outcome(response: dict[str, Any] | None, envelope: Envelope) -> dict[str, Any]:
    if not envelope.get("error_code"):
        return {"responseElements": response}
    error = {"errorCode": envelope["error_code"], "errorMessage": envelope.get("error_message", "")}
    return {**error, "responseElements": None}


def _console(
    name: str,
    store_id: str,
    asked: dict[str, Any],
    answer: dict[str, Any] | None = None,
    **envelope: Unpack[Envelope],
) -> Event:
    return call("sso-directory", name, {"identityStoreId": store_id, **asked}, answer, **envelope)


def _api_write(
    name: str, key: str, store_id: str, row_id: str, masked: dict[str, str], **envelope: Unpack[Envelope]
) -> Event:
    asked: dict[str, Any] = {"identityStoreId": store_id}
    answer = None if name.startswith("Delete") else {"identityStoreId": store_id, key: row_id}
    if name.startswith("Create"):
        asked |= masked
    else:
        asked[key] = row_id
    if name.startswith("Update"):
        asked["operations"] = [{"attributePath": HIDDEN, "attributeValue": HIDDEN}]
    return call("identitystore", name, asked, answer, **envelope)


def _scim(name: str, tenant_id: str, row_id: str, body: dict[str, Any], **envelope: Unpack[Envelope]) -> Event:
    asked: dict[str, Any] = {"tenantId": tenant_id}
    answer = None
    if name.startswith("Create"):
        answer = {"id": row_id}
    else:
        asked["id"] = row_id
    if not name.startswith("Delete"):
        asked["httpBody"] = body
    identity = {"type": "WebIdentityUser", "accountId": envelope.get("account", "111122223333")}
    return call("identitystore-scim", name, asked, answer, identity, **envelope)


def _admin(account: str) -> dict[str, Any]:
    return {
        "type": "AssumedRole",
        "accountId": account,
        "arn": f"arn:aws:sts::{account}:assumed-role/Admin/jo",
    }
