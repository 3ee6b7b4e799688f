import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0006_crowd"),
        ("teams", "0011_life_of_profiles"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="adopted_by",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=330),
        ),
        migrations.AddField(
            model_name="profile",
            name="applied_tags",
            field=models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AddField(
            model_name="profile",
            name="form_version",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("instance_type", models.CharField(help_text="Like “ml.t3.medium”.", max_length=64)),
                (
                    "region",
                    models.CharField(
                        blank=True, help_text="Empty: every Region without a price of its own.", max_length=32
                    ),
                ),
                (
                    "per_hour",
                    models.DecimalField(
                        decimal_places=6,
                        max_digits=12,
                        validators=[django.core.validators.MinValueValidator(0)],
                        verbose_name="price per hour",
                    ),
                ),
            ],
            options={
                "ordering": ("instance_type", "region"),
                "constraints": [models.UniqueConstraint(fields=("instance_type", "region"), name="price_identity")],
            },
        ),
        migrations.CreateModel(
            name="RunningApp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("app_type", models.CharField(max_length=32, verbose_name="type")),
                ("name", models.CharField(max_length=63)),
                ("profile_name", models.CharField(blank=True, max_length=63, verbose_name="profile")),
                ("space_name", models.CharField(blank=True, max_length=63, verbose_name="space")),
                ("started_at", models.DateTimeField(verbose_name="running since")),
                ("status", models.CharField(max_length=32)),
                ("instance_type", models.CharField(blank=True, max_length=64, verbose_name="instance")),
                ("arn", models.CharField(blank=True, max_length=512, verbose_name="ARN")),
                ("active_at", models.DateTimeField(blank=True, null=True, verbose_name="last activity")),
                ("looked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                ("counted_until", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "stop_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("person", "stopped by its person"),
                            ("admin", "stopped by an admin"),
                            ("idle", "idle for too long"),
                            ("long", "running for too long"),
                            ("hours", "outside working hours"),
                            ("budget", "budget spent"),
                        ],
                        max_length=16,
                    ),
                ),
                ("stop_at", models.DateTimeField(blank=True, null=True, verbose_name="to be stopped")),
                ("stop_by", models.CharField(blank=True, max_length=330)),
                ("stop_asked_at", models.DateTimeField(blank=True, null=True)),
                ("stop_error", models.CharField(blank=True, max_length=500)),
                ("warned_at", models.DateTimeField(blank=True, null=True, verbose_name="warned")),
                ("mail_after", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("claim", models.UUIDField(blank=True, editable=False, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="apps", to="teams.domain"
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="apps",
                        to="teams.team",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="apps",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "app",
                "ordering": ("-started_at",),
            },
        ),
        migrations.CreateModel(
            name="StudioSpace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=63)),
                ("owner", models.CharField(blank=True, max_length=63, verbose_name="owner profile")),
                ("sharing", models.CharField(blank=True, max_length=16)),
                ("status", models.CharField(max_length=32)),
                ("app_type", models.CharField(blank=True, max_length=32, verbose_name="type")),
                ("volume_gb", models.PositiveIntegerField(blank=True, null=True, verbose_name="volume (GB)")),
                ("created_at", models.DateTimeField(blank=True, null=True, verbose_name="made")),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="spaces", to="teams.domain"
                    ),
                ),
            ],
            options={
                "verbose_name": "space",
                "ordering": ("domain", "name"),
            },
        ),
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField(help_text="When the hour begins, in UTC.")),
                ("seconds", models.PositiveSmallIntegerField()),
                ("per_hour", models.DecimalField(blank=True, decimal_places=6, max_digits=12, null=True)),
                ("cost", models.DecimalField(decimal_places=6, default=0, max_digits=14)),
                (
                    "app",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="hours", to="provisioning.runningapp"
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="teams.team",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "hour of use",
                "verbose_name_plural": "hours of use",
                "ordering": ("-hour", "app"),
            },
        ),
        migrations.CreateModel(
            name="BudgetMonth",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("month", models.DateField(help_text="The first day of the month, in UTC.")),
                ("budget", models.DecimalField(decimal_places=2, max_digits=12)),
                ("spent", models.DecimalField(decimal_places=6, max_digits=14)),
                ("warned_at", models.DateTimeField(blank=True, null=True, verbose_name="80 % spent")),
                ("exceeded_at", models.DateTimeField(blank=True, null=True, verbose_name="spent")),
                ("lifted_at", models.DateTimeField(blank=True, null=True, verbose_name="lifted")),
                ("lifted_by", models.CharField(blank=True, max_length=330)),
                ("warning_told_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("end_told_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("mail_after", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "team",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budget_months",
                        to="teams.team",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budget_months",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "budget alarm",
                "ordering": ("-month", "team", "user"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("month", "team", "user"), name="budget_month_identity", nulls_distinct=False
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("team__isnull", False), ("user__isnull", False), _connector="OR"),
                        name="budget_of_somebody",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="runningapp",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", True)), fields=["user"], name="app_running_of_user"
            ),
        ),
        migrations.AddIndex(
            model_name="runningapp",
            index=models.Index(condition=models.Q(("ended_at__isnull", True)), fields=["domain"], name="app_running"),
        ),
        migrations.AddIndex(
            model_name="runningapp",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", True), ("stop_at__isnull", False)),
                fields=["stop_at"],
                name="app_to_be_stopped",
            ),
        ),
        migrations.AddConstraint(
            model_name="runningapp",
            constraint=models.UniqueConstraint(
                models.F("domain"),
                django.db.models.functions.text.Lower("profile_name"),
                django.db.models.functions.text.Lower("space_name"),
                models.F("app_type"),
                django.db.models.functions.text.Lower("name"),
                models.F("started_at"),
                name="app_run",
            ),
        ),
        migrations.AddIndex(
            model_name="studiospace",
            index=models.Index(models.F("domain"), django.db.models.functions.text.Lower("owner"), name="space_owner"),
        ),
        migrations.AddConstraint(
            model_name="studiospace",
            constraint=models.UniqueConstraint(
                models.F("domain"), django.db.models.functions.text.Lower("name"), name="space_identity"
            ),
        ),
        migrations.AddIndex(
            model_name="usagehour",
            index=models.Index(fields=["team", "hour"], name="usage_team"),
        ),
        migrations.AddIndex(
            model_name="usagehour",
            index=models.Index(fields=["user", "hour"], name="usage_user"),
        ),
        migrations.AddIndex(
            model_name="usagehour",
            index=models.Index(fields=["hour"], name="usage_hour"),
        ),
        migrations.AddConstraint(
            model_name="usagehour",
            constraint=models.UniqueConstraint(fields=("app", "hour"), name="usage_once"),
        ),
    ]
