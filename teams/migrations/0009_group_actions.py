from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0008_group_name"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="action",
            field=models.CharField(
                choices=[
                    ("sign_on", "signed on"),
                    ("sign_out", "signed out"),
                    ("role_changed", "portal role changed"),
                    ("membership_added", "membership added"),
                    ("membership_removed", "membership removed"),
                    ("profile_requested", "profile requested"),
                    ("profile_created", "profile created"),
                    ("profile_ready", "profile ready"),
                    ("profile_failed", "profile failed"),
                    ("profile_missing", "profile found missing"),
                    ("profile_found", "profile found in AWS"),
                    ("profile_retried", "profile tried again"),
                    ("profile_deleted", "profile deleted"),
                    ("profile_retiring", "profile to be retired"),
                    ("profile_restored", "profile restored"),
                    ("app_stopped", "app stopped"),
                    ("space_deleted", "space deleted"),
                    ("launch", "launched Studio"),
                    ("created", "created in the admin"),
                    ("changed", "changed in the admin"),
                    ("deleted", "deleted in the admin"),
                    ("imported", "imported from a file"),
                    ("metadata_refreshed", "metadata refreshed"),
                    ("user_created", "user created"),
                    ("user_changed", "user changed"),
                    ("user_deactivated", "user deactivated"),
                    ("user_reactivated", "user activated again"),
                    ("sync_applied", "directory synchronised"),
                    ("sync_held", "synchronisation held back"),
                    ("sync_discarded", "synchronisation thrown away"),
                    ("access_requested", "access requested"),
                    ("access_approved", "access approved"),
                    ("access_refused", "access refused"),
                    ("access_withdrawn", "request for access withdrawn"),
                    ("access_given", "access given by hand"),
                    ("access_taken", "access taken back"),
                    ("token_created", "token created"),
                    ("token_revoked", "token revoked"),
                    ("group_created", "group created"),
                    ("group_changed", "group changed"),
                    ("group_deleted", "group deleted"),
                ],
                max_length=32,
            ),
        ),
    ]
