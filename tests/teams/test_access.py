"""What a person may open: live evidence, active people and teams, and the decision about the role."""

from datetime import timedelta

import pytest
from django.utils import timezone

from teams import access
from teams.models import Membership, Team, User
from tests.factories import make_mapping, make_team, make_user
from tests.teams.sources import say_groups, say_teams

pytestmark = pytest.mark.django_db


def slugs(user: User) -> list[str]:
    return [each.team.slug for each in access.for_user(user)]


def test_alice_bob_and_charlie_see_their_own_teams_only() -> None:
    alice, bob, charlie = make_user("alice"), make_user("bob"), make_user("charlie")
    one, two = make_team("one"), make_team("two")
    say_teams(alice, one, two)
    say_teams(bob, two)

    assert slugs(alice) == ["one", "two"]
    assert slugs(bob) == ["two"]
    assert slugs(charlie) == []
    assert access.find(bob, "one") is None
    assert access.find(charlie, "two") is None
    assert access.role_for(bob.pk, one.pk) is None


def test_find_gives_none_for_a_team_that_does_not_exist() -> None:
    assert access.find(make_user(), "nowhere") is None


def test_slugs_are_compared_exactly() -> None:
    user = make_user()
    say_teams(user, make_team("one"))
    assert access.find(user, "ONE") is None


def test_teams_come_in_the_order_of_their_names() -> None:
    user = make_user()
    say_teams(user, make_team("a", name="Zebra"), make_team("b", name="Antelope"))
    assert [each.team.name for each in access.for_user(user)] == ["Antelope", "Zebra"]


def test_two_teams_of_one_name_stay_apart() -> None:
    user = make_user()
    one, two = make_team("a", name="Same"), make_team("b", name="Same")
    make_mapping("staff", two)
    say_teams(user, one, two)
    say_groups(user, "staff")
    assert slugs(user) == ["a", "b"]


def test_the_list_costs_one_query_with_domain_and_account(django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    user = make_user()
    say_teams(user, make_team(), make_team())
    with django_assert_num_queries(1):
        assert [each.team.domain.account.name for each in access.for_user(user)]


def test_finding_one_costs_one_query(django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    user = make_user()
    say_teams(user, make_team("one"))
    with django_assert_num_queries(1):
        found = access.find(user, "one")
        assert found is not None
        assert found.team.domain.account.account_id


def test_an_inactive_user_has_no_access() -> None:
    user, team = make_user(), make_team("one")
    say_teams(user, team)
    User.objects.filter(pk=user.pk).update(is_active=False)

    assert slugs(user) == []
    assert access.find(user, "one") is None
    assert access.role_for(user.pk, team.pk) is None


def test_an_inactive_team_shows_to_nobody() -> None:
    user, team = make_user(), make_team("one")
    say_teams(user, team)
    Team.objects.update(is_active=False)

    assert slugs(user) == []
    assert access.find(user, "one") is None
    assert access.role_for(user.pk, team.pk) is None


def test_evidence_that_has_run_out_gives_nothing() -> None:
    user, team = make_user(), make_team("one")
    say_teams(user, team, valid_until=timezone.now() + timedelta(minutes=1))
    assert slugs(user) == ["one"]

    Membership.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
    assert slugs(user) == []
    assert access.role_for(user.pk, team.pk) is None


def test_evidence_ends_at_its_moment() -> None:
    user, team = make_user(), make_team()
    end = timezone.now() + timedelta(hours=1)
    say_teams(user, team, valid_until=end)
    assert Membership.objects.filter(access.live(end - timedelta(microseconds=1))).exists()
    assert not Membership.objects.filter(access.live(end)).exists()


def test_since_is_when_the_oldest_live_evidence_began() -> None:
    user, team = make_user(), make_team("one")
    make_mapping("staff", team)
    say_groups(user, "staff")
    say_teams(user, team)
    old, older = timezone.now() - timedelta(days=2), timezone.now() - timedelta(days=9)
    Membership.objects.filter(group__isnull=True).update(since=older, valid_until=timezone.now())
    Membership.objects.filter(group__isnull=False).update(since=old)
    assert [each.since for each in access.for_user(user)] == [old]

    Membership.objects.update(valid_until=None)
    assert [each.since for each in access.for_user(user)] == [older]


def roles(user: User, team: Team) -> set[str]:
    """Return the role by every way of asking; there must be one."""
    found = access.find(user, team.slug)
    assert found is not None
    annotated = Membership.objects.filter(user=user, team=team).annotate(role=access.role_of("user_id", "team_id"))
    answers = {found.execution_role_arn, access.role_for(user.pk, team.pk), *(each.role for each in annotated)}
    return {str(answer).rpartition("/")[2] for answer in answers}


def test_the_teams_role_where_no_mapping_gives_one() -> None:
    user, team = make_user(), make_team("one")
    make_mapping("staff", team)
    say_groups(user, "staff")
    assert roles(user, team) == {"one-role"}


def test_a_mapping_with_a_role_beats_the_teams() -> None:
    user, team = make_user(), make_team("one")
    make_mapping("staff", team, role="staff-role", priority=-5)
    make_mapping("everybody", team, priority=100)
    say_teams(user, team)
    say_groups(user, "staff", "everybody")
    assert roles(user, team) == {"staff-role"}


def test_the_highest_priority_decides() -> None:
    user, team = make_user(), make_team("one")
    make_mapping("low", team, role="low-role", priority=1)
    make_mapping("high", team, role="high-role", priority=10)
    make_mapping("other", team, role="other-role", priority=5)
    say_groups(user, "low", "high", "other")
    assert roles(user, team) == {"high-role"}


def test_the_oldest_mapping_decides_between_equals() -> None:
    user, team = make_user(), make_team("one")
    make_mapping("zz", team, role="first-role", priority=3)
    make_mapping("aa", team, role="second-role", priority=3)
    say_groups(user, "aa", "zz")
    assert roles(user, team) == {"first-role"}


def test_a_mapping_whose_evidence_has_run_out_does_not_decide() -> None:
    user, team = make_user(), make_team("one")
    make_mapping("high", team, role="high-role", priority=10)
    make_mapping("low", team, role="low-role")
    say_groups(user, "high", "low")
    Membership.objects.filter(mapping__priority=10).update(valid_until=timezone.now())
    assert roles(user, team) == {"low-role"}


def test_one_mapping_does_not_decide_for_another_team_or_person() -> None:
    user, other = make_user(), make_user()
    one = make_team("one")
    two = make_team("two", domain=one.domain)
    make_mapping("high", one, role="high-role", priority=10)
    say_groups(user, "high")
    say_teams(user, two)
    say_teams(other, one)
    assert roles(user, two) == {"two-role"}
    assert roles(other, one) == {"one-role"}


def test_role_of_is_null_without_access() -> None:
    user = make_user()
    say_teams(user, make_team())
    Team.objects.update(is_active=False)
    (row,) = Membership.objects.annotate(role=access.role_of("user_id", "team_id"))
    assert row.role is None
