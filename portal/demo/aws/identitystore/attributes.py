"""Users and groups as AWS shows them, and the operations that change their attributes."""

from typing import Any

from botocore.model import Shape, StructureShape

from portal.demo.aws.directory import Group, IdentityStore, Membership, User
from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.validation import check_types, constraint_error

_NOT_ATTRIBUTES = ("IdentityStoreId", "Extensions")


def arn(kind: str, row_id: str) -> str:
    """Return the ARN of a user, a group or a membership."""
    return f"arn:aws:identitystore:::{kind}/{row_id}"


def of_user(user: User) -> dict[str, Any]:
    """Return the attributes of a user as members of the service model."""
    emails = [{"Value": user.email, "Type": "work", "Primary": True}] if user.email else None
    found = {"UserName": user.user_name, "DisplayName": user.display_name or None, "Emails": emails, **user.other}
    return {name: value for name, value in found.items() if value is not None}


def of_group(group: Group) -> dict[str, Any]:
    """Return the attributes of a group as members of the service model."""
    found = {"DisplayName": group.name, "Description": group.description}
    return {name: value for name, value in found.items() if value}


def user_fields(members: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of User that these attributes make. Raises ApiError when there is no user name."""
    if "UserName" not in members:
        raise invalid("UserName is a required attribute")
    other = {name: value for name, value in members.items() if name not in ("UserName", "DisplayName")}
    emails = members.get("Emails") or [{}]
    return {
        "user_name": members["UserName"],
        "display_name": members.get("DisplayName", ""),
        "email": emails[0].get("Value", ""),
        "other": other,
    }


def group_fields(members: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of Group that these attributes make. Raises ApiError when there is no name."""
    if "DisplayName" not in members:
        raise invalid("DisplayName is a required attribute")
    return {"name": members["DisplayName"], "description": members.get("Description", "")}


def shown_user(store: IdentityStore, user: User) -> dict[str, Any]:
    """Return a user as DescribeUser and ListUsers do."""
    return {
        "IdentityStoreId": store.store_id,
        "UserId": user.user_id,
        "UserArn": arn("user", user.user_id),
        "Revision": str(user.revision),
        "UserStatus": "ENABLED" if user.enabled else "DISABLED",
        **({"ExternalIds": user.external_ids} if user.external_ids else {}),
        **of_user(user),
        "CreatedAt": user.created,
        "UpdatedAt": user.modified,
    }


def shown_group(store: IdentityStore, group: Group) -> dict[str, Any]:
    """Return a group as DescribeGroup and ListGroups do."""
    return {
        "IdentityStoreId": store.store_id,
        "GroupId": group.group_id,
        "GroupArn": arn("group", group.group_id),
        "Revision": str(group.revision),
        **({"ExternalIds": group.external_ids} if group.external_ids else {}),
        **of_group(group),
        "CreatedAt": group.created,
        "UpdatedAt": group.modified,
    }


def shown_membership(store: IdentityStore, row: Membership) -> dict[str, Any]:
    """Return a membership as both lists of memberships do."""
    return {
        "IdentityStoreId": store.store_id,
        "MembershipId": row.membership_id,
        "MembershipArn": arn("membership", row.membership_id),
        "GroupId": row.group_id,
        "MemberId": {"UserId": row.user_id},
        "CreatedAt": row.created,
        "UpdatedAt": row.created,
    }


def changed(before: dict[str, Any], operations: list[dict[str, Any]], shape: Shape) -> dict[str, Any]:
    """Return the attributes after AttributeOperations; an operation without a value takes the attribute away.

    `shape` is the request that creates such a row: what it takes can be changed. Raises ApiError for anything else.
    """
    known = shape.members if isinstance(shape, StructureShape) else {}
    after = dict(before)
    for operation in operations:
        top, *below = [_upper(name) for name in operation["AttributePath"].split(".")]
        if top not in known or top in _NOT_ATTRIBUTES or len(below) > 1:
            raise invalid(f"The attribute {operation['AttributePath']} cannot be changed")
        value = _named(operation.get("AttributeValue"))
        if below:
            inner = {**after.get(top, {}), below[0]: value}
            value = {name: member for name, member in inner.items() if member is not None}
        after[top] = value
    after = {name: value for name, value in after.items() if value not in (None, {})}
    try:
        check_types(shape, after)
    except ApiError as fault:
        raise invalid(fault.message) from fault
    if text := constraint_error(shape, {"IdentityStoreId": "d-0000000000", **after}):
        raise invalid(text)
    return after


def _named(value: Any) -> Any:
    """Return a document with the names of the service model: `givenName` is GivenName."""
    if isinstance(value, dict):
        return {_upper(name): _named(member) for name, member in value.items()}
    return [_named(member) for member in value] if isinstance(value, list) else value


def _upper(name: str) -> str:
    return name[:1].upper() + name[1:]
