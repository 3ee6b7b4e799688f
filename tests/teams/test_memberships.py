"""`apply`: what one source says about one user, and what follows from it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from teams import access, memberships
from teams.memberships import Applied, GroupRef, UserObservation
from teams.models import AuditEvent, Group, GroupMembership, Membership, Team, User
from tests.factories import make_mapping, make_team, make_user
from tests.teams.sources import say_groups, say_teams

pytestmark = pytest.mark.django_db


def slugs(user: User) -> list[str]:
    return [each.team.slug for each in access.for_user(user)]


def log() -> list[tuple[str, str, str, str]]:
    """Return action, target, team and reason of every row of the audit log, oldest first."""
    return list(AuditEvent.objects.order_by("id").values_list("action", "target", "team", "reason"))


def ids(*teams: Team) -> frozenset[int]:
    return frozenset(team.pk for team in teams)


class TestGroups:
    def test_a_mapped_group_puts_into_the_team(self) -> None:
        user, team = make_user("alice"), make_team("one")
        mapping = make_mapping("staff", team, role="staff-role")

        assert say_groups(user, "staff", "chess") == Applied(added=ids(team))

        assert slugs(user) == ["one"]
        event = AuditEvent.objects.get()
        assert (event.action, event.target, event.team) == ("membership_added", "alice", "one")
        assert event.data == {
            "source": "saml",
            "group": "staff",
            "mapping": mapping.pk,
            "role": mapping.execution_role_arn,
        }

    def test_unmapped_groups_are_on_record_for_mappings_to_come(self) -> None:
        say_groups(make_user(), "staff", "chess")
        assert set(Group.objects.values_list("source", "external_id")) == {("saml", "staff"), ("saml", "chess")}

    def test_a_group_that_is_not_named_any_more_takes_the_team_away(self) -> None:
        user, one, two = make_user("alice"), make_team("one"), make_team("two")
        make_mapping("staff", one)
        make_mapping("chess", two)
        say_groups(user, "staff", "chess")

        assert say_groups(user, "chess") == Applied(removed=ids(one))

        assert slugs(user) == ["two"]
        assert log()[2:] == [("membership_removed", "alice", "one", "")]
        assert GroupMembership.objects.get().group.external_id == "chess"

    def test_no_groups_at_all_takes_everything_of_this_source_away(self) -> None:
        user, team = make_user(), make_team()
        make_mapping("staff", team)
        say_groups(user, "staff")
        assert say_groups(user) == Applied(removed=ids(team))
        assert slugs(user) == []

    def test_an_absent_statement_changes_nothing(self) -> None:
        user, team = make_user(), make_team("one")
        make_mapping("staff", team)
        say_groups(user, "staff")
        assert memberships.apply(UserObservation(user=user, source="saml")) == Applied()
        assert say_teams(user, valid_until=timezone.now()) == Applied()
        assert slugs(user) == ["one"]

    def test_sources_speak_for_themselves_only(self) -> None:
        user, one, two = make_user(), make_team("one"), make_team("two")
        make_mapping("staff", one, source="saml")
        make_mapping("staff", two, source="saml:other")
        say_groups(user, "staff", source="saml:other")
        assert slugs(user) == ["two"]
        say_groups(user, "staff")
        assert slugs(user) == ["one", "two"]
        say_groups(user, source="saml:other")
        assert slugs(user) == ["one"]

    def test_other_people_are_left_alone(self) -> None:
        alice, bob, team = make_user("alice"), make_user("bob"), make_team("one")
        make_mapping("staff", team)
        say_groups(alice, "staff")
        say_groups(bob, "staff")
        say_groups(alice)
        assert (slugs(alice), slugs(bob)) == ([], ["one"])

    @pytest.mark.parametrize(("mapped", "expected"), [("g-1", True), ("Staff", True), ("staff", False), ("G-1", False)])
    def test_a_mapping_names_the_id_or_the_name_exactly(self, mapped: str, expected: bool) -> None:
        user, team = make_user(), make_team()
        make_mapping(mapped, team)
        say_groups(user, "g-1=Staff")
        assert bool(slugs(user)) is expected

    def test_a_mapping_that_names_id_and_name_at_once_counts_once(self) -> None:
        user, team = make_user(), make_team()
        make_mapping("staff", team)
        say_groups(user, "staff=staff")
        assert Membership.objects.count() == 1

    def test_a_new_name_moves_everybody_in_the_group(self) -> None:
        alice, bob, old, new = make_user("alice"), make_user("bob"), make_team("old"), make_team("new")
        make_mapping("Old name", old)
        make_mapping("New name", new)
        say_groups(alice, "g-1=Old name")
        say_groups(bob, "g-1=Old name")

        say_groups(alice, "g-1=New name")

        assert (slugs(alice), slugs(bob)) == (["new"], ["new"])
        assert len(log()) == 6

    def test_a_statement_without_names_keeps_the_name(self) -> None:
        user, team = make_user(), make_team("one")
        make_mapping("Staff", team)
        say_groups(user, "g-1=Staff")
        say_groups(user, "g-1")
        assert slugs(user) == ["one"]

    def test_two_names_for_one_id_always_end_the_same(self) -> None:
        say_groups(make_user(), "g-1=B", "g-1=A", "g-1")
        assert Group.objects.get().name == "B"

    @pytest.mark.parametrize("unusable", ["", "  ", "x" * 257, "nul\x00", "half\ud800"])
    def test_a_group_that_cannot_be_used_is_skipped(self, unusable: str, caplog: pytest.LogCaptureFixture) -> None:
        user, team = make_user(), make_team("one")
        make_mapping("staff", team)
        say_groups(user, "staff", unusable)
        assert slugs(user) == ["one"]
        assert Group.objects.count() == 1
        assert "1 groups were skipped" in caplog.text

    def test_a_name_that_cannot_be_used_is_left_out(self) -> None:
        say_groups(make_user(), f"g-1={'x' * 257}")
        assert Group.objects.get().name == ""

    def test_groups_may_be_called_anything(self) -> None:
        user, team = make_user(), make_team("one")
        name = 'it\'s {"odd"}, \\N %s %(x)s; NULL — 群'
        make_mapping(name, team)
        say_groups(user, name, "NULL", "a,b", "%")
        assert slugs(user) == ["one"]
        assert Group.objects.count() == 4

    def test_several_groups_into_one_team_are_several_pieces_of_evidence(self) -> None:
        user, team = make_user(), make_team("one")
        make_mapping("staff", team)
        make_mapping("chess", team)
        assert say_groups(user, "staff", "chess").added == ids(team)
        assert say_groups(user, "chess") == Applied()
        assert slugs(user) == ["one"]
        assert log()[2] == ("membership_removed", user.username, "one", "")


class TestTeams:
    def test_a_team_id_puts_into_the_team(self) -> None:
        user, team = make_user("alice"), make_team("one")
        assert say_teams(user, team) == Applied(added=ids(team))
        assert slugs(user) == ["one"]
        event = AuditEvent.objects.get()
        assert (event.target, event.team, event.data) == ("alice", "one", {"source": "saml"})

    def test_naming_another_team_removes_nothing(self) -> None:
        user, one, two = make_user(), make_team("one"), make_team("two")
        say_teams(user, one)
        assert say_teams(user, two) == Applied(added=ids(two))
        assert say_teams(user) == Applied()
        assert say_groups(user) == Applied()
        assert slugs(user) == ["one", "two"]

    def test_unknown_ids_are_skipped_and_returned(self, caplog: pytest.LogCaptureFixture) -> None:
        user, team = make_user(), make_team("one")
        applied = say_teams(user, "zz", team, "nowhere", "ONE-id")
        assert applied == Applied(added=ids(team), unknown_teams=("ONE-id", "nowhere", "zz"))
        assert "3 unknown teams" in caplog.text

    @pytest.mark.parametrize("odd", ["nul\x00", "half\ud800"])
    def test_ids_that_no_column_can_hold_are_unknown(self, odd: str) -> None:
        assert say_teams(make_user(), odd).unknown_teams == (odd,)

    def test_a_slug_is_no_team_id(self) -> None:
        user = make_user()
        make_team("one")
        assert say_teams(user, "one").unknown_teams == ("one",)
        assert slugs(user) == []

    def test_what_is_over_already_adds_nothing_and_removes_nothing(self) -> None:
        user, one, two = make_user(), make_team("one"), make_team("two")
        say_teams(user, one)
        assert say_teams(user, one, two, valid_until=timezone.now()) == Applied()
        assert slugs(user) == ["one"]

    def test_groups_and_teams_in_one_statement(self) -> None:
        user, one, two = make_user(), make_team("one"), make_team("two")
        make_mapping("staff", two)
        applied = memberships.apply(
            UserObservation(
                user=user, source="saml", groups=frozenset({GroupRef("staff")}), teams=frozenset({one.saml_id})
            )
        )
        assert applied.added == ids(one, two)

    def test_a_team_stays_while_other_evidence_holds(self) -> None:
        user, team = make_user(), make_team("one")
        make_mapping("staff", team)
        say_teams(user, team)
        assert say_groups(user, "staff") == Applied()
        assert say_groups(user) == Applied()
        assert slugs(user) == ["one"]
        assert [action for action, *_ in log()] == ["membership_added", "membership_added", "membership_removed"]


class TestEnd:
    """`valid_until`: renewed in silence, gone when it has passed."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Return a function that sets the time."""

        def set_time(hour: int) -> datetime:
            now = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
            monkeypatch.setattr(timezone, "now", lambda: now)
            return now

        return set_time

    @pytest.mark.parametrize("by_group", [True, False])
    def test_renewing_is_silent(self, clock: Any, by_group: bool) -> None:
        user, team = make_user(), make_team()
        mapping = make_mapping("staff", team)
        start = clock(0)
        for hour in (1, 2, 3):
            end = clock(hour) + timedelta(hours=8)
            say_groups(user, "staff", valid_until=end) if by_group else say_teams(user, team, valid_until=end)
            if hour == 1:
                clock(0)
                Membership.objects.update(since=start)
        membership = Membership.objects.get()
        assert (membership.since, membership.valid_until) == (start, end)
        assert membership.mapping == (mapping if by_group else None)
        assert len(log()) == 1

    def test_the_latest_statement_decides_about_the_end(self, clock: Any) -> None:
        user, team = make_user(), make_team()
        soon = clock(0) + timedelta(hours=1)
        say_teams(user, team)
        say_teams(user, team, valid_until=soon)
        assert Membership.objects.get().valid_until == soon
        say_teams(user, team)
        assert Membership.objects.get().valid_until is None

    @pytest.mark.parametrize("by_group", [True, False])
    def test_what_has_run_out_is_cleared_away_by_any_later_statement(self, clock: Any, by_group: bool) -> None:
        user, team = make_user("alice"), make_team("one")
        make_mapping("staff", team)
        until = {"valid_until": clock(0) + timedelta(hours=1), "source": "manual"}
        say_groups(user, "staff", **until) if by_group else say_teams(user, team, **until)
        clock(2)
        assert say_groups(user, source="elsewhere") == Applied(removed=ids(team))
        assert not Membership.objects.exists()
        assert log()[1:] == [("membership_removed", "alice", "one", "expired")]

    @pytest.mark.parametrize("by_group", [True, False])
    @pytest.mark.parametrize("source", ["saml", "saml:partner"])
    def test_a_session_that_is_over_is_cleared_away_by_its_own_source_only(
        self, clock: Any, by_group: bool, source: str
    ) -> None:
        user, team = make_user("alice"), make_team("one")
        make_mapping("staff", team)
        until = {"valid_until": clock(0) + timedelta(hours=1), "source": source}
        say_groups(user, "staff", **until) if by_group else say_teams(user, team, **until)
        clock(2)
        assert say_groups(user, source="elsewhere") == Applied()
        assert access.find(user, "one") is None
        assert Membership.objects.count() == 1
        assert say_groups(user, source=source) == Applied(removed=ids(team))
        assert not Membership.objects.exists()
        assert log()[1:] == [("membership_removed", "alice", "one", "expired")]

    @pytest.mark.parametrize("by_group", [True, False])
    def test_what_has_run_out_and_is_said_again_begins_anew(self, clock: Any, by_group: bool) -> None:
        user, team = make_user("alice"), make_team("one")
        make_mapping("staff", team)

        def say(end: datetime) -> Applied:
            return say_groups(user, "staff", valid_until=end) if by_group else say_teams(user, team, valid_until=end)

        say(clock(0) + timedelta(hours=1))
        now = clock(2)
        assert say(now + timedelta(hours=1)) == Applied(added=ids(team))
        assert Membership.objects.get().since == now
        assert log()[1:] == [
            ("membership_removed", "alice", "one", "expired"),
            ("membership_added", "alice", "one", ""),
        ]
        if by_group:
            assert GroupMembership.objects.get().since == now

    def test_group_memberships_that_ran_out_do_not_come_back_with_a_mapping(self, clock: Any) -> None:
        user, team = make_user(), make_team()
        say_groups(user, "staff", valid_until=clock(0) + timedelta(hours=1))
        clock(2)
        make_mapping("staff", team)
        memberships.remap()
        assert not Membership.objects.exists()


class TestCost:
    def test_a_statement_that_changes_nothing_costs_three_queries(self, django_assert_max_num_queries: Any) -> None:
        user, team, other = make_user(), make_team(), make_team()
        make_mapping("staff", team)
        observation = UserObservation(
            user=user,
            source="saml",
            groups=frozenset({GroupRef("staff"), GroupRef("chess")}),
            teams=frozenset({other.saml_id}),
        )
        memberships.apply(observation)
        with django_assert_max_num_queries(3 + 2):  # a savepoint in the test's own transaction is two more
            memberships.apply(observation)

    def test_queries_do_not_grow_with_groups(self, django_assert_max_num_queries: Any) -> None:
        user, team = make_user(), make_team()
        for number in range(50):
            make_mapping(f"g{number}", team)
        # Two more for groups that nobody has named before, one for the audit rows.
        with django_assert_max_num_queries(6 + 2):
            say_groups(user, *(f"g{number}" for number in range(200)))
        assert Membership.objects.count() == 50
        assert AuditEvent.objects.count() == 50


def test_who_comes_in_and_who_falls_out_is_told(told: list[frozenset[int]], committed: Any) -> None:
    user, team = make_user(), make_team()
    with committed():
        say_teams(user, team)
    assert told == [{user.pk}]
    with committed():
        say_teams(user, team)
        say_teams(user, team, valid_until=timezone.now() + timedelta(hours=1))
        say_groups(user, "unmapped")
    assert told == [{user.pk}]


def test_a_user_that_was_deleted_is_refused() -> None:
    user = make_user()
    User.objects.all().delete()
    with pytest.raises(User.DoesNotExist):
        memberships.apply(UserObservation(user=user, source="saml", groups=frozenset()))


@pytest.mark.parametrize(("realm", "source"), [("default", "saml"), ("partner", "saml:partner")])
def test_the_source_of_a_realm(realm: str, source: str) -> None:
    assert memberships.saml_source(realm) == source
