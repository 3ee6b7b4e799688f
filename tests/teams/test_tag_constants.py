"""Tag constants and templates in the admin and in the import; which changes raise the version of a team's form."""

from typing import Any

import pytest
from django.test import Client

from teams import form_versions, imports
from teams.models import TagConstant, Team, TeamTag
from teams.signals import access_changed
from tests.factories import make_team
from tests.teams.admin_clients import client_of, errors, events, inline, tags
from tests.teams.test_admin_teams import as_it_is

pytestmark = pytest.mark.django_db

LIST = "/admin/teams/tagconstant/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="team")
def _team() -> Team:
    """A team with a tag that names the constant `unit`."""
    TagConstant.objects.create(name="unit", value="7")
    team = make_team("team1")
    TeamTag.objects.create(team=team, key="Unit", value="{unit}/{user}")
    return team


def version(team: Team) -> int:
    return Team.objects.get(pk=team.pk).form_version


def save_tag(alice: Client, team: Team, key: str, value: str) -> Any:
    pk = team.tags.get().pk
    return alice.post(f"/admin/teams/team/{team.pk}/change/", as_it_is(team) | tags((key, value), pks=(pk,)))


class TestTemplates:
    @pytest.mark.parametrize(
        ("key", "value", "told"),
        [
            ("Unit", "{unti}", "Nothing is known as {unti}; known are {email}, {team}, {user}, {unit}."),
            ("Unit", "{USER}", "Nothing is known as {USER}"),
            ("Unit", "{}", "Nothing is known as {}"),
            ("Unit", "{user", "holds a character that tags may not have"),
            ("Unit", "{user}#", "holds a character that tags may not have"),
            ("team", "{user}", "cannot tell people apart"),
        ],
    )
    def test_what_cannot_be_a_tag_is_refused_at_its_field(
        self, alice: Client, team: Team, key: str, value: str, told: str
    ) -> None:
        response = save_tag(alice, team, key, value)
        assert response.status_code == 200
        assert told in response.content.decode()
        assert version(team) == 1

    @pytest.mark.parametrize("value", ["{email}", "x {user}-{team}", "{unit}{unit}", "plain"])
    def test_what_can_is_saved_and_raises_the_version(self, alice: Client, team: Team, value: str) -> None:
        assert save_tag(alice, team, "Unit", value).status_code == 302
        assert (team.tags.get().value, version(team)) == (value, 2)

    def test_the_import_takes_the_same_templates(self, team: Team) -> None:
        entry = {
            "DomainId": team.domain.domain_id,
            "Tags": [{"Key": "Unit", "Value": "{unit}"}],
            "UserSettings": {"ExecutionRole": team.execution_role_arn},
        }
        imports.load({"team1-id": entry}, region=team.domain.region)
        assert (team.tags.get().value, version(team)) == ("{unit}", 2)
        entry["Tags"] = [{"Key": "Unit", "Value": "{unti}"}]
        with pytest.raises(imports.ImportRefusedError, match="Nothing is known as"):
            imports.load({"team1-id": entry}, region=team.domain.region)
        assert version(team) == 2


class TestVersion:
    @pytest.mark.parametrize(
        ("change", "raised"),
        [
            ({"user_settings": '{"StudioWebPortal": "DISABLED"}'}, True),
            ({"session_duration": "1800"}, False),
            ({"landing_uri": "studio::"}, False),
            ({"description": "x"}, False),
        ],
    )
    def test_only_what_profiles_have_to_follow_raises_it(
        self, alice: Client, team: Team, change: dict[str, str], raised: bool
    ) -> None:
        unit = team.tags.get()
        data = as_it_is(team, **change) | tags((unit.key, unit.value), pks=(unit.pk,))
        assert alice.post(f"/admin/teams/team/{team.pk}/change/", data).status_code == 302
        assert version(team) == (2 if raised else 1)

    def test_a_form_that_was_open_does_not_take_it_back(
        self, alice: Client, team: Team, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from teams.admin.teams import TeamAdmin

        def meanwhile(page: TeamAdmin) -> None:
            form_versions.raise_form_version([team.pk])

        monkeypatch.setattr(TeamAdmin, "before_save", meanwhile)
        save_tag(alice, team, "Unit", "other")
        assert version(team) == 3


class TestConstants:
    def test_a_new_value_reaches_the_teams_that_use_it(
        self, alice: Client, team: Team, django_capture_on_commit_callbacks: Any
    ) -> None:
        other, sent = make_team("team2"), []

        def receive(team_ids: frozenset[int], **_: object) -> None:
            sent.append(team_ids)

        access_changed.connect(receive)
        unit = TagConstant.objects.get()
        with django_capture_on_commit_callbacks(execute=True):
            response = alice.post(f"{LIST}{unit.pk}/change/", {"name": "unit", "value": "8"})
        access_changed.disconnect(receive)
        assert response.status_code == 302
        assert (version(team), version(other)) == (2, 1)
        assert sent == [frozenset({team.pk})]
        assert events(action="changed")[0].data == {"before": {"value": "7"}, "after": {"value": "8"}}

    def test_one_that_tags_use_keeps_its_name_and_stays(self, alice: Client, team: Team) -> None:
        unit = TagConstant.objects.get()
        response = alice.post(f"{LIST}{unit.pk}/change/", {"name": "other", "value": "7"})
        assert errors(response)["name"] == ["Tags of team1 name {unit}. Change those first."]
        page = alice.get(f"{LIST}{unit.pk}/delete/")
        assert "Tags of team1 name {unit}" in page.content.decode()
        assert not inline(page)
        alice.post(f"{LIST}{unit.pk}/delete/", {"post": "yes"})
        alice.post(LIST, {"action": "delete_selected", "_selected_action": [str(unit.pk)], "post": "yes"})
        assert TagConstant.objects.exists()

    def test_one_that_nothing_uses_may_go(self, alice: Client, team: Team) -> None:
        team.tags.all().delete()
        unit = TagConstant.objects.get()
        assert alice.post(f"{LIST}{unit.pk}/change/", {"name": "other", "value": "7"}).status_code == 302
        alice.post(f"{LIST}{unit.pk}/delete/", {"post": "yes"})
        assert not TagConstant.objects.exists()
        assert [event.action for event in events(target="tag constant: {other}")] == ["changed", "deleted"]

    @pytest.mark.parametrize(("name", "value"), [("user", "x"), ("Unit", "x"), ("a b", "x"), ("unit2", "#"), ("u", "")])
    def test_impossible_ones(self, alice: Client, name: str, value: str) -> None:
        assert alice.post(f"{LIST}add/", {"name": name, "value": value}).status_code == 200
        assert not TagConstant.objects.exists()

    def test_auditors_read_and_others_do_not(self, team: Team) -> None:
        address = f"{LIST}{TagConstant.objects.get().pk}/change/"
        assert client_of("bob").get(address).status_code == 200
        for name in ("bob", "charlie", "anonymous"):
            client_of(name).post(address, {"name": "unit", "value": "9"})
        assert client_of("charlie").get(address).status_code == 403
        assert TagConstant.objects.get().value == "7"
