"""What a person does in the portal, step by step."""

import time

from playwright.sync_api import Page, expect

from tests.browser.stack import Stack

# A profile takes its time; the page goes on by itself.
READY_MS = 30_000


def sign_on(page: Page, stack: Stack, name: str, *, scripts: bool = True) -> None:
    """Sign on from the portal's front page as one of the demo's people."""
    page.goto(f"{stack.portal}/")
    page.get_by_role("link", name="Sign on").click()
    page.get_by_role("button", name=name).click()
    if not scripts:
        page.get_by_role("button", name="Continue to Studio Portal").click()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_visible()


def teams(page: Page) -> list[str]:
    """Return the names on the tiles."""
    return page.get_by_role("heading", level=2).all_inner_texts()


def open_team(page: Page, team: str) -> None:
    """Press the button on a team's tile."""
    page.get_by_role("button", name=f"Open Studio for {team}").click()


def try_again(page: Page) -> None:
    """Press the button of the page about a failed profile until it helps: right after a failure it does not yet."""
    failure = page.get_by_role("heading", name="Studio could not be opened")
    deadline = time.monotonic() + READY_MS / 1000
    while failure.is_visible():
        assert time.monotonic() < deadline
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#progress")).to_be_visible()
