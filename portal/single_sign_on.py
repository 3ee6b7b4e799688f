"""What the pages do for teams whose Studio is entered through IAM Identity Center rather than by a presigned URL."""

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseRedirect

from provisioning import launch, sso_domains
from provisioning.tiles import Standing
from teams.models import Domain

_WAITS = "AWS has not told the portal the address of this team’s Studio yet"
_WRONG = "The portal’s entry of this team’s domain is not as AWS has it. An administrator has to look at it."


def enter(target: launch.Target) -> HttpResponse:
    """Record the launch and send the person to the domain's own address: it is no secret, but nobody need keep it."""
    launch.record_entry(target)
    response = HttpResponseRedirect(target.address)
    response.status_code = HTTPStatus.SEE_OTHER
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def led_out(response: HttpResponse, *, through_identity_center: bool) -> HttpResponse:
    """Let the forms of a page lead wherever Studio sends on from its own address, if one of them goes that way.

    Browsers apply form-action to each redirect, and of those to Identity Center and on to the company's own identity
    provider nobody knows the hosts.
    """
    if through_identity_center:
        setattr(response, "_csp_update", {"form-action": ["https:"]})  # noqa: B010  (django-csp's own name for it)
    return response


def is_entered(domain: Domain | Standing) -> bool:
    """Whether people enter this domain through IAM Identity Center."""
    return domain.auth_mode == Domain.AuthMode.SSO


def waits_for(domain: Domain | Standing) -> str:
    """Return what a ready profile in a domain still waits for, empty when it opens; `is_wrong` says who has to act."""
    if not is_entered(domain) or sso_domains.door_of(domain.auth_mode, domain.real_auth_mode, domain.url):
        return ""
    return _WRONG if is_wrong(domain) else _WAITS


def is_wrong(domain: Domain | Standing) -> bool:
    """Whether waiting does not help."""
    return domain.real_auth_mode not in {"", domain.auth_mode}
