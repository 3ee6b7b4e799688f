"""Requests to join a team: who may ask for what, who decides, and that it is decided once.

Alice owns the team, Bob belongs to it, Charlie asks, Ada is a portal admin.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from teams import access, audit, memberships, requests
from teams.models import AccessRequest, AuditEvent, Grant, Membership, Team, TeamOwner, User
from teams.owners import NotAllowedError
from tests.factories import make_team, make_user

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
SECONDS = 15


@pytest.fixture(name="team")
def _team() -> Team:
    return make_team("team1", name="Team 1", is_requestable=True)


@pytest.fixture(name="alice")
def _alice(team: Team) -> User:
    alice = make_user("alice", name="Alice")
    TeamOwner.objects.create(team=team, user=alice)
    return alice


@pytest.fixture(name="bob")
def _bob(team: Team) -> User:
    bob = make_user("bob")
    memberships.give(bob, team, until=in_days(30))
    return bob


@pytest.fixture(name="charlie")
def _charlie() -> User:
    return make_user("charlie", name="Charlie")


@pytest.fixture(name="ada")
def _ada() -> User:
    return make_user("ada", role=User.Role.ADMIN)


def in_days(days: int) -> datetime:
    return timezone.now() + days * DAY


def asked(user: User, team: Team) -> AccessRequest:
    return requests.ask(user=user, team=team, reason="I need it")


def said(action: str) -> list[tuple[str, str, str, str]]:
    rows = AuditEvent.objects.filter(action=action).order_by("id")
    return [(row.actor, row.target, row.team, row.reason) for row in rows]


class TestAsk:
    def test_a_request_waits(self, team: Team, charlie: User) -> None:
        request = requests.ask(user=charlie, team=team, reason=" For\r\nthe launch ")
        assert (request.state, request.reason) == ("pending", "For the launch")
        assert request.owners_told_at is None
        assert access.for_user(charlie) == []
        assert said("access_requested") == [("charlie", "charlie", "team1", "For the launch")]

    def test_bob_is_in_it_already(self, team: Team, bob: User) -> None:
        with pytest.raises(NotAllowedError, match="You are in the team Team 1 already"):
            asked(bob, team)

    @pytest.mark.parametrize("change", [{"is_requestable": False}, {"is_active": False}])
    def test_teams_that_cannot_be_asked_for(self, team: Team, charlie: User, change: dict[str, bool]) -> None:
        Team.objects.update(**change)
        with pytest.raises(NotAllowedError, match="cannot be asked for"):
            asked(charlie, team)

    def test_once_at_a_time(self, team: Team, charlie: User) -> None:
        asked(charlie, team)
        with pytest.raises(NotAllowedError, match="have asked for the team Team 1 already"):
            asked(charlie, team)
        assert AccessRequest.objects.count() == 1

    def test_so_many_may_wait(self, charlie: User) -> None:
        for _ in range(requests.MAX_WAITING):
            asked(charlie, make_team(is_requestable=True))
        with pytest.raises(NotAllowedError, match="10 of your requests are waiting"):
            asked(charlie, make_team(is_requestable=True))

    def test_asking_and_withdrawing_has_an_end(self, team: Team, charlie: User) -> None:
        for _ in range(requests.MAX_A_DAY):
            requests.withdraw(request=asked(charlie, team), by=charlie)
        with pytest.raises(NotAllowedError, match="very often today"):
            asked(charlie, team)
        AccessRequest.objects.update(asked_at=in_days(-2))
        asked(charlie, team)

    @pytest.mark.parametrize("reason", ["", " \n ", "x" * 501])
    def test_a_reason_is_needed(self, team: Team, charlie: User, reason: str) -> None:
        with pytest.raises(NotAllowedError, match="reason"):
            requests.ask(user=charlie, team=team, reason=reason)

    def test_who_was_switched_off_asks_for_nothing(self, team: Team, charlie: User) -> None:
        User.objects.filter(pk=charlie.pk).update(is_active=False)
        with pytest.raises(NotAllowedError, match="not active"):
            asked(charlie, team)

    def test_no_request_without_its_audit_row(self, team: Team, charlie: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def break_with(*args: object, **kwargs: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(audit, "record", break_with)
        with pytest.raises(RuntimeError, match="broken"):
            asked(charlie, team)
        assert not AccessRequest.objects.exists()


class TestApprove:
    @pytest.mark.parametrize("who", ["alice", "ada"])
    def test_the_person_is_let_in(self, team: Team, alice: User, ada: User, charlie: User, who: str) -> None:
        by, until = {"alice": alice, "ada": ada}[who], in_days(90)
        request = asked(charlie, team)
        requests.approve(request=request, by=by, until=until, reason="Welcome")
        request.refresh_from_db()
        assert (request.state, request.decided_by, request.decision) == ("approved", who, "Welcome")
        assert [each.team for each in access.for_user(charlie)] == [team]
        grant = Grant.objects.get()
        assert (grant.valid_until, grant.reason, grant.given_by) == (until, "I need it", who)
        # The mail about the decision is enough.
        assert grant.person_told_at is not None
        assert said("access_approved") == [(who, "charlie", "team1", "Welcome")]
        assert said("access_given") == []

    @pytest.mark.parametrize("who", ["alice", "ada"])
    def test_nobody_approves_themselves(self, team: Team, alice: User, ada: User, who: str) -> None:
        by = {"alice": alice, "ada": ada}[who]
        request = asked(by, team)
        with pytest.raises(NotAllowedError, match="themselves"):
            requests.approve(request=request, by=by, until=in_days(1))
        with pytest.raises(NotAllowedError, match="their own request"):
            requests.refuse(request=request, by=by, reason="r")
        assert access.for_user(by) == []

    def test_bob_charlie_and_other_owners_must_not(self, team: Team, bob: User, charlie: User) -> None:
        stranger = make_user("stranger")
        TeamOwner.objects.create(team=make_team(), user=stranger)
        request = asked(charlie, team)
        for by in (bob, stranger, make_user("eve", role=User.Role.AUDITOR)):
            with pytest.raises(NotAllowedError, match="Only owners"):
                requests.approve(request=request, by=by, until=in_days(1))
            with pytest.raises(NotAllowedError, match="Only owners"):
                requests.refuse(request=request, by=by, reason="r")
            with pytest.raises(NotAllowedError, match="Only who asked"):
                requests.withdraw(request=request, by=by)
        request.refresh_from_db()
        assert request.state == "pending"
        assert access.for_user(charlie) == []

    @pytest.mark.parametrize("state", ["approved", "refused", "withdrawn"])
    def test_what_is_decided_stays(self, team: Team, alice: User, charlie: User, state: str) -> None:
        request = asked(charlie, team)
        AccessRequest.objects.update(state=state, decided_at=timezone.now())
        acts: list[Callable[[], None]] = [
            lambda: requests.approve(request=request, by=alice, until=in_days(1)),
            lambda: requests.refuse(request=request, by=alice, reason="r"),
            lambda: requests.withdraw(request=request, by=charlie),
        ]
        for act in acts:
            with pytest.raises(NotAllowedError, match=f"has been {state} already"):
                act()
        assert access.for_user(charlie) == []

    def test_a_request_that_is_gone(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        AccessRequest.objects.all().delete()
        with pytest.raises(NotAllowedError, match="no longer there"):
            requests.approve(request=request, by=alice, until=in_days(1))

    def test_who_was_switched_off_meanwhile_is_not_let_in(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        User.objects.filter(pk=charlie.pk).update(is_active=False)
        with pytest.raises(NotAllowedError, match="Charlie is not active"):
            requests.approve(request=request, by=alice, until=in_days(1))

    @pytest.mark.parametrize("days", [0, 366])
    def test_the_end_is_bounded(self, team: Team, alice: User, charlie: User, days: int) -> None:
        request = asked(charlie, team)
        with pytest.raises(NotAllowedError):
            requests.approve(request=request, by=alice, until=in_days(days))
        request.refresh_from_db()
        assert request.state == "pending"


class TestRefuseAndWithdraw:
    def test_a_refusal_has_a_reason(self, team: Team, alice: User, charlie: User) -> None:
        request = asked(charlie, team)
        with pytest.raises(NotAllowedError, match="Give a reason"):
            requests.refuse(request=request, by=alice, reason=" ")
        requests.refuse(request=request, by=alice, reason="Not your project")
        request.refresh_from_db()
        assert (request.state, request.decided_by, request.decision) == ("refused", "alice", "Not your project")
        assert said("access_refused") == [("alice", "charlie", "team1", "Not your project")]
        assert not Membership.objects.exists()

    def test_who_asked_can_withdraw_and_ask_again(self, team: Team, charlie: User) -> None:
        requests.withdraw(request=asked(charlie, team), by=charlie)
        assert said("access_withdrawn") == [("charlie", "charlie", "team1", "")]
        asked(charlie, team)
        assert AccessRequest.objects.filter(state="pending").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_deciders_at_once_decide_once(team: Team, alice: User, ada: User, charlie: User) -> None:
    request = asked(charlie, team)
    together = Barrier(2)

    def decide(act: str) -> str:
        try:
            together.wait(SECONDS)
            if act == "approve":
                requests.approve(request=request, by=alice, until=in_days(10))
            else:
                requests.refuse(request=request, by=ada, reason="No")
        except NotAllowedError as error:
            return str(error)
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as pool:
        answers = [each.result(SECONDS) for each in [pool.submit(decide, act) for act in ("approve", "refuse")]]
    request.refresh_from_db()
    assert sorted(answers) == sorted(["done", f"This request has been {request.state} already."])
    assert len(said("access_approved")) + len(said("access_refused")) == 1
    assert bool(access.for_user(charlie)) == (request.state == "approved")


@pytest.mark.django_db(transaction=True)
def test_two_browsers_of_one_person_ask_once(team: Team, charlie: User) -> None:
    together = Barrier(2)

    def ask() -> str:
        try:
            together.wait(SECONDS)
            asked(charlie, team)
        except NotAllowedError as error:
            return str(error)
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as pool:
        answers = [each.result(SECONDS) for each in [pool.submit(ask) for _ in range(2)]]
    assert sorted(answers)[1] == "done"
    assert AccessRequest.objects.count() == 1
