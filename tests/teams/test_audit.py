"""The audit log: what a row holds, and that the database keeps it as it is."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from teams import audit
from teams.models import AuditEvent
from tests.factories import make_user

Action = AuditEvent.Action


@pytest.mark.django_db
class TestRecord:
    def test_a_row_tells_who_whence_and_which_request(self) -> None:
        with audit.context(actor="alice", address="2001:db8::1", request_id="r-1"):
            audit.record(Action.LAUNCH, target="alice-one", team="one", aws_request_id="a-1", data={"seconds": 5})
        event = AuditEvent.objects.get()
        assert (event.actor, event.address, event.request_id) == ("alice", "2001:db8::1", "r-1")
        assert (event.action, event.target, event.team, event.outcome) == ("launch", "alice-one", "one", "success")
        assert (event.aws_request_id, event.data) == ("a-1", {"seconds": 5})

    def test_outside_a_request_it_was_the_system(self) -> None:
        assert audit.record(Action.LAUNCH).actor == "system"

    def test_an_actor_may_be_asked_late_and_only_when_needed(self) -> None:
        asked: list[int] = []

        def actor() -> str:
            asked.append(1)
            return ""

        with audit.context(actor=actor):
            assert audit.record(Action.LAUNCH, actor="worker").actor == "worker"
            assert asked == []
            assert audit.record(Action.LAUNCH).actor == "anonymous"

    def test_contexts_nest_and_end(self) -> None:
        with audit.context(actor="alice", request_id="r-1"):
            with audit.context(actor="bob"):
                assert (audit.current().actor, audit.current().request_id) == ("bob", "r-1")
            assert audit.current().actor == "alice"
        assert audit.current() == audit.Context()

    def test_many_rows_cost_one_query(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            audit.record_many([{"action": Action.LAUNCH, "target": str(number)} for number in range(50)])
        assert AuditEvent.objects.count() == 50

    def test_long_texts_are_cut_to_the_columns(self) -> None:
        long = "long text " * 100
        with audit.context(request_id=long):
            audit.record(Action.LAUNCH, target=long, team=long, reason=long, aws_request_id=long, actor=long)
        event = AuditEvent.objects.get()
        lengths = [len(getattr(event, name)) for name in ("actor", "target", "team", "reason")]
        assert lengths == [330, 330, 40, 500]
        assert (len(event.request_id), len(event.aws_request_id)) == (64, 64)

    def test_what_postgresql_cannot_store_never_breaks_a_change(self) -> None:
        odd = "a\x00b\ud800c"
        with audit.context(request_id=odd):
            audit.record(
                Action.LAUNCH,
                target=odd,
                team=odd,
                reason=odd,
                aws_request_id=odd,
                data={odd: [odd, float("nan"), {"deep": (odd,)}]},
            )
        event = AuditEvent.objects.get()
        assert event.target == "ab?c"
        assert event.data == {"ab?c": ["ab?c", "nan", {"deep": ["ab?c"]}]}

    def test_secrets_are_taken_out_of_every_text(self) -> None:
        secret = "token=hunter2"
        audit.record(Action.LAUNCH, target=secret, reason=secret, actor=secret, data={"a": secret, "token": "hunter2"})
        (row,) = AuditEvent.objects.values()
        assert "hunter2" not in str(row)

    def test_a_row_reads_as_a_sentence(self) -> None:
        event = audit.record(Action.LAUNCH, target="alice-one", actor="alice")
        assert str(event).endswith("alice launched Studio alice-one")


STATEMENTS = [
    "UPDATE teams_auditevent SET actor = 'nobody'",
    "UPDATE teams_auditevent SET actor = 'nobody' WHERE false",
    "DELETE FROM teams_auditevent",
    "DELETE FROM teams_auditevent WHERE id = -1",
    "TRUNCATE teams_auditevent",
    "TRUNCATE teams_auditevent CASCADE",
    "INSERT INTO teams_auditevent (SELECT * FROM teams_auditevent) ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    "MERGE INTO teams_auditevent a USING teams_auditevent b ON a.id = b.id WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM teams_auditevent RETURNING *) SELECT * FROM gone",
]


@pytest.mark.django_db
class TestAppendOnly:
    @pytest.fixture(autouse=True)
    def event(self) -> AuditEvent:
        return audit.record(Action.LAUNCH, target="alice-one", actor="alice")

    def refused(self, sql: str) -> str:
        """Run the statement; return the refusal, after which the row is as it was."""
        before = list(AuditEvent.objects.values())
        with pytest.raises(DatabaseError) as refusal, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
        assert list(AuditEvent.objects.values()) == before
        return str(refusal.value)

    @pytest.mark.parametrize("sql", STATEMENTS)
    def test_the_database_refuses(self, sql: str) -> None:
        assert "append-only" in self.refused(sql)

    def test_the_refusal_says_what_was_tried(self) -> None:
        assert "The audit log is append-only: DELETE is refused." in self.refused("DELETE FROM teams_auditevent")

    def test_the_orm_is_refused_too(self, event: AuditEvent) -> None:
        attempts: list[Callable[[], object]] = [
            lambda: AuditEvent.objects.all().delete(),
            lambda: AuditEvent.objects.update(actor="nobody"),
            event.delete,
            event.save,
        ]
        for attempt in attempts:
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                attempt()

    def test_it_outlives_whom_it_tells_of(self) -> None:
        user = make_user("bob")
        audit.record(Action.SIGN_ON, target=user.username)
        user.delete()
        assert AuditEvent.objects.filter(target="bob").exists()


@pytest.mark.django_db(transaction=True)
def test_the_protection_can_be_taken_back_and_put_on_again() -> None:
    audit.record(Action.LAUNCH)
    call_command("migrate", "teams", "0001", verbosity=0)
    try:
        AuditEvent.objects.all().delete()
    finally:
        # All of them: what rests on the tables of this floor was taken back, too.
        call_command("migrate", verbosity=0)
    audit.record(Action.LAUNCH)
    with pytest.raises(DatabaseError, match="append-only"):
        AuditEvent.objects.all().delete()
