"""Ending all sessions of a person: by themselves, by an admin, and by switching them off."""

import pytest
from django.test import Client

from teams.models import Team, User
from tests.factories import make_team, make_user
from tests.portal.people import POLL, browser_of, is_signed_on, join, log

pytestmark = pytest.mark.django_db

LIST = "/admin/teams/user/"


@pytest.fixture
def team() -> Team:
    return make_team("team1")


@pytest.fixture
def alice(team: Team) -> User:
    return join(make_user("alice"), team)


class TestThemselves:
    def test_every_browser_is_signed_out(self, alice: User) -> None:
        here, there, other = browser_of(alice), browser_of(alice), browser_of(make_user("bob"))
        assert 'action="/logout/everywhere/"' in here.get("/").content.decode()
        response = here.post("/logout/everywhere/", REMOTE_ADDR="192.0.2.7")
        assert (response.status_code, response["Location"]) == (303, "/")
        assert [is_signed_on(here), is_signed_on(there), is_signed_on(other)] == [False, False, True]
        (event,) = log(action="sign_out")
        assert (event.actor, event.target, event.reason, event.address) == ("alice", "alice", "everywhere", "192.0.2.7")

    def test_who_has_no_team_can_too(self) -> None:
        assert 'action="/logout/everywhere/"' in browser_of(make_user("charlie")).get("/").content.decode()

    def test_by_post_only(self, alice: User) -> None:
        browser = browser_of(alice)
        assert browser.get("/logout/everywhere/").status_code == 405
        assert is_signed_on(browser)

    def test_not_by_a_form_of_another_site(self, alice: User) -> None:
        browser = browser_of(alice, enforce_csrf_checks=True)
        assert browser.post("/logout/everywhere/").status_code == 403
        assert is_signed_on(browser)

    def test_nobody_has_nothing_to_end(self, client: Client) -> None:
        assert client.post("/logout/everywhere/")["Location"].startswith("/saml2/login/")
        assert not log(action="sign_out")


class TestAdmin:
    @pytest.fixture
    def admin(self) -> Client:
        return browser_of(make_user("root", role=User.Role.ADMIN))

    def test_the_button_on_a_persons_page(self, admin: Client, alice: User) -> None:
        page = f"{LIST}{alice.pk}/change/"
        theirs = browser_of(alice)
        assert 'name="_sign_out_everywhere"' in admin.get(page).content.decode()
        # Whatever else the form says is not saved.
        response = admin.post(page, {"_sign_out_everywhere": "1", "role": "admin"}, follow=True)
        assert response.redirect_chain == [(page, 302)]
        assert "Signed out everywhere: alice." in response.content.decode()
        assert not is_signed_on(theirs)
        alice.refresh_from_db()
        assert (alice.role, alice.is_active) == ("", True)
        (event,) = log(action="sign_out")
        assert (event.actor, event.target, event.reason) == ("root", "alice", "everywhere")

    def test_the_action_on_the_list(self, admin: Client, alice: User) -> None:
        bob, charlie = make_user("bob"), make_user("charlie")
        browsers = [browser_of(user) for user in (alice, bob, charlie)]
        admin.post(LIST, {"action": "sign_out_everywhere", "_selected_action": [alice.pk, bob.pk]})
        assert [is_signed_on(each) for each in browsers] == [False, False, True]
        assert [(each.actor, each.target) for each in log(action="sign_out")] == [("root", "alice"), ("root", "bob")]

    @pytest.mark.parametrize("name", ["auditor", "charlie", "nobody"])
    def test_nobody_else_may(self, alice: User, name: str) -> None:
        role = User.Role.AUDITOR if name == "auditor" else User.Role.NONE
        browser = Client() if name == "nobody" else browser_of(make_user(name, role=role))
        page = f"{LIST}{alice.pk}/change/"
        theirs = browser_of(alice)
        assert "_sign_out_everywhere" not in browser.get(page).content.decode()
        assert browser.post(page, {"_sign_out_everywhere": "1"}).status_code in {302, 403}
        browser.post(LIST, {"action": "sign_out_everywhere", "_selected_action": [alice.pk]})
        assert is_signed_on(theirs)
        assert not log(action="sign_out")

    def test_an_unknown_person_is_not_found(self, admin: Client) -> None:
        assert admin.post(f"{LIST}999999/change/", {"_sign_out_everywhere": "1"}).status_code == 404


class TestSwitchedOff:
    def test_a_page_that_is_open_goes_no_further(self, alice: User) -> None:
        browser = browser_of(alice)
        assert browser.get("/teams/team1/progress/", headers=POLL).status_code == 200
        User.objects.filter(pk=alice.pk).update(is_active=False)
        poll = browser.get("/teams/team1/progress/", headers=POLL)
        assert poll["HX-Redirect"].startswith("/saml2/login/")
        assert browser.post("/teams/team1/open/")["Location"].startswith("/saml2/login/")

    def test_nor_does_a_launch_from_an_open_page(self, alice: User) -> None:
        browser = browser_of(alice)
        assert "Team1" in browser.get("/").content.decode()
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert browser.post("/teams/team1/open/")["Location"].startswith("/saml2/login/")
        assert browser.get("/t/team1/")["Location"].startswith("/saml2/login/")
