"""Role mappings in the admin: what is refused, what the pages say, and that nobody is surprised by a change."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client

from teams import access, outcomes
from teams.models import AuditEvent, Group, Membership, RoleMapping, Team, User
from teams.signals import access_changed
from tests.factories import make_mapping, make_team, make_user, role_arn
from tests.teams.admin_clients import client_of, errors, events, inline
from tests.teams.sources import say_groups

pytestmark = pytest.mark.django_db

Committed = Callable[[], AbstractContextManager[Any]]
MAPPINGS = "/admin/teams/rolemapping/"
ADD = f"{MAPPINGS}add/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="sent")
def _sent() -> Iterator[list[frozenset[int]]]:
    """Collect the user ids of every `access_changed`."""
    sent: list[frozenset[int]] = []

    def receive(user_ids: frozenset[int], **kwargs: object) -> None:
        sent.append(user_ids)

    access_changed.connect(receive)
    yield sent
    access_changed.disconnect(receive)


def values(team: Team, **changes: str) -> dict[str, str]:
    """Return what the browser sends for a mapping."""
    data = {"group": "staff", "source": "", "team": str(team.pk), "execution_role_arn": "", "priority": "0"}
    return {**data, **changes}


def agree(client: Client, url: str, data: dict[str, Any]) -> Any:
    """Send a form, and what the page that asks sends then; return the answer to that."""
    page = client.post(url, data)
    assert page.status_code == 200
    assert page.context["outcome"]
    name, digest = page.context["agreed"]
    sent = dict(page.context["values"]) if "values" in page.context else data
    return client.post(url, {**sent, name: digest})


def shown(page: Any) -> dict[str, list[tuple[str, str | None, str | None]]]:
    """Return the people of a page that asks, with the names of their roles before and after."""
    outcome = page.context["outcome"]
    return {
        kind: [(each.username, _name(each.before), _name(each.after)) for each in getattr(outcome, kind).people]
        for kind in ("gains", "losses", "changes")
        if getattr(outcome, kind).number
    }


def _name(arn: str | None) -> str | None:
    return arn and arn.rpartition("/")[2]


def in_group(*groups: str, subject: str | None = None) -> User:
    user = make_user(subject)
    say_groups(user, *groups)
    return user


class TestForm:
    def test_twice_the_same_is_refused(self, alice: Client) -> None:
        team = make_team("team1")
        make_mapping("staff", team)
        found = errors(alice.post(ADD, values(team)))
        assert found["__all__"] == ["Role mapping with this Source, Group and Team already exists."]

    def test_a_role_of_another_account_is_refused(self, alice: Client) -> None:
        data = values(make_team("team1"), execution_role_arn="arn:aws:iam::999999999999:role/x")
        (found,) = errors(alice.post(ADD, data))["execution_role_arn"]
        assert "another account" in found

    def test_a_team_that_is_gone_is_refused(self, alice: Client) -> None:
        assert "team" in errors(alice.post(ADD, {**values(make_team("team1")), "team": "0"}))

    @pytest.mark.parametrize("template", ["arn:aws:iam::{account}:role/{name}", "arn:aws:iam::{account}:role/{group"])
    def test_other_braces_are_refused(self, alice: Client, template: str) -> None:
        (found,) = errors(alice.post(ADD, values(make_team(), execution_role_arn=template)))["execution_role_arn"]
        assert found == "Only {account}, {team} and {group} may stand in braces."

    def test_a_template_is_kept_as_it_is(self, alice: Client) -> None:
        template = "arn:aws:iam::{account}:role/{team}-{group}"
        assert alice.post(ADD, values(make_team(), execution_role_arn=template)).status_code == 302
        assert RoleMapping.objects.get().execution_role_arn == template

    def test_known_groups_for_which_it_gives_no_role_are_named(self, alice: Client) -> None:
        team = make_team("team1")
        Group.objects.create(source="okta", external_id="g-1", name="Data Science")
        Group.objects.create(source="saml", external_id="g-1", name="DataScience")
        template = "arn:aws:iam::{account}:role/{group}"
        (found,) = errors(alice.post(ADD, values(team, group="g-1", execution_role_arn=template)))["execution_role_arn"]
        assert found.startswith("For the group “Data Science” of okta this gives ")
        assert role_arn(team.domain, "Data Science") in found
        assert "is not the ARN of an IAM role" in found
        good = values(team, group="g-1", source="saml", execution_role_arn=template)
        assert alice.post(ADD, good).status_code == 302

    def test_only_some_of_many_wrong_groups_are_named(self, alice: Client) -> None:
        for number in range(7):
            Group.objects.create(source=f"source{number}", external_id="g-1", name="two words")
        data = values(make_team(), group="g-1", execution_role_arn="arn:aws:iam::{account}:role/{group}")
        found = errors(alice.post(ADD, data))["execution_role_arn"]
        assert len(found) == 6
        assert found[-1] == "And 2 more groups."

    def test_a_template_that_is_too_long_by_itself(self, alice: Client) -> None:
        data = values(make_team("t" * 40), execution_role_arn="arn:aws:iam::{account}:role/{team}-" + "x" * 30)
        (found,) = errors(alice.post(ADD, data))["execution_role_arn"]
        assert "IAM allows 64" in found


class TestPages:
    def test_the_list_counts_people_and_those_for_whom_another_mapping_decides(self, alice: Client) -> None:
        team = make_team("team1")
        low = make_mapping("staff", team, role="low")
        high = make_mapping("leads", team, role="high", priority=5)
        make_mapping("nobody", team)
        in_group("staff")
        say_groups(make_user(is_active=False), "staff", "leads")
        in_group("staff", "leads")
        rows = {row.pk: row.reach for row in alice.get(MAPPINGS).context["cl"].result_list}
        assert (rows[low.pk].people, rows[low.pk].overruled) == (2, 1)
        assert (rows[high.pk].people, rows[high.pk].overruled) == (1, 0)
        assert sorted(each.people for each in rows.values()) == [0, 1, 2]

    def test_the_list_costs_no_more_queries_for_more_mappings(
        self, alice: Client, django_assert_max_num_queries: Any
    ) -> None:
        team = make_team("team1")
        for number in range(20):
            make_mapping(f"group{number}", team)
        with django_assert_max_num_queries(9):
            alice.get(MAPPINGS)

    def test_the_losers_are_named_with_the_winner(self, alice: Client) -> None:
        team = make_team("team1")
        low = make_mapping("staff", team, role="low")
        make_mapping("leads", team, role="high", priority=5)
        in_group("staff", "leads", subject="user1")
        in_group("staff", subject="user2")
        page = alice.get(f"{MAPPINGS}{low.pk}/change/")
        text = page.content.decode()
        assert "2 with access by it; for 1 of them another mapping decides the role." in text
        assert ">user1</a>" in text
        assert ">leads</a> (priority 5) gives" in text
        assert role_arn(team.domain, "high") in text
        assert ">user2</a>" not in text
        assert not inline(page)

    def test_only_so_many_losers_are_named(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("teams.admin.mappings.MAX_OVERRULED", 2)
        team = make_team("team1")
        low = make_mapping("staff", team)
        make_mapping("leads", team, role="high")
        for _ in range(3):
            in_group("staff", "leads")
        assert "and 1 more" in alice.get(f"{MAPPINGS}{low.pk}/change/").content.decode()

    def test_known_groups_are_shown_with_their_role(self, alice: Client) -> None:
        team = make_team("team1")
        mapping = make_mapping("g-1", team, execution_role_arn="arn:aws:iam::{account}:role/{group}")
        page = f"{MAPPINGS}{mapping.pk}/change/"
        assert "None yet" in alice.get(page).content.decode()
        Group.objects.create(source="okta", external_id="g-1", name="Science")
        text = alice.get(page).content.decode()
        assert "Science of okta" in text
        assert role_arn(team.domain, "Science") in text

    def test_names_of_groups_are_escaped(self, alice: Client) -> None:
        mapping = make_mapping("g-1", make_team("team1"))
        Group.objects.create(source="okta", external_id="g-1", name="<b>Science")
        text = alice.get(f"{MAPPINGS}{mapping.pk}/change/").content.decode()
        assert "<b>Science" not in text
        assert "&lt;b&gt;Science" in text

    def test_an_auditor_sees_it_too(self) -> None:
        mapping = make_mapping("staff", make_team("team1"))
        in_group("staff")
        assert "1 with access by it" in client_of("bob").get(f"{MAPPINGS}{mapping.pk}/change/").content.decode()

    def test_the_persons_page_marks_what_decides(self, alice: Client) -> None:
        team = make_team("team1")
        make_mapping("staff", team, role="low")
        make_mapping("leads", team, role="high", priority=5)
        user = in_group("staff", "leads")
        formset = alice.get(f"/admin/teams/user/{user.pk}/change/").context["inline_admin_formsets"]
        (rows,) = [each.formset.queryset for each in formset if each.formset.model is Membership]
        assert {row.mapping.group: (_name(row.role), row.winner == row.pk) for row in rows} == {
            "staff": ("low", False),
            "leads": ("high", True),
        }


class TestQuestion:
    def test_a_mapping_that_concerns_nobody_is_saved_at_once(self, alice: Client) -> None:
        assert alice.post(ADD, values(make_team("team1"))).status_code == 302
        assert RoleMapping.objects.exists()

    def test_nothing_is_saved_before_somebody_agreed(
        self, alice: Client, sent: list[frozenset[int]], committed: Committed
    ) -> None:
        in_group("staff", subject="user1")
        team = make_team("team1")
        before = AuditEvent.objects.count()
        with committed():
            page = alice.post(ADD, values(team))
        assert shown(page) == {"gains": [("user1", None, "team1-role")]}
        assert "1 person gains access" in page.content.decode()
        assert not inline(page)
        assert not RoleMapping.objects.exists()
        assert not Membership.objects.exists()
        assert AuditEvent.objects.count() == before
        assert not sent

    def test_memberships_follow_at_once(self, alice: Client) -> None:
        user, team, other = make_user("user1"), make_team("team1"), make_team("team2")
        say_groups(user, "staff")
        assert agree(alice, ADD, values(team)).status_code == 302
        assert [each.team for each in Membership.objects.all()] == [team]
        mapping = RoleMapping.objects.get()
        assert agree(alice, f"{MAPPINGS}{mapping.pk}/change/", values(other)).status_code == 302
        assert [each.team for each in Membership.objects.all()] == [other]
        page = f"{MAPPINGS}{mapping.pk}/delete/"
        assert "memberships that rest on it: 1" in alice.get(page).content.decode()
        assert agree(alice, page, {"post": "yes"}).status_code == 302
        assert not Membership.objects.exists()
        assert sorted((event.action, event.team) for event in events(actor="alice")) == [
            ("changed", "team2"),
            ("created", "team1"),
            ("deleted", "team2"),
            ("membership_added", "team1"),
            ("membership_added", "team2"),
            ("membership_removed", "team1"),
            ("membership_removed", "team2"),
        ]
        (changed,) = events(action=AuditEvent.Action.CHANGED)
        assert changed.data == {"before": {"team": "team1"}, "after": {"team": "team2"}}

    def test_who_gains_loses_and_gets_another_role(self, alice: Client) -> None:
        team, other = make_team("team1"), make_team("team2")
        mapping = make_mapping("staff", team, role="low")
        make_mapping("leads", other)
        make_mapping("leads", team)
        in_group("staff", subject="loses")
        in_group("staff", "leads", subject="changes")
        url = f"{MAPPINGS}{mapping.pk}/change/"
        page = alice.post(url, values(other, execution_role_arn=role_arn(other.domain, "new")))
        assert shown(page) == {
            "gains": [("loses", None, "new")],
            "losses": [("loses", "low", None)],
            "changes": [("changes", "low", "team1-role"), ("changes", "team2-role", "new")],
        }

    def test_a_priority_that_changes_a_role(self, alice: Client) -> None:
        team = make_team("team1")
        one = make_mapping("staff", team, role="one", priority=1)
        make_mapping("leads", team, role="two", priority=2)
        user = in_group("staff", "leads", subject="user1")
        data = values(team, execution_role_arn=one.execution_role_arn, priority="3")
        url = f"{MAPPINGS}{one.pk}/change/"
        assert shown(alice.post(url, data)) == {"changes": [("user1", "two", "one")]}
        assert _name(access.role_for(user.pk, team.pk)) == "two"
        assert agree(alice, url, data).status_code == 302
        assert _name(access.role_for(user.pk, team.pk)) == "one"

    def test_another_outcome_than_was_shown_is_shown_again(self, alice: Client) -> None:
        in_group("staff", subject="user1")
        data = values(make_team("team1"))
        name, digest = alice.post(ADD, data).context["agreed"]
        in_group("staff", subject="user2")
        page = alice.post(ADD, {**data, name: digest})
        assert "has changed since it was shown" in page.content.decode()
        assert page.context["outcome"].gains.number == 2
        assert not RoleMapping.objects.exists()
        name, digest = page.context["agreed"]
        assert alice.post(ADD, {**data, name: digest}).status_code == 302

    def test_an_outcome_that_came_to_nothing_is_shown_too(self, alice: Client) -> None:
        user = in_group("staff", subject="user1")
        data = values(make_team("team1"))
        name, digest = alice.post(ADD, data).context["agreed"]
        say_groups(user)
        page = alice.post(ADD, {**data, name: digest})
        assert "Nobody gains or loses access" in page.content.decode()
        assert not RoleMapping.objects.exists()

    def test_other_values_than_were_shown_are_not_saved(self, alice: Client) -> None:
        in_group("staff", subject="user1")
        data = values(make_team("team1"))
        name, digest = alice.post(ADD, data).context["agreed"]
        assert alice.post(ADD, {**data, "priority": "7", name: digest}).status_code == 200
        assert not RoleMapping.objects.exists()

    @pytest.mark.parametrize(
        ("button", "ends"), [("_save", MAPPINGS), ("_addanother", ADD), ("_continue", "/change/"), ("_popup", "")]
    )
    def test_every_button_does_what_it_says_after_the_question(self, alice: Client, button: str, ends: str) -> None:
        in_group("staff")
        response = agree(alice, ADD, {**values(make_team("team1")), button: "1"})
        assert RoleMapping.objects.exists()
        if button == "_popup":
            assert response.status_code == 200
            assert "popup_response" in response.content.decode()
        else:
            assert response["Location"].endswith(ends)

    def test_the_form_comes_back_filled_in(self, alice: Client) -> None:
        in_group("staff")
        page = alice.post(ADD, values(make_team("team1"), priority="7"))
        form = alice.get(page.context["back"]).context["adminform"].form
        assert (form.initial["group"], form.initial["priority"]) == ("staff", "7")

    def test_only_so_many_are_named_and_all_are_counted(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outcomes, "MAX_NAMES", 2)
        for _ in range(3):
            in_group("staff")
        text = alice.post(ADD, values(make_team("team1"))).content.decode()
        assert "3 people gain access" in text
        assert "And 1 more." in text

    def test_what_was_typed_is_escaped(self, alice: Client) -> None:
        in_group('"><script>')
        page = alice.post(ADD, values(make_team("team1"), group='"><script>'))
        assert '"><script>' not in page.content.decode()
        assert not inline(page)

    def test_nobody_else_is_asked(self) -> None:
        in_group("staff")
        team = make_team("team1")
        mapping = make_mapping("staff", team)
        for name in ("bob", "charlie"):
            client = client_of(name)
            assert client.post(ADD, values(team)).status_code == 403
            assert client.post(f"{MAPPINGS}{mapping.pk}/delete/", {"post": "yes"}).status_code == 403

    def test_no_membership_without_the_audit_row_of_the_mapping(
        self, alice: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_group("staff")

        def broken(**kwargs: object) -> None:
            raise RuntimeError("no remap")

        monkeypatch.setattr("teams.memberships.remap", broken)
        with pytest.raises(RuntimeError):
            alice.post(ADD, values(make_team("team1")))
        assert not RoleMapping.objects.exists()
        assert not events(action=AuditEvent.Action.CREATED)


class TestDelete:
    def test_who_loses_two_teams_is_one_person(self, alice: Client) -> None:
        chosen = [str(make_mapping("staff", make_team(slug)).pk) for slug in ("team1", "team2")]
        in_group("staff", subject="user1")
        page = alice.post(MAPPINGS, {"action": "delete_selected", "_selected_action": chosen})
        assert "1 person loses access" in page.content.decode()
        assert len(shown(page)["losses"]) == 2

    def test_the_page_names_people_and_nothing_is_deleted_by_looking(
        self, alice: Client, sent: list[frozenset[int]], committed: Committed
    ) -> None:
        team = make_team("team1")
        mapping = make_mapping("staff", team)
        in_group("staff", subject="user1")
        before = AuditEvent.objects.count()
        with committed():
            page = alice.get(f"{MAPPINGS}{mapping.pk}/delete/")
        assert shown(page) == {"losses": [("user1", "team1-role", None)]}
        assert not inline(page)
        assert Membership.objects.exists()
        assert AuditEvent.objects.count() == before
        assert not sent

    def test_a_deletion_that_nobody_was_shown_is_asked_about(self, alice: Client) -> None:
        mapping = make_mapping("staff", make_team("team1"))
        in_group("staff", subject="user1")
        page = alice.post(f"{MAPPINGS}{mapping.pk}/delete/", {"post": "yes"})
        assert "1 person loses access" in page.content.decode()
        assert "has changed since" not in page.content.decode()
        assert RoleMapping.objects.exists()
        name, digest = page.context["agreed"]
        in_group("staff", subject="user2")
        page = alice.post(f"{MAPPINGS}{mapping.pk}/delete/", {"post": "yes", name: digest})
        assert "has changed since" in page.content.decode()
        assert "2 people lose access" in page.content.decode()
        assert RoleMapping.objects.exists()

    def test_a_mapping_that_concerns_nobody_goes_at_once(self, alice: Client) -> None:
        mapping = make_mapping("staff", make_team("team1"))
        assert alice.post(f"{MAPPINGS}{mapping.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not RoleMapping.objects.exists()

    def test_several_at_once_are_asked_about_together(self, alice: Client) -> None:
        team = make_team("team1")
        chosen = [str(make_mapping(group, team).pk) for group in ("staff", "leads")]
        make_mapping("others", team)
        in_group("staff", "leads", subject="loses")
        in_group("staff", "others", subject="stays")
        data = {"action": "delete_selected", "_selected_action": chosen}
        page = alice.post(MAPPINGS, data)
        assert shown(page) == {"losses": [("loses", "team1-role", None)]}
        assert not inline(page)
        page = alice.post(MAPPINGS, {**data, "post": "yes"})
        assert shown(page) == {"losses": [("loses", "team1-role", None)]}
        assert RoleMapping.objects.count() == 3
        name, digest = page.context["agreed"]
        assert alice.post(MAPPINGS, {**data, "post": "yes", name: digest}).status_code == 302
        assert [mapping.group for mapping in RoleMapping.objects.all()] == ["others"]
        assert len(events(action=AuditEvent.Action.DELETED)) == 2
