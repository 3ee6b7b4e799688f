"""Running apps and spaces in the admin: alice stops, bob looks, charlie sees nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from provisioning.models import DomainScan, RunningApp, StudioSpace
from teams.models import Team
from tests.factories import make_team, make_user
from tests.teams.admin_clients import client_of, inline

pytestmark = pytest.mark.django_db

LIST = "/admin/provisioning/runningapp/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1")


def make_app(team: Team, space: str, **fields: Any) -> RunningApp:
    defaults = {"app_type": "JupyterLab", "name": "default", "status": "InService", "instance_type": "ml.t3.medium"}
    started = {"started_at": timezone.now() - timedelta(hours=3)}
    return RunningApp.objects.create(domain=team.domain, team=team, space_name=space, **defaults | started | fields)


def chosen(*apps: RunningApp, **more: str) -> dict[str, object]:
    return {"action": "stop", "_selected_action": [str(app.pk) for app in apps], **more}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["lab", "other"]), ("runs=over", ["gone"]), ("runs=all", ["gone", "lab", "other"]),
        ("runs=stopping", ["other"]), ("instance_type=ml.g5.xlarge", ["lab"]), ("q=user1", ["lab"]),
        ("app_type=CodeEditor", ["other"]),
    ],
)  # fmt: skip
def test_apps_are_found(alice: Client, team: Team, query: str, found: list[str]) -> None:
    make_app(team, "lab", instance_type="ml.g5.xlarge", user=make_user("user1"))
    make_app(make_team(), "other", app_type="CodeEditor", stop_at=timezone.now(), stop_reason="idle")
    make_app(team, "gone", ended_at=timezone.now())
    response = alice.get(f"{LIST}?{query}")
    assert sorted(app.space_name for app in response.context["cl"].result_list) == found
    assert not inline(response)


def test_apps_are_found_by_team(alice: Client, team: Team) -> None:
    mine, _ = make_app(team, "lab"), make_app(make_team(), "other")
    assert list(alice.get(f"{LIST}?team__id__exact={team.pk}").context["cl"].result_list) == [mine]


def test_stopping_asks_first_and_then_says_how_many(alice: Client, team: Team) -> None:
    app, over = make_app(team, "<lab>"), make_app(team, "gone", ended_at=timezone.now())
    page = alice.post(LIST, chosen(app, over))
    assert "&lt;lab&gt;" in page.content.decode()
    assert not inline(page)
    app.refresh_from_db()
    assert app.stop_at is None
    done = alice.post(LIST, chosen(app, over, confirmed="yes"), follow=True).content.decode()
    assert "1 app will be stopped now." in done
    app.refresh_from_db()
    assert (app.stop_reason, app.stop_by) == (RunningApp.Reason.ADMIN, "alice")


@pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
def test_only_admins_stop(team: Team, name: str) -> None:
    app = make_app(team, "lab")
    client_of(name).post(LIST, chosen(app, confirmed="yes"))
    app.refresh_from_db()
    assert app.stop_at is None


@pytest.mark.parametrize(("name", "expected"), [("alice", 200), ("bob", 200), ("charlie", 403), ("anonymous", 302)])
def test_who_may_read(team: Team, name: str, expected: int) -> None:
    app = make_app(team, "lab")
    space = StudioSpace.objects.create(domain=team.domain, name="lab", status="InService", volume_gb=20)
    scan = DomainScan.objects.create(domain=team.domain)
    client = client_of(name)
    for model, row in (("runningapp", app), ("studiospace", space), ("domainscan", scan)):
        for page in ("", f"{row.pk}/change/"):
            response = client.get(f"/admin/provisioning/{model}/{page}")
            assert response.status_code == expected
            if name == "bob":
                assert 'value="stop"' not in response.content.decode()
                assert not inline(response)


def test_nobody_edits_by_hand(alice: Client, team: Team) -> None:
    app = make_app(team, "lab")
    assert alice.get(f"{LIST}add/").status_code == 403
    assert alice.post(f"{LIST}{app.pk}/change/", {"status": "x"}).status_code == 403
    assert alice.post(f"{LIST}{app.pk}/delete/", {"post": "yes"}).status_code == 403
