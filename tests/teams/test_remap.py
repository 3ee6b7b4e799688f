"""What follows when mappings and teams change: `remap`, `drop_mapping`, `drop_team`."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from provisioning.models import Profile
from teams import access, audit, memberships
from teams.models import AuditEvent, Membership, RoleMapping, Team, User
from tests.factories import make_mapping, make_team, make_user, role_arn
from tests.teams.sources import say_groups, say_teams

pytestmark = pytest.mark.django_db


def slugs(user: User) -> list[str]:
    return [each.team.slug for each in access.for_user(user)]


def log() -> list[tuple[str, str, str, str]]:
    """Return the audit rows about memberships; the floor above writes its own when these commit."""
    rows = AuditEvent.objects.filter(action__startswith="membership_").order_by("id")
    return list(rows.values_list("action", "target", "team", "reason"))


def test_a_new_mapping_lets_its_group_in() -> None:
    alice, bob, team = make_user("alice"), make_user("bob"), make_team("one")
    say_groups(alice, "staff")
    say_groups(bob, "chess")
    make_mapping("staff", team)

    memberships.remap(team_ids=[team.pk])

    assert (slugs(alice), slugs(bob)) == (["one"], [])
    assert log() == [("membership_added", "alice", "one", "")]


def test_a_mapping_for_one_source_lets_nobody_else_in() -> None:
    alice, bob, team = make_user("alice"), make_user("bob"), make_team("one")
    say_groups(alice, "staff")
    say_groups(bob, "staff", source="saml:partner")
    make_mapping("staff", team, source="saml:partner")
    memberships.remap()
    assert (slugs(alice), slugs(bob)) == ([], ["one"])


def test_a_changed_group_moves_people() -> None:
    alice, bob, team = make_user("alice"), make_user("bob"), make_team("one")
    mapping = make_mapping("staff", team)
    say_groups(alice, "staff")
    say_groups(bob, "chess")
    RoleMapping.objects.filter(pk=mapping.pk).update(group="chess")

    memberships.remap(team_ids=[team.pk])

    assert (slugs(alice), slugs(bob)) == ([], ["one"])
    assert sorted(log()[1:]) == [("membership_added", "bob", "one", ""), ("membership_removed", "alice", "one", "")]


def test_a_mapping_moved_to_another_team_moves_people() -> None:
    user, one, two = make_user(), make_team("one"), make_team("two")
    mapping = make_mapping("staff", one)
    say_groups(user, "staff")
    RoleMapping.objects.filter(pk=mapping.pk).update(team=two)
    memberships.remap(team_ids=[one.pk, two.pk])
    assert slugs(user) == ["two"]


def test_the_end_of_the_statement_comes_along() -> None:
    user, team = make_user(), make_team()
    end = timezone.now() + timedelta(hours=1)
    say_groups(user, "staff", valid_until=end)
    make_mapping("staff", team)
    memberships.remap()
    assert Membership.objects.get().valid_until == end


def test_only_the_teams_asked_for_are_touched() -> None:
    user, one, two = make_user(), make_team("one"), make_team("two")
    say_groups(user, "staff")
    make_mapping("staff", one)
    make_mapping("staff", two)
    memberships.remap(team_ids=[])
    assert slugs(user) == []
    memberships.remap(team_ids=[two.pk])
    assert slugs(user) == ["two"]
    memberships.remap()
    assert slugs(user) == ["one", "two"]


def test_what_names_the_team_itself_stays() -> None:
    user, team = make_user(), make_team("one")
    say_teams(user, team)
    memberships.remap()
    assert slugs(user) == ["one"]


def test_what_has_run_out_goes_but_for_that_of_sign_ons() -> None:
    user, team, other = make_user("alice"), make_team("one"), make_team("two")
    say_teams(user, team, source="manual")
    say_teams(user, other)
    Membership.objects.update(valid_until=timezone.now())
    memberships.remap()
    assert Membership.objects.get().team == other
    assert log()[2:] == [("membership_removed", "alice", "one", "expired")]


def test_a_second_time_changes_nothing() -> None:
    user, team = make_user(), make_team()
    make_mapping("staff", team)
    say_groups(user, "staff")
    before = list(Membership.objects.values())
    memberships.remap()
    assert list(Membership.objects.values()) == before
    assert len(log()) == 1


def test_gained_and_lost_are_told(told: list[frozenset[int]], committed: Any) -> None:
    alice, bob, charlie = make_user("alice"), make_user("bob"), make_user("charlie")
    team = make_team()
    mapping = make_mapping("staff", team)
    say_groups(alice, "staff")
    say_groups(bob, "chess")
    say_groups(charlie, "cooking")
    mapping.group = "chess"
    mapping.save()
    with committed():
        memberships.remap(team_ids=[team.pk])
    assert told == [{alice.pk, bob.pk}]


def test_a_change_of_role_alone_is_told_and_not_a_change_of_membership(
    told: list[frozenset[int]], committed: Any
) -> None:
    alice, bob, team = make_user("alice"), make_user("bob"), make_team("one")
    mapping = make_mapping("staff", team, role="old")
    say_groups(alice, "staff")
    say_teams(bob, team)
    mapping.execution_role_arn = role_arn(team.domain, "new")
    mapping.save()
    with committed():
        memberships.remap(team_ids=[team.pk])

    assert told == [{alice.pk}]
    assert len(log()) == 2
    assert access.role_for(alice.pk, team.pk) == mapping.execution_role_arn


def test_nothing_is_told_where_there_is_nothing_to_tell(told: list[frozenset[int]], committed: Any) -> None:
    make_mapping("staff", make_team())
    with committed():
        memberships.remap()
    assert told == []


def test_queries_do_not_grow_with_people() -> None:
    team = make_team()
    costs = []
    for number in (1, 30):
        make_mapping(f"g{number}", team)
        for _ in range(number):
            say_groups(make_user(), f"g{number}")
        Membership.objects.all().delete()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            memberships.remap()
        costs.append(len(queries))
    assert costs[0] == costs[1]
    assert Membership.objects.count() == 31


def test_dropping_a_mapping_takes_its_memberships_away(told: list[frozenset[int]], committed: Any) -> None:
    alice, bob, team = make_user("alice"), make_user("bob"), make_team("one")
    staff = make_mapping("staff", team)
    make_mapping("chess", team)
    say_groups(alice, "staff")
    say_groups(bob, "staff", "chess")

    with committed(), audit.context(actor="root"):
        memberships.drop_mapping(staff, by="admin")

    assert (slugs(alice), slugs(bob)) == ([], ["one"])
    assert told == [{alice.pk, bob.pk}]
    lost = AuditEvent.objects.filter(action="membership_removed").order_by("target")
    assert [(each.target, each.actor, each.reason) for each in lost] == [
        ("alice", "admin", "mapping deleted"),
        ("bob", "admin", "mapping deleted"),
    ]
    assert lost[0].data["group"] == "staff"
    assert not RoleMapping.objects.filter(group="staff").exists()


def test_dropping_a_team_takes_everything_away_and_the_log_keeps_the_names(
    told: list[frozenset[int]], committed: Any
) -> None:
    user, one, two = make_user("alice"), make_team("one"), make_team("two")
    make_mapping("staff", one)
    say_groups(user, "staff")
    say_teams(user, one, two)

    with committed():
        memberships.drop_team(one, by="admin")

    assert slugs(user) == ["two"]
    assert told == [{user.pk}]
    assert log()[3:] == [("membership_removed", "alice", "one", "team deleted")] * 2
    assert not Team.objects.filter(slug="one").exists()
    assert not RoleMapping.objects.exists()


def test_a_team_with_profiles_is_not_dropped() -> None:
    user, team = make_user(), make_team("one")
    say_teams(user, team)
    Profile.objects.create(user=user, team=team, domain=team.domain, name="alice-one")
    with pytest.raises(ProtectedError):
        memberships.drop_team(team, by="admin")
    assert slugs(user) == ["one"]
    assert len(log()) == 1
