"""Tags, by ARN."""

from typing import Any

from portal.demo.aws.rows import Resource
from portal.demo.aws.sagemaker import lookup
from portal.demo.aws.sagemaker.paging import Place, cut
from portal.demo.aws.service import Context, Operation

_PAGE = 50


def add(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """AddTags: overwrites; answers all tags that were given."""
    row = _by_arn(context, params["ResourceArn"])
    row.tags = lookup.new_tags(params, row.tags)
    return {"Tags": params["Tags"]}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteTags."""
    row = _by_arn(context, params["ResourceArn"])
    row.tags = {key: value for key, value in row.tags.items() if key not in params["TagKeys"]}
    return {}


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListTags."""
    row = _by_arn(context, params["ResourceArn"])
    rows: list[tuple[Place, Any]] = [((key,), {"Key": key, "Value": value}) for key, value in row.tags.items()]
    page, token = cut(context, params, rows, _PAGE)
    return {"Tags": page, "NextToken": token}


def _by_arn(context: Context, arn: str) -> Resource:
    kind, _, path = arn.partition(lookup.arn(context, ""))[2].partition("/")
    found = _find(context, kind, path.split("/"))
    if found is None or not lookup.is_mine(context, found):
        raise context.not_found(f"Resource [{arn}]")
    return found


def _find(context: Context, kind: str, parts: list[str]) -> Resource | None:
    state = context.state
    if kind == "domain" and len(parts) == 1:
        return state.domain(parts[0])
    if kind == "user-profile" and len(parts) == 2:
        return state.profile(parts[0], parts[1])
    if kind == "space" and len(parts) == 2:
        return state.space(parts[0], parts[1])
    if kind == "app":
        wanted = "/".join(parts).lower()
        return next((app for app in state.all_apps() if app.path.lower() == wanted), None)
    return None


OPERATIONS: dict[str, Operation] = {"AddTags": add, "DeleteTags": delete, "ListTags": list_all}
