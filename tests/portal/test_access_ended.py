"""Access that ends while a page is open or a launch is on its way: nothing opens, and the person is told."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from provisioning.aws.studio import Presigned, Studio
from provisioning.models import Profile
from teams.models import AuditEvent, Membership, Team, User
from tests.factories import make_account, make_domain, make_team, make_user, role_arn
from tests.portal.people import POLL, browser_of, join, log

pytestmark = pytest.mark.django_db
State = Profile.State
OPEN, PROGRESS, LINK = "/teams/team1/open/", "/teams/team1/progress/", "/t/team1/"


@pytest.fixture(name="team")
def _team(aws: Any) -> Team:
    account = make_account(account_id=aws.state.home_account)
    domain = make_domain(account, domain_id="d-demo0studio1", region="eu-west-1")
    return make_team("team1", domain=domain, name="Team 1", contact="ask-team1@example.com")


@pytest.fixture(name="alice")
def _alice(team: Team) -> User:
    alice = join(make_user("alice"), team)
    Profile.objects.create(
        user=alice, team=team, domain=team.domain, name="alice-team1", state=State.READY,
        execution_role_arn=team.execution_role_arn,
    )  # fmt: skip
    return alice


@pytest.fixture(name="browser")
def _browser(alice: User) -> Client:
    return browser_of(alice)


def leave(alice: User, team: Team) -> None:
    Membership.objects.filter(user=alice, team=team).delete()


def suspend(alice: User, team: Team) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)


def switch_off(alice: User, team: Team) -> None:
    Team.objects.filter(pk=team.pk).update(is_active=False)


def change_role(alice: User, team: Team) -> None:
    Team.objects.filter(pk=team.pk).update(execution_role_arn=role_arn(team.domain, "other-role"))


@pytest.mark.parametrize("end", [leave, suspend, switch_off, change_role])
def test_a_url_that_was_made_meanwhile_is_thrown_away(
    browser: Client, alice: User, team: Team, monkeypatch: pytest.MonkeyPatch, end: Callable[[User, Team], None]
) -> None:
    def slow(*_args: Any, **_settings: Any) -> Presigned:
        end(alice, team)
        return Presigned("https://studio.example.com/auth?token=secret", "request-1")

    monkeypatch.setattr(Studio, "presigned_url", slow)
    response = browser.post(OPEN)
    assert (response.status_code, response["Location"]) == (303, PROGRESS)
    (told,) = log(action=AuditEvent.Action.LAUNCH)
    assert told.outcome == AuditEvent.Outcome.FAILED
    assert "thrown away" in told.reason
    assert told.aws_request_id == "request-1"
    assert b"secret" not in response.content


def test_an_open_page_is_told_what_happened(browser: Client, alice: User, team: Team) -> None:
    assert browser.get(PROGRESS, headers=POLL).status_code == 200
    leave(alice, team)
    # The script loads the page anew at a 404, which then says it all and asks no more.
    assert browser.get(PROGRESS, headers=POLL).status_code == 404
    for response in (browser.get(PROGRESS), browser.get(LINK), browser.post(OPEN)):
        text = response.content.decode()
        assert response.status_code == 404
        assert "You no longer have access to Team 1" in text
        assert "ask-team1@example.com" in text
        assert "hx-get" not in text
        assert "http-equiv" not in text


def test_without_anybody_to_ask(browser: Client, alice: User, team: Team, settings: Settings) -> None:
    settings.SUPPORT_CONTACT = ""
    Team.objects.update(contact="")
    leave(alice, team)
    assert "the people who run this portal" in browser.get(LINK).content.decode()


def test_nobody_else_learns_that_there_is_a_team(alice: User, team: Team) -> None:
    switch_off(alice, team)
    for person in (make_user("bob"), make_user("charlie")):
        browser = browser_of(person)
        for response in (browser.get(PROGRESS), browser.get(LINK), browser.post(OPEN)):
            assert response.status_code == 404
            assert "Team 1" not in response.content.decode()


def test_the_suspended_are_sent_away_from_an_open_page(browser: Client, alice: User, team: Team) -> None:
    suspend(alice, team)
    assert browser.get(PROGRESS, headers=POLL)["HX-Redirect"].startswith("/saml2/login/")
