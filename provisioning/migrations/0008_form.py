import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0007_apps"),
        ("teams", "0012_form"),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="asked_version",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="profile",
            name="form_email",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=320),
        ),
        migrations.AddField(
            model_name="profile",
            name="takes_over",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AlterField(
            model_name="profile",
            name="adopted_by",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=330),
        ),
        migrations.CreateModel(
            name="QuotaAlarm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("region", models.CharField(max_length=32)),
                ("since", models.DateTimeField(default=django.utils.timezone.now)),
                ("retry_at", models.DateTimeField(verbose_name="tried again")),
                ("code", models.CharField(max_length=64)),
                ("message", models.CharField(max_length=500, verbose_name="what AWS says")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="teams.awsaccount",
                        verbose_name="AWS account",
                    ),
                ),
            ],
            options={
                "ordering": ("since",),
                "constraints": [models.UniqueConstraint(fields=("account", "region"), name="quota_alarm")],
            },
        ),
    ]
