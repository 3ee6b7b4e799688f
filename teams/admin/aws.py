"""AWS accounts and their Studio domains."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from teams import snapshots
from teams.admin.base import AuditedAdmin
from teams.admin.forms import AccountForm, DomainForm, changed
from teams.models import AwsAccount, Domain
from teams.signals import send_access_changed


@admin.register(AwsAccount)
class AwsAccountAdmin(AuditedAdmin):
    """AWS accounts."""

    form = AccountForm
    list_display = ("name", "account_id", "role_arn", "domains")
    search_fields = ("name", "account_id")
    search_help_text = "Name or account id"
    fields = (
        *("name", "account_id", "role_arn", "external_id"),
        *("names_sessions", "uses_source_identity", "session_tags"),
    )
    instead_of_deleting = "Delete its domains first."

    def get_queryset(self, request: HttpRequest) -> QuerySet[AwsAccount]:
        return super().get_queryset(request).annotate(number=Count("domains"))

    @admin.display(description="domains", ordering="number")
    def domains(self, account: Any) -> int:
        """Return the number of domains."""
        return int(account.number)


@admin.register(Domain)
class DomainAdmin(AuditedAdmin):
    """Studio domains."""

    form = DomainForm
    list_display = ("label", "domain_id", "region", "account", "auth_mode", "teams")
    list_filter = ("account", "auth_mode")
    list_select_related = ("account",)
    search_fields = ("name", "domain_id", "region", "account__account_id")
    search_help_text = "Name, domain id, Region or account id"
    fieldsets = (
        (None, {"fields": ("name", "account", "region", "domain_id", "auth_mode")}),
        (
            "SSO mode",
            {
                "fields": ("sso_user_attribute", "assigns_application"),
                "description": "Where people enter through IAM Identity Center, the domain serves one team, and "
                "Identity Center says how long they stay and where they land: session length, URL lifetime, landing "
                "page and space of the team, and the account's named sessions, have no effect.",
            },
        ),
        ("As AWS has it", {"fields": ("real_auth_mode", "url", "application_arn", "looked_at", "look_error")}),
    )
    readonly_fields = ("real_auth_mode", "url", "application_arn", "looked_at", "look_error")
    instead_of_deleting = "Move its teams to another domain first."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Domain]:
        return super().get_queryset(request).annotate(number=Count("teams"))

    @admin.display(description="name", ordering="name")
    def label(self, domain: Domain) -> str:
        """Return the name, the id where it has none."""
        return domain.name or domain.domain_id

    @admin.display(description="teams", ordering="number")
    def teams(self, domain: Any) -> int:
        """Return the number of teams."""
        return int(domain.number)

    def saved(self, row: Domain, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Have the workers look at the profiles again where the domain works in another way now."""
        if any(changed(before, after, name) for name in ("auth_mode", "assigns_application", "sso_user_attribute")):
            send_access_changed(team_ids=row.teams.values_list("pk", flat=True))
