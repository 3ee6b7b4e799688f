"""Records of what runs and costs money: apps and spaces as AWS lists them, prices, the ledger of hours, spent budgets.

The rows of apps and spaces are what scans have seen, and may be behind AWS by one scan; the hours are the ledger.
"""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from teams.models import Domain, Team, User


class RunningApp(models.Model):
    """One run of one app, from its creation until it was seen to be over; written by the scans of its domain.

    The same app started again is another run: its creation time differs. Exactly one of `profile_name` and `space_name`
    is set. `user` and `team` are those of the profile that the app belongs to, directly or through its space; empty
    where the portal knows no such profile.
    """

    class Reason(models.TextChoices):
        PERSON = "person", "stopped by its person"
        ADMIN = "admin", "stopped by an admin"
        IDLE = "idle", "idle for too long"
        LONG = "long", "running for too long"
        HOURS = "hours", "outside working hours"
        BUDGET = "budget", "budget spent"

    domain = models.ForeignKey(Domain, models.PROTECT, related_name="apps")
    app_type = models.CharField("type", max_length=32)
    name = models.CharField(max_length=63)
    profile_name = models.CharField("profile", max_length=63, blank=True)
    space_name = models.CharField("space", max_length=63, blank=True)
    # AWS's CreationTime.
    started_at = models.DateTimeField("running since")
    # AWS's own word.
    status = models.CharField(max_length=32)
    instance_type = models.CharField("instance", max_length=64, blank=True)
    arn = models.CharField("ARN", max_length=512, blank=True)
    user = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="apps")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="apps")
    # AWS's LastUserActivityTimestamp, where it tells one, and when it was asked.
    active_at = models.DateTimeField("last activity", null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When the last scan that saw it running began, and since when it is known to be over.
    seen_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField("ended", null=True, blank=True)
    # Up to when its hours are in the ledger.
    counted_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Why it is to be stopped and when, who asked, when AWS was asked, and what went wrong at the last try.
    stop_reason = models.CharField(max_length=16, blank=True, choices=Reason.choices)
    stop_at = models.DateTimeField("to be stopped", null=True, blank=True)
    stop_by = models.CharField(max_length=330, blank=True)
    stop_asked_at = models.DateTimeField(null=True, blank=True)
    # When AWS took it, which is in the log then; asked and not taken: the answer was lost.
    stop_taken_at = models.DateTimeField(null=True, blank=True, editable=False)
    stop_error = models.CharField(max_length=500, blank=True)
    # When the person was told that it will be stopped; whoever sends mail pushes `mail_after` ahead first.
    warned_at = models.DateTimeField("warned", null=True, blank=True)
    mail_after = models.DateTimeField(default=timezone.now, editable=False)
    # Until when the rules of its team leave it alone: exempt by a tag, or AWS could not be asked.
    spared_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Compare-and-set claim of the worker that stops it; without a claim, the moment before which none takes it up.
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "app"
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(
                "domain", Lower("profile_name"), Lower("space_name"), "app_type", Lower("name"), "started_at",
                name="app_run",
            ),
        )  # fmt: skip
        indexes = (
            models.Index(fields=("user",), condition=models.Q(ended_at__isnull=True), name="app_running_of_user"),
            models.Index(fields=("domain",), condition=models.Q(ended_at__isnull=True), name="app_running"),
            models.Index(
                fields=("stop_at",),
                condition=models.Q(stop_at__isnull=False, ended_at__isnull=True),
                name="app_to_be_stopped",
            ),
            models.Index(
                fields=("stop_asked_at",),
                condition=models.Q(stop_asked_at__isnull=False, stop_taken_at__isnull=True),
                name="app_stop_unsettled",
            ),
        )

    def __str__(self) -> str:
        return f"{self.app_type} {self.name} of {self.space_name or self.profile_name}"


class StudioSpace(models.Model):
    """A space as the last scan of its domain saw it; rows of spaces that are gone are deleted."""

    domain = models.ForeignKey(Domain, models.CASCADE, related_name="spaces")
    name = models.CharField(max_length=63)
    owner = models.CharField("owner profile", max_length=63, blank=True)
    sharing = models.CharField(max_length=16, blank=True)
    status = models.CharField(max_length=32)
    app_type = models.CharField("type", max_length=32, blank=True)
    volume_gb = models.PositiveIntegerField("volume (GB)", null=True, blank=True)
    created_at = models.DateTimeField("made", null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "space"
        ordering = ("domain", "name")
        constraints = (models.UniqueConstraint("domain", Lower("name"), name="space_identity"),)
        indexes = (models.Index("domain", Lower("owner"), name="space_owner"),)

    def __str__(self) -> str:
        return self.name


class DomainScan(models.Model):
    """How far the reading of a domain's spaces and apps is; there is one row for each domain, for scan after scan.

    A scan reads page by page, and where it goes on is in the row, so that a worker that dies loses one page at most.
    """

    class Stage(models.TextChoices):
        SPACES = "spaces", "reading spaces"
        APPS = "apps", "reading apps"
        MISSING = "missing", "asking for apps that are missing"
        ACTIVITY = "activity", "asking for the last activity"
        DONE = "done", "waiting for the next"

    domain = models.OneToOneField(Domain, models.CASCADE, related_name="app_scan")
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.DONE)
    # When the scan under way, or the last one, began; empty before the first.
    started_at = models.DateTimeField("begun", null=True, blank=True)
    finished_at = models.DateTimeField("last complete", null=True, blank=True)
    # When somebody last asked for a scan out of turn.
    asked_at = models.DateTimeField(null=True, blank=True, editable=False)
    token = models.TextField(blank=True, editable=False)
    due_at = models.DateTimeField("due", default=timezone.now)
    attempts = models.PositiveIntegerField(default=0, help_text="Failed attempts since the last page.")
    error = models.CharField("last error", max_length=500, blank=True)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "scan for apps"
        verbose_name_plural = "scans for apps"
        ordering = ("domain",)

    def __str__(self) -> str:
        return f"apps of {self.domain}"


class Price(models.Model):
    """What an hour of an instance type costs; the row with the Region wins over the one without."""

    instance_type = models.CharField(max_length=64, help_text="Like “ml.t3.medium”.")
    region = models.CharField(max_length=32, blank=True, help_text="Empty: every Region without a price of its own.")
    per_hour = models.DecimalField("price per hour", max_digits=12, decimal_places=6, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ("instance_type", "region")
        constraints = (models.UniqueConstraint(fields=("instance_type", "region"), name="price_identity"),)

    def __str__(self) -> str:
        return f"{self.instance_type} {self.region}".rstrip()


class UsageHour(models.Model):
    """One app in one hour: how many seconds of it the app ran, and what that is estimated to cost.

    There is one row for each run and hour, however often it is counted; the price is that of the hour's first count.
    """

    app = models.ForeignKey(RunningApp, models.PROTECT, related_name="hours")
    hour = models.DateTimeField(help_text="When the hour begins, in UTC.")
    seconds = models.PositiveSmallIntegerField()
    # Empty: there was no price for the instance type.
    per_hour = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    user = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = "hour of use"
        verbose_name_plural = "hours of use"
        ordering = ("-hour", "app")
        constraints = (models.UniqueConstraint(fields=("app", "hour"), name="usage_once"),)
        indexes = (
            models.Index(fields=("team", "hour"), name="usage_team"),
            models.Index(fields=("user", "hour"), name="usage_user"),
            models.Index(fields=("hour",), name="usage_hour"),
            models.Index(fields=("app", "hour"), condition=models.Q(per_hour__isnull=True), name="usage_without_price"),
        )

    def __str__(self) -> str:
        return f"{self.app} {self.hour:%Y-%m-%d %H}:00"


class BudgetMonth(models.Model):
    """A budget that was nearly or wholly spent in a month: of a team, of a person, or of a person in a team.

    While `exceeded_at` is set and `lifted_at` is not, nobody whom it is about launches Studio in that month.
    """

    month = models.DateField(help_text="The first day of the month, in UTC.")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="budget_months")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="budget_months")
    budget = models.DecimalField(max_digits=12, decimal_places=2)
    # The largest budget is of ten digits, which some currencies need.
    spent = models.DecimalField(max_digits=20, decimal_places=6)
    warned_at = models.DateTimeField("80 % spent", null=True, blank=True)
    exceeded_at = models.DateTimeField("spent", null=True, blank=True)
    lifted_at = models.DateTimeField("lifted", null=True, blank=True)
    lifted_by = models.CharField(max_length=330, blank=True)
    # When the people concerned were told of either; whoever sends mail pushes `mail_after` ahead first.
    warning_told_at = models.DateTimeField(null=True, blank=True, editable=False)
    end_told_at = models.DateTimeField(null=True, blank=True, editable=False)
    mail_after = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "budget alarm"
        ordering = ("-month", "team", "user")
        constraints = (
            models.UniqueConstraint(
                fields=("month", "team", "user"), name="budget_month_identity", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(team__isnull=False) | models.Q(user__isnull=False), name="budget_of_somebody"
            ),
        )

    def __str__(self) -> str:
        whom = " in ".join(str(each) for each in (self.user, self.team) if each is not None)
        return f"{whom}, {self.month:%Y-%m}"
