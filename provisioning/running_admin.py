"""Running apps with “Stop”, spaces, and how far the scans that find both are: all of it to read."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from provisioning.models import DomainScan, RunningApp, StudioSpace
from provisioning.running import stopping
from teams.admin.base import ReadOnlyAdmin
from teams.models import User


class RunsFilter(admin.SimpleListFilter):
    """Apps that run, unless others are asked for."""

    title = "running"
    parameter_name = "runs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("over", "ended"), ("stopping", "to be stopped"), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        """Call the first choice by what it shows: Django calls it “all”."""
        first, *others = super().choices(changelist)
        yield {**first, "display": "running"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[RunningApp]) -> QuerySet[RunningApp]:
        match self.value():
            case "over":
                return queryset.filter(ended_at__isnull=False)
            case "stopping":
                return queryset.filter(ended_at__isnull=True, stop_at__isnull=False)
            case "all":
                return queryset
            case _:
                return queryset.filter(ended_at__isnull=True)


@admin.register(RunningApp)
class RunningAppAdmin(ReadOnlyAdmin):
    """Apps: the scans write them, admins look and stop."""

    list_display = (
        *("name", "app_type", "user", "team", "owner", "instance_type", "status", "started_at", "active_at"),
        *("stop_at", "ended_at"),
    )
    list_filter = (RunsFilter, "team", "app_type", "instance_type", "domain")
    list_select_related = ("user", "team", "domain")
    search_fields = ("name", "profile_name", "space_name", "user__username", "user__name", "instance_type")
    search_help_text = "App, profile, space, user name or instance type"
    actions = ("stop",)
    fieldsets = (
        (None, {"fields": ("name", "app_type", "user", "team", "domain", "profile_name", "space_name", "arn")}),
        ("Run", {"fields": ("status", "instance_type", "started_at", "active_at", "looked_at", "seen_at", "ended_at")}),
        (
            "Stopping",
            {
                "fields": (
                    *("stop_reason", "stop_at", "stop_by", "warned_at", "stop_asked_at", "stop_taken_at"),
                    *("stop_error", "spared_until"),
                )
            },
        ),
    )

    @admin.display(description="space or profile")
    def owner(self, app: RunningApp) -> str:
        """Return what the app runs in."""
        return app.space_name or app.profile_name

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether this person may have apps stopped: portal admins, not auditors."""
        return isinstance(request.user, User) and request.user.has_perm("provisioning.stop_runningapp")

    @admin.action(description="Stop", permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: QuerySet[RunningApp]) -> HttpResponse | None:
        """Have the selected apps stopped, after asking."""
        selected = list(queryset.select_related("user", "team", "domain"))
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": "Stop apps",
                "going": [app for app in selected if app.ended_at is None],
            }
            return TemplateResponse(request, "admin/provisioning/runningapp/stop.html", context)
        by = request.user.get_username()
        taken = sum(stopping.stop(app, by=by, reason=RunningApp.Reason.ADMIN) for app in selected)
        left = len(selected) - taken
        self.message_user(
            request,
            f"{_count(taken)} will be stopped now." + (f" {_count(left)} left alone." if left else ""),
            messages.SUCCESS if taken else messages.WARNING,
        )
        return None


@admin.register(StudioSpace)
class StudioSpaceAdmin(ReadOnlyAdmin):
    """Spaces, as the last scan saw them."""

    list_display = ("name", "domain", "owner", "sharing", "status", "app_type", "volume_gb", "created_at", "seen_at")
    list_filter = ("sharing", "app_type", "status", "domain")
    list_select_related = ("domain",)
    search_fields = ("name", "owner")
    search_help_text = "Space or owner profile"


@admin.register(DomainScan)
class DomainScanAdmin(ReadOnlyAdmin):
    """Scans for apps, one row for each domain."""

    list_display = ("domain", "stage", "started_at", "finished_at", "due_at", "attempts", "error")
    list_select_related = ("domain",)


def _count(number: int) -> str:
    return f"{number} app" if number == 1 else f"{number} apps"
