import teams.shapes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0011_life_of_profiles"),
    ]

    operations = [
        migrations.AlterField(
            model_name="teamtag",
            name="value",
            field=models.CharField(
                blank=True,
                help_text="{user}, {team}, {email} and the names of tag constants stand for their values.",
                max_length=256,
                validators=[teams.shapes.validate_tag_template],
            ),
        ),
    ]
