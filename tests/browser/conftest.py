"""One demo stack and one browser for all browser tests; a fresh context, watched, for each."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import chromium
from tests.browser.stack import Stack
from tests.browser.watch import Watch

TIMEOUT_MS = 30_000

expect.set_options(timeout=TIMEOUT_MS)

NewContext = Callable[..., BrowserContext]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands here; without a browser it is left out, loudly, and on CI that is an error."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.browser)
    if not ours or chromium.find():
        return
    message = f"NO BROWSER: none of {', '.join(chromium.NAMES)} is installed, so no browser test can run."
    if os.environ.get("CI"):
        raise pytest.UsageError(message)
    for item in ours:
        item.add_marker(pytest.mark.skip(reason=message))


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """Start the whole product."""
    # Not below pytest's own directory, which another run of pytest closes to PostgreSQL's user.
    directory = Path(tempfile.mkdtemp(prefix="studio-portal-demo-"))
    stack = Stack(directory)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start the browser; it ends with these tests, because others could not use the database next to its event loop."""
    path = chromium.find()
    assert path
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright, path)
        yield browser
        browser.close()


@pytest.fixture
def watches(stack: Stack) -> Iterator[list[Watch]]:
    """Check at the end of each test that no page left the site, complained, or was refused anything by its policy."""
    watches: list[Watch] = []
    yield watches
    for watch in watches:
        assert watch.origins <= {stack.portal, stack.idp, stack.aws}
        assert watch.problems == []


@pytest.fixture
def new_context(browser: Browser, watches: list[Watch]) -> Iterator[NewContext]:
    """Make browser contexts: each is somebody at a computer of their own."""
    contexts = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(TIMEOUT_MS)
        watches.append(Watch(context))
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_context: NewContext) -> Page:
    """Open a window of somebody who is not signed on."""
    return new_context().new_page()


@pytest.fixture(autouse=True)
def _plain_aws(stack: Stack) -> None:
    """Begin each test with an AWS stand-in that is as the demo has it, and that knows no profile."""
    stack.behave(preset="plain", create_delay=0.5, delete_delay=0.1)
    stack.forget_profiles()
