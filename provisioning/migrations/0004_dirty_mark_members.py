from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0003_retire"),
    ]

    operations = [
        migrations.AddField(
            model_name="dirtymark",
            name="has_members",
            field=models.BooleanField(db_default=True, default=True, editable=False, verbose_name="members were read"),
        ),
    ]
