"""Profiles to read, with “try again” and “retire now”; and the same profiles on the page of their user."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from provisioning import adopting, ending, inventory, permissions, profiles, sso
from provisioning.costs.admin import PriceAdmin as PriceAdmin
from provisioning.directory_admin import DirectoryAdmin as DirectoryAdmin
from provisioning.models import Profile
from provisioning.quota_admin import QuotaAlarmAdmin as QuotaAlarmAdmin
from provisioning.reconcile_admin import ReconciliationAdmin as ReconciliationAdmin
from provisioning.running_admin import RunningAppAdmin as RunningAppAdmin
from teams import sheets
from teams.admin.base import ReadOnlyAdmin, ReadOnlyInline
from teams.admin.people import UserAdmin as PlainUserAdmin
from teams.models import User

ADVICE: dict[str, str] = {
    Profile.State.CONFLICT: "AWS has a profile of this name in this domain that the portal did not make. Look at it in "
    "the SageMaker console: if nobody uses it, delete it there and choose “Try again” in the list here; if it is this "
    "person's, choose “Adopt” there; if it is somebody else's, leave it, and give this team another domain.",
    Profile.State.FAILED: "Put right what the last error says, then choose “Try again” in the list. While “due” has a "
    "time, the portal tries again by itself then.",
    Profile.State.RETIRING: "Nothing, unless a last error says what is in the way. It is deleted at the time given, "
    "and never where there is none; it comes back by itself when the person has access again.",
    Profile.State.RETIRED: "Nothing: it is made anew when the person has access again.",
}
SSO_ADVICE = (
    "IAM Identity Center has one profile for each person in this domain. The last error tells of the other one: "
    "wait until it is gone or delete it, and choose “Try again” in the list here."
)


class ProfileInline(ReadOnlyInline):
    """The profiles of one user."""

    model = Profile
    fields = ("link", "team", "state", "ended_at", "retire_at", "error", "changed_at")
    readonly_fields = ("link",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("team", "user")

    @admin.display(description="name")
    def link(self, profile: Profile) -> SafeString:
        """Return the name, which leads to the profile's own page."""
        page = reverse("admin:provisioning_profile_change", args=[profile.pk])
        return format_html('<a href="{}">{}</a>', page, profile.name)


admin.site.unregister(User)


@admin.register(User)
class UserAdmin(PlainUserAdmin):
    """People, with their profiles."""

    inlines = (ProfileInline, *PlainUserAdmin.inlines)


@admin.register(Profile)
class ProfileAdmin(ReadOnlyAdmin):
    """Profiles: the workers write them, admins look and ask for another try."""

    list_display = ("name", "user", "team", "state", "ended_at", "retire_at", "short_error", "attempts", "due_at")
    list_filter = ("state", "ended_by", "team")
    list_select_related = ("user", "team")
    search_fields = ("name", "user__username", "user__name", "error_code", "aws_request_id")
    search_help_text = "Profile name, user name, error code or AWS request id"
    actions = ("try_again", "adopt", "retire_now")
    change_form_template = "admin/provisioning/profile/change_form.html"
    fieldsets = (
        (None, {"fields": ("name", "user", "team", "domain", "state", "advice")}),
        ("End of access", {"fields": ("ended_by", "ended_at", "retire_at")}),
        (
            "Last error",
            {"fields": ("error_code", "error", "missing", "aws_request_id", "attempts", "due_at", "deadline_at")},
        ),
        (
            "In AWS",
            {
                "fields": (
                    *("arn", "execution_role_arn", "managed", "adopted_by", "follows", "applied_tags"),
                    *("created_at", "changed_at"),
                )
            },
        ),
        ("IAM Identity Center", {"fields": ("sso_user", "assigned_to")}),
    )

    @admin.display(description="last error")
    def short_error(self, profile: Profile) -> str:
        """Return the beginning of the last error; the profile's page has all of it."""
        return Truncator(profile.error).chars(160)

    @admin.display(description="missing permission")
    def missing(self, profile: Profile) -> str:
        """Return where the permissions that the portal needs are written down, if one of them is missing."""
        if not permissions.is_told(profile.error):
            return "–"
        page = f"{reverse('admin:policies')}?account={profile.domain.account.account_id}"
        return format_html('Compare with the <a href="{}">policies that this account needs</a>.', page)

    @admin.display(description="form")
    def follows(self, profile: Profile) -> str:
        """Return how far the profile follows its team."""
        if not profile.managed:
            return "used as it is"
        version, wanted = profile.form_version, profile.team.form_version
        return f"version {version}" + ("" if version == wanted else f", the team's is {wanted}")

    @admin.display(description="what to do")
    def advice(self, profile: Profile) -> str:
        """Return what an admin can do about the state."""
        if profile.error_code in sso.CONFLICTS:
            return SSO_ADVICE
        return ADVICE.get(profile.state, "Nothing: the portal goes on by itself.")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether this person may have profiles tried again: portal admins, not auditors."""
        return isinstance(request.user, User) and request.user.has_perm("provisioning.retry_profile")

    @admin.action(description="Try again", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        """Have the workers take the selected profiles up again at once."""
        by = request.user.get_username()
        taken = sum(bool(profiles.retry(profile, by=by)) for profile in queryset.select_related("user", "team"))
        if taken:
            self.message_user(request, f"{_count(taken)} will be tried again now.", messages.SUCCESS)
        if left := len(queryset) - taken:
            text = f"{_count(left)} left alone: ready, or being worked on already."
            self.message_user(request, text, messages.INFO if taken else messages.WARNING)

    @admin.action(description="Adopt", permissions=["retry"])
    def adopt(self, request: HttpRequest, queryset: QuerySet[Profile]) -> HttpResponse | None:
        """Have the portal take over the selected profiles that it did not make, after showing what AWS has."""
        selected = list(queryset.select_related("user", "team", "domain__account"))
        foreign = [profile for profile in selected if profiles.may_be_adopted(profile)]
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": "Adopt",
                "seen": adopting.look(foreign),
                "staying": len(selected) - len(foreign),
            }
            return TemplateResponse(request, "admin/provisioning/profile/adopt.html", context)
        by = request.user.get_username()
        claimed = request.POST.getlist("takes_over")
        taken = sum(profiles.adopt(profile, by=by, takes_over=str(profile.pk) in claimed) for profile in foreign)
        left = len(selected) - taken
        self.message_user(
            request,
            f"{_count(taken)} will be adopted now." + (f" {_count(left)} left alone." if left else ""),
            messages.SUCCESS if taken else messages.WARNING,
        )
        return None

    @admin.action(description="Retire now", permissions=["retry"])
    def retire_now(self, request: HttpRequest, queryset: QuerySet[Profile]) -> HttpResponse | None:
        """Skip the grace period of the selected profiles whose access has ended, after asking."""
        selected = list(queryset.select_related("user", "team"))
        if request.POST.get("confirmed") != "yes":
            going = [profile for profile in selected if ending.may_retire_now(profile)]
            context = {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": "Retire now",
                "going": going,
                "staying": len(selected) - len(going),
            }
            return TemplateResponse(request, "admin/provisioning/profile/retire_now.html", context)
        by = request.user.get_username()
        taken = sum(ending.retire_now(profile, by=by) for profile in selected)
        left = len(selected) - taken
        self.message_user(
            request,
            f"{_count(taken)} will be deleted now." + (f" {_count(left)} left alone." if left else ""),
            messages.SUCCESS if taken else messages.WARNING,
        )
        return None

    def get_urls(self) -> list[Any]:
        """Return Django's addresses, and that of the table of what a deletion takes away."""
        view = self.admin_site.admin_view(self.going_view)
        return [path("<int:profile_id>/going.csv", view, name="provisioning_profile_going"), *super().get_urls()]

    def going_view(self, request: HttpRequest, profile_id: int) -> HttpResponse:
        """What AWS has of a profile at this moment, as CSV, for admins and auditors."""
        profile = self.get_object(request, str(profile_id))
        if not self.has_view_permission(request, profile):
            raise PermissionDenied
        if profile is None:
            raise Http404
        table = "".join(sheets.table(inventory.HEADINGS, inventory.lines(profile, inventory.take(profile))))
        return HttpResponse(
            table,
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{profile.name}.csv"',
                "Cache-Control": "no-store",
            },
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a profile; with what AWS has of it at this moment, if the button for that was pressed."""
        context = dict(extra_context or {})
        if request.method == "GET" and request.GET.get("in_aws") == "1" and self.has_view_permission(request):
            profile = self.get_object(request, object_id)
            context["inventory"] = profile and inventory.take(profile)
        return super().change_view(request, object_id, form_url, context)


def _count(number: int) -> str:
    return f"{number} profile" if number == 1 else f"{number} profiles"
