"""Profile records: what the portal knows about the Studio user profile of each (user, team) pair; and the models of
apps, directories and comparisons.
"""

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from provisioning.app_models import BudgetMonth as BudgetMonth
from provisioning.app_models import DomainScan as DomainScan
from provisioning.app_models import Price as Price
from provisioning.app_models import RunningApp as RunningApp
from provisioning.app_models import StudioSpace as StudioSpace
from provisioning.app_models import UsageHour as UsageHour
from provisioning.directory_models import DeadLetter as DeadLetter
from provisioning.directory_models import Directory as Directory
from provisioning.directory_models import DirectoryPage as DirectoryPage
from provisioning.directory_models import DirectoryPerson as DirectoryPerson
from provisioning.directory_models import DirectorySync as DirectorySync
from provisioning.directory_models import DirtyMark as DirtyMark
from provisioning.reconcile_models import ReconcileItem as ReconcileItem
from provisioning.reconcile_models import Reconciliation as Reconciliation
from provisioning.reconcile_models import SeenProfile as SeenProfile
from teams.models import AwsAccount, Domain, Team, User


class Profile(models.Model):
    """The Studio user profile of one (user, team) pair; written by `provisioning.profiles` only."""

    class State(models.TextChoices):
        WANTED = "wanted", "wanted"  # not known to exist in AWS; a worker will look and create it
        CREATING = "creating", "being created"
        READY = "ready", "ready"
        FAILED = "failed", "failed"  # tried again at `due_at`, or never when that is empty
        CONFLICT = "conflict", "name taken by a profile that is not ours"
        RETIRING = "retiring", "access ended"  # what is to go, and when, is in `ended_by` and `retire_at`
        RETIRED = "retired", "deleted"  # history, and a name that stays reserved; made anew when access returns

    class End(models.TextChoices):
        REVOKED = "revoked", "revoked"  # nothing speaks for the person any more: apps are stopped at once
        LAPSED = "lapsed", "sign-on session over"  # signing on again brings it back: apps go on

    user = models.ForeignKey(User, models.PROTECT, related_name="profiles")
    team = models.ForeignKey(Team, models.PROTECT, related_name="profiles")
    domain = models.ForeignKey(Domain, models.PROTECT, related_name="profiles")
    name = models.CharField(max_length=63)
    state = models.CharField(max_length=16, choices=State.choices, default=State.WANTED)
    # False for a profile that was found in AWS and is used as it is: never changed, never deleted.
    managed = models.BooleanField(default=True)
    arn = models.CharField("ARN", max_length=256, blank=True)
    # The role that AWS has for this profile, as last seen or set.
    execution_role_arn = models.CharField("execution role ARN", max_length=2048, blank=True)
    # The role of our own create, while AWS is at it: nothing else is known of such a profile yet.
    asked_role_arn = models.CharField(max_length=2048, blank=True, default="", db_default="")
    # The version of the team's form that AWS has, with the tags that the portal set last: others are not its business.
    form_version = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    applied_tags = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    # The mail address in these tags; empty where none of them names it.
    form_email = models.CharField(max_length=320, blank=True, default="", db_default="", editable=False)
    # The version whose settings AWS was last asked for, and took: it need not repeat all of them.
    asked_version = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # The admin who said that a profile which was there before us is ours from now on.
    adopted_by = models.CharField(max_length=330, blank=True, default="", db_default="", editable=False)
    # Whether they said so even though its tags name another person or team of the portal.
    takes_over = models.BooleanField(default=False, db_default=False, editable=False)
    # AWS's time of the last change when a comparison found everything as it should be; empty: look closer.
    aws_modified_at = models.DateTimeField(null=True, blank=True, editable=False)
    # In a domain in SSO mode: the user name in IAM Identity Center for which the profile is made, and the assignment to
    # the domain's application, as `provisioning.sso_assignments` keeps it.
    sso_user = models.CharField(
        "user in IAM Identity Center", max_length=256, blank=True, default="", db_default="", editable=False
    )
    assigned_to = models.JSONField(
        "assignment", default=dict, db_default=models.Value({}, models.JSONField()), blank=True, editable=False
    )
    # When a person last asked for a profile that was not ready: theirs goes first.
    asked_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.CharField("last error", max_length=500, blank=True)
    aws_request_id = models.CharField("AWS request id", max_length=64, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="Failed attempts since the last success.")
    # Repairs (delete and make again, update again) since the last success; bounded, because each may fail for ever.
    repairs = models.PositiveSmallIntegerField(default=0)
    # When the sweep may take this row up; empty: there is nothing to do.
    due_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    # Give up waiting for `Pending` after this moment.
    deadline_at = models.DateTimeField(null=True, blank=True)
    # Compare-and-set claim: only the worker that holds the token acts, until the claim runs out.
    claim = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    # How and when access ended, both empty while there is access.
    ended_by = models.CharField(
        "access ended by", max_length=16, choices=End.choices, blank=True, default="", db_default=""
    )
    ended_at = models.DateTimeField("access ended", null=True, blank=True)
    # When apps, spaces and profile are deleted; empty: never.
    retire_at = models.DateTimeField("to be deleted", null=True, blank=True)
    # When AWS was first asked to delete the profile itself.
    delete_asked_at = models.DateTimeField(null=True, blank=True)
    # How far a round through the apps and spaces of a retiring profile is; it may be lost at any time.
    progress = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("user", "team"), name="profile_user_team"),
            models.UniqueConstraint(Lower("name"), name="profile_name_ci"),
            # AWS has room for one profile of a person in a domain in SSO mode.
            models.UniqueConstraint(
                "domain", Lower("sso_user"), condition=~models.Q(sso_user=""), name="profile_sso_user"
            ),
        )
        indexes = (models.Index(fields=("due_at",), condition=models.Q(due_at__isnull=False), name="profile_due"),)

    def __str__(self) -> str:
        return self.name


class QuotaAlarm(models.Model):
    """An account and Region whose quota of profiles is used up; written by `provisioning.quotas` only."""

    account = models.ForeignKey(AwsAccount, models.CASCADE, related_name="+", verbose_name="AWS account")
    region = models.CharField(max_length=32)
    since = models.DateTimeField(default=timezone.now)
    retry_at = models.DateTimeField("tried again")
    code = models.CharField(max_length=64)
    message = models.CharField("what AWS says", max_length=500)

    class Meta:
        ordering = ("since",)
        constraints = (models.UniqueConstraint(fields=("account", "region"), name="quota_alarm"),)

    def __str__(self) -> str:
        return f"profile quota of {self.account.account_id} in {self.region}"
