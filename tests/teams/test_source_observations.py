"""`apply_source` and its sisters: what a source says about many people at once, and what follows from it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from teams import access, memberships
from teams.memberships import GroupRef, Line, Member, Person, RemovalLimit, SourceApplied, SourceObservation
from teams.models import AuditEvent, Group, GroupMembership, Membership, Team, User
from tests.factories import make_mapping, make_team, make_user
from tests.teams.sources import say_groups, say_teams

pytestmark = pytest.mark.django_db

SOURCE = "identity-center:main"


def whole(
    groups: dict[str, Iterable[str]], *, inactive: Iterable[str] = (), complete: bool = True, **more: Any
) -> SourceObservation:
    """Return a statement: people by the group's id, `id=name` gives it a name."""
    refs = [GroupRef(*each.split("=", 1)) for each in groups]
    members = [
        Member(ref.external_id, subject, f"m-{ref.external_id}-{subject}")
        for ref, subjects in zip(refs, groups.values(), strict=True)
        for subject in subjects
    ]
    switched_off = set(inactive)
    subjects = {member.subject for member in members} | switched_off
    people = [Person(each, each.title(), f"{each}@example.com", each not in switched_off) for each in sorted(subjects)]
    defaults: dict[str, Any] = {"source": SOURCE, "realm": "default", "people": people, "complete": complete}
    return SourceObservation(groups=refs, members=members, **defaults | more)


def say(groups: dict[str, Iterable[str]], **more: Any) -> SourceApplied:
    return memberships.apply_source(whole(groups, **more))


def slugs(subject: str) -> list[str]:
    return [each.team.slug for each in access.for_user(User.objects.get(subject=subject))]


def log(*actions: str) -> list[tuple[str, str, str, str]]:
    rows = AuditEvent.objects.filter(action__in=actions) if actions else AuditEvent.objects.all()
    return list(rows.order_by("id").values_list("action", "target", "team", "reason"))


class TestWhole:
    def test_people_are_there_before_their_first_sign_on(self) -> None:
        team = make_team("one")
        mapping = make_mapping("staff", team, role="staff-role")

        applied = say({"staff": ["ann", "ben"], "chess": ["ben"]})

        assert (applied.added, applied.created, applied.people_added, applied.held) == (2, 2, 2, False)
        assert slugs("ann") == ["one"]
        ann = User.objects.get(subject="ann")
        assert (ann.username, ann.name, ann.email, ann.known_by) == ("ann", "Ann", "ann@example.com", SOURCE)
        assert not ann.has_usable_password()
        event = AuditEvent.objects.get(action="membership_added", target="ann")
        assert event.data == {
            "source": SOURCE, "group": "staff", "mapping": mapping.pk, "role": mapping.execution_role_arn,
        }  # fmt: skip
        assert log("user_created") == [("user_created", "ann", "", ""), ("user_created", "ben", "", "")]
        assert GroupMembership.objects.get(group__external_id="chess").external_id == "m-chess-ben"

    def test_saying_it_again_changes_nothing(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff=Staff": ["ann", "ben"]})
        before = list(Membership.objects.values()), AuditEvent.objects.count()
        assert say({"staff=Staff": ["ann", "ben"]}) == SourceApplied()
        assert (list(Membership.objects.values()), AuditEvent.objects.count()) == before

    def test_who_is_not_named_any_more_loses_what_this_source_gave(self) -> None:
        one, two = make_team("one"), make_team("two")
        make_mapping("staff", one)
        say({"staff": ["ann", "ben"]})
        say_teams(User.objects.get(subject="ben"), two)

        applied = say({"staff": ["ann"], "other": ["ben"]})

        assert (applied.removed, applied.people_losing, applied.deactivated) == (1, 1, 0)
        assert (slugs("ann"), slugs("ben")) == (["one"], ["two"])
        assert log("membership_removed") == [("membership_removed", "ben", "one", "")]

    def test_a_group_that_is_gone_takes_its_teams_along(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann"], "chess": ["ann"]})
        say({"chess": ["ann"]})
        assert slugs("ann") == []
        assert list(Group.objects.values_list("external_id", flat=True)) == ["chess"]

    def test_who_is_gone_is_signed_out_and_comes_back(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann", "ben"]})
        epoch = User.objects.get(subject="ann").session_epoch

        assert say({"staff": ["ben"]}).deactivated == 1
        ann = User.objects.get(subject="ann")
        assert (ann.is_active, ann.deactivated_by, ann.session_epoch) == (False, SOURCE, epoch + 1)
        assert log("user_deactivated") == [("user_deactivated", "ann", "", "unknown to the source")]

        assert say({"staff": ["ann", "ben"]}).reactivated == 1
        assert slugs("ann") == ["one"]
        assert User.objects.get(subject="ann").deactivated_by == ""

    def test_who_is_gone_is_a_member_of_nothing_even_where_a_group_still_names_them(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann", "ben"]})
        applied = say({"staff": ["ann", "ben"]}, people=[Person("ben")])
        assert (applied.deactivated, applied.removed, applied.people_losing) == (1, 1, 1)
        assert slugs("ann") == []
        assert not Membership.objects.filter(user__subject="ann").exists()
        assert say({"staff": ["ann", "ben"]}).reactivated == 1
        assert slugs("ann") == ["one"]

    def test_who_is_switched_off_there_has_no_access_by_any_source(self) -> None:
        one, two = make_team("one"), make_team("two")
        make_mapping("staff", one)
        say({"staff": ["ann"]})
        say_teams(User.objects.get(subject="ann"), two)
        applied = say({"staff": ["ann"]}, inactive=["ann"])
        assert (applied.deactivated, applied.people_losing, slugs("ann")) == (1, 1, [])
        assert log("user_deactivated") == [("user_deactivated", "ann", "", "inactive at the source")]

    def test_an_admins_word_stands_above_the_sources(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann"]})
        User.objects.update(is_active=False)
        assert say({"staff": ["ann"]}).reactivated == 0
        assert slugs("ann") == []

    def test_switched_off_people_are_not_made(self) -> None:
        assert say({"staff": ["ann"]}, inactive=["ann"]) == SourceApplied()
        assert not User.objects.exists()

    def test_people_in_no_group_are_not_made(self) -> None:
        people = [Person("ann"), Person("ben")]
        memberships.apply_source(
            SourceObservation(SOURCE, "default", [GroupRef("g")], [Member("g", "ann")], people, complete=True)
        )
        assert list(User.objects.values_list("subject", flat=True)) == ["ann"]

    def test_members_whom_nobody_describes_are_counted(self) -> None:
        make_user("ann")
        members = [Member("g", "ann"), Member("g", "ghost")]
        applied = memberships.apply_source(SourceObservation(SOURCE, "default", [GroupRef("g")], members))
        assert (applied.skipped, GroupMembership.objects.count()) == (1, 1)

    @pytest.mark.parametrize("subject", ["", " ann", "x" * 257, "zero\u200bwidth", "nul\x00"])
    def test_what_cannot_be_stored_is_skipped(self, subject: str) -> None:
        applied = memberships.apply_source(
            SourceObservation(
                SOURCE, "default", [GroupRef("g"), GroupRef("x" * 300)], [Member("g", subject)], [Person(subject)]
            )
        )
        assert (applied.skipped, Group.objects.count(), User.objects.count()) == (3, 1, 0)

    def test_another_realm_is_other_people(self) -> None:
        make_user("ann")
        say({"g": ["ann"]}, realm="other")
        assert set(User.objects.values_list("username", flat=True)) == {"ann", "other/ann"}

    def test_a_new_name_moves_the_group_to_other_teams(self) -> None:
        make_mapping("Old", make_team("old"))
        make_mapping("New", make_team("new"))
        say({"g=Old": ["ann", "ben"]})
        say({"g=New": ["ann", "ben"]})
        assert (slugs("ann"), slugs("ben")) == (["new"], ["new"])

    def test_sources_are_kept_apart(self) -> None:
        team = make_team("one")
        make_mapping("staff", team)
        user = make_user("ann")
        say_groups(user, "staff")
        say({"staff": ["ann"]})
        say({"staff": []}, people=[Person("ann")])
        assert slugs("ann") == ["one"]
        assert list(Membership.objects.values_list("source", flat=True)) == ["saml"]

    def test_whoever_is_concerned_is_told_after_the_commit(
        self, told: list[frozenset[int]], committed: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        make_mapping("staff", make_team("one"))
        with committed():
            say({"staff": ["ann", "ben"], "chess": ["cat"]})
        assert set(User.objects.filter(subject__in=["ann", "ben"]).values_list("pk", flat=True)) <= told[-1]


class TestPart:
    def test_only_the_named_groups_are_spoken_of(self) -> None:
        make_mapping("staff", make_team("one"))
        make_mapping("chess", make_team("two"))
        say({"staff": ["ann"], "chess": ["ann", "ben"]})
        say({"staff": ["ben"]}, complete=False)
        assert (slugs("ann"), slugs("ben")) == (["two"], ["one", "two"])
        assert User.objects.get(subject="ann").is_active

    def test_an_empty_group_is_a_statement(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann"]})
        assert say({"staff": []}, complete=False).removed == 1

    def test_what_is_newer_is_left_alone(self) -> None:
        make_mapping("staff", make_team("one"))
        make_mapping("chess", make_team("two"))
        say({"staff": ["ann", "ben"], "chess": ["ann", "ben"]})
        say({"staff": [], "chess": ["ben"]}, except_groups=frozenset({"staff"}), people=[Person("ann"), Person("ben")])
        assert (slugs("ann"), slugs("ben")) == (["one"], ["one", "two"])
        say({"staff": [], "chess": []}, except_people=frozenset({"ann"}))
        assert (slugs("ann"), slugs("ben")) == (["one"], [])
        assert User.objects.get(subject="ann").is_active

    def test_a_name_that_is_older_changes_nothing(self) -> None:
        """A mapping by name would open again what the newer name has closed."""
        make_mapping("Old", make_team("one"))
        make_mapping("g", make_team("two"))
        say({"g=New": ["ann"]})
        say({"g=Old": ["ann"]}, except_groups=frozenset({"g"}))
        assert Group.objects.get(external_id="g").name == "New"
        assert slugs("ann") == ["two"]

    def test_who_is_better_known_is_not_made(self) -> None:
        say({"g": ["ann"]}, except_people=frozenset({"ann"}))
        assert not User.objects.exists()


class TestLimit:
    @pytest.mark.parametrize(
        ("people", "losing", "held"), [(10, 5, False), (10, 6, True), (40, 8, False), (40, 9, True)]
    )
    def test_more_than_share_and_number_is_held(self, people: int, losing: int, held: bool) -> None:
        make_mapping("staff", make_team("one"))
        names = [f"user{number:02}" for number in range(people)]
        say({"staff": names})
        rows = Membership.objects.count(), AuditEvent.objects.count()

        statement = whole({"staff": names[losing:], "other": names})
        applied = memberships.apply_source(statement, limit=RemovalLimit(share=0.2, number=5))

        assert (applied.held, applied.people_losing) == (held, losing)
        if held:
            assert applied.people_of_source == people
            assert (Membership.objects.count(), AuditEvent.objects.count()) == rows
            assert Line("removed", "user00", "one", "staff") in applied.lines

    def test_people_who_are_gone_count(self) -> None:
        make_mapping("staff", make_team("one"))
        names = [f"user{number:02}" for number in range(10)]
        say({"staff": names})
        applied = memberships.apply_source(whole({}), limit=RemovalLimit(number=5))
        assert (applied.held, applied.people_losing) == (True, 10)
        assert all(User.objects.values_list("is_active", flat=True))

    def test_people_who_were_gone_before_do_not_count_again(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann", "ben"]})
        say({"staff": ["ann", "ben"]}, inactive=["ann"])
        applied = say({"staff=Staff": ["ann", "ben"]}, inactive=["ann"])
        assert applied.people_losing == 0
        assert applied.lines == ()

    def test_a_trial_changes_nothing_and_tells_everything(self) -> None:
        make_mapping("staff", make_team("one"))
        say({"staff": ["ann"]})
        before = AuditEvent.objects.count()
        applied = memberships.apply_source(whole({"staff": ["ben"]}), dry_run=True)
        assert (applied.added, applied.removed, applied.deactivated, applied.people_of_source) == (1, 1, 1, 1)
        assert [line.change for line in applied.lines] == ["removed", "deactivated", "added"]
        assert (slugs("ann"), AuditEvent.objects.count(), User.objects.count()) == (["one"], before, 1)


class TestChanges:
    def test_joining_and_leaving(self) -> None:
        make_mapping("Staff", make_team("one"))
        ann, ben = make_user("ann"), make_user("ben")
        memberships.change_group("scim:okta", GroupRef("g-1", "Staff"), joined=[ann.pk, ben.pk])
        assert (slugs("ann"), slugs("ben")) == (["one"], ["one"])
        memberships.change_group("scim:okta", GroupRef("g-1"), left=[ann.pk], joined=[ben.pk])
        assert (slugs("ann"), slugs("ben")) == ([], ["one"])
        assert [row[1] for row in log("membership_added", "membership_removed")] == ["ann", "ben", "ann"]

    def test_a_new_name(self) -> None:
        make_mapping("New", make_team("one"))
        ann = make_user("ann")
        memberships.change_group("scim:okta", GroupRef("g-1", "Old"), joined=[ann.pk])
        memberships.change_group("scim:okta", GroupRef("g-1", "New"))
        assert slugs("ann") == ["one"]

    def test_a_group_that_is_gone(self) -> None:
        make_mapping("Staff", make_team("one"))
        ann = make_user("ann")
        memberships.change_group("scim:okta", GroupRef("g-1", "Staff"), joined=[ann.pk])
        memberships.drop_group("scim:okta", "g-1")
        assert (slugs("ann"), Group.objects.count()) == ([], 0)
        memberships.drop_group("scim:okta", "g-1")

    def test_people_who_are_gone_are_passed_over(self) -> None:
        memberships.change_group("scim:okta", GroupRef("g-1", "Staff"), joined=[10**9])
        assert not GroupMembership.objects.exists()


class TestByHand:
    def test_given_until_a_date_and_taken_back(self) -> None:
        user, team = make_user("ann"), make_team("one")
        memberships.give(user, team, until=timezone.now() + timedelta(days=1))
        assert slugs("ann") == ["one"]
        assert memberships.take_back(user, team, reason="project over")
        assert slugs("ann") == []
        assert log("membership_removed") == [("membership_removed", "ann", "one", "project over")]
        assert not memberships.take_back(user, team)

    def test_it_ends_by_itself(self, told: list[frozenset[int]], committed: Any) -> None:
        user, team = make_user("ann"), make_team("one")
        until = timezone.now() + timedelta(days=1)
        memberships.give(user, team, until=until)
        assert memberships.expire() == 0
        over = timezone.now() - timedelta(seconds=1)
        Membership.objects.update(valid_until=over)
        with committed():
            assert memberships.expire() == 1
        assert told == [frozenset({user.pk})]
        event = AuditEvent.objects.get(action="membership_removed")
        assert (event.reason, event.data) == ("expired", {"source": "manual", "until": over.isoformat()})

    def test_a_sign_on_that_is_over_leaves_its_row(self) -> None:
        user, team = make_user("ann"), make_team("one")
        say_teams(user, team, valid_until=timezone.now() + timedelta(hours=1))
        Membership.objects.update(valid_until=timezone.now())
        assert (memberships.expire(), slugs("ann"), Membership.objects.count()) == (0, [], 1)


class TestSession:
    def test_what_a_session_brought_ends_with_it(self) -> None:
        user, team = make_user("ann"), make_team("one")
        make_mapping("staff", team)
        until = timezone.now() + timedelta(hours=1)
        say_groups(user, "staff", valid_until=until)
        memberships.end_session(user, source="saml", until=until)
        assert slugs("ann") == []
        say_groups(user, "staff", valid_until=until)
        assert slugs("ann") == ["one"]

    def test_what_a_later_sign_on_said_stays(self) -> None:
        user, team = make_user("ann"), make_team("one")
        first, second = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(hours=2)
        say_teams(user, team, valid_until=first)
        say_teams(user, team, valid_until=second)
        memberships.end_session(user, source="saml", until=first)
        assert slugs("ann") == ["one"]

    def test_other_sources_stay(self) -> None:
        user, saml, hand, other = make_user("ann"), make_team("saml"), make_team("hand"), make_team("other")
        until = timezone.now() + timedelta(hours=1)
        say_teams(user, saml, valid_until=until)
        say_teams(user, other, source="saml:other", valid_until=until)
        memberships.give(user, hand, until=until)
        memberships.end_session(user, source="saml", until=until)
        assert slugs("ann") == ["hand", "other"]
        memberships.end_session(user)
        assert slugs("ann") == ["hand"]


def test_teams_of_nobody_are_left_alone() -> None:
    Team.objects.all().delete()
    assert say({"staff": ["ann"]}).added == 0
