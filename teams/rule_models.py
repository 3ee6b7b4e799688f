"""What teams decide about running apps and tags: when apps are stopped, and constants that tags may name."""

from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from teams import shapes, tag_templates

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class TagConstant(models.Model):
    """A value that the tags of any team may name: `{cost-center}` stands for the constant `cost-center`."""

    RESERVED = tag_templates.BUILT_IN

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_-]*\Z", "Use lower-case letters, digits, - and _.")],
        help_text="Without the braces; “user”, “team” and “email” are taken.",
    )
    value = models.CharField(max_length=256, validators=[shapes.validate_tag_value])

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return f"{{{self.name}}}"

    def clean(self) -> None:
        if self.name in self.RESERVED:
            raise ValidationError({"name": "The portal gives this name a value itself."})


def validate_timezone(value: str) -> None:
    """Django validator for the name of a time zone."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValidationError("This is not the name of a time zone, like “Europe/Berlin”.") from None


def validate_weekdays(value: Any) -> None:
    """Django validator for a list of days of the week, 0 for Monday to 6 for Sunday."""
    if not isinstance(value, list) or not all(type(day) is int and 0 <= day < len(DAYS) for day in value):
        raise ValidationError("Days are numbers from 0 (Monday) to 6 (Sunday).")


class CleanupRule(models.Model):
    """When the running apps of a team are stopped; what is empty stops nothing."""

    team = models.OneToOneField("teams.Team", models.CASCADE, related_name="cleanup_rule")
    idle_hours = models.PositiveSmallIntegerField(
        "idle for",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(8760)],
        help_text="Hours since the last activity that AWS has seen.",
    )
    longest_hours = models.PositiveSmallIntegerField(
        "running for",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(8760)],
        help_text="Hours since the app was started, busy or not.",
    )
    works_from = models.TimeField("working hours from", null=True, blank=True)
    works_until = models.TimeField("working hours until", null=True, blank=True)
    works_on = models.JSONField("working days", default=list, blank=True, validators=[validate_weekdays])
    timezone = models.CharField("time zone", max_length=64, default="UTC", validators=[validate_timezone])
    warn_minutes = models.PositiveSmallIntegerField(
        "warning",
        default=30,
        validators=[MaxValueValidator(24 * 60)],
        help_text="Minutes between the mail that warns the person and the end of the app; 0: no warning.",
    )
    exempt_tag = models.CharField(
        "tag that exempts",
        max_length=128,
        blank=True,
        validators=[shapes.validate_tag_key],
        help_text="Apps that carry a tag with this key are left alone.",
    )
    idle_shutdown_minutes = models.PositiveIntegerField(
        "Studio's own idle shutdown",
        null=True,
        blank=True,
        validators=[MinValueValidator(60), MaxValueValidator(525600)],
        help_text="Minutes, 60 to 525600, written to the UserSettings of the team's profiles (JupyterLab and Code "
        "Editor); it does nothing in domains whose idle shutdown is off.",
    )

    class Meta:
        verbose_name = "cleanup rule"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(works_from__isnull=True, works_until__isnull=True)
                | models.Q(works_from__isnull=False, works_until__isnull=False),
                name="cleanup_working_hours_whole",
                violation_error_message="Working hours have a beginning and an end.",
            ),
        )

    def __str__(self) -> str:
        return f"cleanup of {self.team}"
