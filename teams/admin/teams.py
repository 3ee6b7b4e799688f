"""Teams with their tags."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from teams import access, form_versions, memberships, snapshots
from teams.admin.forms import TagForm, TagFormSet, TeamForm
from teams.admin.generic import TabularInline
from teams.admin.giving import OwnerInline
from teams.admin.rules import CleanupInline
from teams.admin.suspending import TEAM, SuspendingAdmin
from teams.models import Membership, Team, TeamTag
from teams.signals import send_access_changed


class TagInline(TabularInline):
    """The tags of a team."""

    model = TeamTag
    form = TagForm
    formset = TagFormSet
    extra = 0


@admin.register(Team)
class TeamAdmin(SuspendingAdmin):
    """Teams."""

    form = TeamForm
    kind = TEAM
    actions = ("suspend", "resume")
    inlines = (TagInline, OwnerInline, CleanupInline)
    list_display = ("name", "slug", "domain", "people", "is_active")
    list_filter = ("is_active", "domain")
    list_select_related = ("domain__account",)
    search_fields = ("name", "slug", "saml_id")
    search_help_text = "Name, slug or SAML team id"
    instead_of_deleting = "Untick “active” instead: the team then shows no tile and opens nothing."
    fieldsets = (
        (None, {"fields": ("name", "slug", "saml_id", "description", "contact", "is_active", "is_requestable")}),
        ("AWS", {"fields": ("domain", "execution_role_arn")}),
        (
            "Sessions",
            {
                "fields": ("session_duration", "url_lifetime", "landing_uri", "space_name"),
                "description": "No effect in a domain in SSO mode: there IAM Identity Center lets people in.",
            },
        ),
        ("Budgets", {"fields": ("monthly_budget", "person_budget")}),
        ("When access ends", {"fields": ("grace_days", "keeps_profiles")}),
        ("Profile settings", {"fields": ("user_settings",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        """Return the teams with the number of people in each, from one subquery."""
        members = (
            Membership.objects.filter(access.live(), team=OuterRef("pk"))
            .order_by()
            .values("team")
            .annotate(number=Count("user", distinct=True))
            .values("number")
        )
        return super().get_queryset(request).annotate(people=Subquery(members))

    @admin.display(description="people", ordering="people")
    def people(self, team: Team) -> int:
        """Return how many people have access."""
        return getattr(team, "people", None) or 0

    def get_readonly_fields(self, request: HttpRequest, obj: Team | None = None) -> tuple[str, ...]:
        """The slug is part of profile names in AWS, so that it stays."""
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Team | None = None) -> dict[str, Any]:
        """While the name is typed, the slug follows."""
        return {} if obj else {"slug": ("name",)}

    def saved(self, row: Team, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Have the workers bring the team's profiles to the new form."""
        form_versions.raise_for(row, before, after)
        send_access_changed(team_ids=[row.pk])

    def keep(self, row: Team, locked: Team) -> None:
        """Somebody may have raised the version of the form since this one was opened."""
        row.form_version = locked.form_version

    def remove(self, row: Team) -> None:
        memberships.drop_team(row)

    def losses(self, row: Team) -> list[str]:
        return [
            f"role mappings: {row.role_mappings.count()}",
            f"tags: {row.tags.count()}",
            f"people who lose their access: {row.memberships.values('user').distinct().count()}",
        ]
