"""Who is in which group."""

from functools import partial
from typing import Any

from portal.demo.aws.identitystore import attributes, lookup
from portal.demo.aws.identitystore.paging import listing
from portal.demo.aws.service import Context, Operation


def of_group(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListGroupMemberships."""
    store = lookup.store(context, params)
    after = partial(store.contents.members_after, lookup.group(store, params["GroupId"]).group_id)
    return listing(context, params, "GroupMemberships", after, lambda row: attributes.shown_membership(store, row))


def of_member(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListGroupMembershipsForMember."""
    store = lookup.store(context, params)
    after = partial(store.contents.groups_after, lookup.member(store, params).user_id)
    return listing(context, params, "GroupMemberships", after, lambda row: attributes.shown_membership(store, row))


def are_memberships(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """IsMemberInGroups: all answers at once; refused when the user or one of the groups does not exist."""
    store = lookup.store(context, params)
    user_id = lookup.member(store, params).user_id
    groups = [lookup.group(store, group_id).group_id for group_id in params["GroupIds"]]
    results = [
        {
            "GroupId": group_id,
            "MemberId": {"UserId": user_id},
            "MembershipExists": store.contents.membership_of(group_id, user_id) is not None,
        }
        for group_id in groups
    ]
    return {"Results": results}


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateGroupMembership."""
    store = lookup.store(context, params)
    row = store.add_member(lookup.group(store, params["GroupId"]), lookup.member(store, params), origin=None)
    return {
        "MembershipId": row.membership_id,
        "MembershipArn": attributes.arn("membership", row.membership_id),
        "IdentityStoreId": store.store_id,
    }


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteGroupMembership."""
    store = lookup.store(context, params)
    store.remove_membership(lookup.plain(params["MembershipId"]), origin=None)
    return {}


READS: dict[str, Operation] = {
    "ListGroupMemberships": of_group,
    "ListGroupMembershipsForMember": of_member,
    "IsMemberInGroups": are_memberships,
}
WRITES: dict[str, Operation] = {"CreateGroupMembership": create, "DeleteGroupMembership": delete}
