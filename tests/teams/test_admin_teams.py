"""Teams, tags and role mappings in the admin: what is saved, what is refused with which words, what the log says."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client

from provisioning.models import Profile
from teams import audit
from teams.models import AuditEvent, Domain, Membership, RoleMapping, Team, TeamTag
from teams.signals import access_changed
from tests.factories import make_domain, make_mapping, make_team, make_user, role_arn
from tests.teams.admin_clients import client_of, errors, events, inline, tags
from tests.teams.sources import say_groups

pytestmark = pytest.mark.django_db

Committed = Callable[[], AbstractContextManager[Any]]
LIST = "/admin/teams/team/"
MAPPINGS = "/admin/teams/rolemapping/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="sent")
def _sent() -> Iterator[list[frozenset[int]]]:
    """Collect the team ids of every `access_changed`."""
    sent: list[frozenset[int]] = []

    def receive(team_ids: frozenset[int], **kwargs: object) -> None:
        sent.append(team_ids)

    access_changed.connect(receive)
    yield sent
    access_changed.disconnect(receive)


def filled(domain: Domain, **changes: str) -> dict[str, str]:
    """Return what the browser sends for a good new team."""
    data = {
        "name": "Data Science",
        "slug": "",
        "saml_id": "",
        "description": "Models",
        "contact": "",
        "is_active": "on",
        "domain": str(domain.pk),
        "execution_role_arn": role_arn(domain, "science"),
        "session_duration": "28800",
        "url_lifetime": "60",
        "grace_days": "14",
        "user_settings": "{}",
    }
    return {**data, **changes}


def as_it_is(team: Team, **changes: str) -> dict[str, str]:
    """Return what the browser sends for a team whose form nobody touched."""
    plain = ("name", "saml_id", "description", "contact", "execution_role_arn", "session_duration", "url_lifetime")
    data = {name: str(getattr(team, name)) for name in (*plain, "grace_days")}
    settings = json.dumps(team.user_settings) if team.user_settings else ""
    return {**data, "is_active": "on", "domain": str(team.domain_id), "user_settings": settings, **changes}


class TestCreate:
    def test_slug_and_saml_id_follow_from_the_name(
        self, alice: Client, sent: list[frozenset[int]], committed: Committed
    ) -> None:
        domain = make_domain()
        with committed():
            response = alice.post(f"{LIST}add/", filled(domain) | tags(("Cost", "42"), ("Unit", "")))
        assert response.status_code == 302
        team = Team.objects.get()
        assert (team.slug, team.saml_id, team.session_duration) == ("data-science", "data-science", 28800)
        assert dict(team.tags.values_list("key", "value")) == {"Cost": "42", "Unit": ""}
        (event,) = events(action=AuditEvent.Action.CREATED)
        assert (event.actor, event.target, event.team) == ("alice", "team: data-science", "data-science")
        assert event.data["before"] == {}
        assert event.data["after"]["tags"] == {"Cost": "42", "Unit": ""}
        assert event.data["after"]["domain"] == f"{domain.domain_id} in eu-west-1"
        assert event.request_id
        assert sent == [frozenset({team.pk})]

    def test_the_slug_is_made_while_the_name_is_typed(self, alice: Client) -> None:
        page = alice.get(f"{LIST}add/").content.decode()
        assert "data-prepopulated-fields" in page
        assert "Empty: made from the name." in page

    @pytest.mark.parametrize("name", ["数据", "!!!"])
    def test_a_name_that_gives_no_slug_asks_for_one(self, alice: Client, name: str) -> None:
        found = errors(alice.post(f"{LIST}add/", filled(make_domain(), name=name) | tags()))
        assert found["slug"] == ["No slug can be made from this name; give one."]

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("name", "", "This field is required."),
            ("slug", "Data", "Use lower-case letters"),
            ("slug", "a--b", "Use lower-case letters"),
            ("slug", "x" * 41, "at most 40 characters"),
            ("domain", "0", "Select a valid choice"),
            ("execution_role_arn", "no-arn", ""),
            ("execution_role_arn", "arn:aws:iam::999999999999:role/x", "another account than the domain"),
            ("session_duration", "60", "greater than or equal to 1800"),
            ("session_duration", "99999999999999999999", "less than or equal to 43200"),
            ("url_lifetime", "301", "less than or equal to 300"),
            ("user_settings", '{"ExecutionRole": "arn:aws:iam::111122223333:role/x"}', "Set the role in"),
            ("user_settings", '{"NoSuchMember": 1}', "NoSuchMember"),
            ("user_settings", '["a"]', ""),
            ("user_settings", '{"a": ', "This is not valid JSON: Expecting value in line 1, column 7."),
            ("user_settings", '{"SecurityGroups": [], "SecurityGroups": []}', "“SecurityGroups” appears twice"),
            ("user_settings", '{"SecurityGroups": NaN}', "NaN is not a number in JSON."),
            ("user_settings", '{"SecurityGroups": ["\\u0000"]}', "no text"),
            ("user_settings", '{"SecurityGroups": ["\\ud800"]}', "no text"),
            ("user_settings", "[" * 100_000, "nested too deeply"),
            ("user_settings", "9" * 5000, ""),
        ],
    )
    def test_faults_are_told_at_their_field(self, alice: Client, field: str, value: str, message: str) -> None:
        found = errors(alice.post(f"{LIST}add/", {**filled(make_domain()), field: value, **tags()}))
        assert message in " ".join(found[field])
        assert not Team.objects.exists()
        assert not events(action=AuditEvent.Action.CREATED)

    def test_malformed_json_is_shown_again_as_it_was_typed(self, alice: Client) -> None:
        typed = '{"a":\n   <oops>'
        page = alice.post(f"{LIST}add/", filled(make_domain(), user_settings=typed) | tags()).content.decode()
        assert "{&quot;a&quot;:\n   &lt;oops&gt;</textarea>" in page

    def test_what_is_taken_is_told(self, alice: Client) -> None:
        make_team("data-science", saml_id="other")
        found = errors(alice.post(f"{LIST}add/", filled(make_domain(), saml_id="other") | tags()))
        assert found == {
            "slug": ["Team with this Slug already exists."], "saml_id": ["Team with this SAML team id already exists."]
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ((("Cost", "1"), ("COST", "2")), "case does not count"),
            ((("owner", "me"),), "The portal sets this tag itself."),
            ((("Managed-By", "me"),), "The portal sets this tag itself."),
            ((("aws:x", "1"),), "reserved by AWS"),
            ((("a*b", "1"),), ""),
        ],
    )
    def test_tags_that_aws_would_refuse(self, alice: Client, rows: Any, message: str) -> None:
        response = alice.post(f"{LIST}add/", filled(make_domain()) | tags(*rows))
        formset = response.context["inline_admin_formsets"][0].formset
        assert message in str(formset.errors)
        assert formset.total_error_count()
        assert not Team.objects.exists()

    def test_forged_forms_are_refused_and_no_error(self, alice: Client) -> None:
        for broken in ({"tags-TOTAL_FORMS": "x"}, {}, {"tags-TOTAL_FORMS": "99999", "tags-INITIAL_FORMS": "5"}):
            assert alice.post(f"{LIST}add/", filled(make_domain()) | broken).status_code == 200
        assert not Team.objects.exists()


class TestChange:
    def test_only_what_changed_is_in_the_log(
        self, alice: Client, sent: list[frozenset[int]], committed: Committed
    ) -> None:
        team = make_team("team1", session_duration=28800, user_settings={"SecurityGroups": ["sg-1"]})
        cost, unit = (TeamTag.objects.create(team=team, key=key, value="1") for key in ("Cost", "Unit"))
        data = as_it_is(team, session_duration="43200", user_settings='{"SecurityGroups": ["sg-2"]}')
        rows = tags(("Cost", "2"), ("Unit", "1"), ("New", "x"), pks=(cost.pk, unit.pk), **{"tags-1-DELETE": "on"})
        with committed():
            assert alice.post(f"{LIST}{team.pk}/change/", data | rows).status_code == 302
        (event,) = events(action=AuditEvent.Action.CHANGED)
        assert event.target == "team: team1"
        assert event.data == {
            "before": {
                "session_duration": 28800,
                "tags": {"Cost": "1", "Unit": "1"},
                "user_settings": {"SecurityGroups": ["sg-1"]},
            },
            "after": {
                "session_duration": 43200,
                "tags": {"Cost": "2", "New": "x"},
                "user_settings": {"SecurityGroups": ["sg-2"]},
            },
        }
        assert sent == [frozenset({team.pk})]

    def test_saving_without_a_change_says_nothing(
        self, alice: Client, sent: list[frozenset[int]], committed: Committed
    ) -> None:
        team = make_team("team1", user_settings={"SecurityGroups": ["sg-1"]})
        with committed():
            assert alice.post(f"{LIST}{team.pk}/change/", as_it_is(team) | tags()).status_code == 302
        assert not events()
        assert not sent

    def test_the_slug_stays(self, alice: Client) -> None:
        team = make_team("team1")
        alice.post(f"{LIST}{team.pk}/change/", as_it_is(team, slug="team2", name="New") | tags())
        team.refresh_from_db()
        assert (team.slug, team.name) == ("team1", "New")

    def test_a_tag_may_change_its_case_while_the_old_one_goes(self, alice: Client) -> None:
        team = make_team("team1")
        old = TeamTag.objects.create(team=team, key="cost", value="1")
        rows = tags(("cost", "1"), ("Cost", "1"), pks=(old.pk,), **{"tags-0-DELETE": "on"})
        assert alice.post(f"{LIST}{team.pk}/change/", as_it_is(team) | rows).status_code == 302
        assert [tag.key for tag in team.tags.all()] == ["Cost"]

    def test_a_domain_in_another_account_needs_the_mappings_roles_to_move_too(self, alice: Client) -> None:
        team, other = make_team("team1"), make_domain()
        make_mapping("leads", team, role="leads")
        data = as_it_is(team, domain=str(other.pk), execution_role_arn=role_arn(other, "x")) | tags()
        found = errors(alice.post(f"{LIST}{team.pk}/change/", data))
        assert found["domain"] == ["Role mappings of this team name roles of another account: leads."]

    def test_no_change_without_its_audit_row(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        team = make_team("team1")

        def broken(*args: object, **kwargs: object) -> None:
            raise RuntimeError("no audit")

        monkeypatch.setattr(audit, "record", broken)
        with pytest.raises(RuntimeError):
            alice.post(f"{LIST}{team.pk}/change/", as_it_is(team, name="New") | tags(("Cost", "1")))
        with pytest.raises(RuntimeError):
            alice.post(f"{LIST}add/", filled(team.domain) | tags())
        with pytest.raises(RuntimeError):
            alice.post(f"{LIST}{team.pk}/delete/", {"post": "yes"})
        with pytest.raises(RuntimeError):
            alice.post(LIST, {"action": "delete_selected", "_selected_action": str(team.pk), "post": "yes"})
        (kept,) = Team.objects.all()
        assert (kept.name, kept.tags.count()) == ("Team1", 0)

    def test_no_audit_row_without_its_change(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: object, **kwargs: object) -> None:
            raise RuntimeError("no signal")

        monkeypatch.setattr("teams.admin.teams.send_access_changed", broken)
        with pytest.raises(RuntimeError):
            alice.post(f"{LIST}add/", filled(make_domain()) | tags())
        assert not Team.objects.exists()
        assert not events()

    def test_the_second_of_two_at_once_gets_the_form_back(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another admin saves the same slug between this one's validation and its INSERT."""
        domain = make_domain()
        original = Team.save

        def late(self: Team, *args: Any, **kwargs: Any) -> None:
            monkeypatch.setattr(Team, "save", original)
            raise IntegrityError("duplicate key")

        monkeypatch.setattr(Team, "save", late)
        assert alice.post(f"{LIST}add/", filled(domain) | tags()).status_code == 302
        assert Team.objects.count() == 1

    def test_a_clash_that_stays_is_told(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def clash(self: Team, *args: Any, **kwargs: Any) -> None:
            raise IntegrityError("duplicate key")

        monkeypatch.setattr(Team, "save", clash)
        response = alice.post(f"{LIST}add/", filled(make_domain()) | tags(), follow=True)
        assert "Nothing was saved" in response.content.decode()


class TestDelete:
    def test_it_says_what_goes_away_and_then_takes_it_away(self, alice: Client) -> None:
        team = make_team("team1")
        make_mapping("staff", team)
        TeamTag.objects.create(team=team, key="Cost", value="1")
        say_groups(make_user("user1"), "staff")
        page = alice.get(f"{LIST}{team.pk}/delete/").content.decode()
        assert "people who lose their access: 1" in page
        assert "role mappings: 1" in page
        assert alice.post(f"{LIST}{team.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Team.objects.exists()
        assert not Membership.objects.exists()
        (gone,) = events(action=AuditEvent.Action.MEMBERSHIP_REMOVED)
        assert (gone.actor, gone.target, gone.team) == ("alice", "user1", "team1")
        (event,) = events(action=AuditEvent.Action.DELETED)
        assert (event.target, event.team, event.data["before"]["tags"]) == ("team: team1", "team1", {"Cost": "1"})

    def test_a_team_with_profiles_stays(self, alice: Client) -> None:
        team = make_team("team1")
        for number in (1, 2):
            Profile.objects.create(user=make_user(), team=team, domain=team.domain, name=f"user{number}-team1")
        for response in (
            alice.get(f"{LIST}{team.pk}/delete/"),
            alice.post(f"{LIST}{team.pk}/delete/", {"post": "yes"}),
            alice.post(LIST, {"action": "delete_selected", "_selected_action": str(team.pk), "post": "yes"}),
        ):
            page = response.content.decode()
            assert "Team1 has 2 profiles. Untick “active” instead" in page
            assert not inline(response)
        assert Team.objects.exists()
        assert not events(action=AuditEvent.Action.DELETED)

    def test_a_profile_that_appears_meanwhile_keeps_the_team(
        self, alice: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        team = make_team("team1")
        Profile.objects.create(user=make_user(), team=team, domain=team.domain, name="user-team1")
        monkeypatch.setattr("teams.admin.base.AuditedAdmin._obstacles", lambda self, row: [])
        page = alice.post(f"{LIST}{team.pk}/delete/", {"post": "yes"}, follow=True).content.decode()
        assert "Nothing was deleted: something still needs it." in page
        several = {"action": "delete_selected", "_selected_action": str(team.pk), "post": "yes"}
        assert "Nothing was deleted" in alice.post(LIST, several, follow=True).content.decode()
        assert Team.objects.exists()
        assert not events(action=AuditEvent.Action.DELETED)

    def test_each_of_many_has_its_audit_row(self, alice: Client) -> None:
        chosen = [str(make_team(slug).pk) for slug in ("a", "b")]
        make_team("c")
        page = alice.post(LIST, {"action": "delete_selected", "_selected_action": chosen}).content.decode()
        assert "Are you sure" in page
        alice.post(LIST, {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})
        assert [team.slug for team in Team.objects.all()] == ["c"]
        assert [event.target for event in events(action=AuditEvent.Action.DELETED)] == ["team: a", "team: b"]


class TestRoleMappings:
    def sent(self, team: Team, **changes: str) -> dict[str, str]:
        data = {"group": "staff", "source": "", "team": str(team.pk), "execution_role_arn": "", "priority": "0"}
        return {**data, **changes}

    def test_memberships_follow_at_once(self, alice: Client) -> None:
        user, team, other = make_user("user1"), make_team("team1"), make_team("team2")
        say_groups(user, "staff")
        assert alice.post(f"{MAPPINGS}add/", self.sent(team)).status_code == 302
        assert [each.team for each in Membership.objects.all()] == [team]
        mapping = RoleMapping.objects.get()
        assert alice.post(f"{MAPPINGS}{mapping.pk}/change/", self.sent(other)).status_code == 302
        assert [each.team for each in Membership.objects.all()] == [other]
        assert "memberships that rest on it: 1" in alice.get(f"{MAPPINGS}{mapping.pk}/delete/").content.decode()
        assert alice.post(f"{MAPPINGS}{mapping.pk}/delete/", {"post": "yes"}).status_code == 302
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

    def test_twice_the_same_is_refused(self, alice: Client) -> None:
        team = make_team("team1")
        make_mapping("staff", team)
        found = errors(alice.post(f"{MAPPINGS}add/", self.sent(team)))
        assert found["__all__"] == ["Role mapping with this Source, Group and Team already exists."]

    def test_a_role_of_another_account_is_refused(self, alice: Client) -> None:
        data = self.sent(make_team("team1"), execution_role_arn="arn:aws:iam::999999999999:role/x")
        assert "another account" in errors(alice.post(f"{MAPPINGS}add/", data))["execution_role_arn"][0]

    def test_a_team_that_is_gone_is_refused(self, alice: Client) -> None:
        assert "team" in errors(alice.post(f"{MAPPINGS}add/", {**self.sent(make_team("team1")), "team": "0"}))

    def test_no_membership_without_the_audit_row_of_the_mapping(
        self, alice: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        team = make_team("team1")
        say_groups(make_user(), "staff")

        def broken(**kwargs: object) -> None:
            raise RuntimeError("no remap")

        monkeypatch.setattr("teams.memberships.remap", broken)
        with pytest.raises(RuntimeError):
            alice.post(f"{MAPPINGS}add/", self.sent(team))
        assert not RoleMapping.objects.exists()
        assert not events(action=AuditEvent.Action.CREATED)
