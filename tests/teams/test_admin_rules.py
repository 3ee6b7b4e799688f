"""The cleanup rule on a team's page."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import time
from typing import Any

import pytest
from django.test import Client

from teams.models import AuditEvent, CleanupRule, Team
from tests.factories import make_team
from tests.teams.admin_clients import cleanup, client_of, events, inline, tags
from tests.teams.test_admin_teams import as_it_is

pytestmark = pytest.mark.django_db

Committed = Callable[[], AbstractContextManager[Any]]


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1")


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


def page(team: Team) -> str:
    return f"/admin/teams/team/{team.pk}/change/"


def save(browser: Client, team: Team, pk: int | None = None, /, **values: Any) -> Any:
    return browser.post(page(team), as_it_is(team) | tags() | cleanup(pk, **values))


def faults(response: Any) -> str:
    assert response.status_code == 200
    return " ".join(str(each.errors) for each in response.context["inline_admin_formsets"][2].formset.forms)


WHOLE = {
    "idle_hours": "4", "longest_hours": "24", "works_from": "08:00", "works_until": "18:00", "works_on": ["4", "0"],
    "timezone": "Europe/Berlin", "warn_minutes": "15", "exempt_tag": "keep", "idle_shutdown_minutes": "90",
}  # fmt: skip


def test_a_rule_is_made_and_told_with_the_team(alice: Client, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr("teams.admin.teams.send_access_changed", lambda **kwargs: told.append(kwargs))
    response = alice.get(page(team))
    assert "Working days" in response.content.decode()
    assert not inline(response)
    assert save(alice, team, **WHOLE).status_code == 302
    rule = CleanupRule.objects.get(team=team)
    assert (rule.idle_hours, rule.works_from, rule.works_on, rule.exempt_tag) == (4, time(8), [0, 4], "keep")
    (event,) = events(action=AuditEvent.Action.CHANGED)
    assert (event.target, event.data["before"]) == ("team: team1", {"cleanup": None, "idle_shutdown_minutes": None})
    assert event.data["after"]["idle_shutdown_minutes"] == 90
    team.refresh_from_db()
    assert team.form_version == 2
    assert event.data["after"]["cleanup"]["works_from"] == "08:00:00"
    assert told == [{"team_ids": [team.pk]}]


def test_a_form_that_nobody_filled_in_makes_no_rule(alice: Client, team: Team) -> None:
    assert save(alice, team).status_code == 302
    assert not CleanupRule.objects.exists()
    assert events(action=AuditEvent.Action.CHANGED) == []


def test_a_rule_is_changed_and_taken_away(alice: Client, team: Team) -> None:
    rule = CleanupRule.objects.create(team=team, idle_hours=4)
    assert save(alice, team, rule.pk, idle_hours="8").status_code == 302
    rule.refresh_from_db()
    assert rule.idle_hours == 8
    assert save(alice, team, rule.pk, idle_hours="8", DELETE="on").status_code == 302
    assert not CleanupRule.objects.exists()
    changes = [event.data["after"]["cleanup"] for event in events(action=AuditEvent.Action.CHANGED)]
    assert [change and change["idle_hours"] for change in changes] == [8, None]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"works_from": "08:00"}, "Working hours have a beginning and an end."),
        ({"idle_hours": "0"}, "greater than or equal to 1"),
        ({"timezone": "Berlin"}, "not the name of a time zone"),
        ({"works_on": ["7"]}, "not one of the available choices"),
        ({"idle_shutdown_minutes": "30"}, "greater than or equal to 60"),
        ({"exempt_tag": "aws:keep"}, "aws:"),
    ],
)
def test_what_makes_no_sense_is_refused(alice: Client, team: Team, values: Any, fault: str) -> None:
    assert fault in faults(save(alice, team, **{"idle_hours": "4", **values}))
    assert not CleanupRule.objects.exists()


@pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
def test_only_admins_do(team: Team, name: str) -> None:
    save(client_of(name), team, **WHOLE)
    assert not CleanupRule.objects.exists()
