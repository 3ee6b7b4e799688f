"""Access given by hand: by owners and admins, never by oneself, until a day; with its audit rows or not at all.

Alice owns the team, Bob belongs to it, Charlie does neither, Ada is a portal admin.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from teams import access, audit, grants, memberships, owners
from teams.models import AccessRequest, AuditEvent, Farewell, Grant, Membership, Team, TeamOwner, User
from teams.owners import NotAllowedError
from teams.signals import mail_due
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1")


@pytest.fixture(name="alice")
def _alice(team: Team) -> User:
    alice = make_user("alice", name="Alice", email="alice@example.com")
    TeamOwner.objects.create(team=team, user=alice)
    return alice


@pytest.fixture(name="bob")
def _bob(team: Team) -> User:
    bob = make_user("bob", name="Bob", email="bob@example.com")
    memberships.give(bob, team, until=timezone.now() + 30 * DAY)
    Grant.objects.create(user=bob, team=team, reason="r", given_by="ada", valid_until=timezone.now() + 30 * DAY)
    return bob


@pytest.fixture(name="charlie")
def _charlie() -> User:
    return make_user("charlie", name="Charlie", email="charlie@example.com")


@pytest.fixture(name="ada")
def _ada() -> User:
    return make_user("ada", role=User.Role.ADMIN)


def in_days(days: int) -> datetime:
    return timezone.now() + days * DAY


def said(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("id"))


class TestGive:
    @pytest.mark.parametrize("who", ["alice", "ada"])
    def test_owners_and_admins_give_access(
        self, team: Team, alice: User, ada: User, charlie: User, who: str, told: list[frozenset[int]], committed: Any
    ) -> None:
        by, until = {"alice": alice, "ada": ada}[who], in_days(30)
        with committed():
            grants.give(user=charlie, team=team, until=until, reason="  Helps\nwith\u200b the\x00 launch ", by=by)
        assert [each.team for each in access.for_user(charlie)] == [team]
        grant = Grant.objects.get()
        assert (grant.user, grant.team, grant.valid_until, grant.given_by) == (charlie, team, until, who)
        assert grant.reason == "Helps with the launch"
        assert Membership.objects.get().valid_until == until
        (given,) = said("access_given")
        assert (given.actor, given.target, given.team, given.reason) == (who, "charlie", "team1", grant.reason)
        assert given.data == {"until": until.isoformat()}
        assert [event.target for event in said("membership_added")] == ["charlie"]
        assert told == [frozenset({charlie.pk})]

    def test_owning_gives_no_access(self, team: Team, alice: User) -> None:
        assert access.for_user(alice) == []

    @pytest.mark.parametrize("who", ["alice", "ada"])
    def test_nobody_gives_to_themselves(self, team: Team, alice: User, ada: User, who: str) -> None:
        by = {"alice": alice, "ada": ada}[who]
        with pytest.raises(NotAllowedError, match="themselves"):
            grants.give(user=by, team=team, until=in_days(1), reason="r", by=by)
        assert access.for_user(by) == []

    @pytest.mark.parametrize("who", ["bob", "charlie", "auditor", "owner of another team", "switched-off owner"])
    def test_everybody_else_must_not(self, team: Team, alice: User, bob: User, charlie: User, who: str) -> None:
        by = {"bob": bob, "charlie": charlie}.get(who) or make_user("dora")
        if who == "auditor":
            User.objects.filter(pk=by.pk).update(role=User.Role.AUDITOR)
        if who == "owner of another team":
            TeamOwner.objects.create(team=make_team(), user=by)
        if who == "switched-off owner":
            TeamOwner.objects.create(team=team, user=by)
            User.objects.filter(pk=by.pk).update(is_active=False)
        friend = make_user("friend")
        for act in (
            lambda: grants.give(user=friend, team=team, until=in_days(1), reason="r", by=by),
            lambda: grants.take_back(user=bob, team=team, reason="r", by=by),
        ):
            with pytest.raises(NotAllowedError, match="Only owners of the team and portal admins"):
                act()
        assert access.for_user(friend) == []
        assert len(access.for_user(bob)) == 1
        assert said("access_given") == said("access_taken") == []

    @pytest.mark.parametrize(
        ("days", "reason", "fault"),
        [
            (-1, "r", "in the future"),
            (0, "r", "in the future"),
            (366, "r", "365 days at most"),
            (1, "", "Give a reason"),
            (1, " \n\u200b ", "Give a reason"),
            (1, "x" * 501, "500 characters"),
        ],
    )
    def test_what_is_refused(self, team: Team, alice: User, charlie: User, days: int, reason: str, fault: str) -> None:
        with pytest.raises(NotAllowedError, match=fault):
            grants.give(user=charlie, team=team, until=in_days(days), reason=reason, by=alice)
        assert not Grant.objects.exists()

    def test_the_last_day_counts_to_its_end(self, team: Team, alice: User, charlie: User) -> None:
        until = grants.end_of(grants.last_day())
        assert grants.give(user=charlie, team=team, until=until, reason="r", by=alice).valid_until == until

    def test_days_end_in_the_portals_time_zone(self, settings: Any) -> None:
        settings.TIME_ZONE = "Europe/Zurich"
        assert grants.end_of(datetime(2031, 7, 1, tzinfo=UTC).date()) == datetime(2031, 7, 1, 21, 59, 59, tzinfo=UTC)

    def test_inactive_people_and_teams(self, team: Team, alice: User, charlie: User) -> None:
        User.objects.filter(pk=charlie.pk).update(is_active=False)
        with pytest.raises(NotAllowedError, match="Charlie is not active"):
            grants.give(user=charlie, team=team, until=in_days(1), reason="r", by=alice)
        User.objects.filter(pk=charlie.pk).update(is_active=True)
        Team.objects.update(is_active=False)
        with pytest.raises(NotAllowedError, match="Team 1 is not active"):
            grants.give(user=charlie, team=team, until=in_days(1), reason="r", by=alice)

    def test_people_and_teams_that_are_gone(self, team: Team, alice: User, charlie: User) -> None:
        kept = User.objects.get(pk=charlie.pk)
        charlie.delete()
        with pytest.raises(NotAllowedError, match="no longer known"):
            grants.give(user=kept, team=team, until=in_days(1), reason="r", by=alice)

    @pytest.mark.parametrize("days", [10, 90])
    def test_giving_again_changes_the_end(self, team: Team, alice: User, bob: User, days: int) -> None:
        until = in_days(days)
        grants.give(user=bob, team=team, until=until, reason="Another word", by=alice)
        grant = Grant.objects.get()
        assert (grant.valid_until, grant.reason, grant.given_by) == (until, "Another word", "alice")
        assert grant.person_told_at is None
        assert Membership.objects.get().valid_until == until


class TestTakeBack:
    def test_what_was_given_goes(self, team: Team, alice: User, bob: User) -> None:
        grants.take_back(user=bob, team=team, by=alice, reason="The project is over")
        assert access.for_user(bob) == []
        assert not Grant.objects.exists()
        (taken,) = said("access_taken")
        assert (taken.actor, taken.target, taken.team) == ("alice", "bob", "team1")
        assert taken.reason == "The project is over"
        assert Farewell.objects.get().user == bob

    def test_access_by_other_evidence_stays(self, team: Team, alice: User, bob: User) -> None:
        Membership.objects.create(user=bob, team=team, source="saml")
        grants.take_back(user=bob, team=team, by=alice, reason="r")
        assert len(access.for_user(bob)) == 1

    def test_nothing_to_take(self, team: Team, alice: User, charlie: User) -> None:
        with pytest.raises(NotAllowedError, match="no access to Team 1 that was given by hand"):
            grants.take_back(user=charlie, team=team, by=alice, reason="r")
        assert not Farewell.objects.exists()


class TestExpire:
    def test_access_ends_by_itself_with_its_words(self, team: Team, bob: User) -> None:
        moment = timezone.now() - timedelta(seconds=1)
        Grant.objects.update(valid_until=moment)
        Membership.objects.update(valid_until=moment)
        assert access.for_user(bob) == []
        assert grants.expire() == 1
        assert not Grant.objects.exists()
        assert not Membership.objects.exists()
        assert [event.reason for event in said("membership_removed")] == ["expired"]

    def test_what_has_not_ended_stays(self, team: Team, bob: User) -> None:
        assert grants.expire() == 0
        assert len(access.for_user(bob)) == 1

    def test_old_farewells_go(self, team: Team, bob: User) -> None:
        for days in (1, 4):
            Farewell.objects.create(user=bob, team=team, reason="r", taken_at=in_days(-days))
        grants.expire()
        assert Farewell.objects.count() == 1


@pytest.mark.parametrize("half", ["audit", "memberships"])
def test_all_or_nothing(team: Team, alice: User, charlie: User, half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_with(*args: object, **kwargs: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(*{"audit": (audit, "record"), "memberships": (memberships, "give")}[half], break_with)
    with pytest.raises(RuntimeError, match="broken"):
        grants.give(user=charlie, team=team, until=in_days(1), reason="r", by=alice)
    assert not Grant.objects.exists()
    assert not Membership.objects.exists()
    assert said("access_given") == []


def test_mail_is_announced_after_the_commit_only(
    team: Team, alice: User, charlie: User, committed: Callable[[], AbstractContextManager[Any]]
) -> None:
    announced = []

    def receive(**kwargs: object) -> None:
        announced.append(1)

    mail_due.connect(receive)
    try:
        with committed():
            grants.give(user=charlie, team=team, until=in_days(1), reason="r", by=alice)
            assert announced == []
        assert announced == [1]
    finally:
        mail_due.disconnect(receive)


class TestFindPerson:
    @pytest.mark.parametrize("who", ["charlie", " charlie ", "charlie@example.com", "CHARLIE@Example.com"])
    def test_by_user_name_or_mail_address(self, charlie: User, who: str) -> None:
        assert grants.find_person(who) == charlie

    @pytest.mark.parametrize("who", ["", "char", "Charlie", "@", "dora", "%", "charlie\x00x", "\ud800"])
    def test_nobody(self, charlie: User, who: str) -> None:
        make_user("dora", is_active=False)
        make_user("nameless", email="")
        with pytest.raises(NotAllowedError, match="Nobody here"):
            grants.find_person(who)

    def test_an_address_of_several_people(self, charlie: User) -> None:
        make_user("twin", email="charlie@example.com")
        with pytest.raises(NotAllowedError, match="Several people"):
            grants.find_person("charlie@example.com")


class TestOverview:
    def test_an_owner_sees_what_waits(self, team: Team, alice: User, charlie: User) -> None:
        other = make_team("team0", name="Team 0")
        TeamOwner.objects.create(team=other, user=alice)
        TeamOwner.objects.create(team=make_team(is_active=False), user=alice)
        for user in (charlie, alice, make_user("gone", is_active=False)):
            AccessRequest.objects.create(user=user, team=team, reason="r")
        found = owners.overview(alice)
        # Neither their own request nor one of a person who is switched off.
        assert [(each.slug, each.name, each.waiting) for each in found.owned] == [
            ("team0", "Team 0", 0),
            ("team1", "Team 1", 1),
        ]
        assert found.waiting == 1
        assert not found.can_ask

    def test_charlie_sees_nothing_of_it(self, team: Team, alice: User, charlie: User) -> None:
        assert owners.overview(charlie) == owners.Overview((), can_ask=False)

    def test_whether_there_is_a_team_to_ask_for(self, team: Team, bob: User, charlie: User) -> None:
        Team.objects.update(is_requestable=True)
        assert owners.overview(charlie).can_ask
        assert not owners.overview(bob).can_ask
        Team.objects.update(is_active=False)
        assert not owners.overview(charlie).can_ask

    def test_it_costs_one_query(self, team: Team, alice: User, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            owners.overview(alice)
