from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0009_group_actions"),
    ]

    operations = [
        migrations.AddField(
            model_name="awsaccount",
            name="names_sessions",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Each launch is made in a session of the role that is named after the person, which CloudTrail and policies see. It takes one call of STS more for each person and hour. Off: one session for everybody.",
                verbose_name="sessions named after people",
            ),
        ),
        migrations.AddField(
            model_name="awsaccount",
            name="session_tags",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Sessions of people carry the tags “team” and “user”. The role's trust policy must allow sts:TagSession.",
            ),
        ),
        migrations.AddField(
            model_name="awsaccount",
            name="uses_source_identity",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Sessions carry their name as SourceIdentity too, which stays whatever role is assumed next. The role's trust policy must allow sts:SetSourceIdentity.",
                verbose_name="source identity",
            ),
        ),
        migrations.AddConstraint(
            model_name="awsaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("names_sessions", True),
                    models.Q(("session_tags", False), ("uses_source_identity", False)),
                    _connector="OR",
                ),
                name="account_sessions_named",
                violation_error_message="Source identity and session tags need sessions named after people.",
            ),
        ),
    ]
