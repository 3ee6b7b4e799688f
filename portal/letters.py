"""What is told to whom: each kind of mail with the rows that it is due for, and its words from `templates/mail/`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import dateformat, timezone

from provisioning.costs import money, months
from provisioning.models import BudgetMonth, RunningApp, UsageHour
from provisioning.running import claims, cleanup, own
from teams import owners
from teams.models import AccessRequest, Farewell, Grant, Team, User
from teams.wording import one_line

Row: TypeAlias = Any  # AccessRequest, Grant, Farewell, BudgetMonth or RunningApp

# News that could not be told for so long is none any more.
STALE = timedelta(days=3)
# How many owners, or portal admins in their place, one mail goes to.
MAX_RECIPIENTS = 50

State = AccessRequest.State


@dataclass(frozen=True)
class Kind:
    """One kind of mail: `due` finds its rows, `mark` is the column that says when it was sent, `write` writes it.

    `write` returns None where nobody can be told: nobody has a usable mail address.
    """

    name: str
    mark: str
    due: Callable[[datetime], QuerySet[Any]]
    write: Callable[[Row], EmailMessage | None]


def _requested(now: datetime) -> QuerySet[AccessRequest]:
    return _waiting(AccessRequest, now, owners_told_at=None, state=State.PENDING, asked_at__gt=now - STALE)


def _decided(now: datetime) -> QuerySet[AccessRequest]:
    decided = (State.APPROVED, State.REFUSED)
    return _waiting(AccessRequest, now, person_told_at=None, state__in=decided, decided_at__gt=now - STALE)


def _given(now: datetime) -> QuerySet[Grant]:
    return _waiting(Grant, now, person_told_at=None, given_at__gt=now - STALE, valid_until__gt=now)


def _ending(now: datetime) -> QuerySet[Grant]:
    soon = now + timedelta(days=settings.ACCESS_REMINDER_DAYS)
    return _waiting(Grant, now, reminded_at=None, valid_until__gt=now, valid_until__lte=soon)


def _taken(now: datetime) -> QuerySet[Farewell]:
    return _waiting(Farewell, now, person_told_at=None, taken_at__gt=now - STALE)


def _budget_warned(now: datetime) -> QuerySet[BudgetMonth]:
    return _budgets(now).filter(warned_at__gt=now - STALE, warning_told_at=None, exceeded_at=None)


def _budget_spent(now: datetime) -> QuerySet[BudgetMonth]:
    return _budgets(now).filter(exceeded_at__gt=now - STALE, end_told_at=None)


def _budgets(now: datetime) -> QuerySet[BudgetMonth]:
    """Return the alarms of the present month that nobody has claimed, without those that were lifted."""
    somebody = Q(user=None) | Q(user__is_active=True)
    rows = BudgetMonth.objects.filter(somebody, month=months.of(now), mail_after__lte=now, lifted_at=None)
    return rows.select_related("user", "team").order_by("mail_after", "pk")


def _stopping(now: datetime) -> QuerySet[RunningApp]:
    by_rule = {"stop_reason__in": claims.RULES, "stop_at__gt": now, "ended_at": None}
    return _waiting(RunningApp, now, warned_at=None, team__isnull=False, **by_rule).select_related(
        "user", "team__cleanup_rule", "domain"
    )


def _waiting(model: type[Any], now: datetime, **conditions: Any) -> QuerySet[Any]:
    """Return the rows that nobody has claimed and that failed longest ago, people who cannot sign on left out."""
    rows = model.objects.filter(mail_after__lte=now, user__is_active=True, **conditions)
    return rows.select_related("user", "team").order_by("mail_after", "pk")


def _write_requested(request: AccessRequest) -> EmailMessage | None:
    deciders = [each for each in owners.of(request.team) or owners.admins() if each.pk != request.user_id]
    subject = f"{request.user} asks to join {request.team}"
    return _letter("requested", request, subject, to=deciders, moment=request.asked_at)


def _write_decided(request: AccessRequest) -> EmailMessage | None:
    subject = f"Your request to join {request.team} was {request.get_state_display()}"
    grant = Grant.objects.filter(user=request.user_id, team=request.team_id).first()
    approved = request.state == State.APPROVED
    more = {"approved": approved, "grant": grant if approved else None}
    return _letter("decided", request, subject, to=[request.user], moment=request.decided_at, more=more)


def _write_given(grant: Grant) -> EmailMessage | None:
    return _letter("given", grant, f"You have access to {grant.team}", to=[grant.user], moment=grant.given_at)


def _write_ending(grant: Grant) -> EmailMessage | None:
    subject = f"Access of {grant.user} to {grant.team} ends soon"
    # The person need not learn the owners' addresses.
    return _letter("ending", grant, subject, to=[grant.user], bcc=owners.of(grant.team), moment=grant.valid_until)


def _write_taken(farewell: Farewell) -> EmailMessage | None:
    subject = f"Your access to {farewell.team} was taken back"
    return _letter("taken", farewell, subject, to=[farewell.user], moment=farewell.taken_at)


def _write_budget_warned(row: BudgetMonth) -> EmailMessage | None:
    return _budget_letter("budget_warned", row, "is nearly spent", moment=row.warned_at)


def _write_budget_spent(row: BudgetMonth) -> EmailMessage | None:
    return _budget_letter("budget_spent", row, "is spent", moment=row.exceeded_at)


def _budget_letter(name: str, row: BudgetMonth, what: str, *, moment: datetime | None) -> EmailMessage | None:
    """Write to the person whose budget it is and the team's owners; of a team's budget to whoever spent of it."""
    owning = owners.of(row.team) if row.team else []
    if row.user is None:
        whose, to, bcc = f"The budget of the team {row.team}", owning or owners.admins(), _spenders(row)
    else:
        whose, to, bcc = f"Your budget in the team {row.team}" if row.team else "Your budget", [row.user], owning
    more = {
        "whose": one_line(whose),
        "spent": money.shown(row.spent),
        "budget": money.shown(row.budget),
        "percent": money.percent(row.spent, row.budget),
        "until": months.after(row.month),
    }
    return _letter(name, row, f"{whose} {what}", to=to, bcc=bcc, moment=moment, more=more)


def _spenders(row: BudgetMonth) -> list[User]:
    """Return the people whose apps cost something of a team's budget."""
    hours = UsageHour.objects.filter(team=row.team, user=OuterRef("pk"), cost__gt=0)
    spent = hours.filter(hour__gte=months.begins(row.month), hour__lt=months.ends(row.month))
    return list(User.objects.filter(Exists(spent), is_active=True).order_by("username")[:MAX_RECIPIENTS])


def _write_stopping(app: RunningApp) -> EmailMessage | None:
    rule = cleanup.rule_of(app)
    zone = rule.timezone if rule else "UTC"
    stop_at = (app.stop_at or timezone.now()).astimezone(ZoneInfo(zone))
    what = own.words(app)
    # Written out here: templates show every time in the portal's own zone.
    when = f"{dateformat.format(stop_at, 'H:i')} on {dateformat.format(stop_at, 'j F Y')} ({zone})"
    more = {"what": one_line(what), "rule": rule, "when": when}
    subject = f"Your {what} in {app.team} will be stopped"
    return _letter("stopping", app, subject, to=[app.user] if app.user else [], moment=app.stop_at, more=more)


def _letter(
    name: str,
    row: Row,
    subject: str,
    *,
    to: Iterable[User],
    bcc: Iterable[User] = (),
    moment: datetime | None,
    more: dict[str, Any] | None = None,
) -> EmailMessage | None:
    addresses, hidden = _addresses(to), _addresses(bcc)
    if not addresses and not hidden:
        return None
    names = {"person": one_line(str(row.user)), "team": one_line(str(row.team))}
    body = render_to_string(f"mail/{name}.txt", {"row": row, **names, **_links(row.team), **(more or {})})
    headers = {
        "Auto-Submitted": "auto-generated",
        # The same for a second try, so that a mail that arrives twice is known to be the same one.
        "Message-ID": f"<{name}.{row.pk}.{moment or row.mail_after:%Y%m%d%H%M%S}@{_host()}>",
    }
    return EmailMessage(one_line(subject), body, to=addresses, bcc=hidden, headers=headers)


def _addresses(people: Iterable[User]) -> list[str]:
    """Return the addresses of these people that can be written to, each once."""
    found: dict[str, None] = {}
    for person in people:
        try:
            validate_email(person.email)
        except ValidationError:
            continue
        found[person.email] = None
    return list(found)[:MAX_RECIPIENTS]


def _links(team: Team | None) -> dict[str, str]:
    portal = {"portal_url": f"{settings.PORTAL_URL}/"}
    if team is None:
        return {**portal, "contact": one_line(settings.SUPPORT_CONTACT)}
    return {
        **portal,
        "people_url": settings.PORTAL_URL + reverse("people", args=[team.slug]),
        "request_url": settings.PORTAL_URL + reverse("request"),
        "team_url": settings.PORTAL_URL + reverse("team", args=[team.slug]),
        "contact": one_line(team.contact or settings.SUPPORT_CONTACT),
    }


def _host() -> str:
    return urlsplit(settings.PORTAL_URL).hostname or "localhost"


KINDS = (
    Kind("requested", "owners_told_at", _requested, _write_requested),
    Kind("decided", "person_told_at", _decided, _write_decided),
    Kind("given", "person_told_at", _given, _write_given),
    Kind("taken", "person_told_at", _taken, _write_taken),
    Kind("ending", "reminded_at", _ending, _write_ending),
    Kind("budget_warned", "warning_told_at", _budget_warned, _write_budget_warned),
    Kind("budget_spent", "end_told_at", _budget_spent, _write_budget_spent),
    Kind("stopping", "warned_at", _stopping, _write_stopping),
)
