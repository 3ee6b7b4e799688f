from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0012_sso"),
    ]

    operations = [
        migrations.AlterField(
            model_name="budgetmonth",
            name="spent",
            field=models.DecimalField(decimal_places=6, max_digits=20),
        ),
    ]
