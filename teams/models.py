"""Who may use what: users, groups, teams, role mappings, memberships; and the audit log."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from teams import shapes, single_sign_on, tag_templates
from teams.request_models import AccessRequest as AccessRequest
from teams.request_models import Farewell as Farewell
from teams.request_models import Grant as Grant
from teams.request_models import TeamOwner as TeamOwner
from teams.rule_models import CleanupRule as CleanupRule
from teams.rule_models import TagConstant as TagConstant
from teams.scim_models import ScimClient as ScimClient
from teams.scim_models import ScimGroup as ScimGroup
from teams.scim_models import ScimToken as ScimToken
from teams.scim_models import ScimUser as ScimUser
from teams.session_models import SamlSession as SamlSession

DEFAULT_REALM = "default"

slug_validator = RegexValidator(
    r"^[a-z0-9]+(?:-[a-z0-9]+)*\Z", "Use lower-case letters, digits and single hyphens between them."
)


class UserManager(BaseUserManager["User"]):
    def create_superuser(self, username: str, password: str | None = None, **fields: object) -> "User":
        """Create the local administrator that `manage.py createsuperuser` asks for; no provider knows this person."""
        user = self.model(
            realm="local", subject=username, username=username, role=User.Role.ADMIN, email=str(fields.get("email", ""))
        )
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person, known by (realm, subject): the name by which the identity providers of one realm know them."""

    class Role(models.TextChoices):
        NONE = "", "user"
        AUDITOR = "auditor", "auditor (reads everything)"
        ADMIN = "admin", "portal admin"

    realm = models.CharField(max_length=64, default=DEFAULT_REALM)
    subject = models.CharField(max_length=256)
    username = models.CharField(max_length=330, unique=True)
    name = models.CharField(max_length=256, blank=True)
    email = models.CharField(max_length=320, blank=True)
    role = models.CharField(max_length=16, blank=True, choices=Role.choices, default=Role.NONE)
    is_active = models.BooleanField(default=True)
    # The directory that last vouched for this person: who vanishes from it is deactivated.
    known_by = models.CharField(max_length=80, blank=True, editable=False)
    # The source that deactivated this person and may activate them again; empty: an admin did, or nobody.
    deactivated_by = models.CharField(max_length=80, blank=True, editable=False)
    monthly_budget = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What this person's apps in all teams may cost in a month; empty: no limit.",
    )
    # Part of the session hash: raising it ends every session of this person at once.
    session_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("realm", "subject"), name="user_realm_subject"),)

    def __str__(self) -> str:
        return self.name or self.subject

    @staticmethod
    def username_for(realm: str, subject: str) -> str:
        """Return the unique user name of a person: the subject, prefixed by any realm but the default one.

        Realms have no slash; a subject that has one gets its prefix in the default realm too, so that it is never read
        as a person of another realm.
        """
        return subject if realm == DEFAULT_REALM and "/" not in subject else f"{realm}/{subject}"

    @property
    def is_staff(self) -> bool:
        """Whether the admin site opens for this person."""
        return self.role in {self.Role.ADMIN, self.Role.AUDITOR}

    @property
    def is_superuser(self) -> bool:
        """Whether this person is a portal admin."""
        return self.role == self.Role.ADMIN

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Portal admins may do everything the admin site offers, auditors may look."""
        if not self.is_active:
            return False
        return self.role == self.Role.ADMIN or (
            self.role == self.Role.AUDITOR and perm.partition(".")[2].startswith("view_")
        )

    def has_perms(self, perms: list[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff

    def get_session_auth_hash(self) -> str:
        return f"{super().get_session_auth_hash()}:{self.session_epoch}"

    def get_session_auth_fallback_hash(self):  # type: ignore[no-untyped-def]
        for value in super().get_session_auth_fallback_hash():
            yield f"{value}:{self.session_epoch}"


class AwsAccount(models.Model):
    """An AWS account that holds Studio domains."""

    account_id = models.CharField(
        "account id",
        max_length=12,
        unique=True,
        validators=[RegexValidator(r"^[0-9]{12}\Z", "An account id has 12 digits.")],
    )
    name = models.CharField(max_length=128)
    role_arn = models.CharField(
        "portal role ARN",
        max_length=2048,
        blank=True,
        validators=[shapes.validate_role_arn],
        help_text="The role in this account that the portal assumes. Empty: the portal's own credentials are used.",
    )
    external_id = models.CharField(
        "external id",
        max_length=1224,
        blank=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9_+=,.@:/-]{2,1224}\Z", "2 to 1224 letters, digits and + = , . @ : / - are allowed."
            )
        ],
        help_text="The value that the role's trust policy asks for; give each account its own.",
    )
    names_sessions = models.BooleanField(
        "sessions named after people",
        default=True,
        db_default=True,
        help_text="Each launch is made in a session of the role that is named after the person, which CloudTrail and "
        "policies see. It takes one call of STS more for each person and hour. Off: one session for everybody.",
    )
    uses_source_identity = models.BooleanField(
        "source identity",
        default=False,
        db_default=False,
        help_text="Sessions carry their name as SourceIdentity too, which stays whatever role is assumed next. The "
        "role's trust policy must allow sts:SetSourceIdentity.",
    )
    session_tags = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Sessions of people carry the tags “team” and “user”. The role's trust policy must allow "
        "sts:TagSession.",
    )

    class Meta:
        verbose_name = "AWS account"
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(names_sessions=True) | models.Q(uses_source_identity=False, session_tags=False),
                name="account_sessions_named",
                violation_error_message="Source identity and session tags need sessions named after people.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.account_id})"

    def clean(self) -> None:
        if self.role_arn and f"::{self.account_id}:" not in self.role_arn:
            raise ValidationError({"role_arn": "This role belongs to another account."})
        if not self.role_arn and (self.uses_source_identity or self.session_tags):
            raise ValidationError({"role_arn": "Source identity and session tags belong to the sessions of a role."})


class Domain(models.Model):
    """A Studio domain in one AWS account and Region."""

    class AuthMode(models.TextChoices):
        IAM = "IAM", "IAM"
        SSO = "SSO", "SSO (IAM Identity Center)"

    class SsoUser(models.TextChoices):
        KNOWN = "", "as the directory says, else the subject of the sign-on"
        SUBJECT = "subject", "the subject of the sign-on"
        EMAIL = "email", "the mail address"

    account = models.ForeignKey(AwsAccount, models.PROTECT, related_name="domains", verbose_name="AWS account")
    region = models.CharField(
        max_length=32, validators=[RegexValidator(r"^[a-z]{2}(-[a-z]+)+-[0-9]+\Z", "A Region looks like “eu-west-1”.")]
    )
    domain_id = models.CharField("domain id", max_length=63, validators=[shapes.validate_domain_id])
    name = models.CharField(max_length=128, blank=True)
    auth_mode = models.CharField("authentication mode", max_length=3, choices=AuthMode.choices, default=AuthMode.IAM)
    # What DescribeDomain says of a domain in SSO mode: the address of its Studio and its application.
    url = models.CharField("URL", max_length=1024, blank=True, db_default="", editable=False)
    application_arn = models.CharField("application ARN", max_length=1224, blank=True, db_default="", editable=False)
    assigns_application = models.BooleanField(
        "assigns people to the application",
        default=False,
        db_default=False,
        help_text="SSO mode: whether the portal itself assigns people to the domain's application in IAM Identity "
        "Center, and takes the assignment away again.",
    )
    sso_user_attribute = models.CharField(
        "user name in IAM Identity Center",
        max_length=8,
        choices=SsoUser.choices,
        blank=True,
        default=SsoUser.KNOWN,
        db_default="",
        help_text="SSO mode: what the profile of a person is made for. It cannot be changed in AWS later.",
    )
    # What DescribeDomain said last, and when it was asked: nothing here is anybody's wish.
    real_auth_mode = models.CharField(
        "mode in AWS", max_length=16, blank=True, default="", db_default="", editable=False
    )
    looked_at = models.DateTimeField("last looked at", null=True, blank=True, editable=False)
    look_error = models.CharField(
        "last look failed", max_length=500, blank=True, default="", db_default="", editable=False
    )

    class Meta:
        constraints = (models.UniqueConstraint(fields=("account", "region", "domain_id"), name="domain_identity"),)
        ordering = ("account", "region", "domain_id")

    def __str__(self) -> str:
        return f"{self.name or self.domain_id} · {self.region}"


class Team(models.Model):
    """What a tile stands for: a domain, an execution role, tags, session limits and the settings of its profiles."""

    slug = models.CharField(
        max_length=40,
        unique=True,
        validators=[slug_validator],
        help_text="Part of addresses and profile names; it cannot be changed later.",
    )
    saml_id = models.CharField(
        "SAML team id",
        max_length=128,
        unique=True,
        help_text="The value of the “teamid” attribute that says “member of this team”.",
    )
    name = models.CharField(max_length=128)
    description = models.TextField(blank=True)
    contact = models.CharField(max_length=256, blank=True, help_text="Whom members ask; shown when something fails.")
    domain = models.ForeignKey(Domain, models.PROTECT, related_name="teams")
    execution_role_arn = models.CharField("execution role ARN", max_length=2048, validators=[shapes.validate_role_arn])
    session_duration = models.PositiveIntegerField(
        "session length",
        default=43200,
        validators=[MinValueValidator(1800), MaxValueValidator(43200)],
        help_text="Seconds that a Studio session may last, 1800 to 43200.",
    )
    url_lifetime = models.PositiveIntegerField(
        "URL lifetime",
        default=60,
        validators=[MinValueValidator(5), MaxValueValidator(300)],
        help_text="Seconds in which the link into Studio must be opened, 5 to 300.",
    )
    user_settings = models.JSONField(
        "UserSettings",
        default=dict,
        blank=True,
        validators=[shapes.validate_user_settings],
        help_text="SageMaker's UserSettings as JSON, without ExecutionRole.",
    )
    landing_uri = models.CharField(
        "opens at",
        max_length=1023,
        blank=True,
        db_default="",
        validators=[
            RegexValidator(
                r"^(?:studio::|app:(?:JupyterServer|JupyterLab|RStudioServerPro|CodeEditor|Canvas):)[^\s]*\Z",
                "This is no landing URI: studio::path, or app:JupyterLab:path and the like.",
            )
        ],
        help_text="SageMaker's LandingUri, like “studio::” or “app:JupyterLab:”. Empty: as the domain says.",
    )
    space_name = models.CharField(
        "opens the space",
        max_length=63,
        blank=True,
        db_default="",
        validators=[shapes.validate_space_name],
        help_text="The shared space that a click opens. Empty: none.",
    )
    # Raised by each change that profiles have to follow; a profile carries the version that it was brought to.
    form_version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    monthly_budget = models.DecimalField(
        "budget of the team",
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What all apps of the team may cost in a month; empty: no limit.",
    )
    person_budget = models.DecimalField(
        "budget of each person",
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What the apps of one person in this team may cost in a month; empty: no limit.",
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="An inactive team shows no tile and opens nothing."
    )
    is_requestable = models.BooleanField(
        "listed for request", default=False, help_text="Whether people who are not in the team may ask to join it."
    )
    grace_days = models.PositiveSmallIntegerField(
        "grace period",
        default=14,
        validators=[MaxValueValidator(3650)],
        help_text="Days between the end of somebody's access and the deletion of their profile and its spaces.",
    )
    keeps_profiles = models.BooleanField(
        "never delete profiles",
        default=False,
        help_text="Profiles and spaces of people whose access has ended stay in AWS; their apps are stopped.",
    )

    class Meta:
        ordering = ("name",)
        # AWS ignores case in profile names, which slugs are part of.
        constraints = (
            models.CheckConstraint(
                condition=models.Q(slug=Lower("slug")),
                name="team_slug_lower",
                violation_error_message="Use lower-case letters in the slug.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        errors: dict[str, str] = {}
        if isinstance(self.user_settings, dict) and "ExecutionRole" in self.user_settings:
            errors["user_settings"] = "Set the role in “Execution role ARN”, not here."
        if self.domain_id and f"::{self.domain.account.account_id}:" not in self.execution_role_arn:
            errors["execution_role_arn"] = "This role belongs to another account than the domain; AWS would refuse it."
        if self.domain_id and self.is_active and (fault := single_sign_on.fault_of_team(self)):
            errors["domain"] = fault
        if errors:
            raise ValidationError(errors)


class TeamTag(models.Model):
    """A tag that every profile of a team carries, next to the portal's own (`Team`, `owner`, `managed-by`)."""

    RESERVED = frozenset({"owner", "managed-by"})

    team = models.ForeignKey(Team, models.CASCADE, related_name="tags")
    key = models.CharField(max_length=128, validators=[shapes.validate_tag_key])
    value = models.CharField(
        max_length=256,
        blank=True,
        validators=[shapes.validate_tag_template],
        help_text="{user}, {team}, {email} and the names of tag constants stand for their values.",
    )

    class Meta:
        verbose_name = "tag"
        # IAM compares tag keys without regard to case.
        constraints = (models.UniqueConstraint("team", Lower("key"), name="team_tag_key"),)
        ordering = ("key",)

    def __str__(self) -> str:
        return f"{self.key}={self.value}"

    def clean(self) -> None:
        if self.key.lower() in self.RESERVED:
            raise ValidationError({"key": "The portal sets this tag itself."})
        if self.key.lower() == "team" and tag_templates.names_in(self.value) & {"user", "email"}:
            # Policies compare it, and by it the portal knows its own profiles.
            raise ValidationError({"value": "This tag says which team a profile is of, and cannot tell people apart."})
        if tag_templates.names_in(self.value) - tag_templates.BUILT_IN:
            constants = sorted(TagConstant.objects.values_list("name", flat=True))
            if unknown := tag_templates.unknown(self.value, constants):
                known = ", ".join(f"{{{name}}}" for name in (*sorted(tag_templates.BUILT_IN), *constants))
                raise ValidationError({"value": f"Nothing is known as {{{unknown[0]}}}; known are {known}."})


class Group(models.Model):
    """A group as an outside source names it; written by `memberships.apply` only, never edited here."""

    source = models.CharField(max_length=80)
    external_id = models.CharField(max_length=256)
    name = models.CharField(max_length=256, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("source", "external_id"), name="group_identity"),)
        # Role mappings name groups by their names, too, and a directory may have a hundred thousand.
        indexes = (models.Index(fields=("source", "name"), name="group_name"),)
        ordering = ("source", "name", "external_id")

    def __str__(self) -> str:
        return self.name or self.external_id


class GroupMembership(models.Model):
    """What a source said: this user is in this group, until `valid_until` where the source set an end.

    PostgreSQL does not check these keys: only `memberships` writes them, from rows that its gate keeps in place, and a
    check for each of hundreds of thousands takes longer than everything else. A row without its group gives nothing.
    """

    group = models.ForeignKey(Group, models.CASCADE, related_name="memberships", db_constraint=False)
    # The unique constraint begins with it.
    user = models.ForeignKey(
        User, models.CASCADE, related_name="group_memberships", db_constraint=False, db_index=False
    )
    since = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True)
    # The source's own id of this membership, which is all that some events of its removal tell.
    external_id = models.CharField(max_length=128, blank=True, db_default="")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "group"), name="group_membership"),)
        indexes = (
            models.Index(
                fields=("external_id",), condition=~models.Q(external_id=""), name="group_membership_external"
            ),
            models.Index(
                fields=("valid_until",), condition=models.Q(valid_until__isnull=False), name="group_membership_ends"
            ),
        )


class RoleMapping(models.Model):
    """“Members of this group are in that team”, with an execution role of their own where set."""

    source = models.CharField(max_length=80, blank=True, help_text="Empty: any source that names the group.")
    group = models.CharField(max_length=256, help_text="The group's id or its exact name.")
    team = models.ForeignKey(Team, models.CASCADE, related_name="role_mappings")
    execution_role_arn = models.CharField(
        "execution role ARN",
        max_length=2048,
        blank=True,
        validators=[shapes.validate_role_template],
        help_text="Empty: the team's own role. {account}, {team} and {group} stand for the account of the team's "
        "domain, the team's slug and the group's name (its id where it has none).",
    )
    priority = models.IntegerField(default=0, help_text="The highest wins where several mappings give different roles.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("source", "group", "team"), name="role_mapping_identity"),)
        indexes = (models.Index(fields=("group",), name="role_mapping_group"),)
        ordering = ("team", "-priority", "group")

    def __str__(self) -> str:
        return f"{self.group} → {self.team}"

    def clean(self) -> None:
        if not (self.team_id and self.execution_role_arn):
            return
        account = self.team.domain.account.account_id
        if f"::{account}:" not in self.execution_role_arn.replace("{account}", account):
            refusal = "This role belongs to another account than the team's domain; AWS would refuse it."
            raise ValidationError({"execution_role_arn": refusal})


class Membership(models.Model):
    """Evidence that a user is in a team; the user has access while any row is live. Written by `memberships` only.

    `group` and `mapping` are empty where a source names the team itself (the SAML attribute `teamid`). As with group
    memberships, PostgreSQL checks only the key whose loss would give more than before: that of the mapping.
    """

    # The unique constraint begins with it.
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships", db_constraint=False, db_index=False)
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships", db_constraint=False)
    source = models.CharField(max_length=80)
    group = models.ForeignKey(Group, models.CASCADE, null=True, blank=True, related_name="+", db_constraint=False)
    mapping = models.ForeignKey(RoleMapping, models.CASCADE, null=True, blank=True, related_name="memberships")
    since = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("user", "team", "source", "group", "mapping"), name="membership_evidence", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(group__isnull=True, mapping__isnull=True)
                | models.Q(group__isnull=False, mapping__isnull=False),
                name="membership_group_with_mapping",
            ),
        )
        indexes = (
            models.Index(
                fields=("valid_until",), condition=models.Q(valid_until__isnull=False), name="membership_ends"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.team} by {self.source}"


class IdentityProvider(models.Model):
    """An identity provider whose assertions are taken, on which terms, and the last good copy of its metadata.

    `seeded` rows were named by SAML_IDP_METADATA, which stays in charge of their metadata. `certificates` holds the
    SHA-256 fingerprint and the end of each signing certificate, `certificates_until` the latest of these ends.
    """

    class Flavour(models.TextChoices):
        GENERIC = "generic", "any other"
        IDENTITY_CENTER = "identity-center", "IAM Identity Center"
        OKTA = "okta", "Okta"
        ENTRA = "entra", "Microsoft Entra ID"
        KEYCLOAK = "keycloak", "Keycloak"
        AUTH0 = "auth0", "Auth0"

    name = models.CharField(max_length=128, help_text="What people choose by, where there are several.")
    entity_id = models.CharField("entity id", max_length=1024, unique=True)
    realm = models.CharField(
        max_length=64,
        default=DEFAULT_REALM,
        validators=[slug_validator],
        help_text="Providers of one realm name the same people by the same subjects; realms never share people.",
    )
    flavour = models.CharField(
        "kind",
        max_length=16,
        choices=Flavour.choices,
        default=Flavour.GENERIC,
        help_text="Decides the attribute names that are left empty below.",
    )
    metadata = models.TextField(editable=False)
    metadata_url = models.CharField("metadata URL", max_length=2048, blank=True)
    attribute_user = models.CharField("user attribute", max_length=256, blank=True)
    attribute_team = models.CharField("team attribute", max_length=256, blank=True)
    attribute_groups = models.CharField("groups attribute", max_length=256, blank=True)
    attribute_email = models.CharField("mail attribute", max_length=256, blank=True)
    attribute_name = models.CharField("name attribute", max_length=256, blank=True)
    allow_unsolicited = models.BooleanField(
        "sign-on may start there",
        default=False,
        help_text="Takes assertions that nobody asked for here. Leave it off where the provider can start at our page.",
    )
    only_team = models.ForeignKey(
        Team,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="identity_providers",
        help_text="The one team that this provider may speak for: no groups, no portal roles, no other team.",
    )
    gives_roles = models.BooleanField(
        "gives portal roles",
        default=False,
        help_text="Whether its groups may make people portal admins and auditors.",
    )
    is_active = models.BooleanField("active", default=True, help_text="Nobody signs on through an inactive provider.")
    seeded = models.BooleanField("from SAML_IDP_METADATA", default=False, editable=False)
    refreshed_at = models.DateTimeField("last refreshed", null=True, blank=True, editable=False)
    tried_at = models.DateTimeField(null=True, blank=True, editable=False)
    refresh_error = models.CharField("last refresh error", max_length=500, blank=True, editable=False)
    valid_until = models.DateTimeField(null=True, blank=True, editable=False)
    certificates = models.JSONField(default=list, editable=False)
    certificates_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name", "pk")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(only_team__isnull=True) | models.Q(gives_roles=False),
                name="identity_provider_one_team_no_roles",
                violation_error_message="A provider that speaks for one team only gives no portal roles.",
            ),
        )

    def __str__(self) -> str:
        return self.name


class AuditEvent(models.Model):
    """One line of the log. Strings only, so that history outlives what it tells of; the database refuses changes."""

    class Outcome(models.TextChoices):
        SUCCESS = "success", "success"
        REFUSED = "refused", "refused"
        FAILED = "failed", "failed"

    class Action(models.TextChoices):
        SIGN_ON = "sign_on", "signed on"
        SIGN_OUT = "sign_out", "signed out"
        ROLE_CHANGED = "role_changed", "portal role changed"
        MEMBERSHIP_ADDED = "membership_added", "membership added"
        MEMBERSHIP_REMOVED = "membership_removed", "membership removed"
        PROFILE_REQUESTED = "profile_requested", "profile requested"
        PROFILE_CREATED = "profile_created", "profile created"
        PROFILE_READY = "profile_ready", "profile ready"
        PROFILE_FAILED = "profile_failed", "profile failed"
        PROFILE_MISSING = "profile_missing", "profile found missing"
        PROFILE_FOUND = "profile_found", "profile found in AWS"
        PROFILE_RETRIED = "profile_retried", "profile tried again"
        PROFILE_DELETED = "profile_deleted", "profile deleted"
        PROFILE_RETIRING = "profile_retiring", "profile to be retired"
        PROFILE_RESTORED = "profile_restored", "profile restored"
        PROFILE_UPDATED = "profile_updated", "profile updated"
        PROFILE_ADOPTED = "profile_adopted", "profile adopted"
        APPLICATION_ASSIGNED = "application_assigned", "assigned to the domain's application"
        APPLICATION_UNASSIGNED = "application_unassigned", "taken from the domain's application"
        RECONCILE_PLANNED = "reconcile_planned", "domain compared"
        RECONCILE_APPLIED = "reconcile_applied", "repairs of a domain begun"
        RECONCILE_HELD = "reconcile_held", "repairs of a domain held back"
        RECONCILE_DISCARDED = "reconcile_discarded", "repairs of a domain thrown away"
        APP_STOPPED = "app_stopped", "app stopped"
        APP_WARNED = "app_warned", "warned that an app will be stopped"
        BUDGET_WARNED = "budget_warned", "budget nearly spent"
        BUDGET_EXCEEDED = "budget_exceeded", "budget spent"
        BUDGET_LIFTED = "budget_lifted", "budget lifted for the month"
        SPACE_DELETED = "space_deleted", "space deleted"
        LAUNCH = "launch", "launched Studio"
        CREATED = "created", "created in the admin"
        CHANGED = "changed", "changed in the admin"
        DELETED = "deleted", "deleted in the admin"
        IMPORTED = "imported", "imported from a file"
        METADATA_REFRESHED = "metadata_refreshed", "metadata refreshed"
        USER_CREATED = "user_created", "user created"
        USER_CHANGED = "user_changed", "user changed"
        USER_DEACTIVATED = "user_deactivated", "user deactivated"
        USER_REACTIVATED = "user_reactivated", "user activated again"
        SYNC_APPLIED = "sync_applied", "directory synchronised"
        SYNC_HELD = "sync_held", "synchronisation held back"
        SYNC_DISCARDED = "sync_discarded", "synchronisation thrown away"
        ACCESS_REQUESTED = "access_requested", "access requested"
        ACCESS_APPROVED = "access_approved", "access approved"
        ACCESS_REFUSED = "access_refused", "access refused"
        ACCESS_WITHDRAWN = "access_withdrawn", "request for access withdrawn"
        ACCESS_GIVEN = "access_given", "access given by hand"
        ACCESS_TAKEN = "access_taken", "access taken back"
        TOKEN_CREATED = "token_created", "token created"
        TOKEN_REVOKED = "token_revoked", "token revoked"
        GROUP_CREATED = "group_created", "group created"
        GROUP_CHANGED = "group_changed", "group changed"
        GROUP_DELETED = "group_deleted", "group deleted"

    at = models.DateTimeField(default=timezone.now, editable=False)
    action = models.CharField(max_length=32, choices=Action.choices)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, default=Outcome.SUCCESS)
    actor = models.CharField(
        max_length=330, help_text="Who did it: a user name, or “system” with the name of the work."
    )
    target = models.CharField(max_length=330, blank=True, help_text="Whom or what it was done to.")
    team = models.CharField(max_length=40, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    aws_request_id = models.CharField("AWS request id", max_length=64, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = "audit event"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("actor", "-id"), name="audit_actor"),
            models.Index(fields=("target", "-id"), name="audit_target"),
            models.Index(fields=("team", "-id"), name="audit_team"),
            models.Index(fields=("action", "-id"), name="audit_action"),
            # Few rows have these; the log is searched for just them.
            models.Index(fields=("request_id",), condition=~models.Q(request_id=""), name="audit_request"),
            models.Index(fields=("outcome", "-id"), condition=~models.Q(outcome="success"), name="audit_outcome"),
            models.Index(fields=("aws_request_id",), condition=~models.Q(aws_request_id=""), name="audit_aws_request"),
        )

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.get_action_display()} {self.target}".rstrip()
