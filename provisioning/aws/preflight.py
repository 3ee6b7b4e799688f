"""Verbs by which a preflight looks at AWS: who calls, whether a role opens, what a domain, a role and a quota are.

They take and return plain values, change nothing, and raise only what `errors` names. Each is one call,
`count_profiles` one per page. Credentials that `assume` is given are thrown away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.aws import client, errors
from provisioning.aws.client import Account

SESSION_NAME = "studio-portal-preflight"
# The shortest session that there is.
SESSION_SECONDS = 900
PAGE = 100
PROFILE_QUOTA = "L-AC46C40F"
SAGEMAKER = "sagemaker.amazonaws.com"


@dataclass(frozen=True)
class Caller:
    """Who calls, or would call with the role that was assumed."""

    account_id: str
    arn: str
    request_id: str


@dataclass(frozen=True)
class DomainDescription:
    """A domain as AWS describes it, in AWS's own words."""

    status: str
    auth_mode: str
    failure_reason: str
    network: str
    security_groups: tuple[str, ...]
    execution_role_arn: str
    request_id: str
    # Of a domain in SSO mode.
    url: str = ""
    application_arn: str = ""


@dataclass(frozen=True)
class Count:
    """How many there are; `complete` is false where there may be more."""

    number: int
    complete: bool
    request_id: str


@dataclass(frozen=True)
class RoleDescription:
    """An IAM role: whether its trust policy lets SageMaker assume it, and its tags."""

    arn: str
    trusts_sagemaker: bool
    tags: Mapping[str, str]
    request_id: str


def caller(account: Account, region: str) -> Caller:
    """Return who the portal is in an account; with `Account()` who it is by itself."""
    answer = _call(account, region, "sts", "get_caller_identity")
    return Caller(str(answer.get("Account", "")), str(answer.get("Arn", "")), _request_id(answer))


def assume(role_arn: str, region: str, *, external_id: str = "") -> Caller:
    """Assume a role with the portal's own credentials. Raises Denied."""
    more = {"ExternalId": external_id} if external_id else {}
    answer = _call(
        Account(),
        region,
        "sts",
        "assume_role",
        RoleArn=role_arn,
        RoleSessionName=SESSION_NAME,
        DurationSeconds=SESSION_SECONDS,
        **more,
    )
    arn = str((answer.get("AssumedRoleUser") or {}).get("Arn", ""))
    return Caller(arn.split(":")[4] if arn.count(":") > 4 else "", arn, _request_id(answer))


def describe_domain(account: Account, region: str, domain_id: str) -> DomainDescription:
    """Return a domain. Raises NotFound."""
    answer = _call(account, region, "sagemaker", "describe_domain", DomainId=domain_id)
    settings = answer.get("DefaultUserSettings") or {}
    return DomainDescription(
        status=str(answer.get("Status", "")),
        auth_mode=str(answer.get("AuthMode", "")),
        failure_reason=errors.readable(answer.get("FailureReason") or ""),
        network=str(answer.get("AppNetworkAccessType", "")),
        security_groups=tuple(settings.get("SecurityGroups") or ()),
        execution_role_arn=str(settings.get("ExecutionRole") or ""),
        request_id=_request_id(answer),
        url=str(answer.get("Url") or ""),
        application_arn=str(answer.get("SingleSignOnApplicationArn") or ""),
    )


def count_profiles(account: Account, region: str, *, pages: int) -> Count:
    """Return how many profiles the account has in the Region, all domains together, as far as so many pages tell."""
    number, token, request_id = 0, "", ""
    for _ in range(pages):
        more = {"NextToken": token} if token else {}
        answer = _call(account, region, "sagemaker", "list_user_profiles", MaxResults=PAGE, **more)
        number += len(answer.get("UserProfiles") or ())
        token, request_id = str(answer.get("NextToken") or ""), _request_id(answer)
        if not token:
            return Count(number, complete=True, request_id=request_id)
    return Count(number, complete=False, request_id=request_id)


def profile_quota(account: Account, region: str) -> int:
    """Return how many profiles the account may have in the Region. Raises NotFound where AWS has no such quota."""
    answer = _call(
        account, region, "service-quotas", "get_service_quota", ServiceCode="sagemaker", QuotaCode=PROFILE_QUOTA
    )
    return int((answer.get("Quota") or {}).get("Value", 0))


def describe_role(account: Account, region: str, role_arn: str) -> RoleDescription:
    """Return an IAM role of the account. Raises NotFound."""
    answer = _call(account, region, "iam", "get_role", RoleName=role_arn.rpartition("/")[2])
    role = answer.get("Role") or {}
    return RoleDescription(
        arn=str(role.get("Arn", "")),
        trusts_sagemaker=_trusts(role.get("AssumeRolePolicyDocument"), SAGEMAKER),
        tags={tag["Key"]: tag["Value"] for tag in role.get("Tags") or ()},
        request_id=_request_id(answer),
    )


def _trusts(policy: Any, service: str) -> bool:
    """Whether a statement of a trust policy lets a service assume the role; conditions are not looked at."""
    given = _listed(policy.get("Statement")) if isinstance(policy, Mapping) else []
    for statement in given:
        principal = statement.get("Principal")
        services = _listed(principal.get("Service")) if isinstance(principal, Mapping) else []
        actions = _listed(statement.get("Action"))
        if statement.get("Effect") == "Allow" and service in services and {"sts:AssumeRole", "sts:*"} & set(actions):
            return True
    return False


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _call(account: Account, region: str, service: str, operation: str, **request: Any) -> dict[str, Any]:
    try:
        with errors.translated():
            call = getattr(client.get(account, region, service, "work"), operation)
            answer: dict[str, Any] = call(**request)
            return answer
    except errors.CredentialsExpired:
        client.forget(account)
        raise


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
