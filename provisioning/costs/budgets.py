"""Budgets of a month: who has spent how much of which, warned at 80 %, stopped at 100 %.

There are three kinds: of a team, of each person in a team, and of a person in all teams. What is spent is the sum of
the ledger in the month; a budget counts once anything was spent. A row of BudgetMonth is made at 80 % and says what
was decided. It refuses launches only while what was spent reaches the budget as it is now, so that a budget that is
raised or taken away refuses nobody from that moment on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import DateField, Exists, F, OuterRef, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast
from django.utils import timezone

from provisioning import running
from provisioning.costs import months
from provisioning.models import BudgetMonth, RunningApp, UsageHour
from provisioning.running.sightings import NOT_TO_BE_STOPPED
from teams import audit
from teams.models import AuditEvent, Team, User
from teams.signals import send_mail_due

ACTOR = "system: count_usage"
WARN_AT = Decimal("0.8")

Key = tuple[int | None, int | None]


@dataclass(frozen=True)
class Spent:
    """What was spent of one budget in a month; `team` and `user` are the ids that it is about."""

    team: int | None
    user: int | None
    budget: Decimal
    spent: Decimal

    @property
    def key(self) -> Key:
        """Whom the budget is about."""
        return self.team, self.user

    @property
    def is_nearly_spent(self) -> bool:
        """Whether 80 % are reached."""
        return self.spent > 0 and self.spent >= self.budget * WARN_AT

    @property
    def is_spent(self) -> bool:
        """Whether all of it is."""
        return self.spent > 0 and self.spent >= self.budget


def spent(month: date) -> Iterator[Spent]:
    """Yield what was spent of each budget of which anything was, with one query for each of the three kinds."""
    hours = UsageHour.objects.filter(hour__gte=months.begins(month), hour__lt=months.ends(month)).order_by()
    kinds = (
        ("team__monthly_budget", ("team_id",)),
        ("team__person_budget", ("team_id", "user_id")),
        ("user__monthly_budget", ("user_id",)),
    )
    for budget, whom in kinds:
        told = hours.filter(**{f"{name}__isnull": False for name in (budget, *whom)})
        for row in told.values(*whom, budget).annotate(total=Sum("cost")):
            yield Spent(row.get("team_id"), row.get("user_id"), row[budget], row["total"])


def check(now: datetime | None = None) -> None:
    """Compare the present month's sums with the budgets: note and tell what is new, and stop the apps concerned."""
    now = now or timezone.now()
    month = months.of(now)
    known = {(row.team_id, row.user_id): row for row in BudgetMonth.objects.filter(month=month)}
    for each in spent(month):
        row = known.pop(each.key, None)
        if each.is_nearly_spent if row is None else (row.budget, row.spent) != (each.budget, each.spent):
            _note(month, each, now)
    # These budgets were taken away, or nothing is spent of them any more. What an admin lifted stays lifted.
    gone = [row.pk for row in known.values()]
    BudgetMonth.objects.filter(pk__in=gone, lifted_at__isnull=True).delete()
    stop_apps(now)


@transaction.atomic
def _note(month: date, each: Spent, now: datetime) -> None:
    """Bring one row to what was spent; each step of it is audited when it is taken first."""
    BudgetMonth.objects.bulk_create(
        [BudgetMonth(month=month, team_id=each.team, user_id=each.user, budget=each.budget, spent=each.spent)],
        ignore_conflicts=True,
    )
    rows = BudgetMonth.objects.select_for_update(of=("self",)).select_related("team", "user")
    row = rows.get(month=month, team=each.team, user=each.user)
    row.budget, row.spent = each.budget, each.spent
    if each.is_spent and row.exceeded_at is None:
        row.exceeded_at, row.mail_after = now, now
        # One mail is enough: whoever is told of the end need not be warned of it.
        row.warned_at = row.warned_at or now
        row.warning_told_at = row.warning_told_at or now
        _record(AuditEvent.Action.BUDGET_EXCEEDED, row)
    elif each.is_nearly_spent and row.warned_at is None:
        row.warned_at, row.mail_after = now, now
        _record(AuditEvent.Action.BUDGET_WARNED, row)
    if not each.is_spent:
        row.exceeded_at = row.end_told_at = None
    if not each.is_nearly_spent:
        row.warned_at = row.warning_told_at = None
    row.save()
    if now in {row.warned_at, row.exceeded_at}:
        send_mail_due()


def _record(action: AuditEvent.Action, row: BudgetMonth, reason: str = "") -> None:
    audit.record(
        action,
        target=about(row),
        team=row.team.slug if row.team else "",
        reason=reason,
        data={"month": f"{row.month:%Y-%m}", "budget": str(row.budget), "spent": str(row.spent)},
    )


def about(row: BudgetMonth) -> str:
    """Return whom a budget is about, as the audit log names people and teams."""
    if row.user is not None:
        return row.user.username
    return f"team: {row.team.slug}" if row.team else ""


def lift(row: BudgetMonth, *, by: str) -> bool:
    """Let everybody whom a spent budget is about work on until the month turns.

    False where it is not spent, where it is lifted already, and where its month is over.
    """
    with transaction.atomic():
        now = timezone.now()
        present = BudgetMonth.objects.filter(pk=row.pk, month=months.of(now))
        rows = present.filter(exceeded_at__isnull=False, lifted_at__isnull=True)
        if not rows.update(lifted_at=now, lifted_by=by):
            return False
        row.refresh_from_db()
        _record(AuditEvent.Action.BUDGET_LIFTED, row)
    return True


def refusing(month: Any, *, team: Any, user: Any) -> QuerySet[BudgetMonth]:
    """Return the spent budgets of a month that keep a person out of a team.

    `month` is the first day of it, `team` and `user` are ids; each of them may be an expression of a query around it.
    """
    of_team = Q(team=team, user__isnull=True, spent__gte=F("team__monthly_budget"))
    of_person_here = Q(team=team, user=user, spent__gte=F("team__person_budget"))
    of_person = Q(team__isnull=True, user=user, spent__gte=F("user__monthly_budget"))
    rows = BudgetMonth.objects.filter(month=month, exceeded_at__isnull=False, lifted_at__isnull=True)
    return rows.filter(of_team | of_person_here | of_person).order_by()


def marked_month(mark: str) -> Cast:
    """Return an expression for the month of a prepared query, whose text `mark` is replaced each time it is asked."""
    return Cast(Value(mark), DateField())


def reasons(user: User, team: Team, now: datetime | None = None) -> list[BudgetMonth]:
    """Return the spent budgets that keep a person out of a team at present, the team's own first."""
    rows = refusing(months.of(now or timezone.now()), team=team.pk, user=user.pk)
    return list(rows.select_related("team", "user").order_by(F("user").asc(nulls_first=True), "team"))


def stop_apps(now: datetime) -> int:
    """Have the running apps stopped that a spent budget is about, also those that began since; return how many.

    Those that AWS was not yet asked to stop go on where no spent budget is about them any more.
    """
    spent_now = refusing(months.of(now), team=OuterRef("team_id"), user=OuterRef("user_id"))
    spared = RunningApp.objects.filter(~Exists(spent_now), stop_reason=RunningApp.Reason.BUDGET)
    spared.filter(stop_asked_at__isnull=True, ended_at__isnull=True, claim__isnull=True).update(**NOT_TO_BE_STOPPED)
    apps = RunningApp.objects.filter(Q(stop_at__isnull=True) | Q(stop_at__gt=now), ended_at__isnull=True)
    return sum(
        running.stop(app, by="system: budget", reason=RunningApp.Reason.BUDGET)
        for app in apps.filter(Exists(spent_now))
    )
