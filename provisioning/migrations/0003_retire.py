from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0002_directory"),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="delete_asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="profile",
            name="ended_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="access ended"),
        ),
        migrations.AddField(
            model_name="profile",
            name="ended_by",
            field=models.CharField(
                blank=True,
                choices=[("revoked", "revoked"), ("lapsed", "sign-on session over")],
                db_default="",
                default="",
                max_length=16,
                verbose_name="access ended by",
            ),
        ),
        migrations.AddField(
            model_name="profile",
            name="progress",
            field=models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AddField(
            model_name="profile",
            name="retire_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="to be deleted"),
        ),
        migrations.AlterField(
            model_name="profile",
            name="state",
            field=models.CharField(
                choices=[
                    ("wanted", "wanted"),
                    ("creating", "being created"),
                    ("ready", "ready"),
                    ("failed", "failed"),
                    ("conflict", "name taken by a profile that is not ours"),
                    ("retiring", "access ended"),
                    ("retired", "deleted"),
                ],
                default="wanted",
                max_length=16,
            ),
        ),
    ]
