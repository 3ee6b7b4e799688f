"""Find what a request speaks of, as far as its caller may see it, and the checks that several operations share."""

from typing import Any

from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.rows import Account, Domain, Profile, Resource, Space
from portal.demo.aws.service import Context

TAGS_MAX = 50


def is_mine(context: Context, row: Resource) -> bool:
    """Return whether the resource is in the caller's account and Region."""
    return row.account == context.caller.account and row.region == context.caller.region


def arn(context: Context, path: str) -> str:
    """Return the ARN of a SageMaker resource in the caller's account and Region."""
    return f"arn:aws:sagemaker:{context.caller.region}:{context.caller.account}:{path}"


def account(context: Context) -> Account:
    """Return the caller's account."""
    return context.state.accounts[context.caller.account]


def domain(context: Context, domain_id: str) -> Domain:
    """Return a domain. Raises ApiError when it does not exist."""
    found = context.state.domain(domain_id)
    if found is None or not is_mine(context, found):
        raise context.not_found(f"Domain [{arn(context, f'domain/{domain_id}')}]")
    return found


def profile(context: Context, params: dict[str, Any]) -> Profile:
    """Return the user profile that DomainId and UserProfileName name. Raises ApiError when it cannot be seen."""
    domain_id, name = params["DomainId"], params["UserProfileName"]
    found = context.state.profile(domain_id, name)
    if found is None or not is_mine(context, found) or found.hidden_until > context.now:
        raise context.not_found(f"UserProfile [{arn(context, f'user-profile/{domain_id}/{name}')}]")
    return found


def space(context: Context, domain_id: str, name: str) -> Space:
    """Return a space. Raises ApiError when it cannot be seen."""
    found = context.state.space(domain_id, name)
    if found is None or not is_mine(context, found) or found.hidden_until > context.now:
        raise context.not_found(f"Space [{arn(context, f'space/{domain_id}/{name}')}]")
    return found


def new_tags(params: dict[str, Any], before: dict[str, str] | None = None) -> dict[str, str]:
    """Return the tags `before` overwritten by those of the request.

    Raises ApiError for keys that are given twice or reserved, and for too many.
    """
    given = params.get("Tags") or []
    keys = [tag["Key"] for tag in given]
    if len(set(keys)) < len(keys):
        raise invalid("Duplicate tag keys found.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise invalid("aws: prefixed tag key names are not allowed for external use.")
    tags = {**(before or {}), **{tag["Key"]: tag["Value"] for tag in given}}
    if len(tags) > TAGS_MAX:
        raise invalid(f"A resource can have at most {TAGS_MAX} tags.")
    return tags


def check_pass_role(context: Context, settings: dict[str, Any]) -> None:
    """Refuse an execution role that the caller may not pass: one of another account, or one that is denied."""
    role = settings.get("ExecutionRole")
    if role and (role.split(":")[4] != context.caller.account or role in account(context).denied_roles):
        message = (
            f"User: {context.caller.arn} is not authorized to perform: iam:PassRole on resource: {role} "
            "because no identity-based policy allows the iam:PassRole action"
        )
        raise ApiError("AccessDeniedException", message)


def over_quota(limit: str, unit: str, most: int, used: int) -> ApiError:
    """Return the error of a request for one more than the quota allows."""
    return ApiError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{limit}' is {most} {unit}, with current utilization of {used} {unit} "
        f"and a request delta of 1 {unit}. Please use AWS Service Quotas to request an increase for this quota.",
    )
