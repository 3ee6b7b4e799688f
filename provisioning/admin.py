"""Profiles to read, with “try again”; and the same profiles on the page of their user."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from provisioning import profiles
from provisioning.directory_admin import DirectoryAdmin as DirectoryAdmin
from provisioning.models import Profile
from teams.admin.base import ReadOnlyAdmin, ReadOnlyInline
from teams.admin.people import UserAdmin as PlainUserAdmin
from teams.models import User

ADVICE: dict[str, str] = {
    Profile.State.CONFLICT: "AWS has a profile of this name in this domain that the portal did not make. Look at it in "
    "the SageMaker console: if nobody uses it, delete it there and choose “Try again” in the list here; if somebody "
    "does, leave it, and give this team another domain.",
    Profile.State.FAILED: "Put right what the last error says, then choose “Try again” in the list. While “due” has a "
    "time, the portal tries again by itself then.",
}


class ProfileInline(ReadOnlyInline):
    """The profiles of one user."""

    model = Profile
    fields = ("link", "team", "state", "error", "changed_at")
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

    list_display = ("name", "user", "team", "state", "short_error", "attempts", "due_at")
    list_filter = ("state", "team")
    list_select_related = ("user", "team")
    search_fields = ("name", "user__username", "user__name", "error_code", "aws_request_id")
    search_help_text = "Profile name, user name, error code or AWS request id"
    actions = ("try_again",)
    fieldsets = (
        (None, {"fields": ("name", "user", "team", "domain", "state", "advice")}),
        ("Last error", {"fields": ("error_code", "error", "aws_request_id", "attempts", "due_at", "deadline_at")}),
        ("In AWS", {"fields": ("arn", "execution_role_arn", "managed", "created_at", "changed_at")}),
    )

    @admin.display(description="last error")
    def short_error(self, profile: Profile) -> str:
        """Return the beginning of the last error; the profile's page has all of it."""
        return Truncator(profile.error).chars(160)

    @admin.display(description="what to do")
    def advice(self, profile: Profile) -> str:
        """Return what an admin can do about the state."""
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


def _count(number: int) -> str:
    return f"{number} profile" if number == 1 else f"{number} profiles"
