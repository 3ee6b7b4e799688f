"""Groups."""

from typing import Any

from portal.demo.aws.directory import Group
from portal.demo.aws.identitystore import attributes, lookup
from portal.demo.aws.identitystore.paging import listing
from portal.demo.aws.service import Context, Operation


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeGroup."""
    store = lookup.store(context, params)
    return attributes.shown_group(store, lookup.group(store, params["GroupId"]))


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListGroups."""
    store = lookup.store(context, params)
    lookup.no_filters(params)
    groups = store.contents.groups
    return listing(context, params, "Groups", groups.after, lambda row: attributes.shown_group(store, row))


def get_id(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetGroupId."""
    store = lookup.store(context, params)
    return _named(store.store_id, lookup.by_alternate(store.contents.group_by, params, ("displayName",)))


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateGroup."""
    store = lookup.store(context, params)
    group = store.add_group(**attributes.group_fields(params), origin=None)
    return _named(store.store_id, group) | {"Revision": str(group.revision)}


def update(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """UpdateGroup."""
    store = lookup.store(context, params)
    group = lookup.group(store, params["GroupId"])
    lookup.check_revision(group, params)
    shape = context.model.service_model.shape_for("CreateGroupRequest")
    after = attributes.changed(attributes.of_group(group), params["Operations"], shape)
    store.update_group(group, **attributes.group_fields(after), origin=None)
    return _named(store.store_id, group) | {"Revision": str(group.revision)}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteGroup: the memberships go with the group."""
    store = lookup.store(context, params)
    group = lookup.group(store, params["GroupId"])
    lookup.check_revision(group, params)
    store.delete_group(group, origin=None)
    return {}


def _named(store_id: str, group: Group) -> dict[str, Any]:
    return {"IdentityStoreId": store_id, "GroupId": group.group_id, "GroupArn": attributes.arn("group", group.group_id)}


READS: dict[str, Operation] = {"DescribeGroup": describe, "ListGroups": list_all, "GetGroupId": get_id}
WRITES: dict[str, Operation] = {"CreateGroup": create, "UpdateGroup": update, "DeleteGroup": delete}
