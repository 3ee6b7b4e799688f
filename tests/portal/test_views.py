"""The pages, asked as alice (owns a team), bob (belongs to another), charlie (belongs nowhere) and nobody."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from provisioning import launch, profiles
from provisioning.models import Profile
from teams.memberships import UserObservation, apply
from teams.models import AuditEvent, Domain, Membership, Team, User
from tests.factories import make_account, make_domain, make_team, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def domain(aws: Any) -> Domain:
    """The stand-in's own domain."""
    account = make_account(account_id=aws.state.home_account)
    return make_domain(account, domain_id="d-demo0studio1", region="eu-west-1")


@pytest.fixture
def team(domain: Domain) -> Team:
    return make_team("team1", domain=domain, name="Team 1", contact="ask-team1@example.com")


@pytest.fixture
def other_team(domain: Domain) -> Team:
    return make_team("team2", domain=domain, name="Team 2")


def join(user: User, team: Team) -> User:
    until = timezone.now() + timedelta(hours=1)
    apply(UserObservation(user=user, source="saml", groups=None, teams=frozenset({team.saml_id}), valid_until=until))
    return user


@pytest.fixture
def alice(client: Client, team: Team) -> User:
    return join(make_user("alice"), team)


@pytest.fixture
def bob(other_team: Team) -> User:
    return join(make_user("bob"), other_team)


@pytest.fixture
def charlie() -> User:
    return make_user("charlie")


def signed_on(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="portal.saml.backend.SamlBackend")
    return client


def ready(user: User, team: Team, aws: Any) -> Profile:
    """Have the profile made in AWS by the workers' own steps."""
    profiles.request(user_id=user.pk, team_id=team.pk)
    rows = Profile.objects.filter(user=user, team=team)
    for _ in range(10):
        rows.update(due_at=timezone.now())
        profiles.ensure(rows.get().pk)
        if rows.get().state == Profile.State.READY:
            break
        aws.state.clock.advance(10)
    assert rows.get().state == Profile.State.READY, rows.get().error
    return rows.get()


class TestComingBack:
    @pytest.mark.parametrize("state", [Profile.State.RETIRING, Profile.State.RETIRED])
    def test_what_was_being_retired_is_being_prepared(self, alice: User, team: Team, aws: Any, state: str) -> None:
        ready(alice, team, aws)
        Profile.objects.update(state=state)
        browser = signed_on(alice)
        assert "Being prepared" in browser.get("/").content.decode()
        assert "is being prepared" in browser.get("/teams/team1/progress/").content.decode()
        assert browser.post("/teams/team1/open/").status_code == 303
        assert aws.calls("CreatePresignedDomainUrl") == []
        assert Profile.objects.get().state not in {Profile.State.RETIRING, Profile.State.RETIRED}


class TestLanding:
    def test_nobody_is_shown_the_way_to_sign_on(self, client: Client) -> None:
        response = client.get("/")
        assert response.status_code == 200
        assert b"/saml2/login/" in response.content
        assert "portal_session" not in response.cookies

    def test_alice_sees_her_team_and_no_other(self, alice: User, bob: User) -> None:
        page = signed_on(alice).get("/").content.decode()
        assert "Team 1" in page
        assert "Team 2" not in page
        assert 'action="/teams/team1/open/"' in page

    def test_it_tells_who_is_signed_on(self, alice: User) -> None:
        page = signed_on(alice).get("/").content.decode()
        assert alice.name in page
        assert "alice" in page

    def test_charlie_is_told_whom_to_ask(self, charlie: User, settings: Settings) -> None:
        settings.SUPPORT_CONTACT = "platform@example.com"
        response = signed_on(charlie).get("/")
        assert b"platform@example.com" in response.content
        assert b"charlie" in response.content

    def test_a_membership_that_ended_shows_no_tile(self, alice: User) -> None:
        Membership.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
        assert "Team 1" not in signed_on(alice).get("/").content.decode()

    def test_names_are_escaped(self, alice: User, team: Team) -> None:
        Team.objects.update(name="<script>alert(1)</script>", description="<img src=x>")
        page = signed_on(alice).get("/").content.decode()
        assert "<script>alert" not in page
        assert "<img src=x>" not in page

    def test_pages_are_not_cached(self, alice: User) -> None:
        assert "no-store" in signed_on(alice).get("/")["Cache-Control"]


class TestPolicy:
    def test_scripts_and_styles_come_from_here_only(self, client: Client) -> None:
        policy = client.get("/")["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy

    def test_pages_have_no_inline_script_or_style(self, alice: User) -> None:
        for path in ("/", "/teams/team1/progress/", "/nothing/"):
            page = signed_on(alice).get(path).content.decode()
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page), path


class TestLaunch:
    def test_a_ready_profile_takes_one_call_and_a_redirect(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        before = len(aws.calls())
        response = signed_on(alice).post("/teams/team1/open/")
        assert response.status_code == 303
        assert response["Location"].startswith(aws.url)
        assert "no-store" in response["Cache-Control"]
        assert response["Referrer-Policy"] == "no-referrer"
        assert [call.operation for call in aws.calls()[before:]] == ["CreatePresignedDomainUrl"]

    def test_the_audit_tells_of_it_without_the_url(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        response = signed_on(alice).post("/teams/team1/open/", REMOTE_ADDR="192.0.2.7")
        event = AuditEvent.objects.get(action="launch")
        assert (event.actor, event.team, event.outcome, event.address) == ("alice", "team1", "success", "192.0.2.7")
        assert event.aws_request_id
        token = response["Location"].partition("token=")[2]
        assert token
        assert token not in f"{event.data}{event.reason}{event.target}"

    def test_without_an_audit_row_nobody_gets_in(
        self, alice: User, team: Team, aws: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ready(alice, team, aws)

        def broken(*_: object, **__: object) -> None:
            raise DatabaseError("the log cannot be written")

        monkeypatch.setattr(launch, "record", broken)
        browser = signed_on(alice)
        browser.raise_request_exception = False
        response = browser.post("/teams/team1/open/")
        assert response.status_code == 500
        assert b"token=" not in response.content

    def test_a_team_that_is_not_bobs_is_not_found(self, alice: User, bob: User, charlie: User, aws: Any) -> None:
        for user in (bob, charlie):
            browser = signed_on(user)
            assert browser.post("/teams/team1/open/").status_code == 404
            assert browser.get("/teams/team1/progress/").status_code == 404
            assert browser.post("/teams/no-such-team/open/").status_code == 404
        assert aws.calls() == []

    def test_nobody_is_sent_to_sign_on(self, client: Client, team: Team) -> None:
        response = client.post("/teams/team1/open/")
        assert response.status_code == 303
        assert response["Location"] == "/saml2/login/?next=/teams/team1/open/"

    def test_access_that_ended_a_moment_ago_opens_nothing(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        browser = signed_on(alice)
        assert browser.get("/").status_code == 200
        Membership.objects.all().delete()
        assert browser.post("/teams/team1/open/").status_code == 404

    def test_a_form_from_elsewhere_is_refused(self, alice: User, team: Team) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(alice, backend="portal.saml.backend.SamlBackend")
        response = browser.post("/teams/team1/open/")
        assert response.status_code == 403
        assert b"try again" in response.content.lower()

    def test_a_link_mints_nothing(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        before = len(aws.calls())
        response = signed_on(alice).get("/teams/team1/open/")
        assert response.status_code == 302
        assert response["Location"] == "/"
        assert len(aws.calls()) == before

    def test_a_first_launch_shows_progress(self, alice: User, team: Team) -> None:
        browser = signed_on(alice)
        response = browser.post("/teams/team1/open/")
        assert response.status_code == 303
        assert response["Location"] == "/teams/team1/progress/"
        page = browser.get("/teams/team1/progress/").content.decode()
        assert 'http-equiv="refresh"' in page
        assert 'hx-get="/teams/team1/progress/"' in page

    def test_a_profile_that_disappeared_is_made_again(self, alice: User, team: Team, aws: Any) -> None:
        profile = ready(alice, team, aws)
        aws.state.forget_profile(team.domain.domain_id, profile.name)
        response = signed_on(alice).post("/teams/team1/open/")
        assert response["Location"] == "/teams/team1/progress/"
        ready(alice, team, aws)
        assert signed_on(alice).post("/teams/team1/open/")["Location"].startswith(aws.url)
        assert Profile.objects.get().pk == profile.pk

    def test_aws_refusing_is_explained_and_audited(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        aws.personality.fail_next["CreatePresignedDomainUrl"] = ["ThrottlingException"] * 5
        response = signed_on(alice).post("/teams/team1/open/")
        assert response.status_code == 503
        assert b"busy" in response.content
        event = AuditEvent.objects.get(action="launch")
        assert event.outcome == "failed"
        assert "ThrottlingException" in event.reason

    def test_no_other_try_is_offered_where_it_cannot_help(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        aws.personality.fail_next["CreatePresignedDomainUrl"] = ["AccessDeniedException"]
        page = signed_on(alice).post("/teams/team1/open/").content.decode()
        assert "ask-team1@example.com" in page
        assert "Try again" not in page


class TestProgress:
    def test_a_poll_gets_the_part_that_moves(self, alice: User) -> None:
        response = signed_on(alice).get("/teams/team1/progress/", headers={"HX-Request": "true"})
        assert b"<html" not in response.content

    def test_a_ready_profile_goes_on_by_itself(self, alice: User, team: Team, aws: Any) -> None:
        ready(alice, team, aws)
        page = signed_on(alice).get("/teams/team1/progress/", headers={"HX-Request": "true"}).content.decode()
        assert "data-autosubmit" in page
        assert 'action="/teams/team1/open/"' in page

    def test_a_failure_says_what_to_do(self, alice: User, team: Team) -> None:
        profiles.request(user_id=alice.pk, team_id=team.pk)
        Profile.objects.filter(user=alice).update(state=Profile.State.FAILED, error="secret detail", due_at=None)
        page = signed_on(alice).get("/teams/team1/progress/").content.decode()
        assert "Try again" in page
        assert "ask-team1@example.com" in page
        assert "secret detail" not in page

    def test_a_poll_after_the_session_ended_takes_the_page_to_sign_on(self, client: Client, team: Team) -> None:
        response = client.get("/teams/team1/progress/", headers={"HX-Request": "true"})
        assert response["HX-Redirect"].startswith("/saml2/login/")

    def test_looking_changes_nothing(self, alice: User, team: Team) -> None:
        before = list(Profile.objects.values())
        signed_on(alice).get("/teams/team1/progress/")
        assert list(Profile.objects.values()) == before


class TestSignOut:
    def test_by_post_only(self, alice: User) -> None:
        browser = signed_on(alice)
        assert browser.get("/logout/").status_code == 405
        assert b"Team 1" in browser.get("/").content
        assert browser.post("/logout/").status_code == 303
        assert b"Team 1" not in browser.get("/").content
        assert AuditEvent.objects.get(action="sign_out").target == "alice"


class TestErrors:
    def test_not_found(self, client: Client) -> None:
        response = client.get("/nothing/")
        assert response.status_code == 404
        assert response["X-Request-ID"][:12].encode() in response.content

    def test_a_crash_tells_a_reference_and_nothing_else(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_: object) -> None:
            raise RuntimeError("inner secret")

        monkeypatch.setattr("provisioning.tiles.for_user", crash)
        browser = signed_on(alice)
        browser.raise_request_exception = False
        response = browser.get("/")
        assert response.status_code == 500
        assert response["X-Request-ID"][:12].encode() in response.content
        assert b"inner secret" not in response.content
