"""Takes the pictures of the documentation from a running demo: `python -m tests.browser.screenshots [--all DIRECTORY]`.

With `--all`, every page is also taken in light and dark, wide and narrow, for a look at the design.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.browser import chromium
from tests.browser.accessibility import SETTLED
from tests.browser.stack import ROOT, Stack
from tests.browser.steps import READY_MS, open_team, sign_on

PICTURES = ROOT / "docs" / "screenshots"
SCAN_SECONDS = 90.0
WIDE = ViewportSize(width=1280, height=620)
WIDER = ViewportSize(width=1440, height=720)
NARROW = ViewportSize(width=360, height=740)


class Camera:
    """Takes the pictures that the documentation shows, and all the others where `everything` is a directory."""

    def __init__(self, everything: Path | None) -> None:
        self.everything = everything

    def take(self, page: Page, name: str, *, shown: bool = False, dark: str = "") -> None:
        """Take a page as it is; `shown` puts it into the documentation, `dark` names a second picture in dark."""
        if shown:
            self._save(page, PICTURES / f"{name}.png", "light")
        if dark:
            self._save(page, PICTURES / f"{dark}.png", "dark")
        if self.everything:
            for width, size in (("wide", WIDE), ("narrow", NARROW)):
                page.set_viewport_size(size)
                for scheme in ("light", "dark"):
                    self._save(page, self.everything / f"{name}-{scheme}-{width}.png", scheme, whole=True)
            page.set_viewport_size(WIDE)

    @staticmethod
    def _save(page: Page, path: Path, scheme: str, *, whole: bool = False) -> None:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        page.evaluate(SETTLED)
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, full_page=whole)


def people(page: Page, stack: Stack, camera: Camera) -> None:
    """Go the way of a data scientist."""
    page.goto(stack.portal)
    camera.take(page, "signed-out")
    page.get_by_role("link", name="Sign on").click()
    camera.take(page, "identity-provider")
    page.goto(stack.idp)
    camera.take(page, "identity-provider-applications")
    stack.behave(create_delay=60)
    sign_on(page, stack, "User 1")
    open_team(page, "Team 1")
    expect(page.locator("[data-elapsed]")).to_contain_text("so far", timeout=READY_MS)
    camera.take(page, "progress", shown=True)
    stack.behave(create_delay=0)
    stack.forget_profiles()
    page.wait_for_url(f"{stack.aws}/**", timeout=2 * READY_MS)
    camera.take(page, "studio")
    page.goto(stack.portal)
    expect(page.get_by_text("Ready")).to_have_count(2, timeout=2 * READY_MS)
    wait_for_apps(page)
    camera.take(page, "landing", shown=True, dark="landing-dark")


def wait_for_apps(page: Page) -> None:
    """Look at the landing page until a scan has found what the person runs."""
    deadline = time.monotonic() + SCAN_SECONDS
    heading = page.get_by_role("heading", name="Running apps")
    while not heading.is_visible():
        if time.monotonic() > deadline:
            raise RuntimeError("no scan has found the app")
        page.wait_for_timeout(1000)
        page.reload()


def trouble(page: Page, stack: Stack, camera: Camera) -> None:
    """See what failure looks like."""
    stack.behave(fail_next={"CreatePresignedDomainUrl": ["AccessDeniedException"]})
    open_team(page, "Team 1")
    camera.take(page, "launch-failed")
    stack.behave(create_fails=True)
    stack.forget_profiles()
    page.goto(stack.portal)
    open_team(page, "Team 2")
    expect(page.get_by_role("heading", name="Studio could not be opened")).to_be_visible(timeout=READY_MS)
    camera.take(page, "profile-failed")
    page.goto(stack.portal)
    camera.take(page, "landing-trouble")
    page.goto(f"{stack.portal}/nowhere/")
    camera.take(page, "not-found")
    stack.behave(create_fails=False)


def colleague(page: Page, stack: Stack) -> None:
    """Have somebody else use the portal too, so that the log has something to tell."""
    sign_on(page, stack, "User 2")
    open_team(page, "Team 2")
    page.wait_for_url(f"{stack.aws}/**", timeout=2 * READY_MS)
    page.goto(stack.portal)
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("link", name="Sign on")).to_be_visible()


def administration(page: Page, stack: Stack, camera: Camera) -> None:
    """Go the way of a portal admin."""
    sign_on(page, stack, "Ada Admin")
    camera.take(page, "no-team")
    for path, name in (
        ("", "admin"),
        ("teams/team/", "admin-teams"),
        ("teams/team/1/change/", "admin-team"),
        ("teams/rolemapping/", "admin-mappings"),
        ("teams/rolemapping/add/", "admin-mapping"),
        ("teams/rolemapping/1/change/", "admin-mapping-effect"),
        ("teams/rolemapping/1/delete/", "admin-mapping-question"),
        ("teams/user/", "admin-users"),
        ("why/?user=user1&team=team1", "admin-why"),
        ("access-review/?team=team2", "admin-access-review"),
        ("provisioning/profile/", "admin-profiles"),
        ("provisioning/runningapp/", "admin-apps"),
        ("provisioning/reconciliation/", "admin-comparisons"),
        ("costs/", "admin-costs"),
        ("team-form/team1/", "admin-team-form"),
        ("teams/auditevent/1/change/", "audit-event"),
        ("login/", "admin-login"),
    ):
        page.goto(f"{stack.portal}/admin/{path}")
        camera.take(page, name, shown=name == "admin-teams")
    page.goto(f"{stack.portal}/admin/teams/auditevent/")
    page.set_viewport_size(WIDER)
    camera.take(page, "audit", shown=True)


def main() -> int:
    """Start the demo, go both ways through it and stop it; 1 when there is no browser."""
    parser = argparse.ArgumentParser(description="Take the pictures of the documentation.")
    parser.add_argument("--all", type=Path, metavar="DIRECTORY", help="take every page in every form, too")
    camera = Camera(parser.parse_args().all)
    path = chromium.find()
    if path is None:
        print(f"None of {', '.join(chromium.NAMES)} is installed.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="studio-portal-") as directory, sync_playwright() as playwright:
        stack = Stack(Path(directory))
        stack.start()
        browser = chromium.launch(playwright, path)
        try:
            _take_all(browser, stack, camera)
        finally:
            browser.close()
            stack.stop()
    return 0


def _take_all(browser: Browser, stack: Stack, camera: Camera) -> None:
    user = browser.new_context(viewport=WIDE).new_page()
    people(user, stack, camera)
    trouble(user, stack, camera)
    colleague(browser.new_context().new_page(), stack)
    administration(browser.new_context(viewport=WIDE).new_page(), stack, camera)


if __name__ == "__main__":
    sys.exit(main())
