"""The cleanup rules of teams at work: apps that one speaks against are looked at, their people warned, and the apps
stopped by `stopping` when the warning is over.

A row says all there is to know, so that any worker goes on where another died. Nothing is decided on old news: AWS is
asked for an app's last activity, and for its tags where one exempts, right before the warning and right before the end.
"""

import time
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from provisioning import desired
from provisioning.aws.errors import AwsError, Paced
from provisioning.aws.studio import Studio
from provisioning.database import give_back_connection
from provisioning.models import RunningApp
from provisioning.running import activity, claims, rules, scans, sightings
from provisioning.running.claims import RULES, Claimed, ClaimLost, told
from provisioning.running.rules import Decision
from teams.models import AuditEvent
from teams.rule_models import CleanupRule
from teams.signals import send_mail_due

# One sweep acts on so many apps and takes so many seconds, give or take one app; the next goes on.
LIMIT = 200
SECONDS = 40.0
# When an app with the tag that exempts is looked at again, and one of which AWS did not tell.
EXEMPT = timedelta(minutes=30)
UNKNOWN = timedelta(minutes=5)


def sweep() -> None:
    """Take back what rules no longer ask for, and warn of what they ask for now."""
    until = time.monotonic() + SECONDS
    cancel_outdated(timezone.now())
    for app_id in candidates(timezone.now()):
        if time.monotonic() > until:
            return
        try:
            consider(app_id)
        except Paced:
            return


def cancel_outdated(now: datetime) -> int:
    """Let those apps run on that were to be stopped by a rule which does not say so any more; return how many."""
    warned = RunningApp.objects.filter(
        ended_at__isnull=True, stop_reason__in=RULES, stop_at__isnull=False, stop_asked_at__isnull=True
    ).select_related("team__cleanup_rule")
    outdated = [app.pk for app in warned.iterator() if decided(app, now) is None]
    still = RunningApp.objects.filter(pk__in=outdated, stop_reason__in=RULES, stop_asked_at__isnull=True)
    return still.update(**sightings.NOT_TO_BE_STOPPED)


def candidates(now: datetime) -> list[int]:
    """Return the ids of apps that a rule seems to speak against, as far as the rows know."""
    running = _undecided(now).select_related("team__cleanup_rule").order_by("started_at", "pk")
    found: list[int] = []
    for app in running.iterator():
        if decided(app, now) is not None:
            found.append(app.pk)
        if len(found) >= LIMIT:
            break
    return found


def _undecided(now: datetime) -> QuerySet[RunningApp]:
    return RunningApp.objects.filter(
        _may_be_warned(now), claims.free(), team__cleanup_rule__isnull=False, team__is_active=True
    )


def _may_be_warned(now: datetime) -> Q:
    return Q(Q(spared_until__isnull=True) | Q(spared_until__lte=now), ended_at__isnull=True, stop_at__isnull=True)


def decided(app: RunningApp, now: datetime) -> Decision | None:
    """Return what the rule of an app's team says of it, None without a team or a rule."""
    rule = rule_of(app)
    return rules.decide(rule, app, now) if rule else None


def rule_of(app: RunningApp) -> CleanupRule | None:
    """Return the cleanup rule of an app's team, if it has one."""
    return getattr(app.team, "cleanup_rule", None)


def consider(app_id: int) -> None:
    """Look at one app, and if its rule still speaks against it have it stopped after a warning. Raises Paced."""
    row = claims.claim(app_id, _may_be_warned(timezone.now()))
    if row is None:
        return
    # Who wants the app stopped meanwhile takes the row away.
    with suppress(ClaimLost):
        try:
            _consider(row)
        except Paced:
            row.release()
            raise
        except AwsError as error:
            row.release(spared_until=timezone.now() + UNKNOWN, stop_error=error.message[:500])


def _consider(row: Claimed) -> None:
    app, studio = row.app, activity.studio_of(row.app)
    asked_at = timezone.now()
    found = activity.look(app, studio)
    if found is not None and found.status in sightings.OVER and sightings.is_same_run(app, found):
        row.release()
        sightings.end(app, asked_at, status=found.status)
    elif found is None or not sightings.is_about(app, found):
        row.release(spared_until=timezone.now() + UNKNOWN)
        scans.soon(app.domain_id)
    elif (decision := decided(app, timezone.now())) is None:
        row.release()
    elif is_exempt(app, studio):
        row.release(spared_until=timezone.now() + EXEMPT, stop_error="")
    else:
        _warn(row, decision)


def is_exempt(app: RunningApp, studio: Studio) -> bool:
    """Whether an app carries the tag that exempts. Raises AwsError where nobody can say."""
    rule = rule_of(app)
    if rule is None or not rule.exempt_tag:
        return False
    if not app.arn:
        raise AwsError("AWS did not tell the app's ARN, so that its tags cannot be read.", code="NoArn")
    give_back_connection()
    return desired.value_of(studio.list_tags(app.arn), rule.exempt_tag) is not None


def still_asks(app: RunningApp, studio: Studio) -> bool:
    """Whether a rule still speaks against an app that was just looked at. Raises AwsError where nobody can say."""
    return decided(app, timezone.now()) is not None and not is_exempt(app, studio)


def _warn(row: Claimed, decision: Decision) -> None:
    app, now = row.app, timezone.now()
    warns = decision.stop_at > now
    told_of = told(
        app,
        action=AuditEvent.Action.APP_WARNED,
        reason=f"{decision.reason.label.capitalize()}.",
        data={"stop_at": decision.stop_at.isoformat(timespec="seconds")},
    )
    with transaction.atomic():
        row.release(
            *([told_of] if warns else []),
            stop_reason=decision.reason, stop_at=decision.stop_at, stop_by="system: cleanup rule", stop_asked_at=None,
            stop_taken_at=None, stop_error="", warned_at=None, mail_after=now,
        )  # fmt: skip
        if warns:
            send_mail_due()
        else:
            transaction.on_commit(lambda: claims.hint(app.pk) and None)
