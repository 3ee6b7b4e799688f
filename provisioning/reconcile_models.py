"""Records of comparisons: how far a domain has been read, what differs from what should be, and what came of it."""

from django.db import models
from django.utils import timezone

from teams.models import Domain


class Reconciliation(models.Model):
    """One comparison of a domain: how far it has come, and how many differences of each kind it found."""

    class State(models.TextChoices):
        READING = "reading", "being compared"
        HELD = "held", "held back"
        PLANNED = "planned", "compared only"
        APPLYING = "applying", "repairs are being begun"
        DONE = "done", "done"
        DISCARDED = "discarded", "thrown away"
        FAILED = "failed", "failed"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "schedule"
        DEMAND = "demand", "somebody asked"

    class Stage(models.TextChoices):
        LISTING = "listing", "list of profiles"
        LOOKING = "looking", "profiles one by one"
        MISSING = "missing", "profiles that are not in the list"
        DONE = "done", "everything compared"

    # Those that a worker goes on with.
    OPEN = (State.READING, State.APPLYING)

    domain = models.ForeignKey(Domain, models.CASCADE, related_name="reconciliations")
    state = models.CharField(max_length=16, choices=State.choices, default=State.READING)
    trigger = models.CharField("begun by", max_length=16, choices=Trigger.choices)
    dry_run = models.BooleanField("compare only", default=False)
    # False: profiles that AWS has not changed since they were last found as they should be are not looked at.
    is_full = models.BooleanField("looks at everything", default=True)
    by = models.CharField("asked for by", max_length=330, blank=True)
    decided_by = models.CharField(max_length=330, blank=True)
    # Where reading goes on: AWS's token of the next page, and the key of the last row that was looked at.
    stage = models.CharField(max_length=8, choices=Stage.choices, default=Stage.LISTING)
    token = models.TextField(blank=True)
    pages = models.PositiveIntegerField(default=0)
    restarts = models.PositiveSmallIntegerField(default=0)
    position = models.BigIntegerField(default=0)
    listed = models.PositiveIntegerField("profiles in AWS", default=0)
    looked_at = models.PositiveIntegerField("profiles looked at", default=0)
    left_alone = models.PositiveIntegerField("left alone, because they changed meanwhile", default=0)
    # How many differences of each kind.
    counts = models.JSONField(default=dict)
    reason = models.CharField("why it is held back", max_length=500, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField("last error", max_length=500, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    claim = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "domain comparison"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("domain", "dry_run"),
                condition=models.Q(state__in=("reading", "applying")),
                name="reconciliation_one",
            ),
        )
        indexes = (
            models.Index(
                fields=("due_at",), condition=models.Q(state__in=("reading", "applying")), name="reconciliation_due"
            ),
            models.Index(fields=("domain", "-id"), name="reconciliation_domain"),
        )

    def __str__(self) -> str:
        return f"{self.domain} · {self.started_at:%Y-%m-%d %H:%M}"


class SeenProfile(models.Model):
    """A profile as AWS's list showed it to a comparison; gone when everything is compared."""

    run = models.ForeignKey(Reconciliation, models.CASCADE, related_name="seen")
    name = models.CharField(max_length=63)
    # AWS does not tell upper from lower case in names.
    key = models.CharField(max_length=63)
    status = models.CharField(max_length=32, blank=True)
    modified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("run", "key"), name="seen_profile"),)

    def __str__(self) -> str:
        return self.name


class ReconcileItem(models.Model):
    """One difference between what AWS has and what should be, what is to be done about it, and what came of that."""

    class Kind(models.TextChoices):
        MISSING = "missing", "missing in AWS"
        STATUS = "status", "failed in AWS"
        ROLE = "role", "other execution role"
        SETTINGS = "settings", "other settings"
        TAGS = "tags", "other tags"
        ORPHAN = "orphan", "ours, without a row"
        NO_ACCESS = "no_access", "nobody has access"
        FOREIGN = "foreign", "not ours"

    class Action(models.TextChoices):
        REMAKE = "remake", "make again"
        REPAIR = "repair", "repair"
        RETIRE = "retire", "retire"
        END = "end", "end access"
        REPORT = "report", "nothing, only reported"

    class State(models.TextChoices):
        PLANNED = "planned", "planned"
        APPLIED = "applied", "begun"
        SKIPPED = "skipped", "left alone"
        FAILED = "failed", "failed"

    run = models.ForeignKey(Reconciliation, models.CASCADE, related_name="items")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.CharField("profile", max_length=63)
    profile = models.ForeignKey("provisioning.Profile", models.SET_NULL, null=True, blank=True, related_name="+")
    action = models.CharField("what is to be done", max_length=16, choices=Action.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PLANNED)
    reason = models.CharField(max_length=500, blank=True)
    outcome = models.CharField("what came of it", max_length=500, blank=True)
    # What AWS has and what is wanted, as far as they differ; no secrets.
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "difference"
        ordering = ("run", "kind", "name")
        constraints = (models.UniqueConstraint(fields=("run", "name", "kind"), name="reconcile_item"),)
        indexes = (models.Index(fields=("run", "state", "id"), name="reconcile_item_state"),)

    def __str__(self) -> str:
        return f"{self.name}: {self.get_kind_display()}"
