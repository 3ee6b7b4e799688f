"""What AWS says of domains: the mode in which people enter, and in SSO mode the address and the application.

The only writer of these columns. A look is one call; whoever needs it at once makes it, and a task makes it daily, and
every five minutes while something is missing or not as the portal's row says.
"""

import logging
from datetime import timedelta
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from provisioning import limits
from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError, Paced
from provisioning.aws.studio import Door, Studio
from provisioning.database import give_back_connection
from provisioning.models import Profile
from teams import audit, snapshots
from teams.models import AuditEvent, Domain

logger = logging.getLogger(__name__)

DAILY = timedelta(days=1)
PATIENCE = timedelta(minutes=5)
# Two tasks at once do not look twice.
TURN = 15.0
# The error of profiles in a domain whose mode in AWS is not the one that the portal's row says.
WRONG_MODE = "AuthModeDiffers"
# And of those that wait for the application to which their people are to be assigned.
NO_APPLICATION = "NoApplication"
SSO = Domain.AuthMode.SSO
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def mismatch(domain: Domain) -> str:
    """Return what is wrong with the mode of a domain, empty when nothing is or nobody has looked yet."""
    if domain.real_auth_mode in {"", domain.auth_mode}:
        return ""
    return (
        f"The domain {domain.domain_id} is in {domain.real_auth_mode} mode in AWS, and in {domain.auth_mode} mode "
        "here. An admin has to put that right on the domain's page."
    )


def door_of(auth_mode: str, real_auth_mode: str, url: str) -> str:
    """Return the address at which people enter a domain in SSO mode, empty while there is none that can be trusted."""
    return url if auth_mode == SSO and real_auth_mode == SSO and is_safe(url) else ""


def is_safe(url: str) -> bool:
    """Whether people may be sent to an address: https to a host, or http on loopback, and nothing odd in it."""
    if any(character.isspace() or character == "\\" or not character.isprintable() for character in url):
        return False
    try:
        parts = urlsplit(url)
        # Asked for because a port that is none raises only then.
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def due(limit: int) -> list[int]:
    """Return the ids of the domains that somebody should look at, those first that wait longest."""
    now = timezone.now()
    wrong_mode = ~Q(real_auth_mode=F("auth_mode"))
    incomplete = Q(auth_mode=SSO) & (Q(url="") | Q(assigns_application=True, application_arn=""))
    troubled = Q(looked_at__lt=now - PATIENCE) & (~Q(look_error="") | wrong_mode | incomplete)
    rows = Domain.objects.filter(Q(looked_at__isnull=True) | Q(looked_at__lt=now - DAILY) | troubled)
    return list(rows.order_by(F("looked_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)[:limit])


def look_by_id(domain_id: int) -> None:
    """Look at a domain, unless somebody has just done so. Raises nothing of AWS: a failure is in the row."""
    domain = Domain.objects.select_related("account").filter(pk=domain_id).first()
    if domain is None or not limits.turn(f"domain:{domain_id}", TURN):
        return
    try:
        look(domain)
    except AwsError as error:
        logger.info("The domain %s could not be described: %s", domain.domain_id, error.message)


def look(domain: Domain) -> None:
    """Ask AWS for a domain, whose account is loaded, and keep what it says in the row and in `domain`.

    Raises what `aws.errors` names; the failure is in the row then.
    """
    studio = Studio(Account.of(domain.account), domain.region, first=True)
    give_back_connection()
    try:
        door = studio.door(domain.domain_id)
    except AwsError as error:
        if not isinstance(error, Paced):
            told = f"{error.code}: {error.message}"[:500]
            Domain.objects.filter(pk=domain.pk).update(looked_at=timezone.now(), look_error=told)
        raise
    _keep(domain, door)


def _keep(domain: Domain, door: Door) -> None:
    safe = door.auth_mode != SSO or is_safe(door.url)
    known = {
        "real_auth_mode": door.auth_mode[:16],
        "url": door.url if door.auth_mode == SSO and safe else "",
        "application_arn": door.application_arn,
    }
    error = "" if safe else "AWS tells no https address of this domain."
    # Of a row that has become another domain meanwhile this says nothing.
    same = {"pk": domain.pk, "region": domain.region, "domain_id": domain.domain_id, "account": domain.account_id}
    with transaction.atomic():
        row = Domain.objects.select_for_update().filter(**same).first()
        if row is None:
            return
        before = {name: getattr(row, name) for name in known}
        Domain.objects.filter(pk=row.pk).update(**known, looked_at=timezone.now(), look_error=error)
        # That an IAM domain is one, as the row says, is no news.
        if before != known and (row.real_auth_mode or SSO in {row.auth_mode, door.auth_mode}):
            audit.record(
                AuditEvent.Action.METADATA_REFRESHED,
                target=snapshots.target(row),
                reason="What AWS says of the domain has changed.",
                aws_request_id=door.request_id,
                data=snapshots.difference(before, known),
            )
        if before != known:
            # What was parked for what AWS said before may go on.
            parked = Profile.objects.filter(domain=row.pk, state=Profile.State.FAILED)
            parked.filter(error_code__in=(WRONG_MODE, NO_APPLICATION)).update(due_at=timezone.now())
    for name, value in known.items():
        setattr(domain, name, value)
