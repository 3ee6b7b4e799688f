"""What identity providers that push by SCIM 2.0 said: their tokens, users and groups as they sent them."""

import uuid

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone


class ScimClient(models.Model):
    """An identity provider that pushes users and groups; it speaks for the source `scim:<slug>`."""

    class Subject(models.TextChoices):
        USER_NAME = "userName", "userName"
        EXTERNAL_ID = "externalId", "externalId"
        EMAIL = "email", "the primary mail address"

    name = models.CharField(max_length=128)
    slug = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9]+(?:-[a-z0-9]+)*\Z", "Use lower-case letters, digits and single hyphens.")
        ],
        help_text="Part of the source's name in the log and in role mappings; it cannot be changed later.",
    )
    realm = models.CharField(
        max_length=64, default="default", help_text="The realm of the identity provider by which these people sign on."
    )
    subject_attribute = models.CharField(
        "subject",
        max_length=16,
        choices=Subject.choices,
        default=Subject.USER_NAME,
        help_text="The attribute whose value the identity provider's assertions carry as the person's name.",
    )
    is_active = models.BooleanField("active", default=True, help_text="An inactive client is refused.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "SCIM client"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        """The name under which this client states groups."""
        return f"scim:{self.slug}"


class ScimToken(models.Model):
    """A bearer token of a client, kept as a digest: what it was is shown once, when it is made."""

    client = models.ForeignKey(ScimClient, models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # The beginning, by which people tell tokens apart.
    hint = models.CharField(max_length=16, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=330, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "SCIM token"
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.hint}…"


class ScimUser(models.Model):
    """A user resource of a client; `user` is the person whom it names."""

    client = models.ForeignKey(ScimClient, models.CASCADE, related_name="users")
    scim_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey("teams.User", models.CASCADE, related_name="scim_users")
    user_name = models.CharField(max_length=256)
    external_id = models.CharField(max_length=256, blank=True)
    active = models.BooleanField(default=True)
    # The resource as the client sent it, without what the columns say.
    attributes = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "SCIM user"
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint("client", models.functions.Lower("user_name"), name="scim_user_name"),
            models.UniqueConstraint(fields=("client", "user"), name="scim_user_person"),
        )
        indexes = (models.Index(fields=("client", "external_id"), name="scim_user_external"),)

    def __str__(self) -> str:
        return self.user_name


class ScimGroup(models.Model):
    """A group resource of a client; `group` is the row that memberships and mappings know."""

    client = models.ForeignKey(ScimClient, models.CASCADE, related_name="groups")
    scim_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    group = models.OneToOneField("teams.Group", models.CASCADE, related_name="scim_group")
    display_name = models.CharField(max_length=256)
    external_id = models.CharField(max_length=256, blank=True)
    attributes = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "SCIM group"
        ordering = ("pk",)
        indexes = (
            models.Index(fields=("client", "display_name"), name="scim_group_name"),
            models.Index(fields=("client", "external_id"), name="scim_group_external"),
        )

    def __str__(self) -> str:
        return self.display_name
