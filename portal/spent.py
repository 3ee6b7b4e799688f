"""The page that says why Studio does not open: a budget is spent."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from portal import throttle
from provisioning.costs import budgets, money, months
from provisioning.launch import Target
from provisioning.models import BudgetMonth
from teams import audit
from teams.models import AuditEvent, Team, User

# Whoever clicks again and again leaves one row of the log in so many seconds.
ROW_EVERY = 60


def budget_spent(request: HttpRequest, user: User, target: Target) -> HttpResponse:
    """403: tell what was spent of which budget, until when that keeps the person out, and whom to ask."""
    team = Team.objects.get(pk=target.team_id)
    found = budgets.reasons(user, team)
    if not found:
        # Somebody lifted it, or raised the budget, at this moment.
        return redirect("landing")
    _record(found[0], target)
    context = {
        "person": user,
        "team": team,
        "reasons": found,
        "until": months.ends(months.of(timezone.now())),
        "support_contact": team.contact or settings.SUPPORT_CONTACT,
        "reference": audit.current().request_id[:12],
    }
    return render(request, "portal/budget_spent.html", context, status=HTTPStatus.FORBIDDEN)


def _record(row: BudgetMonth, target: Target) -> None:
    if not throttle.now_and_then(f"budget-spent:{target.user_id}:{target.team_id}", seconds=ROW_EVERY):
        return
    audit.record(
        AuditEvent.Action.LAUNCH,
        outcome=AuditEvent.Outcome.REFUSED,
        target=target.profile_name,
        team=target.slug,
        reason=f"The budget of {budgets.about(row)} is spent: {money.shown(row.spent)} of {money.shown(row.budget)}.",
    )
