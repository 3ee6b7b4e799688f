from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0005_directory_queue"),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="asked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="profile",
            name="asked_role_arn",
            field=models.CharField(blank=True, db_default="", default="", max_length=2048),
        ),
    ]
