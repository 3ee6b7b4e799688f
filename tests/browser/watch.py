"""What the pages of a browser context asked for and complained about."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

# The browser's own line about an error page; whether that page was expected is the test's business.
STATUS_LINE = "Failed to load resource"


class Watch:
    """Collects requests and errors of all pages of a context.

    `outage` is set by tests that take the portal away: htmx then rightly reports that its polls fail.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.origins: set[str] = set()
        self.problems: list[str] = []
        self.outage = False
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("page", self._page)

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme != "data":
            self.origins.add(f"{url.scheme}://{url.netloc}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning") or message.text.startswith(STATUS_LINE):
            return
        if self.outage and "htmx:" in message.text:
            return
        self.problems.append(f"{message.type}: {message.text}")

    def _page(self, page: Page) -> None:
        page.on("crash", lambda _: self.problems.append("the page crashed"))
