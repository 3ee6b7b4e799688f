"""User profiles."""

from typing import Any

from portal.demo.aws.errors import in_use, invalid
from portal.demo.aws.rows import GONE, Domain, Profile
from portal.demo.aws.sagemaker import lookup
from portal.demo.aws.sagemaker.paging import listing
from portal.demo.aws.service import Context, Operation

_QUOTA = "Maximum number of Studio user profiles allowed per account"
_BUSY = ("Pending", "Updating", "Deleting")


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateUserProfile."""
    domain = lookup.domain(context, params["DomainId"])
    sso_value = _sso_user(domain, params)
    settings = params.get("UserSettings") or {}
    tags = lookup.new_tags(params)
    lookup.check_pass_role(context, settings)
    if domain.status != "InService":
        raise in_use(f"Domain [{domain.arn}] is in {domain.status} state.")
    name = params["UserProfileName"]
    if existing := context.state.profile(domain.domain_id, name):
        raise in_use(f"UserProfile [{existing.arn}] already exists.")
    _check_one_each(context, domain, sso_value)
    _check_quota(context)
    profile = Profile(
        domain.account, domain.region, domain.domain_id, name, context.now, context.now, tags=tags, settings=settings
    )
    profile.sso_value = sso_value
    profile.uid = str(200001 + len(context.state.profiles))
    context.begin_create(profile)
    context.state.profiles[domain.domain_id, name.lower()] = profile
    return {"UserProfileArn": profile.arn}


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeUserProfile."""
    profile = lookup.profile(context, params)
    failed = profile.status in ("Failed", "Update_Failed", "Delete_Failed")
    return {
        **_row(profile),
        "UserProfileArn": profile.arn,
        "HomeEfsFileSystemUid": profile.uid,
        "FailureReason": profile.failure_reason if failed else None,
        "SingleSignOnUserIdentifier": "UserName" if profile.sso_value else None,
        "SingleSignOnUserValue": profile.sso_value or None,
        "UserSettings": profile.settings,
    }


def update(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """UpdateUserProfile: the settings that are given replace those of the same name."""
    profile = lookup.profile(context, params)
    settings = params.get("UserSettings") or {}
    lookup.check_pass_role(context, settings)
    if profile.status not in ("InService", "Update_Failed"):
        raise in_use(f"UserProfile [{profile.arn}] is in {profile.status} state.")
    profile.settings = {**profile.settings, **settings}
    profile.modified = context.now
    profile.begin("Updating", "InService", until=context.now + context.personality.update_delay)
    return {"UserProfileArn": profile.arn}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteUserProfile: refused while the profile has apps or owns spaces."""
    profile = lookup.profile(context, params)
    if profile.status in _BUSY:
        raise in_use(f"Unable to delete UserProfile [{profile.arn}] because it is in {profile.status} state.")
    key = profile.name.lower()
    apps = (app for app in context.state.all_apps() if (app.domain_id, app.profile.lower()) == (profile.domain_id, key))
    if any(app.status not in ("Deleted", "Failed") for app in apps):
        raise in_use(f"Unable to delete UserProfile [{profile.arn}] because App(s) are associated with it.")
    spaces = context.state.all_spaces()
    if any((space.domain_id, space.owner.lower()) == (profile.domain_id, key) for space in spaces):
        raise in_use(f"Unable to delete UserProfile [{profile.arn}] because Space(s) are associated with it.")
    context.begin_delete(profile, GONE)
    return {}


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListUserProfiles."""
    domain_id, part = params.get("DomainIdEquals"), params.get("UserProfileNameContains", "").lower()
    rows = [
        profile
        for profile in context.state.all_profiles()
        if lookup.is_mine(context, profile)
        and profile.hidden_until <= context.now
        and domain_id in (None, profile.domain_id)
        and part in profile.name.lower()
    ]
    return listing(context, params, rows, "UserProfiles", _row)


def _row(profile: Profile) -> dict[str, Any]:
    return {
        "DomainId": profile.domain_id,
        "UserProfileName": profile.name,
        "Status": profile.status,
        "CreationTime": profile.created,
        "LastModifiedTime": profile.modified,
    }


def _sso_user(domain: Domain, params: dict[str, Any]) -> str:
    """Return the directory user of a new profile, empty in IAM domains. Raises ApiError where they do not match."""
    identifier, value = params.get("SingleSignOnUserIdentifier"), params.get("SingleSignOnUserValue")
    if domain.auth_mode == "IAM":
        if identifier or value:
            raise invalid(
                "SingleSignOnUserIdentifier and SingleSignOnUserValue are not supported for a Domain with AuthMode IAM."
            )
        return ""
    if not identifier or not value:
        raise invalid(
            "SingleSignOnUserIdentifier and SingleSignOnUserValue are required for a Domain with AuthMode SSO."
        )
    # Identity Center tells user names apart by more than their case.
    if domain.sso_users is not None and value.lower() not in map(str.lower, domain.sso_users):
        raise invalid("The specified SingleSignOnUserValue does not match a user of the directory.")
    return str(value)


def _check_one_each(context: Context, domain: Domain, sso_value: str) -> None:
    """Refuse a second profile of one user of the directory."""
    for profile in context.state.all_profiles() if sso_value else ():
        if profile.domain_id == domain.domain_id and profile.sso_value.lower() == sso_value.lower():
            raise in_use(f"UserProfile [{profile.arn}] already exists for the SingleSignOnUserValue {sso_value}.")


def _check_quota(context: Context) -> None:
    most = lookup.account(context).max_profiles
    # Counted one by one only when there might be too many: this is a long list in load tests.
    if len(context.state.profiles) >= most:
        used = sum(lookup.is_mine(context, profile) for profile in context.state.all_profiles())
        if used >= most:
            raise lookup.over_quota(_QUOTA, "UserProfiles", most, used)


OPERATIONS: dict[str, Operation] = {
    "CreateUserProfile": create,
    "DescribeUserProfile": describe,
    "UpdateUserProfile": update,
    "DeleteUserProfile": delete,
    "ListUserProfiles": list_all,
}
