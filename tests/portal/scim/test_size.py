"""Big groups cost a bounded number of queries, and are answered a piece at a time; two changes at once both count."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test.utils import CaptureQueriesContext

from portal.scim import group_rows
from teams.models import GroupMembership, Membership, ScimUser, User
from tests.factories import make_mapping, make_team
from tests.portal.scim.scim_client import Provider, read

MANY = 3_000


def push_many(okta: Provider, number: int) -> list[str]:
    """Make the rows of many pushed users and return their ids."""
    people = User.objects.bulk_create(
        User(realm="default", subject=f"p{index}", username=f"p{index}") for index in range(number)
    )
    rows = ScimUser.objects.bulk_create(
        ScimUser(client=okta.row, user=person, user_name=person.subject) for person in people
    )
    return [str(row.scim_id) for row in rows]


def add(ids: list[str]) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": each} for each in ids]}


@pytest.mark.django_db
def test_thousands_of_members_join_with_few_queries(okta: Provider) -> None:
    ids = push_many(okta, MANY)
    make_mapping("Everybody", make_team("team1"))
    group = okta.make_group("Everybody")["id"]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert okta.patch(f"Groups/{group}", add(ids)).status_code == 204
    assert len(queries) < 60
    assert Membership.objects.filter(team__slug="team1").count() == MANY
    response = okta.send("GET", f"Groups/{group}")
    assert {each["value"] for each in read(response)["members"]} == set(ids)
    with CaptureQueriesContext(connection) as queries:
        told = okta.get("Groups", excludedAttributes="members")
    assert told["totalResults"] == 1
    assert len(queries) < 6


@pytest.mark.django_db
def test_a_long_answer_is_sent_while_it_is_read(okta: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = push_many(okta, 150)
    group = okta.make_group("Everybody", *ids)["id"]
    monkeypatch.setattr(group_rows, "CHUNK", 2)
    for path in (f"Groups/{group}", "Groups"):
        response = okta.send("GET", path)
        assert isinstance(response, StreamingHttpResponse)
        told = read(response)
        (found,) = told.get("Resources", [told])
        assert [each["value"] for each in found["members"]] == ids


@pytest.mark.django_db
def test_a_page_of_users_costs_a_bounded_number_of_queries(okta: Provider, django_assert_max_num_queries: Any) -> None:
    ids = push_many(okta, 200)
    okta.make_group("Everybody", *ids)
    okta.get("Users")
    with django_assert_max_num_queries(5):
        page = okta.get("Users", count="200")
    assert len(page["Resources"]) == 200
    assert all(each["groups"][0]["display"] == "Everybody" for each in page["Resources"])


@pytest.mark.django_db(transaction=True)
def test_changes_of_one_group_at_once_all_count(okta: Provider) -> None:
    ids = [okta.make_user(f"user{number}")["id"] for number in range(8)]
    group = okta.make_group("Everybody")["id"]

    def join(scim_id: str) -> int:
        try:
            return int(okta.patch(f"Groups/{group}", add([scim_id])).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(join, ids)) == {204}
    assert {each["value"] for each in okta.get(f"Groups/{group}")["members"]} == set(ids)
    assert okta.send("GET", f"Groups/{group}")["ETag"] == 'W/"9"'
    assert GroupMembership.objects.count() == 8


@pytest.mark.django_db(transaction=True)
def test_of_two_that_make_the_same_user_at_once_one_does(okta: Provider) -> None:
    def make(_: int) -> int:
        try:
            return int(okta.send("POST", "Users", {"schemas": [], "userName": "alice"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(make, range(4))) == [201, 409, 409, 409]
    assert ScimUser.objects.count() == User.objects.count() == 1
