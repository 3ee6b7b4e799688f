from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("provisioning", "0004_dirty_mark_members"),
    ]

    operations = [
        migrations.AlterField(
            model_name="directory",
            name="is_active",
            field=models.BooleanField(
                default=True,
                help_text="An inactive directory is not read; what it said last stays in force until it is deleted.",
                verbose_name="active",
            ),
        ),
        migrations.AddConstraint(
            model_name="directory",
            constraint=models.UniqueConstraint(
                condition=models.Q(("queue_url", ""), _negated=True),
                fields=("queue_url",),
                name="directory_queue",
                violation_error_message="Another directory reads this queue; each needs one of its own.",
            ),
        ),
    ]
