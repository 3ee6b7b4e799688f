"""What a profile should be, from team, role and person."""

import pytest

from provisioning.aws.shapes import faults
from provisioning.desired import (
    DesiredProfile,
    TooManyTagsError,
    contains,
    contradiction,
    desired,
    is_ours,
    tag_value,
)

ROLE = "arn:aws:iam::111122223333:role/Team1"


def wanted(username: str = "user1", settings: dict | None = None, tags: dict[str, str] | None = None) -> DesiredProfile:
    return desired(
        name="user1-team1", username=username, team_slug="team1", execution_role_arn=ROLE,
        user_settings=settings or {}, team_tags=tags or {},
    )  # fmt: skip


def test_the_role_joins_the_teams_settings() -> None:
    assert wanted(settings={"StudioWebPortal": "ENABLED"}).user_settings == {
        "StudioWebPortal": "ENABLED", "ExecutionRole": ROLE,
    }  # fmt: skip


def test_a_role_in_the_settings_never_wins() -> None:
    assert wanted(settings={"ExecutionRole": "other"}).user_settings["ExecutionRole"] == ROLE


def test_the_portals_own_tags() -> None:
    assert wanted().tags == {"Team": "team1", "owner": "user1", "managed-by": "studio-portal"}


@pytest.mark.parametrize("key", ["Team", "team", "TEAM"])
def test_a_team_may_set_its_own_team_tag(key: str) -> None:
    assert wanted(tags={key: "Research"}).tags == {key: "Research", "owner": "user1", "managed-by": "studio-portal"}


def test_a_team_cannot_pretend_to_be_somebody_else() -> None:
    assert wanted(tags={"Owner": "boss", "MANAGED-BY": "x"}).tags == wanted().tags


@pytest.mark.parametrize("username", ["jane(doe)", "a*b?c", "x" * 300, "山田 太郎", "line\nbreak", "#"])
def test_the_owner_is_always_a_legal_tag(username: str) -> None:
    assert faults("TagValue", wanted(username).tags["owner"]) == []


def test_what_a_tag_cannot_hold_becomes_an_underscore() -> None:
    assert tag_value("jane(doe)@example.com") == "jane_doe_@example.com"


def test_more_tags_than_aws_allows_are_refused() -> None:
    assert len(wanted(tags={f"k{number}": "" for number in range(47)}).tags) == 50
    with pytest.raises(TooManyTagsError):
        wanted(tags={f"k{number}": "" for number in range(48)})


def test_ours_are_those_with_our_tags() -> None:
    assert is_ours(wanted().tags, wanted(), recorded=False)
    assert not is_ours({}, wanted(), recorded=True)
    assert not is_ours(wanted("user2").tags, wanted(), recorded=True)
    assert not is_ours({**wanted().tags, "Team": "team2"}, wanted(), recorded=False)


def test_a_team_tag_that_an_admin_changed_since_does_not_disown_a_recorded_profile() -> None:
    assert is_ours(wanted().tags, wanted(tags={"Team": "Research"}), recorded=True)


def test_contradictions() -> None:
    assert contradiction({}, wanted()) is None
    assert contradiction({"team": "TEAM1"}, wanted()) is None
    assert contradiction({"Team": "team2"}, wanted()) == "Team=team2"
    assert contradiction({"owner": "user2"}, wanted()) == "owner=user2"


def test_aws_may_add_to_the_settings() -> None:
    assert contains({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1}})
    assert not contains({"a": {"b": 2}}, {"a": {"b": 1}})
    assert not contains({}, {"a": {"b": 1}})
    assert contains({"a": ["x"]}, {"a": ["x"]})
    assert not contains({"a": ["x", "y"]}, {"a": ["x"]})


def test_aws_may_repeat_lists_in_another_order_and_with_defaults() -> None:
    assert contains({"a": ["y", "x"]}, {"a": ["x", "y"]})
    assert contains({"a": [{"n": 2}, {"n": 1, "v": 0}]}, {"a": [{"n": 1}, {"n": 2}]})
    assert not contains({"a": ["x", "y"]}, {"a": ["x", "x"]})
    assert not contains({"a": "xy"}, {"a": ["x", "y"]})


@pytest.mark.parametrize("nothing", [{}, [], "", {"b": []}])
def test_aws_may_leave_out_what_is_empty(nothing: object) -> None:
    assert contains({}, {"a": nothing})
    assert not contains({"a": ["x"]}, {"a": nothing})
