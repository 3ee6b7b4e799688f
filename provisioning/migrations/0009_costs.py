from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0008_form"),
        ("teams", "0012_form"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usagehour",
            index=models.Index(
                condition=models.Q(("per_hour__isnull", True)), fields=["app", "hour"], name="usage_without_price"
            ),
        ),
    ]
