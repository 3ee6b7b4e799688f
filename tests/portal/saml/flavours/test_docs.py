"""The pages about identity providers say what the product does."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from portal.saml.causes import Cause
from portal.saml.presets import PRESETS

DOCS = Path(settings.BASE_DIR) / "docs"
PAGES = DOCS / "identity-providers"
VENDORS = {
    "identity-center": "iam-identity-center.md",
    "okta": "okta.md",
    "entra": "entra-id.md",
    "keycloak": "keycloak.md",
    "auth0": "auth0.md",
}


def test_every_cause_of_a_refusal_is_explained_once() -> None:
    _, _, table = (PAGES / "README.md").read_text().partition("## When sign-on is refused")
    rows = [line for line in table.splitlines() if line.startswith("| `")]

    explained = [cause for row in rows for cause in re.findall(r"`([a-z_0-9]+)`", row.split("|")[1])]

    assert sorted(explained) == sorted(cause.value for cause in Cause)


@pytest.mark.parametrize("flavour", VENDORS)
def test_the_page_of_a_vendor_names_the_attributes_of_its_preset(flavour: str) -> None:
    text = (PAGES / VENDORS[flavour]).read_text()
    preset = PRESETS[flavour]

    for names in (preset.user, preset.team, preset.groups, preset.email, preset.name):
        assert [name for name in names if f"`{name}`" not in text and not name.startswith("urn:oid:0.9")] == []


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", page.read_text()):
        assert not target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted(set(VENDORS.values()) | {"other.md"}))
def test_every_page_is_in_the_index(page: str) -> None:
    assert f"({page})" in (PAGES / "README.md").read_text()
