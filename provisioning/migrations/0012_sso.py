import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0011_reconcile"),
        ("teams", "0013_sso"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="assigned_to",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, models.JSONField()),
                default=dict,
                editable=False,
                verbose_name="assignment",
            ),
        ),
        migrations.AddField(
            model_name="profile",
            name="sso_user",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                max_length=256,
                verbose_name="user in IAM Identity Center",
            ),
        ),
        migrations.AddConstraint(
            model_name="profile",
            constraint=models.UniqueConstraint(
                models.F("domain"),
                django.db.models.functions.text.Lower("sso_user"),
                condition=models.Q(("sso_user", ""), _negated=True),
                name="profile_sso_user",
            ),
        ),
    ]
