"""The cleanup rule of a team: when its running apps are stopped."""

from typing import Any

from django import forms

from teams.admin.generic import ModelForm, StackedInline
from teams.models import CleanupRule
from teams.rule_models import DAYS


class CleanupForm(ModelForm):
    """One cleanup rule, its days as boxes to tick."""

    works_on = forms.TypedMultipleChoiceField(
        label="Working days",
        choices=list(enumerate(DAYS)),
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: every day. Hours that end before they begin go on into the next day.",
    )

    class Meta:
        model = CleanupRule
        fields = "__all__"

    def clean_works_on(self) -> list[int]:
        """Return the days in order, so that the log shows a change only where there is one."""
        return sorted(self.cleaned_data["works_on"])


class CleanupInline(StackedInline):
    """The cleanup rule of a team; each team has one at most."""

    model = CleanupRule
    form = CleanupForm
    verbose_name = "cleanup rule"
    verbose_name_plural = "running apps"
    extra = 1
    max_num = 1
    fields = (
        ("idle_hours", "longest_hours"),
        ("works_from", "works_until", "timezone"),
        "works_on",
        ("warn_minutes", "exempt_tag"),
        "idle_shutdown_minutes",
    )

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Take the browser's own boxes for times instead of Django's two."""
        if db_field.name in {"works_from", "works_until"}:
            kwargs["widget"] = forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
            return db_field.formfield(**kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)
