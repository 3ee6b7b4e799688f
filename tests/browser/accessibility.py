"""axe-core, as axe-playwright-python ships it, with the rules of WCAG 2.2 AA."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


# Loading the style sheets once more would itself break the pages' policy; no rule among these needs it.
OPTIONS = {"runOnly": {"type": "tag", "values": TAGS}, "preload": False}
SETTLED = """() => Promise.all(document.getAnimations()
    .filter((animation) => animation instanceof CSSTransition).map((animation) => animation.finished))"""


def violations(page: Page) -> list[str]:
    """Return one line per rule that the page breaks: the rule and the elements."""
    page.evaluate(SETTLED)
    found = Axe().run(page, options=OPTIONS).response["violations"]
    return [f"{page.url} {rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


def overflow(page: Page) -> list[str]:
    """Return what makes the page scroll sideways: elements that end beyond the right edge of the viewport."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
            Array.from(document.querySelectorAll("body *"))
              .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
              .map((element) => location.pathname + ": " + element.outerHTML.slice(0, 120))"""
    )
