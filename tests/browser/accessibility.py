"""axe-core, as axe-playwright-python ships it, with the rules of WCAG 2.2 AA."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


# What colours can break; the other rules see the same page in light and dark.
COLOUR_RULES = ("color-contrast", "link-in-text-block")
# A page that stands behind another one may never be drawn, and its transitions never end.
SETTLED = """() => Promise.race([
    Promise.all(document.getAnimations()
        .filter((animation) => animation instanceof CSSTransition).map((animation) => animation.finished)),
    new Promise((resolve) => setTimeout(resolve, 3000)),
])"""


def violations(page: Page) -> list[str]:
    """Return one line per rule that the page breaks, in light or in dark: the rule and the elements."""
    page.bring_to_front()
    page.emulate_media(color_scheme="light")
    found = _run(page, {"type": "tag", "values": TAGS})
    page.emulate_media(color_scheme="dark")
    return found + _run(page, {"type": "rule", "values": COLOUR_RULES})


def _run(page: Page, rules: dict[str, Any]) -> list[str]:
    page.evaluate(SETTLED)
    # Loading the style sheets once more would itself break the pages' policy; no rule among these needs it.
    found = Axe().run(page, options={"runOnly": rules, "preload": False}).response["violations"]
    return [f"{page.url} {rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


def overflow(page: Page) -> list[str]:
    """Return what makes the page scroll sideways: elements that end beyond the right edge of the viewport."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
            Array.from(document.querySelectorAll("body *"))
              .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
              .map((element) => location.pathname + ": " + element.outerHTML.slice(0, 120))"""
    )
