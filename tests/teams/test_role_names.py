"""Roles by a naming convention: what a template stands for, everywhere the role is asked for and told."""

from typing import Any

import pytest

from teams import access, memberships, role_names
from teams.memberships import GroupRef, Member, Person, SourceObservation
from teams.models import AuditEvent, Group, Membership, RoleMapping, Team, User
from tests.factories import make_mapping, make_team, make_user, role_arn
from tests.teams.sources import say_groups

pytestmark = pytest.mark.django_db

TEMPLATE = "arn:aws:iam::{account}:role/{team}-{group}"


def mapping_of(group: str, team: Team, template: str = TEMPLATE, **fields: Any) -> RoleMapping:
    return make_mapping(group, team, execution_role_arn=template, **fields)


def roles(user: User, team: Team) -> set[str]:
    """Return the role by every way of asking."""
    found = access.find(user, team.slug)
    assert found is not None
    annotated = Membership.objects.filter(user=user).annotate(role=access.role_of("user_id", "team_id"))
    return {found.execution_role_arn, str(access.role_for(user.pk, team.pk)), *(each.role for each in annotated)}


def test_account_team_and_name_of_the_group_are_filled_in() -> None:
    user, team = make_user(), make_team("red")
    mapping_of("g-1", team)
    say_groups(user, "g-1=Science")
    assert roles(user, team) == {role_arn(team.domain, "red-Science")}


def test_a_group_without_a_name_stands_with_its_id() -> None:
    user, team = make_user(), make_team("red")
    mapping_of("g-1", team)
    say_groups(user, "g-1")
    assert roles(user, team) == {role_arn(team.domain, "red-g-1")}


def test_braces_in_the_name_of_a_group_stand_for_nothing() -> None:
    user, team = make_user(), make_team("red")
    mapping_of("g-1", team)
    say_groups(user, "g-1={account}{team}")
    assert roles(user, team) == {role_arn(team.domain, "red-{account}{team}")}


def test_a_plain_role_and_the_teams_own_stay_as_they_are() -> None:
    user, team = make_user(), make_team("red")
    make_mapping("plain", team, role="plain")
    make_mapping("none", team, priority=9)
    say_groups(user, "none")
    assert roles(user, team) == {team.execution_role_arn}
    say_groups(user, "none", "plain")
    assert roles(user, team) == {role_arn(team.domain, "plain")}


def test_of_two_groups_of_one_mapping_the_older_one_decides() -> None:
    user, team = make_user(), make_team("red")
    Group.objects.create(source="one", external_id="x", name="staff")
    Group.objects.create(source="two", external_id="staff", name="Crew")
    mapping_of("staff", team)
    for _ in range(2):
        say_groups(user, "staff=Crew", source="two")
        say_groups(user, "x=staff", source="one")
        assert roles(user, team) == {role_arn(team.domain, "red-staff")}
        say_groups(user, source="two")
        say_groups(user, source="one")


def test_the_python_form_says_the_same() -> None:
    user, team = make_user(), make_team("red")
    mapping = mapping_of("g-1", team)
    say_groups(user, "g-1=Science")
    assert roles(user, team) == {role_names.for_group(mapping, Group.objects.get())}


def test_the_log_tells_the_role_that_was_given() -> None:
    user, team = make_user("user1"), make_team("red")
    mapping_of("g-1", team)
    say_groups(user, "g-1=Science")
    say_groups(user)
    assert [event.data["role"] for event in AuditEvent.objects.all()] == [role_arn(team.domain, "red-Science")] * 2


def test_the_log_of_a_whole_source_tells_it_too() -> None:
    team = make_team("red")
    mapping_of("g-1", team)
    said = SourceObservation(
        source="directory",
        realm="default",
        groups=[GroupRef("g-1", "Science")],
        members=[Member("g-1", "user1")],
        people=[Person("user1")],
        complete=True,
    )
    memberships.apply_source(said)
    added = AuditEvent.objects.get(action=AuditEvent.Action.MEMBERSHIP_ADDED)
    assert added.data["role"] == role_arn(team.domain, "red-Science")


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("x" * 64, ""),
        ("x" * 65, "IAM allows 64"),
        ("two words", "not the ARN"),
        ("a:b", "not the ARN"),
        ("", "name should begin"),
        ("path/", "name should begin"),
        ("path/name", ""),
    ],
)
def test_names_that_iam_cannot_have(name: str, fault: str) -> None:
    found = role_names.faults(f"arn:aws:iam::111122223333:role/{name}", account="111122223333")
    assert fault in " ".join(found)
    assert bool(found) == bool(fault)


def test_a_role_of_another_account() -> None:
    found = role_names.faults("arn:aws:iam::111122223333:role/x", account="999999999999")
    assert "another account" in found[0]
