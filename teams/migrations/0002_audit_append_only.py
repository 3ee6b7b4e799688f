"""Have the database itself refuse to change or delete what is in the audit log."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION teams_auditevent_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only: % is refused.', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Record another event; what is written stays as it is.';
END
$$;

-- One per statement, so that a statement that touches no row is refused as well.
CREATE TRIGGER teams_auditevent_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON teams_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION teams_auditevent_refuse();
"""

BACKWARD = """
DROP TRIGGER teams_auditevent_append_only ON teams_auditevent;
DROP FUNCTION teams_auditevent_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("teams", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
