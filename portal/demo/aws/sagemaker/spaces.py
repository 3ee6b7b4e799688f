"""Spaces."""

from typing import Any

from portal.demo.aws.errors import in_use, invalid
from portal.demo.aws.rows import GONE, Space
from portal.demo.aws.sagemaker import lookup
from portal.demo.aws.sagemaker.paging import listing
from portal.demo.aws.service import Context, Operation


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateSpace: ownership and sharing are given together or not at all."""
    domain = lookup.domain(context, params["DomainId"])
    owner, sharing = _ownership(context, params)
    tags = lookup.new_tags(params)
    name = params["SpaceName"]
    if existing := context.state.space(domain.domain_id, name):
        raise in_use(f"Space [{existing.arn}] already exists.")
    mine = [space for space in context.state.all_spaces() if lookup.is_mine(context, space)]
    most = lookup.account(context).max_spaces
    if len(mine) >= most:
        raise lookup.over_quota("Maximum number of spaces allowed per account", "Spaces", most, len(mine))
    space = Space(
        account=domain.account,
        region=domain.region,
        domain_id=domain.domain_id,
        name=name,
        created=context.now,
        modified=context.now,
        tags=tags,
        settings=params.get("SpaceSettings") or {},
        owner=owner,
        sharing=sharing,
        display_name=params.get("SpaceDisplayName", ""),
    )
    context.begin_create(space)
    context.state.spaces[domain.domain_id, name.lower()] = space
    return {"SpaceArn": space.arn}


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeSpace."""
    space = lookup.space(context, params["DomainId"], params["SpaceName"])
    return {
        **_common(space),
        "SpaceArn": space.arn,
        "SpaceSettings": space.settings,
        "OwnershipSettings": {"OwnerUserProfileName": space.owner} if space.owner else None,
        "SpaceSharingSettings": {"SharingType": space.sharing} if space.sharing else None,
        "FailureReason": space.failure_reason if space.status.endswith("ailed") else None,
    }


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteSpace: refused while apps run in the space."""
    space = lookup.space(context, params["DomainId"], params["SpaceName"])
    if space.status in ("Pending", "Updating", "Deleting"):
        raise in_use(f"Unable to delete Space [{space.arn}] because it is in {space.status} state.")
    key = (space.domain_id, space.name.lower())
    apps = (app for app in context.state.all_apps() if (app.domain_id, app.space.lower()) == key)
    if any(app.status not in ("Deleted", "Failed") for app in apps):
        raise in_use(f"Unable to delete Space [{space.arn}] because App(s) are associated with it.")
    context.begin_delete(space, GONE)
    return {}


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListSpaces; there is no filter by owner."""
    domain_id, part = params.get("DomainIdEquals"), params.get("SpaceNameContains", "").lower()
    rows = [
        space
        for space in context.state.all_spaces()
        if lookup.is_mine(context, space)
        and space.hidden_until <= context.now
        and domain_id in (None, space.domain_id)
        and part in space.name.lower()
    ]
    return listing(context, params, rows, "Spaces", _row)


def _common(space: Space) -> dict[str, Any]:
    return {
        "DomainId": space.domain_id,
        "SpaceName": space.name,
        "Status": space.status,
        "CreationTime": space.created,
        "LastModifiedTime": space.modified,
        "SpaceDisplayName": space.display_name or None,
    }


def _row(space: Space) -> dict[str, Any]:
    row = {name: value for name, value in _common(space).items() if value is not None}
    if summary := {key: space.settings[key] for key in ("AppType", "SpaceStorageSettings") if key in space.settings}:
        row["SpaceSettingsSummary"] = summary
    if space.owner:
        row["OwnershipSettingsSummary"] = {"OwnerUserProfileName": space.owner}
    if space.sharing:
        row["SpaceSharingSettingsSummary"] = {"SharingType": space.sharing}
    return row


def _ownership(context: Context, params: dict[str, Any]) -> tuple[str, str]:
    owner, sharing = params.get("OwnershipSettings"), params.get("SpaceSharingSettings")
    if bool(owner) != bool(sharing):
        raise invalid("OwnershipSettings and SpaceSharingSettings must be specified together.")
    if not owner or not sharing:
        return "", ""
    named = {"DomainId": params["DomainId"], "UserProfileName": owner["OwnerUserProfileName"]}
    profile = lookup.profile(context, named)
    if profile.status != "InService":
        raise in_use(f"UserProfile [{profile.arn}] is in {profile.status} state.")
    return profile.name, sharing["SharingType"]


OPERATIONS: dict[str, Operation] = {
    "CreateSpace": create,
    "DescribeSpace": describe,
    "DeleteSpace": delete,
    "ListSpaces": list_all,
}
