"""The audit log's pages: what they find, what they show, and that no page reads the whole table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from teams.models import AuditEvent
from teams.moments import first_id_since
from tests.teams.admin_clients import client_of, inline

pytestmark = pytest.mark.django_db

LIST = "/admin/teams/auditevent/"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture(name="bob")
def _bob() -> Client:
    return client_of("bob")


def note(**fields: Any) -> AuditEvent:
    return AuditEvent.objects.create(**{"action": AuditEvent.Action.SIGN_ON, "actor": "somebody", **fields})


def found(client: Client, query: str = "") -> list[str]:
    """Return the actors on the page."""
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200, response.content
    return [event.actor for event in response.context["cl"].result_list]


def test_the_newest_comes_first(bob: Client) -> None:
    for actor in "abc":
        note(actor=actor)
    assert found(bob) == ["c", "b", "a"]


def test_filters_offer_every_choice_without_asking_the_table(bob: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = bob.get(LIST).content.decode()
    for choice in (*AuditEvent.Action, *AuditEvent.Outcome):
        assert f"__exact={choice.value}" in page
    asked = [query["sql"] for query in queries if "teams_auditevent" in query["sql"]]
    assert len(asked) == 1
    assert "COUNT" not in asked[0]
    assert "DISTINCT" not in asked[0]
    assert "LIMIT 51" in asked[0]


@pytest.mark.parametrize(
    ("query", "actors"),
    [
        ("action__exact=launch", ["a"]),
        ("outcome__exact=refused", ["b"]),
        ("action__exact=sign_on&outcome__exact=success", ["c"]),
        ("q=a", ["a"]),
        ("q=team: team1", ["a"]),
        ("q=team1", ["b"]),
        ("q= c ", ["c"]),
        ("q=0123456789abcdef0123456789abcdef", ["c"]),
        ("q=0123456789ab", ["c"]),
        ("q=aws-1", ["a"]),
        ("aws_request_id=aws-1", ["a"]),
        ("q=0123456", []),
        ("q=tea", []),
        ("q=%25", []),
        ("target__exact=team: team1", ["a"]),
        ("q=a&action__exact=sign_on", []),
    ],
)
def test_events_are_found(bob: Client, query: str, actors: list[str]) -> None:
    note(actor="a", action=AuditEvent.Action.LAUNCH, target="team: team1", aws_request_id="aws-1")
    note(actor="b", outcome=AuditEvent.Outcome.REFUSED, team="team1")
    note(actor="c", request_id="0123456789abcdef0123456789abcdef")
    assert found(bob, query) == actors


@pytest.mark.parametrize(
    "lookup", ["reason__regex=a", "data__x=1", "reason=x", "id__gt=0", "target__contains=x", "at__year=1"]
)
def test_addresses_cannot_ask_for_what_has_no_index(bob: Client, lookup: str) -> None:
    assert bob.get(f"{LIST}?{lookup}").status_code == 400


def test_pages_go_on_where_the_last_one_ended(bob: Client) -> None:
    for number in range(120):
        note(actor=f"{number:03}")
    actors, query, pages = [], "", 0
    while True:
        response = bob.get(f"{LIST}{query}")
        changelist = response.context["cl"]
        actors += [event.actor for event in changelist.result_list]
        pages += 1
        assert bool(changelist.first_page) == (pages > 1)
        query = changelist.next_page
        if not query:
            break
    assert pages == 3
    assert actors == [f"{number:03}" for number in reversed(range(120))]


def test_a_filter_begins_on_the_newest_page_again_and_pages_keep_the_filter(bob: Client) -> None:
    for _ in range(60):
        note(action=AuditEvent.Action.LAUNCH)
    changelist = bob.get(f"{LIST}?action__exact=launch").context["cl"]
    assert "action__exact=launch" in changelist.next_page
    page = bob.get(f"{LIST}{changelist.next_page}")
    assert len(page.context["cl"].result_list) == 10
    again = page.context["cl"]
    choices = [choice["query_string"] for spec in again.filter_specs[1:] for choice in spec.choices(again)]
    assert choices
    assert not [choice for choice in choices if "before" in choice]


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=999999999999999999999", "from=x", "to=2026-99-99"])
def test_nonsense_leads_to_the_plain_list(bob: Client, query: str) -> None:
    note(actor="a")
    response = bob.get(f"{LIST}?{query}", follow=True)
    assert response.status_code == 200
    assert [event.actor for event in response.context["cl"].result_list] == ["a"]


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("from=2026-03-11&to=2026-03-12", ["12", "11"]),
        ("from=2026-03-13", ["14", "13"]),
        ("to=2026-03-11", ["11", "10"]),
        ("from=2027-01-01", []),
        ("to=2020-01-01", []),
        ("from=0001-01-02&to=9999-12-29", ["14", "13", "12", "11", "10"]),
        ("from=2026-03-12&to=2026-03-11", []),
        ("from=&to=", ["14", "13", "12", "11", "10"]),
    ],
)
def test_dates_are_days_with_both_ends(bob: Client, query: str, days: list[str]) -> None:
    for day in range(10, 15):
        note(actor=str(day), at=NOON.replace(day=day))
    assert found(bob, query) == days


def test_days_begin_and_end_at_midnight_even_where_rows_are_out_of_order(bob: Client) -> None:
    midnight = NOON.replace(day=11, hour=0)
    for actor, at in (
        ("early", midnight - timedelta(days=3)),
        ("late row of the day before", midnight - timedelta(seconds=1)),
        ("first", midnight),
        ("disorder", midnight - timedelta(minutes=30)),
        ("second", midnight + timedelta(minutes=1)),
        ("next day", midnight + timedelta(days=1)),
        ("last, written later", midnight + timedelta(days=1) - timedelta(seconds=1)),
        ("much later", midnight + timedelta(days=9)),
    ):
        note(actor=actor, at=at)
    assert found(bob, "from=2026-03-11&to=2026-03-11") == ["last, written later", "second", "first"]


def test_the_dates_stay_in_the_form(bob: Client) -> None:
    page = bob.get(f"{LIST}?from=2026-03-11&to=2026-03-12&action__exact=launch").content.decode()
    assert 'name="from" value="2026-03-11"' in page
    assert 'name="to" value="2026-03-12"' in page
    assert '<input type="hidden" name="action__exact" value="launch">' in page


def test_the_search_for_a_date_takes_few_steps() -> None:
    assert first_id_since(NOON) is None
    AuditEvent.objects.bulk_create(
        [AuditEvent(action="sign_on", actor="a", at=NOON + timedelta(hours=hour)) for hour in range(2000)]
    )
    with CaptureQueriesContext(connection) as queries:
        found_id = first_id_since(NOON + timedelta(hours=1001))
    assert found_id is not None
    assert len(queries) <= 13
    assert AuditEvent.objects.get(pk=found_id).at == NOON + timedelta(hours=1000)


def test_every_page_walks_an_index(bob: Client) -> None:
    """With many rows, PostgreSQL plans no scan of the table and no sort for what the page asks."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO teams_auditevent
                (at, action, outcome, actor, target, team, request_id, aws_request_id, reason, data)
            SELECT timestamptz '2026-01-01' + n * interval '1 minute',
                (ARRAY['sign_on', 'launch', 'changed'])[1 + n % 3], 'success',
                'actor' || n % 500, 'target' || n % 700, 'team' || n % 40, md5(n::text), '', '', '{}'
            FROM generate_series(1, 60000) AS n
            """
        )
        cursor.execute("ANALYZE teams_auditevent")
    dates = "from=2026-01-20&to=2026-01-21"
    filters = ("outcome__exact=failed", "action__exact=launch", dates, f"q=actor7&{dates}")
    for query in ("", "q=actor7", "q=nobody", "q=0123456789ab", *filters):
        with CaptureQueriesContext(connection) as queries:
            bob.get(f"{LIST}?{query}")
        for asked in [each["sql"] for each in queries if 'FROM "teams_auditevent"' in each["sql"]]:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {asked}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Seq Scan" not in plan, (query, plan)


def test_a_page_shows_before_and_after(bob: Client) -> None:
    event = note(
        action=AuditEvent.Action.CHANGED,
        data={
            "before": {"name": "<script>alert(1)</script>", "is_active": True, "tags": {"a": "1"}, "contact": ""},
            "after": {"name": "New", "is_active": False, "tags": {"a": "2"}, "contact": None},
        },
    )
    response = bob.get(f"{LIST}{event.pk}/change/")
    page = response.content.decode()
    assert "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre></td><td><pre>New</pre>" in page
    assert '<th scope="row">is_active</th><td><pre>yes</pre></td><td><pre>no</pre></td>' in page
    assert "&quot;a&quot;: &quot;2&quot;" in page
    assert not inline(response)


@pytest.mark.parametrize(
    ("data", "text"), [({"teams": ["a", "b"]}, "&quot;b&quot;"), ({}, "–"), (["x"], "&quot;x&quot;")]
)
def test_a_page_shows_other_data_too(bob: Client, data: Any, text: str) -> None:
    assert text in bob.get(f"{LIST}{note(data=data).pk}/change/").content.decode()
