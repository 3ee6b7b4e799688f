from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0012_form"),
    ]

    operations = [
        migrations.AddField(
            model_name="domain",
            name="look_error",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=500, verbose_name="last look failed"
            ),
        ),
        migrations.AddField(
            model_name="domain",
            name="looked_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="last looked at"),
        ),
        migrations.AddField(
            model_name="domain",
            name="real_auth_mode",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=16, verbose_name="mode in AWS"
            ),
        ),
        migrations.AddField(
            model_name="domain",
            name="sso_user_attribute",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "as the directory says, else the subject of the sign-on"),
                    ("subject", "the subject of the sign-on"),
                    ("email", "the mail address"),
                ],
                db_default="",
                default="",
                help_text="SSO mode: what the profile of a person is made for. It cannot be changed in AWS later.",
                max_length=8,
                verbose_name="user name in IAM Identity Center",
            ),
        ),
    ]
