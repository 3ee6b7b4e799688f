"""“Suspend” and “Resume” in the lists of people and of teams, after a page that says what will happen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from teams import access, grants, suspending
from teams.admin.base import AuditedAdmin, Row
from teams.models import Membership, Team, User
from teams.owners import NotAllowedError


@dataclass(frozen=True)
class Kind:
    """How rows of one model are suspended and resumed, and what that means for one of them."""

    suspend: Callable[..., bool]
    resume: Callable[..., bool]
    what: Callable[[Row], list[str]]


def _of_person(user: User) -> list[str]:
    teams = Team.objects.filter(pk__in=Membership.objects.filter(access.live(), user=user).values("team"))
    return [f"{team}: {_fate(team)}" for team in teams] or ["no access to a team at the moment"]


def _of_team(team: Team) -> list[str]:
    people = Membership.objects.filter(access.live(), team=team).order_by().values("user").distinct().count()
    return [f"{people} {'person loses' if people == 1 else 'people lose'} access; {_fate(team)}"]


def _fate(team: Team) -> str:
    if team.keeps_profiles:
        return "running apps are stopped at once, profile and files are never deleted"
    days = f"{team.grace_days} day{'' if team.grace_days == 1 else 's'}"
    return f"running apps are stopped at once, profile and files are deleted after {days}"


PERSON = Kind(suspending.suspend_user, suspending.resume_user, _of_person)
TEAM = Kind(suspending.suspend_team, suspending.resume_team, _of_team)


class SuspendingAdmin(AuditedAdmin):
    """A page with both actions, for portal admins."""

    kind: ClassVar[Kind]

    @admin.action(description="Suspend", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Row]) -> HttpResponse | None:
        """End the access of the selected rows until they are resumed, after asking for a reason."""
        return self._ask_or_do(request, queryset, "suspend", self.kind.suspend)

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Row]) -> HttpResponse | None:
        """Give the selected rows their access back, after asking for a reason."""
        return self._ask_or_do(request, queryset, "resume", self.kind.resume)

    def _ask_or_do(
        self, request: HttpRequest, queryset: QuerySet[Row], action: str, do: Callable[..., bool]
    ) -> HttpResponse | None:
        selected = list(queryset.order_by("pk"))
        if any(isinstance(row, User) and row.pk == request.user.pk for row in selected):
            self.message_user(request, "You cannot suspend yourself; ask another admin.", messages.ERROR)
            return None
        fault = ""
        if request.POST.get("confirmed") == "yes":
            try:
                reason = grants.worded(request.POST.get("reason", ""))
            except NotAllowedError as error:
                fault = str(error)
            else:
                self._do(request, selected, action, reason, do)
                return None
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": action.capitalize(),
            "action": action,
            "fault": fault,
            "reason": request.POST.get("reason", ""),
            "rows": [(row, self.kind.what(row) if action == "suspend" else []) for row in selected],
        }
        return TemplateResponse(request, "admin/teams/suspend.html", context)

    def _do(self, request: HttpRequest, rows: list[Row], action: str, reason: str, do: Callable[..., bool]) -> None:
        done = sum(do(row, reason=reason) for row in rows)
        left = len(rows) - done
        text = f"{action.capitalize().rstrip('e')}ed: {done}." + (f" Left alone: {left}." if left else "")
        self.message_user(request, text, messages.SUCCESS if done else messages.WARNING)
