"""Apps, of a profile or of a space."""

from typing import Any

from portal.demo.aws.errors import in_use, invalid
from portal.demo.aws.rows import App, Profile, Space, app_key
from portal.demo.aws.sagemaker import lookup
from portal.demo.aws.sagemaker.paging import listing
from portal.demo.aws.service import Context, Operation


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateApp: the profile or space must be in service."""
    domain = lookup.domain(context, params["DomainId"])
    owner = _owner(context, params)
    tags = lookup.new_tags(params)
    app = _named(context, params, domain.account, domain.region)
    app.tags = {**owner.tags, **tags}
    app.settings = params.get("ResourceSpec") or {}
    if owner.status != "InService":
        kind = "space" if isinstance(owner, Space) else "user profile"
        message = f"Unable to create app [{app.arn}] because {kind} [{owner.arn}] is not in InService state."
        raise invalid(message)
    existing = context.state.app(app_key(app))
    if existing and existing.status not in ("Deleted", "Failed"):
        raise in_use(f"App [{existing.arn}] already exists.")
    context.begin_create(app)
    context.state.apps[app_key(app)] = app
    return {"AppArn": app.arn}


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeApp; an app can be described for a day after it was deleted."""
    app = _find(context, params)
    return {
        **_row(app),
        "AppArn": app.arn,
        "FailureReason": app.failure_reason if app.status == "Failed" else None,
        "LastUserActivityTimestamp": app.active,
    }


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteApp: an app that has been deleted, or failed, cannot be deleted again."""
    app = _find(context, params)
    if app.status == "Deleted":
        raise invalid(f"App [{app.arn}] has already been deleted.")
    if app.status == "Failed":
        raise invalid(f"App [{app.arn}] previously failed and was automatically deleted.")
    if app.status in ("Pending", "Deleting"):
        raise in_use(f"Unable to delete App [{app.arn}] because it is in {app.status} state.")
    context.begin_delete(app, "Deleted")
    return {}


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListApps: by profile only those of the profile itself, not those of the spaces that it owns."""
    profile, space = params.get("UserProfileNameEquals"), params.get("SpaceNameEquals")
    if profile and space:
        raise invalid("UserProfileNameEquals and SpaceNameEquals can not be specified together.")
    domain_id = params.get("DomainIdEquals")
    rows = [
        app
        for app in context.state.all_apps()
        if lookup.is_mine(context, app)
        and domain_id in (None, app.domain_id)
        and (not profile or app.profile.lower() == profile.lower())
        and (not space or app.space.lower() == space.lower())
    ]
    return listing(context, params, rows, "Apps", _row)


def _row(app: App) -> dict[str, Any]:
    owner = {"UserProfileName": app.profile} if app.profile else {"SpaceName": app.space}
    return {
        "DomainId": app.domain_id,
        **owner,
        "AppType": app.app_type,
        "AppName": app.name,
        "Status": app.status,
        "CreationTime": app.created,
        **({"ResourceSpec": app.settings} if app.settings else {}),
    }


def _owner(context: Context, params: dict[str, Any]) -> Profile | Space:
    _check_one_owner(params)
    if params.get("SpaceName"):
        return lookup.space(context, params["DomainId"], params["SpaceName"])
    return lookup.profile(context, params)


def _check_one_owner(params: dict[str, Any]) -> None:
    if bool(params.get("UserProfileName")) == bool(params.get("SpaceName")):
        raise invalid("Exactly one of UserProfileName and SpaceName must be specified.")


def _find(context: Context, params: dict[str, Any]) -> App:
    _check_one_owner(params)
    wanted = _named(context, params, context.caller.account, context.caller.region)
    app = context.state.app(app_key(wanted))
    if app is None or not lookup.is_mine(context, app) or app.hidden_until > context.now:
        raise context.not_found(f"App [{wanted.arn}]")
    return app


def _named(context: Context, params: dict[str, Any], account: str, region: str) -> App:
    now = context.now
    app = App(account, region, params["DomainId"], params["AppName"], now, now, app_type=params["AppType"])
    app.profile, app.space = params.get("UserProfileName", ""), params.get("SpaceName", "")
    return app


OPERATIONS: dict[str, Operation] = {
    "CreateApp": create,
    "DescribeApp": describe,
    "DeleteApp": delete,
    "ListApps": list_all,
}
