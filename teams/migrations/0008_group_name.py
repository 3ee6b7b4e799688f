from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0007_giving"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="group",
            index=models.Index(fields=["source", "name"], name="group_name"),
        ),
    ]
