"""Access that people give each other: who owns a team, what was given by hand, who has asked for what."""

from django.db import models
from django.utils import timezone


class TeamOwner(models.Model):
    """A person who may give access to a team, decide on requests for it and see who is in it.

    Owning a team gives no access to it.
    """

    team = models.ForeignKey("teams.Team", models.CASCADE, related_name="owners")
    user = models.ForeignKey("teams.User", models.CASCADE, related_name="owned_teams")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("team", "user"), name="team_owner"),)

    def __str__(self) -> str:
        return self.user.username


class Grant(models.Model):
    """Access that was given by hand: the words behind the membership of the source `manual`, which ends with it."""

    user = models.ForeignKey("teams.User", models.CASCADE, related_name="grants")
    team = models.ForeignKey("teams.Team", models.CASCADE, related_name="grants")
    reason = models.CharField(max_length=500)
    # Names, not keys: whoever gave it may be gone.
    given_by = models.CharField(max_length=330)
    given_at = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField()
    # When the person was told of it, and when they and the owners were told that it ends soon; empty: not yet.
    person_told_at = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    # Whoever sends mail about this row pushes it ahead first, so that nobody else does at the same time.
    mail_after = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "access given by hand"
        verbose_name_plural = "access given by hand"
        ordering = ("valid_until",)
        constraints = (models.UniqueConstraint(fields=("user", "team"), name="grant_identity"),)

    def __str__(self) -> str:
        return f"{self.user} in {self.team} until {self.valid_until:%Y-%m-%d}"


class AccessRequest(models.Model):
    """Somebody asks to join a team; decided once, by an owner of the team or a portal admin, never by themselves."""

    class State(models.TextChoices):
        PENDING = "pending", "waiting"
        APPROVED = "approved", "approved"
        REFUSED = "refused", "refused"
        WITHDRAWN = "withdrawn", "withdrawn"

    user = models.ForeignKey("teams.User", models.CASCADE, related_name="access_requests")
    team = models.ForeignKey("teams.Team", models.CASCADE, related_name="access_requests")
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    asked_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.CharField(max_length=330, blank=True)
    decision = models.CharField(max_length=500, blank=True)
    # When the owners were told of the request, and the person of the decision; empty: mail is still to be sent.
    owners_told_at = models.DateTimeField(null=True, blank=True)
    person_told_at = models.DateTimeField(null=True, blank=True)
    # As in `Grant`.
    mail_after = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("-asked_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("user", "team"), condition=models.Q(state="pending"), name="access_request_pending"
            ),
            models.CheckConstraint(
                condition=models.Q(state="pending", decided_at__isnull=True)
                | (~models.Q(state="pending") & models.Q(decided_at__isnull=False)),
                name="access_request_decided",
            ),
        )
        indexes = (
            models.Index(fields=("team", "state"), name="access_request_team"),
            models.Index(fields=("decided_at",), name="access_request_decided_at"),
        )

    def __str__(self) -> str:
        return f"{self.user} asks for {self.team}"


class Farewell(models.Model):
    """Access that was given by hand and taken back, kept until the person has been told of it."""

    user = models.ForeignKey("teams.User", models.CASCADE, related_name="+")
    team = models.ForeignKey("teams.Team", models.CASCADE, related_name="+")
    reason = models.CharField(max_length=500)
    taken_at = models.DateTimeField(default=timezone.now)
    person_told_at = models.DateTimeField(null=True, blank=True)
    # As in `Grant`.
    mail_after = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.user} no longer in {self.team}"
