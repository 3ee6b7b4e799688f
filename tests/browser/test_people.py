"""Asking for a team, deciding about it and taking it back, as people do it in their browsers."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewContext
from tests.browser.stack import Stack
from tests.browser.steps import READY_MS, sign_on, teams
from tests.browser.test_pages import inspect

TEAM_1 = "teams/team/?q=team1"


def edit_team(admin: Page, stack: Stack) -> None:
    """Open Team 1 in the admin."""
    admin.goto(f"{stack.portal}/admin/{TEAM_1}")
    admin.get_by_role("link", name="Team 1", exact=True).click()


@pytest.fixture
def ada(new_context: NewContext, stack: Stack) -> Iterator[Page]:
    """Have Ada list Team 1 for request and name User 1 its owner, and undo both in the end."""
    sign_on(new_context().new_page(), stack, "User 1")
    admin = new_context().new_page()
    sign_on(admin, stack, "Ada Admin")
    edit_team(admin, stack)
    admin.get_by_label("Listed for request").check()
    admin.get_by_role("button", name="Add another Owner").click()
    admin.get_by_label("Owner: user name").first.fill("user1")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("was changed successfully")).to_be_visible()
    yield admin
    edit_team(admin, stack)
    admin.get_by_label("Listed for request").uncheck()
    admin.get_by_label("Owner: delete").first.check()
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("was changed successfully")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
def test_a_request_is_approved_and_taken_back(ada: Page, new_context: NewContext, stack: Stack, scripts: bool) -> None:
    found = []
    asks, owns = (new_context(java_script_enabled=scripts).new_page() for _ in range(2))
    look = inspect if scripts else lambda page: []

    sign_on(asks, stack, "User 2", scripts=scripts)
    assert teams(asks) == ["Team 2"]
    asks.get_by_role("link", name="Ask to join a team").click()
    found += look(asks)
    asks.get_by_text("Ask to join Team 1").click()
    asks.get_by_label("Why do you need Team 1?").fill("Forecasts for the new shop")
    found += look(asks)
    asks.get_by_role("button", name="Send the request").click()
    expect(asks.get_by_text("You have asked to join Team 1.")).to_be_visible()
    found += look(asks)

    sign_on(owns, stack, "User 1", scripts=scripts)
    found += look(owns)
    owns.get_by_role("link", name="Team 1 (1)").click()
    expect(owns.get_by_text("Forecasts for the new shop")).to_be_visible()
    owns.get_by_text("Approve the request of User 2").click()
    found += look(owns)
    owns.get_by_role("button", name="Approve", exact=True).click()
    expect(owns.get_by_text("User 2 has access to Team 1 until")).to_be_visible()
    found += look(owns)

    asks.goto(stack.portal)
    expect(asks.get_by_role("heading", name="Team 1")).to_be_visible(timeout=READY_MS)

    owns.get_by_text("Take back what was given to User 2").click()
    owns.get_by_label("Reason, which User 2 is told").fill("The shop is open")
    owns.get_by_role("button", name="Take back", exact=True).click()
    expect(owns.get_by_text("What was given to User 2 by hand was taken back.")).to_be_visible()
    asks.goto(stack.portal)
    assert teams(asks) == ["Team 2"]
    assert found == []
