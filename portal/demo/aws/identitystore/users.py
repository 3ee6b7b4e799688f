"""Users."""

from typing import Any

from portal.demo.aws.directory import User
from portal.demo.aws.identitystore import attributes, lookup
from portal.demo.aws.identitystore.paging import listing
from portal.demo.aws.service import Context, Operation


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeUser."""
    store = lookup.store(context, params)
    return attributes.shown_user(store, lookup.user(store, params["UserId"]))


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListUsers."""
    store = lookup.store(context, params)
    lookup.no_filters(params)
    users = store.contents.users
    return listing(context, params, "Users", users.after, lambda row: attributes.shown_user(store, row))


def get_id(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetUserId."""
    store = lookup.store(context, params)
    user = lookup.by_alternate(store.contents.user_by, params, ("userName", "emails.value"))
    return _named(store.store_id, user)


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateUser."""
    store = lookup.store(context, params)
    members = {name: value for name, value in params.items() if name not in ("IdentityStoreId", "Extensions")}
    user = store.add_user(**attributes.user_fields(members), origin=None)
    return _named(store.store_id, user) | {"Revision": str(user.revision)}


def update(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """UpdateUser: it cannot disable anybody."""
    store = lookup.store(context, params)
    user = lookup.user(store, params["UserId"])
    lookup.check_revision(user, params)
    shape = context.model.service_model.shape_for("CreateUserRequest")
    after = attributes.changed(attributes.of_user(user), params["Operations"], shape)
    store.update_user(user, **attributes.user_fields(after), origin=None)
    return _named(store.store_id, user) | {"Revision": str(user.revision)}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteUser: the memberships go with the user."""
    store = lookup.store(context, params)
    user = lookup.user(store, params["UserId"])
    lookup.check_revision(user, params)
    store.delete_user(user, origin=None)
    return {}


def _named(store_id: str, user: User) -> dict[str, Any]:
    return {"IdentityStoreId": store_id, "UserId": user.user_id, "UserArn": attributes.arn("user", user.user_id)}


READS: dict[str, Operation] = {"DescribeUser": describe, "ListUsers": list_all, "GetUserId": get_id}
WRITES: dict[str, Operation] = {"CreateUser": create, "UpdateUser": update, "DeleteUser": delete}
