"""The journey goes on when everything is killed and started again in the middle."""

from playwright.sync_api import Page, expect

from tests.browser.stack import Stack
from tests.browser.steps import open_team, sign_on
from tests.browser.test_journey import expect_studio
from tests.browser.watch import Watch


def test_launch_survives_a_power_cut(page: Page, stack: Stack, watches: list[Watch]) -> None:
    stack.behave(create_delay=6)
    sign_on(page, stack, "User 1")
    open_team(page, "Team 1")
    expect(page.get_by_text("Your Studio profile is being prepared")).to_be_visible()

    watches[0].outage = True
    stack.kill()
    expect(page.get_by_text("The portal does not answer at the moment.")).to_be_visible()
    stack.start()

    expect_studio(page, stack, profile="user1-team1", role="StudioTeam1")
    # Still signed on, and nothing to be done again.
    page.goto(stack.portal)
    expect(page.locator("#tile-team1")).to_contain_text("Ready")
