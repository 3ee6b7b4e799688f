"""Alarms of used-up quotas to read, with “try again”."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from provisioning import quotas
from provisioning.models import Profile, QuotaAlarm
from teams.admin.base import ReadOnlyAdmin
from teams.models import User


@admin.register(QuotaAlarm)
class QuotaAlarmAdmin(ReadOnlyAdmin):
    """Accounts and Regions in which AWS lets no more profiles be made."""

    list_display = ("account", "region", "since", "retry_at", "waiting")
    list_select_related = ("account",)
    fields = ("account", "region", "quota", "message", "since", "retry_at", "waiting", "advice")
    readonly_fields = ("quota", "waiting", "advice")
    actions = ("try_again",)

    @admin.display(description="quota")
    def quota(self, alarm: QuotaAlarm) -> str:
        """Return the code by which Service Quotas knows it."""
        return quotas.PROFILE_QUOTA

    @admin.display(description="profiles waiting")
    def waiting(self, alarm: QuotaAlarm) -> int:
        """Return how many profiles failed for it."""
        return Profile.objects.filter(quotas.waits_for(alarm)).count()

    @admin.display(description="what to do")
    def advice(self, alarm: QuotaAlarm) -> str:
        """Return what an admin can do about it."""
        return (
            "Have the quota raised in Service Quotas (Amazon SageMaker, in this account and Region), then choose “Try "
            "again” in the list. Until the time given nobody asks AWS for another profile; then one profile is tried, "
            "and when AWS makes it, all the others follow."
        )

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether this person may have profiles tried again: portal admins, not auditors."""
        return isinstance(request.user, User) and request.user.has_perm("provisioning.retry_profile")

    @admin.action(description="Try again", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[QuotaAlarm]) -> None:
        """End the selected alarms and wake the profiles that wait for them."""
        woken = sum(quotas.silence(alarm, by=request.user.get_username()) for alarm in queryset.select_related())
        text = f"{woken} profile{'' if woken == 1 else 's'} will be tried again now."
        self.message_user(request, text, messages.SUCCESS)
