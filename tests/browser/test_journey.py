"""The whole way from sign-on to Studio, as people go it."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import NewContext
from tests.browser.stack import Stack
from tests.browser.steps import READY_MS, open_team, sign_on, teams, try_again


def expect_studio(page: Page, stack: Stack, *, profile: str, role: str) -> None:
    """Expect to be on the Studio page of this profile with this role."""
    page.wait_for_url(f"{stack.aws}/**", timeout=READY_MS)
    expect(page.locator("#profile")).to_have_text(profile)
    expect(page.locator("#execution-role")).to_have_text(f"arn:aws:iam::111122223333:role/{role}")


def test_user_opens_both_teams(page: Page, stack: Stack) -> None:
    stack.behave(create_delay=3)
    sign_on(page, stack, "User 1")
    expect(page.get_by_text("known to your identity provider as user1")).to_be_visible()
    assert teams(page) == ["Team 1", "Team 2"]

    open_team(page, "Team 1")
    expect(page).to_have_title("Preparing Team 1 · Studio Portal")
    expect(page.get_by_text("Your Studio profile is being prepared")).to_be_visible()
    expect_studio(page, stack, profile="user1-team1", role="StudioTeam1")

    page.goto(stack.portal)
    expect(page.locator("#tile-team1")).to_contain_text("Ready")
    expect(page.locator("#tile-team2")).to_contain_text("Ready", timeout=READY_MS)
    open_team(page, "Team 2")
    expect_studio(page, stack, profile="user1-team2", role="StudioTeam2")


def test_way_back_from_studio_leads_to_the_teams(page: Page, stack: Stack) -> None:
    stack.behave(create_delay=1)
    sign_on(page, stack, "User 1")
    open_team(page, "Team 1")
    expect_studio(page, stack, profile="user1-team1", role="StudioTeam1")
    page.go_back()
    expect(page.get_by_role("heading", name="Your teams")).to_be_visible()
    expect(page.get_by_role("button", name="Open Studio for Team 1")).to_be_enabled()


def test_other_people_see_their_own_teams_only(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "User 1")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("link", name="Sign on")).to_be_visible()
    sign_on(page, stack, "User 2")
    assert teams(page) == ["Team 2"]


def test_team_of_others_is_not_found(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "User 2")
    # The form of the person's own team, with its CSRF token, is bent to the other team.
    page.locator("#tile-team2 form[data-busy]").evaluate("form => form.action = '/teams/team1/open/'")
    with page.expect_response(f"{stack.portal}/teams/team1/open/") as answer:
        open_team(page, "Team 2")
    assert answer.value.status == 404
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_sign_on_started_at_the_identity_provider(page: Page, stack: Stack) -> None:
    page.goto(stack.idp)
    page.get_by_role("radio", name="User 2").check()
    page.get_by_role("button", name="Team 2 application").click()
    expect_studio(page, stack, profile="user2-team2", role="StudioTeam2")
    page.go_back()
    expect(page.get_by_role("heading", name="Your teams")).to_be_visible()
    assert teams(page) == ["Team 2"]


def test_link_to_a_team_survives_sign_on(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.portal}/t/team2/")
    page.get_by_role("button", name="User 2").click()
    expect_studio(page, stack, profile="user2-team2", role="StudioTeam2")
    # Once for each visit: the way back leads to the teams and stays there.
    page.go_back()
    expect(page.get_by_role("heading", name="Your teams")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Your teams")).to_be_visible()
    page.goto(f"{stack.portal}/t/team2/")
    expect_studio(page, stack, profile="user2-team2", role="StudioTeam2")


def test_link_to_a_team_of_others_is_not_found_after_sign_on(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.portal}/t/team1/")
    page.get_by_role("button", name="User 2").click()
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()


def test_person_without_a_team_learns_whom_to_ask(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "Ada Admin")
    expect(page.get_by_role("heading", name="You are not in a team yet")).to_be_visible()
    expect(page.locator("#subject")).to_have_text("ada")
    page.get_by_role("link", name="Admin").click()
    expect(page).to_have_url(f"{stack.portal}/admin/")


def test_journey_without_scripts(new_context: NewContext, stack: Stack) -> None:
    stack.behave(create_delay=4)
    page = new_context(java_script_enabled=False).new_page()
    sign_on(page, stack, "User 1", scripts=False)
    open_team(page, "Team 1")
    expect(page.get_by_text("Your Studio profile is being prepared")).to_be_visible()
    page.get_by_role("button", name="Open Studio").click(timeout=READY_MS)
    expect_studio(page, stack, profile="user1-team1", role="StudioTeam1")


def test_failed_profile_is_explained_and_can_be_tried_again(page: Page, stack: Stack) -> None:
    stack.behave(create_fails=True, create_delay=0)
    sign_on(page, stack, "User 2")
    open_team(page, "Team 2")
    expect(page.get_by_role("heading", name="Studio could not be opened")).to_be_visible(timeout=READY_MS)
    expect(page.get_by_text("pass on the reference")).to_be_visible()
    stack.behave(create_fails=False)
    try_again(page)
    expect_studio(page, stack, profile="user2-team2", role="StudioTeam2")


def test_keyboard_is_enough(page: Page, stack: Stack) -> None:
    sign_on(page, stack, "User 2")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Open Studio for Team 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect_studio(page, stack, profile="user2-team2", role="StudioTeam2")
