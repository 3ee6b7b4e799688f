import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0010_apps_scan"),
        ("teams", "0011_life_of_profiles"),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="aws_modified_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("reading", "being compared"),
                            ("held", "held back"),
                            ("planned", "compared only"),
                            ("applying", "repairs are being begun"),
                            ("done", "done"),
                            ("discarded", "thrown away"),
                            ("failed", "failed"),
                        ],
                        default="reading",
                        max_length=16,
                    ),
                ),
                (
                    "trigger",
                    models.CharField(
                        choices=[("schedule", "schedule"), ("demand", "somebody asked")],
                        max_length=16,
                        verbose_name="begun by",
                    ),
                ),
                ("dry_run", models.BooleanField(default=False, verbose_name="compare only")),
                ("is_full", models.BooleanField(default=True, verbose_name="looks at everything")),
                ("by", models.CharField(blank=True, max_length=330, verbose_name="asked for by")),
                ("decided_by", models.CharField(blank=True, max_length=330)),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("listing", "list of profiles"),
                            ("looking", "profiles one by one"),
                            ("missing", "profiles that are not in the list"),
                            ("done", "everything compared"),
                        ],
                        default="listing",
                        max_length=8,
                    ),
                ),
                ("token", models.TextField(blank=True)),
                ("pages", models.PositiveIntegerField(default=0)),
                ("restarts", models.PositiveSmallIntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("listed", models.PositiveIntegerField(default=0, verbose_name="profiles in AWS")),
                ("looked_at", models.PositiveIntegerField(default=0, verbose_name="profiles looked at")),
                (
                    "left_alone",
                    models.PositiveIntegerField(default=0, verbose_name="left alone, because they changed meanwhile"),
                ),
                ("counts", models.JSONField(default=dict)),
                ("reason", models.CharField(blank=True, max_length=500, verbose_name="why it is held back")),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("error", models.CharField(blank=True, max_length=500, verbose_name="last error")),
                ("due_at", models.DateTimeField(blank=True, default=django.utils.timezone.now, null=True)),
                ("claim", models.UUIDField(blank=True, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="reconciliations", to="teams.domain"
                    ),
                ),
            ],
            options={
                "verbose_name": "domain comparison",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="ReconcileItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("missing", "missing in AWS"),
                            ("status", "failed in AWS"),
                            ("role", "other execution role"),
                            ("settings", "other settings"),
                            ("tags", "other tags"),
                            ("orphan", "ours, without a row"),
                            ("no_access", "nobody has access"),
                            ("foreign", "not ours"),
                        ],
                        max_length=16,
                    ),
                ),
                ("name", models.CharField(max_length=63, verbose_name="profile")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("remake", "make again"),
                            ("repair", "repair"),
                            ("retire", "retire"),
                            ("end", "end access"),
                            ("report", "nothing, only reported"),
                        ],
                        max_length=16,
                        verbose_name="what is to be done",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("planned", "planned"),
                            ("applied", "begun"),
                            ("skipped", "left alone"),
                            ("failed", "failed"),
                        ],
                        default="planned",
                        max_length=16,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("outcome", models.CharField(blank=True, max_length=500, verbose_name="what came of it")),
                ("detail", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="provisioning.profile",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="provisioning.reconciliation",
                    ),
                ),
            ],
            options={
                "verbose_name": "difference",
                "ordering": ("run", "kind", "name"),
            },
        ),
        migrations.CreateModel(
            name="SeenProfile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=63)),
                ("key", models.CharField(max_length=63)),
                ("status", models.CharField(blank=True, max_length=32)),
                ("modified_at", models.DateTimeField(blank=True, null=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="seen",
                        to="provisioning.reconciliation",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="reconciliation",
            index=models.Index(
                condition=models.Q(("state__in", ("reading", "applying"))), fields=["due_at"], name="reconciliation_due"
            ),
        ),
        migrations.AddIndex(
            model_name="reconciliation",
            index=models.Index(fields=["domain", "-id"], name="reconciliation_domain"),
        ),
        migrations.AddConstraint(
            model_name="reconciliation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("reading", "applying"))),
                fields=("domain", "dry_run"),
                name="reconciliation_one",
            ),
        ),
        migrations.AddIndex(
            model_name="reconcileitem",
            index=models.Index(fields=["run", "state", "id"], name="reconcile_item_state"),
        ),
        migrations.AddConstraint(
            model_name="reconcileitem",
            constraint=models.UniqueConstraint(fields=("run", "name", "kind"), name="reconcile_item"),
        ),
        migrations.AddConstraint(
            model_name="seenprofile",
            constraint=models.UniqueConstraint(fields=("run", "key"), name="seen_profile"),
        ),
    ]
