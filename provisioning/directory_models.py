"""Records of directories: what is read, how far reading has come, what is dirty, what could not be understood."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from teams.models import DEFAULT_REALM, AwsAccount, slug_validator

store_validator = RegexValidator(
    r"^(?:d-[0-9a-f]{10}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\Z",
    "The id of an identity store looks like “d-1234567890”.",
)
region_validator = RegexValidator(r"^[a-z]{2}(-[a-z]+)+-[0-9]+\Z", "A Region looks like “eu-west-1”.")
queue_validator = RegexValidator(
    r"^https?://[A-Za-z0-9.:\[\]-]+/[0-9]{12}/[A-Za-z0-9_-]{1,80}(?:\.fifo)?\Z",
    "The URL of a queue looks like “https://sqs.eu-west-1.amazonaws.com/111122223333/portal”.",
)


class Directory(models.Model):
    """An identity store of IAM Identity Center whose groups the portal reads."""

    SOURCE = "identity-center:"

    class Subject(models.TextChoices):
        USER_ID = "userId", "user id"
        USER_NAME = "userName", "user name"
        EMAIL = "email", "primary mail address"
        EXTERNAL_ID = "externalId", "external id (where there is exactly one)"

    name = models.CharField(max_length=128)
    slug = models.SlugField(
        max_length=40,
        unique=True,
        validators=[slug_validator],
        help_text="Part of the source's name, “identity-center:<slug>”, in role mappings and in the log; it cannot be "
        "changed later.",
    )
    identity_store_id = models.CharField("identity store id", max_length=36, validators=[store_validator])
    region = models.CharField(
        max_length=32, validators=[region_validator], help_text="The home Region of the Identity Center instance."
    )
    account = models.ForeignKey(
        AwsAccount,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="directories",
        verbose_name="AWS account",
        help_text="Whose portal role is assumed to read it. Empty: the portal's own credentials are used.",
    )
    realm = models.CharField(
        max_length=64,
        default=DEFAULT_REALM,
        validators=[slug_validator],
        help_text="The realm of the identity providers through which these people sign on; it cannot be changed later.",
    )
    subject_attribute = models.CharField(
        max_length=16,
        choices=Subject.choices,
        default=Subject.USER_ID,
        help_text="Which attribute of a user equals the subject of their sign-on.",
    )
    queue_url = models.CharField(
        "queue URL",
        max_length=256,
        blank=True,
        validators=[queue_validator],
        help_text="The SQS queue with EventBridge's events. Empty: changes are found by synchronisations only.",
    )
    sync_every = models.PositiveIntegerField(
        "synchronise every",
        default=60,
        validators=[MinValueValidator(5), MaxValueValidator(7 * 24 * 60)],
        help_text="Minutes from one full synchronisation to the next.",
    )
    limit_share = models.PositiveSmallIntegerField(
        "removal limit in per cent",
        default=20,
        validators=[MaxValueValidator(100)],
        help_text="A synchronisation by which more people than this share, or than the number below, whichever is "
        "more, would lose access waits for an admin.",
    )
    limit_number = models.PositiveIntegerField("removal limit in people", default=50)
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="An inactive directory is not read; what it said last stays in force until it is deleted.",
    )
    last_success_at = models.DateTimeField("last synchronised", null=True, blank=True, editable=False)
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=500, blank=True, editable=False)
    polled_at = models.DateTimeField("queue last read", null=True, blank=True, editable=False)
    queue_failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    queue_error = models.CharField("last error of the queue", max_length=500, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "directory"
        verbose_name_plural = "directories"
        ordering = ("name", "pk")
        constraints = (
            models.UniqueConstraint(fields=("identity_store_id", "region"), name="directory_identity_store"),
            # Whoever takes a message out of a queue ignores what is about other stores, and deletes it.
            models.UniqueConstraint(
                fields=("queue_url",),
                condition=~models.Q(queue_url=""),
                name="directory_queue",
                violation_error_message="Another directory reads this queue; each needs one of its own.",
            ),
        )

    def __str__(self) -> str:
        return self.slug

    @property
    def source(self) -> str:
        """The name under which this directory states groups."""
        return f"{self.SOURCE}{self.slug}"


class DirectorySync(models.Model):
    """One full synchronisation: how far its reading has come, what it would change or has changed."""

    class State(models.TextChoices):
        READING = "reading", "being read"
        HELD = "held", "held back"
        APPLIED = "applied", "applied"
        PLANNED = "planned", "dry run"
        DISCARDED = "discarded", "thrown away"
        FAILED = "failed", "failed"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "schedule"
        DEMAND = "demand", "somebody asked"
        EVENTS = "events", "events"

    class Stage(models.TextChoices):
        GROUPS = "groups", "groups"
        MEMBERS = "members", "members"
        USERS = "users", "users"
        DONE = "done", "everything read"

    directory = models.ForeignKey(Directory, models.CASCADE, related_name="syncs")
    state = models.CharField(max_length=16, choices=State.choices, default=State.READING)
    trigger = models.CharField("begun by", max_length=16, choices=Trigger.choices)
    dry_run = models.BooleanField(default=False)
    by = models.CharField("asked for by", max_length=330, blank=True)
    decided_by = models.CharField(max_length=330, blank=True)
    # Where reading goes on: what is read, which of `wanted` (ids of groups), and AWS's token of the next page.
    stage = models.CharField(max_length=8, choices=Stage.choices, default=Stage.GROUPS)
    wanted = models.JSONField(default=list)
    position = models.PositiveIntegerField(default=0)
    token = models.TextField(blank=True)
    sequence = models.PositiveIntegerField(default=0)
    # How often one list had to be begun again because AWS no longer knew its token.
    restarts = models.PositiveSmallIntegerField(default=0)
    groups = models.PositiveIntegerField(default=0)
    members = models.PositiveIntegerField(default=0)
    users = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField("last error", max_length=500, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    claim = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    plan = models.JSONField(default=dict)

    class Meta:
        verbose_name = "synchronisation"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("directory", "dry_run"), condition=models.Q(state="reading"), name="directory_sync_one"
            ),
        )
        indexes = (
            models.Index(fields=("due_at",), condition=models.Q(state="reading"), name="directory_sync_due"),
            models.Index(fields=("directory", "state", "-id"), name="directory_sync_state"),
        )

    def __str__(self) -> str:
        return f"{self.directory} · {self.started_at:%Y-%m-%d %H:%M}"


class DirectoryPage(models.Model):
    """One page of AWS's answers as a synchronisation read it; gone when the synchronisation is over.

    `rows` holds [id, name] of groups, [membership id, user id] of members, [id, subject, name, mail address, active] of
    users. `token` is the digest of the token that the page was asked with: no token is ever used twice.
    """

    class Kind(models.TextChoices):
        GROUPS = "groups", "groups"
        MEMBERS = "members", "members"
        USERS = "users", "users"

    sync = models.ForeignKey(DirectorySync, models.CASCADE, related_name="pages")
    sequence = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    group = models.CharField(max_length=256, blank=True)
    token = models.CharField(max_length=64, blank=True)
    read_at = models.DateTimeField()
    rows = models.JSONField()

    class Meta:
        ordering = ("sync", "sequence")
        constraints = (
            models.UniqueConstraint(fields=("sync", "sequence"), name="directory_page_sequence"),
            models.UniqueConstraint(fields=("sync", "kind", "group", "token"), name="directory_page_token"),
        )


class DirectoryPerson(models.Model):
    """Which subject a user of a directory has, where that is not simply their id."""

    directory = models.ForeignKey(Directory, models.CASCADE, related_name="people")
    external_id = models.CharField(max_length=256)
    subject = models.CharField(max_length=256)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("directory", "external_id"), name="directory_person"),)
        indexes = (models.Index(fields=("directory", "subject"), name="directory_person_subject"),)


class DirtyMark(models.Model):
    """Something that may have changed in a directory and is to be read again; thousands of events make one mark."""

    class Kind(models.TextChoices):
        GROUP = "group", "group"
        USER = "user", "user"
        # A membership that ended and that nobody here knows yet; a synchronisation under way may have read it.
        MEMBERSHIP = "membership", "membership"
        EVERYTHING = "everything", "everything"

    directory = models.ForeignKey(Directory, models.CASCADE, related_name="marks")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    external_id = models.CharField("id", max_length=256, blank=True)
    noted_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    # When the reading began whose outcome was applied: what a synchronisation read before that is older.
    read_at = models.DateTimeField(null=True, blank=True)
    # False: no mapping named the group when it was read, and nobody asked for its members.
    has_members = models.BooleanField("members were read", default=True, db_default=True, editable=False)
    attempts = models.PositiveIntegerField(default=0)
    error = models.CharField("last error", max_length=500, blank=True)
    claim = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "dirty mark"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("directory", "kind", "external_id"),
                condition=models.Q(done_at__isnull=True),
                name="dirty_mark_open",
            ),
        )
        indexes = (
            models.Index(fields=("due_at",), condition=models.Q(done_at__isnull=True), name="dirty_mark_due"),
            models.Index(
                fields=("directory", "kind", "read_at"),
                condition=models.Q(read_at__isnull=False),
                name="dirty_mark_read",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.external_id}".rstrip()


class DeadLetter(models.Model):
    """A message of the queue that could not be understood, and why."""

    directory = models.ForeignKey(Directory, models.CASCADE, related_name="dead_letters")
    received_at = models.DateTimeField(default=timezone.now)
    message_id = models.CharField("message id", max_length=128)
    reason = models.CharField(max_length=500)
    body = models.TextField(blank=True)

    class Meta:
        verbose_name = "dead letter"
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("directory", "message_id"), name="dead_letter_message"),)
        indexes = (models.Index(fields=("received_at",), name="dead_letter_received"),)

    def __str__(self) -> str:
        return f"{self.message_id}: {self.reason}"
