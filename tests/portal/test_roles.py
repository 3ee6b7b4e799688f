"""Portal roles by groups of the identity provider: given, taken away, and at once."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from teams.models import User
from tests.factories import make_team, make_user
from tests.portal.people import browser_of, is_signed_on, log

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _groups(settings: Settings) -> None:
    settings.PORTAL_ADMIN_GROUPS = ["portal-admins"]
    settings.PORTAL_AUDITOR_GROUPS = ["portal-auditors"]


def sign_on(idp: Any, *groups: str, browser: Client | None = None) -> Client:
    browser = browser or Client()
    assert idp.sign_on(browser, "alice", groups=list(groups)).status_code == 302
    return browser


def may(browser: Client) -> tuple[bool, bool]:
    """Whether somebody may read in the admin, and whether they may add there."""
    return browser.get("/admin/teams/team/").status_code == 200, browser.get(
        "/admin/teams/team/add/"
    ).status_code == 200


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["portal-admins"], (True, True)),
        (["portal-auditors"], (True, False)),
        (["portal-admins", "portal-auditors"], (True, True)),
        (["staff"], (False, False)),
        ([], (False, False)),
    ],
)
def test_groups_open_the_admin(idp: Any, groups: list[str], expected: tuple[bool, bool]) -> None:
    assert may(sign_on(idp, *groups)) == expected


def test_losing_the_group_takes_the_role_from_every_open_browser(idp: Any) -> None:
    first = sign_on(idp, "portal-admins")
    assert may(first) == (True, True)
    second = sign_on(idp, "staff")
    assert (may(first), may(second)) == ((False, False), (False, False))
    assert is_signed_on(first), "the person stays signed on, without the role"
    assert log(action="role_changed")[-1].data == {"before": "admin", "after": "", "groups": []}


def test_a_form_that_is_open_saves_nothing_any_more(idp: Any) -> None:
    browser = sign_on(idp, "portal-admins")
    other = make_user("bob")
    page = f"/admin/teams/user/{other.pk}/change/"
    assert browser.get(page).status_code == 200
    sign_on(idp, "portal-auditors")
    assert browser.post(page, {"role": "admin", "is_active": "on"}).status_code == 403
    other.refresh_from_db()
    assert other.role == ""


def test_an_admin_who_becomes_an_auditor_reads_only(idp: Any) -> None:
    browser = sign_on(idp, "portal-admins")
    sign_on(idp, "portal-auditors")
    assert may(browser) == (True, False)


def test_a_role_given_by_hand_lasts_until_groups_say_otherwise(idp: Any) -> None:
    alice = make_user("alice")
    root = browser_of(make_user("root", role=User.Role.ADMIN))
    inlines = {f"{name}-{form}": "0" for name in ("profiles", "memberships", "group_memberships")
               for form in ("TOTAL_FORMS", "INITIAL_FORMS")}  # fmt: skip
    data = {"role": "admin", "is_active": "on", **inlines}
    assert root.post(f"/admin/teams/user/{alice.pk}/change/", data).status_code == 302
    theirs = browser_of(alice)
    assert may(theirs) == (True, True)
    sign_on(idp)
    assert may(theirs) == (False, False)


def test_an_assertion_without_groups_says_nothing_about_the_role(idp: Any) -> None:
    browser = sign_on(idp, "portal-admins")
    assert idp.sign_on(Client(), "alice").status_code == 302
    assert may(browser) == (True, True)


def test_without_the_settings_roles_are_given_by_hand_only(idp: Any, settings: Settings) -> None:
    settings.PORTAL_ADMIN_GROUPS = settings.PORTAL_AUDITOR_GROUPS = []
    make_user("alice", role=User.Role.AUDITOR)
    assert may(sign_on(idp, "portal-admins")) == (True, False)


def test_a_team_named_like_the_group_gives_no_role(idp: Any) -> None:
    make_team("portal-admins", saml_id="portal-admins")
    browser = Client()
    idp.sign_on(browser, "alice", teamid=["portal-admins"])
    assert may(browser) == (False, False)
