import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0009_costs"),
        ("teams", "0012_form"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DomainScan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("spaces", "reading spaces"),
                            ("apps", "reading apps"),
                            ("missing", "asking for apps that are missing"),
                            ("activity", "asking for the last activity"),
                            ("done", "waiting for the next"),
                        ],
                        default="done",
                        max_length=16,
                    ),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True, verbose_name="begun")),
                ("finished_at", models.DateTimeField(blank=True, null=True, verbose_name="last complete")),
                ("asked_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("token", models.TextField(blank=True, editable=False)),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="due")),
                ("attempts", models.PositiveIntegerField(default=0, help_text="Failed attempts since the last page.")),
                ("error", models.CharField(blank=True, max_length=500, verbose_name="last error")),
                ("claim", models.UUIDField(blank=True, editable=False, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "verbose_name": "scan for apps",
                "verbose_name_plural": "scans for apps",
                "ordering": ("domain",),
            },
        ),
        migrations.AddField(
            model_name="runningapp",
            name="spared_until",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="runningapp",
            name="stop_taken_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="runningapp",
            index=models.Index(
                condition=models.Q(("stop_asked_at__isnull", False), ("stop_taken_at__isnull", True)),
                fields=["stop_asked_at"],
                name="app_stop_unsettled",
            ),
        ),
        migrations.AddField(
            model_name="domainscan",
            name="domain",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="app_scan", to="teams.domain"
            ),
        ),
    ]
