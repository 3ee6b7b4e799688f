import django.core.validators
import django.db.models.deletion
import teams.rule_models
import teams.shapes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0010_account_sessions"),
    ]

    operations = [
        migrations.CreateModel(
            name="TagConstant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(
                        help_text="Without the braces; “user”, “team” and “email” are taken.",
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z][a-z0-9_-]*\\Z", "Use lower-case letters, digits, - and _."
                            )
                        ],
                    ),
                ),
                ("value", models.CharField(max_length=256, validators=[teams.shapes.validate_tag_value])),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.AddField(
            model_name="domain",
            name="application_arn",
            field=models.CharField(
                blank=True, db_default="", editable=False, max_length=1224, verbose_name="application ARN"
            ),
        ),
        migrations.AddField(
            model_name="domain",
            name="assigns_application",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="SSO mode: whether the portal itself assigns people to the domain's application in IAM Identity Center, and takes the assignment away again.",
                verbose_name="assigns people to the application",
            ),
        ),
        migrations.AddField(
            model_name="domain",
            name="url",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=1024, verbose_name="URL"),
        ),
        migrations.AddField(
            model_name="team",
            name="form_version",
            field=models.PositiveIntegerField(db_default=1, default=1, editable=False),
        ),
        migrations.AddField(
            model_name="team",
            name="landing_uri",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="SageMaker's LandingUri, like “studio::” or “app:JupyterLab:”. Empty: as the domain says.",
                max_length=1023,
                validators=[
                    django.core.validators.RegexValidator(
                        "^(?:studio::|app:(?:JupyterServer|JupyterLab|RStudioServerPro|CodeEditor|Canvas):)[^\\s]*\\Z",
                        "This is no landing URI: studio::path, or app:JupyterLab:path and the like.",
                    )
                ],
                verbose_name="opens at",
            ),
        ),
        migrations.AddField(
            model_name="team",
            name="monthly_budget",
            field=models.DecimalField(
                blank=True,
                decimal_places=2,
                help_text="What all apps of the team may cost in a month; empty: no limit.",
                max_digits=12,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="budget of the team",
            ),
        ),
        migrations.AddField(
            model_name="team",
            name="person_budget",
            field=models.DecimalField(
                blank=True,
                decimal_places=2,
                help_text="What the apps of one person in this team may cost in a month; empty: no limit.",
                max_digits=12,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="budget of each person",
            ),
        ),
        migrations.AddField(
            model_name="team",
            name="space_name",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The shared space that a click opens. Empty: none.",
                max_length=63,
                validators=[teams.shapes.validate_space_name],
                verbose_name="opens the space",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="monthly_budget",
            field=models.DecimalField(
                blank=True,
                decimal_places=2,
                help_text="What this person's apps in all teams may cost in a month; empty: no limit.",
                max_digits=12,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
            ),
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
                    ("profile_updated", "profile updated"),
                    ("profile_adopted", "profile adopted"),
                    ("application_assigned", "assigned to the domain's application"),
                    ("application_unassigned", "taken from the domain's application"),
                    ("reconcile_planned", "domain compared"),
                    ("reconcile_applied", "repairs of a domain begun"),
                    ("reconcile_held", "repairs of a domain held back"),
                    ("reconcile_discarded", "repairs of a domain thrown away"),
                    ("app_stopped", "app stopped"),
                    ("app_warned", "warned that an app will be stopped"),
                    ("budget_warned", "budget nearly spent"),
                    ("budget_exceeded", "budget spent"),
                    ("budget_lifted", "budget lifted for the month"),
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
                    ("access_withdrawn", "request for access withdrawn"),
                    ("access_given", "access given by hand"),
                    ("access_taken", "access taken back"),
                    ("token_created", "token created"),
                    ("token_revoked", "token revoked"),
                    ("group_created", "group created"),
                    ("group_changed", "group changed"),
                    ("group_deleted", "group deleted"),
                ],
                max_length=32,
            ),
        ),
        migrations.CreateModel(
            name="CleanupRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "idle_hours",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Hours since the last activity that AWS has seen.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(8760),
                        ],
                        verbose_name="idle for",
                    ),
                ),
                (
                    "longest_hours",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Hours since the app was started, busy or not.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(8760),
                        ],
                        verbose_name="running for",
                    ),
                ),
                ("works_from", models.TimeField(blank=True, null=True, verbose_name="working hours from")),
                ("works_until", models.TimeField(blank=True, null=True, verbose_name="working hours until")),
                (
                    "works_on",
                    models.JSONField(
                        blank=True,
                        default=list,
                        validators=[teams.rule_models.validate_weekdays],
                        verbose_name="working days",
                    ),
                ),
                (
                    "timezone",
                    models.CharField(
                        default="UTC",
                        max_length=64,
                        validators=[teams.rule_models.validate_timezone],
                        verbose_name="time zone",
                    ),
                ),
                (
                    "warn_minutes",
                    models.PositiveSmallIntegerField(
                        default=30,
                        help_text="Minutes between the mail that warns the person and the end of the app; 0: no warning.",
                        validators=[django.core.validators.MaxValueValidator(1440)],
                        verbose_name="warning",
                    ),
                ),
                (
                    "exempt_tag",
                    models.CharField(
                        blank=True,
                        help_text="Apps that carry a tag with this key are left alone.",
                        max_length=128,
                        validators=[teams.shapes.validate_tag_key],
                        verbose_name="tag that exempts",
                    ),
                ),
                (
                    "idle_shutdown_minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Minutes, 60 to 525600, written to the UserSettings of the team's profiles (JupyterLab and Code Editor); it does nothing in domains whose idle shutdown is off.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(60),
                            django.core.validators.MaxValueValidator(525600),
                        ],
                        verbose_name="Studio's own idle shutdown",
                    ),
                ),
                (
                    "team",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="cleanup_rule", to="teams.team"
                    ),
                ),
            ],
            options={
                "verbose_name": "cleanup rule",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("works_from__isnull", True), ("works_until__isnull", True)),
                            models.Q(("works_from__isnull", False), ("works_until__isnull", False)),
                            _connector="OR",
                        ),
                        name="cleanup_working_hours_whole",
                        violation_error_message="Working hours have a beginning and an end.",
                    )
                ],
            },
        ),
    ]
