"""The running apps of a person on the landing page: alice has some, bob is in her team, charlie is in none."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from provisioning.models import RunningApp
from teams.models import Team, User
from tests.factories import make_team, make_user
from tests.portal.people import POLL, browser_of, join
from tests.teams.admin_clients import inline

pytestmark = pytest.mark.django_db


@pytest.fixture(name="hinted", autouse=True)
def _hinted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What workers were asked for."""
    sent: list[Any] = []

    def enqueue(*args: Any, **_: Any) -> bool:
        sent.append(args)
        return True

    monkeypatch.setattr("provisioning.queue.enqueue", enqueue)
    return sent


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1")


@pytest.fixture(name="people")
def _people(team: Team) -> dict[str, User]:
    people = {name: make_user(name) for name in ("alice", "bob", "charlie")}
    join(people["alice"], team)
    join(people["bob"], team)
    return people


@pytest.fixture(name="app")
def _app(team: Team, people: dict[str, User]) -> RunningApp:
    return make_app(team, people["alice"], space_name="lab")


def make_app(team: Team, user: User | None, **fields: Any) -> RunningApp:
    defaults = {
        "app_type": "JupyterLab", "name": "default", "status": "InService", "instance_type": "ml.g5.xlarge",
        "started_at": timezone.now() - timedelta(hours=3),
    }  # fmt: skip
    return RunningApp.objects.create(domain=team.domain, team=team, user=user, **defaults | fields)


def page(user: User, **headers: Any) -> str:
    return " ".join(unescape(browser_of(user).get("/", **headers).content.decode()).split())


def test_a_person_sees_their_own(app: RunningApp, people: dict[str, User]) -> None:
    RunningApp.objects.update(active_at=timezone.now())
    seen = page(people["alice"])
    for text in ("Running apps", "JupyterLab in lab", "ml.g5.xlarge", "last used", f"/apps/{app.pk}/stop/"):
        assert text in seen
    assert '<input type="hidden" name="space" value="lab">' in seen
    for name in ("bob", "charlie"):
        assert "Running apps" not in page(people[name])
    assert not inline(browser_of(people["alice"]).get("/"))


def test_what_is_over_or_nobodys_is_not_shown(team: Team, people: dict[str, User], app: RunningApp) -> None:
    RunningApp.objects.update(ended_at=timezone.now())
    make_app(team, None, space_name="nobodys")
    assert "Running apps" not in page(people["alice"])


def test_a_poll_takes_the_tiles_only(app: RunningApp, people: dict[str, User]) -> None:
    assert "Running apps" not in page(people["alice"], headers=POLL)


def test_names_are_escaped_and_others_do_not_open(team: Team, people: dict[str, User]) -> None:
    make_app(make_team(name="<b>Gone</b>"), people["charlie"], space_name="lab", app_type="<i>Lab</i>")
    response = browser_of(people["charlie"]).get("/").content.decode()
    assert "Running apps" in response
    assert "<b>" not in response.replace("<b>charlie</b>", "")
    assert "<i>" not in response
    assert 'name="space"' not in response


def test_stopping_takes_a_click_and_says_so(
    app: RunningApp, people: dict[str, User], hinted: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    browser = browser_of(people["alice"])
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(f"/apps/{app.pk}/stop/", follow=True)
    assert "JupyterLab in lab is being stopped." in response.content.decode()
    assert "It is being stopped." in response.content.decode()
    app.refresh_from_db()
    assert (app.stop_reason, app.stop_by) == (RunningApp.Reason.PERSON, people["alice"].username)
    assert [call[:2] for call in hinted] == [("provisioning.tasks.stop_app", app.pk)]
    again = browser.post(f"/apps/{app.pk}/stop/", follow=True).content.decode()
    assert "being stopped already" in again
    assert len(hinted) == 1


def test_a_link_stops_nothing(app: RunningApp, people: dict[str, User]) -> None:
    assert browser_of(people["alice"]).get(f"/apps/{app.pk}/stop/").status_code == 302
    app.refresh_from_db()
    assert app.stop_at is None


def test_a_form_from_elsewhere_is_refused(app: RunningApp, people: dict[str, User]) -> None:
    browser = browser_of(people["alice"], enforce_csrf_checks=True)
    assert browser.post(f"/apps/{app.pk}/stop/").status_code == 403
    app.refresh_from_db()
    assert app.stop_at is None


@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_others_find_nothing(app: RunningApp, people: dict[str, User], name: str) -> None:
    browser = browser_of(people[name])
    assert browser.post(f"/apps/{app.pk}/stop/").status_code == 404
    assert browser.post("/apps/987654/stop/").status_code == 404
    app.refresh_from_db()
    assert app.stop_at is None


def test_nobody_is_sent_to_sign_on(app: RunningApp) -> None:
    response = Client().post(f"/apps/{app.pk}/stop/")
    assert (response.status_code, response["Location"].startswith("/saml2/login/")) == (303, True)


def test_a_warning_is_told(app: RunningApp, people: dict[str, User]) -> None:
    RunningApp.objects.update(stop_reason="idle", stop_at=timezone.now() + timedelta(minutes=20))
    assert "idle for too long." in page(people["alice"])
