"""The alarm of an account whose quota of profiles is used up: while it rings, nobody asks AWS for another one.

When its time is over, one row may try; whatever AWS then says decides for all others.
"""

import random
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from provisioning.aws.errors import QuotaExceeded
from provisioning.models import Profile, QuotaAlarm
from provisioning.rows import PARKED
from teams import audit
from teams.models import AuditEvent, Domain

PROFILE_QUOTA = "L-AC46C40F"
# Rows that wait for the same moment come back over so many seconds.
SPREAD = 60.0
# How long the others wait for the one that tries, should nothing be heard of it.
PROBE = timedelta(minutes=2)


def permit(domain: Domain) -> bool:
    """Return whether this create tries the quota for everybody; False when no alarm rings. Raises QuotaExceeded.

    Call it where nothing but the create follows: who is let through is the only one for a while.
    """
    now = timezone.now()
    alarm = _of(domain).first()
    if alarm is None:
        return False
    if alarm.retry_at <= now and _of(domain).filter(retry_at=alarm.retry_at).update(retry_at=now + PROBE):
        return True
    raise _refusal(alarm)


def blocked(domain: Domain) -> QuotaExceeded | None:
    """Return what AWS last said if the alarm of the domain's account rings and it is not yet time to try again."""
    alarm = _of(domain).filter(retry_at__gt=timezone.now()).first()
    return _refusal(alarm) if alarm else None


def ring(domain: Domain, error: QuotaExceeded) -> QuotaExceeded:
    """Note that AWS refused a profile because of the quota; returns the refusal with the time until the next try."""
    retry_at = timezone.now() + PARKED - timedelta(seconds=SPREAD)
    alarm, _ = QuotaAlarm.objects.update_or_create(
        account=domain.account,
        region=domain.region,
        defaults={"retry_at": retry_at, "code": error.code[:64], "message": audit.scrub_text(error.message)[:500]},
    )
    return _refusal(alarm, error.request_id)


def silence(alarm: QuotaAlarm, *, by: str = "") -> int:
    """End an alarm and wake the rows that wait for it, as AWS has shown or the admin `by` says; returns how many."""
    with transaction.atomic():
        if not QuotaAlarm.objects.filter(pk=alarm.pk).delete()[0]:
            return 0
        waiting = Profile.objects.filter(waits_for(alarm))
        if by:
            audit.record(
                AuditEvent.Action.CHANGED, target=str(alarm), actor=by, reason="The quota is to be tried again now.",
            )  # fmt: skip
        return Profile.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(due_at=timezone.now())


def waits_for(alarm: QuotaAlarm) -> Q:
    """Return the filter on profiles that failed for what an alarm is about."""
    where = Q(domain__account=alarm.account_id, domain__region=alarm.region)
    return where & Q(state=Profile.State.FAILED, error_code=alarm.code)


def silence_of(domain: Domain, *, code: str = "", by: str = "") -> None:
    """End the alarm of a domain's account and Region, if one rings; with `code` only if it is about that error."""
    alarm = _of(domain).first()
    if alarm and code in ("", alarm.code):
        silence(alarm, by=by)


def _of(domain: Domain) -> QuerySet[QuotaAlarm]:
    return QuotaAlarm.objects.filter(account=domain.account_id, region=domain.region)


def _refusal(alarm: QuotaAlarm, request_id: str = "") -> QuotaExceeded:
    seconds = max((alarm.retry_at - timezone.now()).total_seconds(), 0.0) + random.uniform(0.0, SPREAD)
    return QuotaExceeded(alarm.message, code=alarm.code, request_id=request_id, retry_after=seconds)
