"""Why somebody may open a team, and what is missing where they may not: as data and as a command."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from teams import access, audit, explain, memberships, users
from teams.explain import Explanation
from teams.models import AccessRequest, AuditEvent, Grant, Group, Team, User
from tests.factories import make_mapping, make_team, make_user, role_arn
from tests.teams.admin_clients import client_of
from tests.teams.sources import say_groups, say_teams

pytestmark = pytest.mark.django_db


def why(user: User, team: Team) -> Explanation:
    """Return the explanation, which says what `access` says."""
    user.refresh_from_db()
    found = explain.explain(user, explain.find_team(team.slug))
    assert found.role == access.role_for(user.pk, team.pk)
    assert found.has_access == (not found.missing)
    assert sum(each.decides for each in found.evidence) == found.has_access
    return found


class TestAccess:
    def test_each_piece_of_evidence_with_what_it_rests_on(self) -> None:
        user, team = make_user(), make_team("team1")
        mapping = make_mapping("leads", team, role="leads", priority=5)
        make_mapping("g-2", team, priority=9)
        until = timezone.now() + timedelta(hours=1)
        say_groups(user, "g-1=leads", "g-2", valid_until=until)
        say_teams(user, team, source="saml:other")
        found = why(user, team)
        assert found.role == role_arn(team.domain, "leads")
        first, second, third = found.evidence
        assert (first.source, first.group, first.group_id) == ("saml", "leads", "g-1")
        assert (first.mapping_id, first.mapping, first.priority) == (mapping.pk, "leads", 5)
        assert (first.role, first.until, first.decides, first.over) == (found.role, until, True, False)
        assert (second.mapping, second.role, second.decides) == ("g-2", team.execution_role_arn, False)
        assert (third.source, third.mapping_id, third.group, third.until) == ("saml:other", None, "", None)

    def test_what_was_given_by_hand_says_by_whom_and_why(self) -> None:
        user, team = make_user(), make_team("team1")
        until = timezone.now() + timedelta(days=3)
        memberships.give(user, team, until=until)
        Grant.objects.create(user=user, team=team, reason="audit", given_by="alice", valid_until=until)
        (evidence,) = why(user, team).evidence
        assert (evidence.source, evidence.note, evidence.until) == ("manual", "given by alice: audit", until)

    def test_a_role_that_cannot_be_is_told(self) -> None:
        user, team = make_user(), make_team("team1")
        make_mapping("g-1", team, execution_role_arn="arn:aws:iam::{account}:role/{group}")
        say_groups(user, "g-1=two words")
        (fault,) = why(user, team).role_faults
        assert "not the ARN" in fault


class TestMissing:
    def test_nothing_is_mapped(self) -> None:
        team = make_team("team1")
        assert why(make_user(), team).missing == (
            "No group is mapped to the team.",
            "No sign-on named the team by its SAML team id “team1-id”, and nobody gave access by hand.",
        )

    def test_each_mapping_says_what_it_lacks(self) -> None:
        user, team = make_user(), make_team("team1")
        make_mapping("nowhere", team, priority=3)
        make_mapping("others", team, source="okta", priority=2)
        make_mapping("mine", team, priority=1)
        Group.objects.create(source="okta", external_id="o", name="others")
        say_groups(user, "mine", valid_until=timezone.now() - timedelta(seconds=1))
        found = why(user, team)
        nowhere, others, mine, _ = found.missing
        assert nowhere == "The group “nowhere” is mapped, but no source has named such a group."
        assert others == "The person is not in the mapped group “others” of okta."
        assert mine.startswith("The person was in the mapped group “mine” until ")
        assert [[known.over for known in way.known] for way in found.ways] == [[], [False], [True]]

    def test_evidence_that_has_run_out_is_there_to_see(self) -> None:
        user, team = make_user(), make_team("team1")
        say_teams(user, team, valid_until=timezone.now() + timedelta(minutes=1))
        memberships.end_session(user)
        found = why(user, team)
        assert [each.over for each in found.evidence] == [True]
        assert found.missing[0].startswith("The evidence of saml ran out at ")

    def test_who_was_switched_off_and_by_whom(self) -> None:
        user, team = make_user("user1"), make_team("team1")
        say_teams(user, team)
        with audit.context(actor="system: sync"):
            users.deactivate(user, by="okta")
        (line,) = why(user, team).missing
        assert line.startswith("user1 is inactive, switched off by the source okta at ")
        assert line.endswith("by system: sync.")

    def test_a_person_and_a_team_that_an_admin_switched_off(self) -> None:
        user, team = make_user("user1"), make_team("team1")
        say_teams(user, team)
        client_of("alice").post(f"/admin/teams/user/{user.pk}/change/", NO_INLINES)
        Team.objects.update(is_active=False)
        person, inactive = why(user, team).missing
        assert person.startswith("user1 is inactive, switched off by an admin at ")
        assert person.endswith("by alice.")
        assert inactive == "The team is inactive."

    def test_a_request_that_waits(self) -> None:
        user, team = make_user(), make_team("team1")
        AccessRequest.objects.create(user=user, team=team, reason="please")
        assert why(user, team).missing[-1].startswith("A request of ")

    def test_the_last_removal(self) -> None:
        user, team = make_user(), make_team("team1")
        make_mapping("staff", team)
        say_groups(user, "staff")
        with audit.context(actor="somebody"):
            say_groups(user)
        removal = why(user, team).removal
        assert removal is not None
        assert (removal.actor, removal.source, removal.group) == ("somebody", "saml", "staff")
        assert why(make_user(), team).removal is None

    def test_it_costs_the_same_for_a_large_team(self, django_assert_max_num_queries: Any) -> None:
        user, team = make_user(), make_team("team1")
        make_mapping("staff", team)
        for _ in range(5):
            say_groups(make_user(), "staff")
        with django_assert_max_num_queries(12):
            explain.explain(user, team)


# What the browser sends for the inlines of a person's page, which nobody can edit.
NO_INLINES = {
    f"{prefix}-{form}_FORMS": "0"
    for prefix in ("profiles", "memberships", "group_memberships")
    for form in ("TOTAL", "INITIAL")
}


class TestCommand:
    def run(self, *names: str) -> str:
        out = StringIO()
        call_command("whyaccess", *names, stdout=out)
        return out.getvalue()

    def test_access(self) -> None:
        user, team = make_user("user1", email="user1@example.com"), make_team("team1")
        make_mapping("staff", team, role="staff", priority=4)
        say_groups(user, "g-1=staff")
        for name in ("user1", "User1@Example.com"):
            text = self.run(name, "team1")
            assert f"user1 may open team1, with the role {role_arn(team.domain, 'staff')}." in text
            assert "saml; group staff (id g-1) by the mapping “staff”, priority 4" in text
            assert "[decides]" in text

    def test_no_access_is_an_exit_code_of_its_own(self) -> None:
        user = make_user("user1")
        make_team("team1")
        out = StringIO()
        with pytest.raises(SystemExit) as stopped:
            call_command("whyaccess", user.username, "team1", stdout=out)
        assert stopped.value.code == 1
        assert out.getvalue().startswith("user1 may not open team1.\n  No group is mapped to the team.\n")

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (("nobody", "team1"), "Nobody is known as “nobody”"),
            (("user1", "team9"), "no team with the slug “team9”"),
            (("shared@example.com", "team1"), "Several people have the mail address “shared@example.com”: a, b."),
        ],
    )
    def test_unknown_names(self, names: tuple[str, str], said: str) -> None:
        make_user("user1")
        make_team("team1")
        for subject in ("a", "b"):
            make_user(subject, email="shared@example.com")
        with pytest.raises(CommandError) as refused:
            self.run(*names)
        assert said in str(refused.value)
        assert refused.value.returncode == 2


class TestPage:
    PAGE = "/admin/why/"

    def get(self, name: str, **query: str) -> Any:
        return client_of(name).get(self.PAGE, query)

    @pytest.mark.parametrize("name", ["alice", "bob"])
    def test_admins_and_auditors_read_it(self, name: str) -> None:
        user, team = make_user("user1"), make_team("team1")
        make_mapping("staff", team, role="staff")
        say_groups(user, "staff")
        text = self.get(name, user="user1", team="team1").content.decode()
        assert "user1 may open Team1" in text
        assert role_arn(team.domain, "staff") in text

    @pytest.mark.parametrize(("name", "status"), [("charlie", 403), ("anonymous", 302)])
    def test_nobody_else_does(self, name: str, status: int) -> None:
        make_user("user1")
        make_team("team1")
        response = self.get(name, user="user1", team="team1")
        assert response.status_code == status
        assert b"user1" not in response.content

    def test_what_is_missing(self) -> None:
        make_user("user1")
        make_team("team1")
        text = self.get("alice", user="user1", team="team1").content.decode()
        assert "user1 may not open Team1" in text
        assert "No group is mapped to the team." in text

    def test_it_asks_first(self) -> None:
        response = self.get("alice")
        assert response.status_code == 200
        assert "may open" not in response.content.decode()

    def test_unknown_names_are_told_and_escaped(self) -> None:
        make_team("team1")
        text = self.get("alice", user="<b>x", team="<i>y").content.decode()
        assert "Nobody is known as “&lt;b&gt;x”" in text
        assert "no team with the slug “&lt;i&gt;y”" in text
        assert "<b>x" not in text

    def test_what_no_name_can_hold_is_unknown(self) -> None:
        make_team("team1")
        text = self.get("alice", user="us\x00er", team="te\x00am").content.decode()
        assert "Nobody is known as “user”" in text
        assert "no team with the slug “team”" in text

    def test_it_writes_nothing(self) -> None:
        make_user("user1")
        make_team("team1")
        client = client_of("alice")
        before = AuditEvent.objects.count()
        client.get(self.PAGE, {"user": "user1", "team": "team1"})
        assert AuditEvent.objects.count() == before
        assert client.post(self.PAGE, {"user": "user1"}).status_code == 405

    def test_pages_lead_to_it(self) -> None:
        user, team = make_user("user1"), make_team("team1")
        client: Client = client_of("bob")
        assert "/admin/why/?user=user1" in client.get(f"/admin/teams/user/{user.pk}/change/").content.decode()
        assert "/admin/why/?team=team1" in client.get(f"/admin/teams/team/{team.pk}/change/").content.decode()
        assert 'href="/admin/why/"' in client.get("/admin/").content.decode()
