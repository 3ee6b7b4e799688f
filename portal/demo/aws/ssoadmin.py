"""IAM Identity Center's administration: who is assigned to the applications of domains in SSO mode."""

from typing import Any

from portal.demo.aws.errors import ApiError
from portal.demo.aws.rows import Domain
from portal.demo.aws.sagemaker.paging import cut
from portal.demo.aws.service import Context, Operation, Service

DEFAULT_ROWS = 100


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateApplicationAssignment: of a user or a group that the directory knows."""
    domain, principal = _application(context, params), _principal(params)
    _check_principal(context, params)
    if principal in domain.assigned:
        raise ApiError("ConflictException", "The assignment already exists.")
    domain.assigned.append(principal)
    return {}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteApplicationAssignment."""
    _assigned(context, params).assigned.remove(_principal(params))
    return {}


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeApplicationAssignment: knows direct assignments only."""
    return _row(_assigned(context, params), _principal(params))


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListApplicationAssignments."""
    domain = _application(context, params)
    rows = [((each,), _row(domain, each)) for each in domain.assigned]
    page, token = cut(context, params, rows, DEFAULT_ROWS)
    return {"ApplicationAssignments": page, "NextToken": token}


def _application(context: Context, params: dict[str, Any]) -> Domain:
    """Return the domain to which an application belongs. Raises ApiError."""
    arn = params["ApplicationArn"]
    if arn.split(":")[4] != context.caller.account:
        raise ApiError(
            "AccessDeniedException",
            f"User: {context.caller.arn} is not authorized to perform: sso:{context.model.name} on resource: {arn}",
        )
    for domain in context.state.all_domains():
        if domain.application_arn == arn:
            return domain
    raise ApiError("ResourceNotFoundException", "Application not found.")


def _assigned(context: Context, params: dict[str, Any]) -> Domain:
    domain = _application(context, params)
    if _principal(params) not in domain.assigned:
        raise ApiError("ResourceNotFoundException", "Application assignment not found.")
    return domain


def _check_principal(context: Context, params: dict[str, Any]) -> None:
    kind, principal_id = params["PrincipalType"], params["PrincipalId"]
    place = (context.caller.account, context.caller.region)
    for store in context.state.identity_stores.values():
        known = store.contents.users if kind == "USER" else store.contents.groups
        if (store.account, store.region) == place and known.get(principal_id) is not None:
            return
    raise ApiError("ResourceNotFoundException", f"{kind} not found.")


def _principal(params: dict[str, Any]) -> str:
    return f"{params['PrincipalType']}:{params['PrincipalId']}"


def _row(domain: Domain, principal: str) -> dict[str, Any]:
    kind, _, principal_id = principal.partition(":")
    return {"ApplicationArn": domain.application_arn, "PrincipalType": kind, "PrincipalId": principal_id}


_READS: dict[str, Operation] = {"DescribeApplicationAssignment": describe, "ListApplicationAssignments": list_all}

SERVICE = Service(
    name="sso-admin",
    operations={"CreateApplicationAssignment": create, "DeleteApplicationAssignment": delete, **_READS},
    reads=frozenset(_READS),
)
