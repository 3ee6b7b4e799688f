"""Every page: accessible in light and dark, no sideways scrolling, nothing from elsewhere, no cookie for scripts."""

import json

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.accessibility import overflow, violations
from tests.browser.conftest import NewContext
from tests.browser.stack import Stack
from tests.browser.steps import READY_MS, open_team, sign_on

NARROW = ViewportSize(width=320, height=640)


def inspect(page: Page) -> list[str]:
    """Return what is wrong with this page: rules broken in either colour scheme, and scrolling at 320 pixels."""
    wide = page.viewport_size
    found = violations(page)
    page.set_viewport_size(NARROW)
    found += overflow(page)
    if wide:
        page.set_viewport_size(wide)
    return found


def test_pages_without_a_session(page: Page, stack: Stack) -> None:
    found = []
    for path, heading in (("/", "Sign on to open Studio"), ("/nowhere/", "Page not found"), ("/admin/login/", "")):
        page.goto(f"{stack.portal}{path}")
        expect(page.get_by_role("heading", name=heading).first).to_be_visible()
        found += inspect(page)
    assert found == []


def test_pages_of_a_user(page: Page, stack: Stack) -> None:
    stack.behave(create_delay=3)
    sign_on(page, stack, "User 2")
    found = inspect(page)
    expect(page.locator("#tile-team2")).to_contain_text("Ready", timeout=READY_MS)
    # Made three times before the portal gives up: long enough to look at the page that waits.
    stack.behave(create_fails=True, create_delay=4)
    stack.forget_profiles()
    open_team(page, "Team 2")
    expect(page.get_by_text("Your Studio profile is being prepared")).to_be_visible()
    found += inspect(page)
    expect(page.get_by_role("heading", name="Studio could not be opened")).to_be_visible(timeout=READY_MS)
    found += inspect(page)
    assert found == []


def test_launch_that_aws_refuses(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "User 1")
    expect(page.locator("#tile-team1")).to_contain_text("Ready", timeout=READY_MS)
    stack.behave(fail_next={"CreatePresignedDomainUrl": ["AccessDeniedException"]})
    open_team(page, "Team 1")
    expect(page.get_by_role("heading", name="Team 1 could not be opened")).to_be_visible()
    assert inspect(page) == []


def test_page_of_a_person_without_a_team(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "Ada Admin")
    assert inspect(page) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        "teams/team/",
        "teams/team/add/",
        "teams/team/1/change/",
        "teams/rolemapping/",
        "teams/rolemapping/add/",
        "teams/rolemapping/1/change/",
        "teams/tagconstant/",
        "team-form/team1/",
        "teams/user/",
        "teams/grant/",
        "teams/grant/add/",
        "teams/accessrequest/",
        "why/",
        "why/?user=ada&team=team1",
        "access-review/",
        "access-review/?team=team1",
        "policies/",
        "policies/?principal=arn:aws:iam::111122223333:role/StudioPortal&ips=192.0.2.0/24&account=111122223333",
        "policies/?vpces=nonsense",
        "provisioning/profile/",
        "provisioning/quotaalarm/",
        "provisioning/price/import/",
        "provisioning/budgetmonth/",
        "costs/?by=apps",
        "provisioning/runningapp/",
        "provisioning/studiospace/",
        "provisioning/domainscan/",
        "provisioning/reconciliation/",
        "provisioning/reconcileitem/",
        "teams/auditevent/",
    ],
)
def test_admin_pages(admin_page: Page, stack: Stack, path: str) -> None:
    response = admin_page.goto(f"{stack.portal}/admin/{path}")
    assert response
    assert response.status == 200
    assert inspect(admin_page) == []


def test_policies_are_copied_as_they_are(new_context: NewContext, admin_state: dict, stack: Stack) -> None:
    page = new_context(storage_state=admin_state, permissions=["clipboard-read", "clipboard-write"]).new_page()
    page.goto(f"{stack.portal}/admin/policies/")
    page.get_by_role("button", name="Copy Portal role in Demo account: permissions").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert "PassExecutionRoles" in [statement["Sid"] for statement in copied["Statement"]]


def test_preflight(admin_page: Page, stack: Stack) -> None:
    admin_page.goto(f"{stack.portal}/admin/preflight/")
    found = inspect(admin_page)
    admin_page.get_by_role("button", name="Ask AWS now").click()
    expect(admin_page.get_by_role("heading", name="Nothing is missing")).to_be_visible(timeout=READY_MS)
    found += inspect(admin_page)
    stack.behave(fail_next={"DescribeDomain": ["AccessDeniedException"], "GetRole": ["AccessDeniedException"]})
    admin_page.get_by_role("button", name="Ask AWS now").click()
    expect(admin_page.get_by_role("heading", name="1 thing is missing")).to_be_visible(timeout=READY_MS)
    assert found + inspect(admin_page) == []


@pytest.fixture(scope="module")
def admin_state(browser: Browser, stack: Stack) -> dict:
    """Sign Ada on once; the admin tests share her session."""
    context = browser.new_context()
    sign_on(context.new_page(), stack, "Ada Admin")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def admin_page(new_context: NewContext, admin_state: dict) -> Page:
    return new_context(storage_state=admin_state).new_page()


def test_scripts_cannot_read_a_cookie(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "User 1")
    cookies = [cookie for cookie in page.context.cookies() if str(cookie.get("name")).startswith("portal")]
    assert {cookie.get("name") for cookie in cookies} >= {"portal_session", "portal_csrf"}
    assert all(cookie.get("httpOnly") and cookie.get("sameSite") in ("Lax", "Strict") for cookie in cookies)
    assert page.evaluate("document.cookie") == ""


def test_policy_allows_nothing_inline(page: Page, stack: Stack) -> None:
    for path in ("/", "/nowhere/", "/admin/login/"):
        response = page.goto(f"{stack.portal}{path}")
        assert response
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy
