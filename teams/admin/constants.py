"""Constants that the tags of teams may name."""

from typing import Any

from django.contrib import admin

from teams import form_versions, snapshots
from teams.admin.base import AuditedAdmin
from teams.admin.forms import changed
from teams.admin.generic import ModelForm
from teams.models import TagConstant, Team
from teams.signals import send_access_changed


class TagConstantForm(ModelForm):
    """A constant, which keeps its name while tags use it."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance.pk and "name" in self.changed_data and (told := in_use(self.initial["name"])):
            self.add_error("name", told)
        return cleaned


@admin.register(TagConstant)
class TagConstantAdmin(AuditedAdmin):
    """Tag constants."""

    form = TagConstantForm
    list_display = ("__str__", "value", "teams")
    search_fields = ("name", "value")
    search_help_text = "Name or value"
    fields = ("name", "value")

    @admin.display(description="used by")
    def teams(self, constant: TagConstant) -> str:
        """Return the teams whose tags name it."""
        return ", ".join(slugs_using(constant.name)) or "–"

    def saved(self, row: TagConstant, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Have the workers bring the new value to the profiles of the teams whose tags name it."""
        if before is not None and changed(before, after, "value"):
            teams = form_versions.teams_using(row.name)
            form_versions.raise_form_version(teams)
            send_access_changed(team_ids=teams)

    def _obstacles(self, row: TagConstant) -> list[str]:
        return [told] if (told := in_use(row.name)) else []


def slugs_using(constant: str) -> list[str]:
    """Return the slugs of the teams with a tag that names this constant."""
    return list(
        Team.objects.filter(pk__in=form_versions.teams_using(constant)).order_by("slug").values_list("slug", flat=True)
    )


def in_use(constant: str) -> str:
    """Return why a constant has to keep its name, empty where no tag names it."""
    slugs = slugs_using(constant)
    if not slugs:
        return ""
    teams = ", ".join(slugs[:5]) + (f" and {len(slugs) - 5} more" if slugs[5:] else "")
    return f"Tags of {teams} name {{{constant}}}. Change those first."
