import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import teams.shapes
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0004_saml_session"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=500)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "waiting"),
                            ("approved", "approved"),
                            ("refused", "refused"),
                            ("withdrawn", "withdrawn"),
                        ],
                        default="pending",
                        max_length=16,
                    ),
                ),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("decided_by", models.CharField(blank=True, max_length=330)),
                ("decision", models.CharField(blank=True, max_length=500)),
                ("owners_told_at", models.DateTimeField(blank=True, null=True)),
                ("person_told_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ("-asked_at",),
            },
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=500)),
                ("given_by", models.CharField(max_length=330)),
                ("given_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("valid_until", models.DateTimeField()),
                ("reminded_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "access given by hand",
                "verbose_name_plural": "access given by hand",
                "ordering": ("valid_until",),
            },
        ),
        migrations.CreateModel(
            name="ScimClient",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                (
                    "slug",
                    models.CharField(
                        help_text="Part of the source's name in the log and in role mappings; it cannot be changed later.",
                        max_length=40,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9]+(?:-[a-z0-9]+)*\\Z", "Use lower-case letters, digits and single hyphens."
                            )
                        ],
                    ),
                ),
                (
                    "realm",
                    models.CharField(
                        default="default",
                        help_text="The realm of the identity provider by which these people sign on.",
                        max_length=64,
                    ),
                ),
                (
                    "subject_attribute",
                    models.CharField(
                        choices=[
                            ("userName", "userName"),
                            ("externalId", "externalId"),
                            ("email", "the primary mail address"),
                        ],
                        default="userName",
                        help_text="The attribute whose value the identity provider's assertions carry as the person's name.",
                        max_length=16,
                        verbose_name="subject",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True, help_text="An inactive client is refused.", verbose_name="active"
                    ),
                ),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "SCIM client",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="ScimGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scim_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("display_name", models.CharField(max_length=256)),
                ("external_id", models.CharField(blank=True, max_length=256)),
                ("attributes", models.JSONField(default=dict)),
                ("version", models.PositiveIntegerField(default=1)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "verbose_name": "SCIM group",
                "ordering": ("pk",),
            },
        ),
        migrations.CreateModel(
            name="ScimToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("hint", models.CharField(editable=False, max_length=16)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("created_by", models.CharField(editable=False, max_length=330)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "SCIM token",
                "ordering": ("-created_at",),
            },
        ),
        migrations.CreateModel(
            name="ScimUser",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scim_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("user_name", models.CharField(max_length=256)),
                ("external_id", models.CharField(blank=True, max_length=256)),
                ("active", models.BooleanField(default=True)),
                ("attributes", models.JSONField(default=dict)),
                ("version", models.PositiveIntegerField(default=1)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "verbose_name": "SCIM user",
                "ordering": ("pk",),
            },
        ),
        migrations.CreateModel(
            name="TeamOwner",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
        ),
        migrations.AddField(
            model_name="groupmembership",
            name="external_id",
            field=models.CharField(blank=True, db_default="", max_length=128),
        ),
        migrations.AddField(
            model_name="team",
            name="grace_days",
            field=models.PositiveSmallIntegerField(
                default=14,
                help_text="Days between the end of somebody's access and the deletion of their profile and its spaces.",
                validators=[django.core.validators.MaxValueValidator(3650)],
                verbose_name="grace period",
            ),
        ),
        migrations.AddField(
            model_name="team",
            name="is_requestable",
            field=models.BooleanField(
                default=False,
                help_text="Whether people who are not in the team may ask to join it.",
                verbose_name="listed for request",
            ),
        ),
        migrations.AddField(
            model_name="team",
            name="keeps_profiles",
            field=models.BooleanField(
                default=False,
                help_text="Profiles and spaces of people whose access has ended stay in AWS; their apps are stopped.",
                verbose_name="never delete profiles",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="deactivated_by",
            field=models.CharField(blank=True, editable=False, max_length=80),
        ),
        migrations.AddField(
            model_name="user",
            name="known_by",
            field=models.CharField(blank=True, editable=False, max_length=80),
        ),
        migrations.AlterField(
            model_name="auditevent",
            name="action",
            field=models.CharField(
                choices=[
                    ("sign_on", "signed on"),
                    ("sign_out", "signed out"),
                    ("role_changed", "portal role changed"),
                    ("membership_added", "membership added"),
                    ("membership_removed", "membership removed"),
                    ("profile_requested", "profile requested"),
                    ("profile_created", "profile created"),
                    ("profile_ready", "profile ready"),
                    ("profile_failed", "profile failed"),
                    ("profile_missing", "profile found missing"),
                    ("profile_found", "profile found in AWS"),
                    ("profile_retried", "profile tried again"),
                    ("profile_deleted", "profile deleted"),
                    ("profile_retiring", "profile to be retired"),
                    ("profile_restored", "profile restored"),
                    ("app_stopped", "app stopped"),
                    ("space_deleted", "space deleted"),
                    ("launch", "launched Studio"),
                    ("created", "created in the admin"),
                    ("changed", "changed in the admin"),
                    ("deleted", "deleted in the admin"),
                    ("imported", "imported from a file"),
                    ("metadata_refreshed", "metadata refreshed"),
                    ("user_created", "user created"),
                    ("user_changed", "user changed"),
                    ("user_deactivated", "user deactivated"),
                    ("user_reactivated", "user activated again"),
                    ("sync_applied", "directory synchronised"),
                    ("sync_held", "synchronisation held back"),
                    ("sync_discarded", "synchronisation thrown away"),
                    ("access_requested", "access requested"),
                    ("access_approved", "access approved"),
                    ("access_refused", "access refused"),
                    ("access_given", "access given by hand"),
                    ("access_taken", "access taken back"),
                    ("token_created", "token created"),
                    ("token_revoked", "token revoked"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="rolemapping",
            name="execution_role_arn",
            field=models.CharField(
                blank=True,
                help_text="Empty: the team's own role. {account}, {team} and {group} stand for the account of the team's domain, the team's slug and the group's name (its id where it has none).",
                max_length=2048,
                validators=[teams.shapes.validate_role_template],
                verbose_name="execution role ARN",
            ),
        ),
        migrations.AddIndex(
            model_name="groupmembership",
            index=models.Index(
                condition=models.Q(("external_id", ""), _negated=True),
                fields=["external_id"],
                name="group_membership_external",
            ),
        ),
        migrations.AddIndex(
            model_name="groupmembership",
            index=models.Index(
                condition=models.Q(("valid_until__isnull", False)), fields=["valid_until"], name="group_membership_ends"
            ),
        ),
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(
                condition=models.Q(("valid_until__isnull", False)), fields=["valid_until"], name="membership_ends"
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="access_requests", to="teams.team"
            ),
        ),
        migrations.AddField(
            model_name="accessrequest",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="access_requests", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="grant",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="teams.team"
            ),
        ),
        migrations.AddField(
            model_name="grant",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="grants", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="scimgroup",
            name="client",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="groups", to="teams.scimclient"
            ),
        ),
        migrations.AddField(
            model_name="scimgroup",
            name="group",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="scim_group", to="teams.group"
            ),
        ),
        migrations.AddField(
            model_name="scimtoken",
            name="client",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="tokens", to="teams.scimclient"
            ),
        ),
        migrations.AddField(
            model_name="scimuser",
            name="client",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="users", to="teams.scimclient"
            ),
        ),
        migrations.AddField(
            model_name="scimuser",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="scim_users", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="teamowner",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="owners", to="teams.team"
            ),
        ),
        migrations.AddField(
            model_name="teamowner",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="owned_teams", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="accessrequest",
            index=models.Index(fields=["team", "state"], name="access_request_team"),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "pending")), fields=("user", "team"), name="access_request_pending"
            ),
        ),
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at__isnull", True), ("state", "pending")),
                    models.Q(models.Q(("state", "pending"), _negated=True), ("decided_at__isnull", False)),
                    _connector="OR",
                ),
                name="access_request_decided",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.UniqueConstraint(fields=("user", "team"), name="grant_identity"),
        ),
        migrations.AddIndex(
            model_name="scimgroup",
            index=models.Index(fields=["client", "display_name"], name="scim_group_name"),
        ),
        migrations.AddIndex(
            model_name="scimgroup",
            index=models.Index(fields=["client", "external_id"], name="scim_group_external"),
        ),
        migrations.AddIndex(
            model_name="scimuser",
            index=models.Index(fields=["client", "external_id"], name="scim_user_external"),
        ),
        migrations.AddConstraint(
            model_name="scimuser",
            constraint=models.UniqueConstraint(
                models.F("client"), django.db.models.functions.text.Lower("user_name"), name="scim_user_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="scimuser",
            constraint=models.UniqueConstraint(fields=("client", "user"), name="scim_user_person"),
        ),
        migrations.AddConstraint(
            model_name="teamowner",
            constraint=models.UniqueConstraint(fields=("team", "user"), name="team_owner"),
        ),
    ]
