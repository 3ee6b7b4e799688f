"""Presigned URLs: minted here, opened in `pages`."""

import re
import secrets
from typing import Any

from portal.demo.aws.errors import invalid
from portal.demo.aws.rows import Domain, Profile, Ticket, digest
from portal.demo.aws.sagemaker import lookup
from portal.demo.aws.service import Context, Operation

URL_SECONDS = 300
SESSION_SECONDS = 43200
_SWEEP_EVERY = 1000
# The model has no pattern for it; its documentation has.
_LANDING_URI = re.compile(r"studio::.*|app:(JupyterServer|JupyterLab|RStudioServerPro|CodeEditor|Canvas):.*")


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreatePresignedDomainUrl: for profiles that are in service, in domains with IAM authentication."""
    domain = lookup.domain(context, params["DomainId"])
    profile = lookup.profile(context, params)
    if domain.auth_mode != "IAM":
        raise invalid("CreatePresignedDomainUrl is not supported for a Domain with AuthMode SSO.")
    if profile.status != "InService":
        raise invalid(f"UserProfile [{profile.arn}] is not in InService state: {profile.status}.")
    if not _LANDING_URI.fullmatch(params.get("LandingUri", "studio::")):
        raise invalid("LandingUri must be studio::path or app:type:path.")
    _check_space(context, params, profile)
    token = secrets.token_urlsafe(48)
    tickets = context.state.tickets
    if len(tickets) % _SWEEP_EVERY == _SWEEP_EVERY - 1:
        for key in [key for key, ticket in tickets.items() if ticket.expires <= context.now]:
            del tickets[key]
    tickets[digest(token)] = _ticket(context, params, domain, profile)
    return {"AuthorizedUrl": f"{context.url}/auth?token={token}"}


def _ticket(context: Context, params: dict[str, Any], domain: Domain, profile: Profile) -> Ticket:
    default_role = domain.settings.get("DefaultUserSettings", {}).get("ExecutionRole", "")
    return Ticket(
        account=profile.account,
        region=profile.region,
        domain_id=profile.domain_id,
        profile=profile.name,
        execution_role=profile.settings.get("ExecutionRole", default_role),
        session_name=context.caller.session_name or context.caller.arn.rsplit("/", 1)[-1],
        session_seconds=params.get("SessionExpirationDurationInSeconds", SESSION_SECONDS),
        expires=context.now + params.get("ExpiresInSeconds", URL_SECONDS),
        landing_uri=params.get("LandingUri", ""),
        space=params.get("SpaceName", ""),
    )


def _check_space(context: Context, params: dict[str, Any], profile: Profile) -> None:
    if not params.get("SpaceName"):
        return
    space = lookup.space(context, profile.domain_id, params["SpaceName"])
    if space.sharing == "Private" and space.owner.lower() != profile.name.lower():
        raise invalid(f"Space [{space.arn}] is private and not owned by UserProfile [{profile.arn}].")


OPERATIONS: dict[str, Operation] = {"CreatePresignedDomainUrl": create}
