"""Domains."""

import secrets
from typing import Any

from portal.demo.aws.errors import in_use
from portal.demo.aws.rows import GONE, Domain, application_arn
from portal.demo.aws.sagemaker import lookup
from portal.demo.aws.sagemaker.paging import listing
from portal.demo.aws.service import Context, Operation

# What a domain is made with and describes itself by, word for word.
_KEPT = (
    "DefaultUserSettings", "DomainSettings", "DefaultSpaceSettings", "SubnetIds", "VpcId", "KmsKeyId",
    "AppNetworkAccessType", "AppSecurityGroupManagement", "HomeEfsFileSystemCreation", "TagPropagation",
)  # fmt: skip


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateDomain."""
    tags = lookup.new_tags(params)
    lookup.check_pass_role(context, params["DefaultUserSettings"])
    mine = [domain for domain in context.state.all_domains() if lookup.is_mine(context, domain)]
    if any(domain.name == params["DomainName"] for domain in mine):
        raise in_use(f"Domain with name {params['DomainName']} already exists.")
    most = lookup.account(context).max_domains
    if len(mine) >= most:
        raise lookup.over_quota("Total domains", "Domains", most, len(mine))
    domain = Domain(
        account=context.caller.account,
        region=context.caller.region,
        domain_id=f"d-{secrets.token_hex(6)}",
        name=params["DomainName"],
        created=context.now,
        modified=context.now,
        auth_mode=params["AuthMode"],
        tags=tags,
        settings={name: params[name] for name in _KEPT if name in params},
    )
    if domain.auth_mode == "SSO":
        domain.application_arn = application_arn(context.state.home_account, domain.domain_id)
    context.begin_create(domain)
    context.state.domains[domain.domain_id] = domain
    return {"DomainArn": domain.arn, "DomainId": domain.domain_id, "Url": _url(context, domain)}


def describe(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DescribeDomain."""
    domain = lookup.domain(context, params["DomainId"])
    return {
        "AppNetworkAccessType": "PublicInternetOnly",
        "TagPropagation": "DISABLED",
        "DefaultUserSettings": {},
        **_row(domain),
        "Url": _url(context, domain),
        "AuthMode": domain.auth_mode,
        "SingleSignOnApplicationArn": domain.application_arn or None,
        "FailureReason": domain.failure_reason if domain.status.endswith("ailed") else None,
        **domain.settings,
    }


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteDomain: refused while the domain has profiles or spaces."""
    domain = lookup.domain(context, params["DomainId"])
    if domain.status in ("Pending", "Updating", "Deleting"):
        raise in_use(f"Unable to delete Domain [{domain.arn}] because it is in {domain.status} state.")
    for name, rows in (("UserProfile", context.state.all_profiles()), ("Space", context.state.all_spaces())):
        if any(row.domain_id == domain.domain_id for row in rows):
            raise in_use(f"Unable to delete Domain [{domain.arn}] because {name}(s) are associated with it.")
    context.begin_delete(domain, GONE)
    return {}


def list_all(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListDomains."""
    rows = [domain for domain in context.state.all_domains() if lookup.is_mine(context, domain)]
    return listing(context, params, rows, "Domains", lambda row: {**_row(row), "Url": _url(context, row)})


def _url(context: Context, domain: Domain) -> str:
    """Return the address of a domain; in SSO mode it is a page here, because people go there with their browsers."""
    if domain.auth_mode == "SSO":
        return f"{context.url}/domains/{domain.domain_id}"
    return f"https://{domain.domain_id}.studio.{domain.region}.sagemaker.aws"


def _row(domain: Domain) -> dict[str, Any]:
    return {
        "DomainArn": domain.arn,
        "DomainId": domain.domain_id,
        "DomainName": domain.name,
        "Status": domain.status,
        "CreationTime": domain.created,
        "LastModifiedTime": domain.modified,
    }


OPERATIONS: dict[str, Operation] = {
    "CreateDomain": create,
    "DescribeDomain": describe,
    "DeleteDomain": delete,
    "ListDomains": list_all,
}
