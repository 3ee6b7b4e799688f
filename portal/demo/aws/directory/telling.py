"""Which event tells of a change, depending on where the change was made."""

from typing import Literal, Unpack

from portal.demo.aws import events
from portal.demo.aws.directory.rows import Membership
from portal.demo.aws.events import Envelope, Event

Origin = Literal["console", "api", "scim"]
ORIGINS: tuple[Origin, ...] = ("console", "api", "scim")
UserChange = Literal["CreateUser", "UpdateUser", "DisableUser", "EnableUser", "DeleteUser"]
SWITCHES = ("DisableUser", "EnableUser")
GroupChange = Literal["CreateGroup", "UpdateGroup", "DeleteGroup"]


def member_added(origin: Origin, store_id: str, tenant_id: str, row: Membership, **envelope: Unpack[Envelope]) -> Event:
    """Return the event of a new membership."""
    if origin == "console":
        return events.add_member(store_id, row.group_id, row.user_id, **envelope)
    if origin == "api":
        return events.api_create_membership(store_id, row.group_id, row.user_id, row.membership_id, **envelope)
    return events.scim_patch_group(tenant_id, row.group_id, "ADD", **envelope)


def member_removed(
    origin: Origin, store_id: str, tenant_id: str, row: Membership, **envelope: Unpack[Envelope]
) -> Event:
    """Return the event of a membership that ended."""
    if origin == "console":
        return events.remove_member(store_id, row.group_id, row.user_id, **envelope)
    if origin == "api":
        return events.api_delete_membership(store_id, row.membership_id, **envelope)
    return events.scim_patch_group(tenant_id, row.group_id, "REMOVE", **envelope)


def user_changed(
    origin: Origin, store_id: str, tenant_id: str, change: UserChange, user_id: str, **envelope: Unpack[Envelope]
) -> Event:
    """Return the event of a change to a user."""
    if origin == "console":
        return events.console_user(change, store_id, user_id, **envelope)
    if origin == "api":
        return events.api_user(change, store_id, user_id, **envelope)
    if change in SWITCHES:
        return events.scim_patch_user(tenant_id, user_id, **envelope)
    return events.scim_user("PutUser" if change == "UpdateUser" else change, tenant_id, user_id, **envelope)


def group_changed(
    origin: Origin, store_id: str, tenant_id: str, change: GroupChange, group_id: str, **envelope: Unpack[Envelope]
) -> Event:
    """Return the event of a change to a group."""
    if origin == "console":
        return events.console_group(change, store_id, group_id, **envelope)
    if origin == "api":
        return events.api_group(change, store_id, group_id, **envelope)
    if change == "UpdateGroup":
        return events.scim_patch_group(tenant_id, group_id, "REPLACE", "displayName", **envelope)
    return events.scim_group(change, tenant_id, group_id, **envelope)
