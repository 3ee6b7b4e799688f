"""Who had access at a moment: compared with what was so then, whatever happened since."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from teams import access, memberships, sheets, users
from teams.memberships import GroupRef, Member, Person, SourceObservation
from teams.models import AuditEvent, Membership, RoleMapping, Team
from teams.review import Line, Review, UnknownTeamError, teams
from tests.factories import make_mapping, make_team, make_user, role_arn
from tests.teams.admin_clients import client_of
from tests.teams.sources import say_groups, say_teams
from tests.teams.test_explain import NO_INLINES

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """The time of a test, in hours since its beginning."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hour = 0
        clock = self

        class Frozen(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return clock.at(clock.hour).astimezone(tz)

        # Beneath `timezone.now`, which columns have as their default.
        monkeypatch.setattr(timezone, "datetime", Frozen)

    @staticmethod
    def at(hour: float) -> datetime:
        return START + timedelta(hours=hour)


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def who(team: str, hour: float) -> dict[str, list[tuple[str, str]]]:
    """Return source and group of the evidence that people had then."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in Review(team, Clock.at(hour)).lines():
        found.setdefault(line.username, []).append((line.source, line.group))
    return found


def lines(team: str, hour: float) -> list[Line]:
    return list(Review(team, Clock.at(hour)).lines())


@pytest.mark.django_db
class TestReview:
    def test_who_came_and_who_left(self, clock: Clock) -> None:
        team = make_team("team1")
        make_mapping("staff", team)
        stays, leaves, comes = (make_user(name) for name in ("stays", "leaves", "comes"))
        clock.hour = 1
        say_groups(stays, "g-1=staff")
        say_groups(leaves, "g-1=staff")
        clock.hour = 3
        say_groups(leaves)
        say_groups(comes, "g-1=staff")
        staff = [("saml", "staff")]
        assert who("team1", 0.5) == {}
        assert who("team1", 2) == {"leaves": staff, "stays": staff}
        assert who("team1", 4) == {"comes": staff, "stays": staff}

    def test_at_the_very_moment_of_a_change_it_has_happened(self, clock: Clock) -> None:
        user, team = make_user(), make_team("team1")
        clock.hour = 1
        say_teams(user, team, valid_until=clock.at(2))
        assert who("team1", 1) == {user.username: [("saml", "")]}
        assert who("team1", 1.999) == {user.username: [("saml", "")]}
        assert who("team1", 2) == {}

    def test_what_ran_out_and_was_cleared_away_much_later(self, clock: Clock) -> None:
        user, team = make_user(), make_team("team1")
        memberships.give(user, team, until=clock.at(5))
        clock.hour = 9
        assert memberships.expire() == 1
        assert not Membership.objects.exists()
        assert list(who("team1", 4)) == [user.username]
        assert who("team1", 6) == {}

    def test_what_ran_out_and_began_anew(self, clock: Clock) -> None:
        user, team = make_user(), make_team("team1")
        say_teams(user, team, valid_until=clock.at(2))
        clock.hour = 5
        say_teams(user, team, valid_until=clock.at(7))
        assert [bool(who("team1", hour)) for hour in (1, 3, 6, 8)] == [True, False, True, False]

    def test_a_renewed_session_never_ended(self, clock: Clock) -> None:
        user, team = make_user(), make_team("team1")
        say_teams(user, team, valid_until=clock.at(2))
        clock.hour = 1
        say_teams(user, team, valid_until=clock.at(4))
        clock.hour = 9
        assert [bool(who("team1", hour)) for hour in (0, 2, 3, 4)] == [True, True, True, False]

    def test_a_group_that_was_renamed(self, clock: Clock) -> None:
        user, team = make_user(), make_team("team1")
        make_mapping("staff", team)
        clock.hour = 2
        say_groups(user, "g-1=staff")
        clock.hour = 4
        say_groups(user, "g-1=crew")
        assert who("team1", 1) == {}
        assert list(who("team1", 3)) == [user.username]
        assert who("team1", 5) == {}

    def test_people_who_were_switched_off_and_on(self, clock: Clock) -> None:
        user, team = make_user("user1"), make_team("team1")
        say_teams(user, team)
        clock.hour = 2
        users.deactivate(user, by="okta")
        clock.hour = 4
        users.reactivate(user, by="okta")
        clock.hour = 6
        client_of("alice").post(f"/admin/teams/user/{user.pk}/change/", NO_INLINES)
        clock.hour = 8
        assert [bool(who("team1", hour)) for hour in (1, 3, 5, 7)] == [True, False, True, False]

    def test_a_team_that_was_switched_off(self, clock: Clock) -> None:
        user, team = make_user("user1"), make_team("team1")
        say_teams(user, team)
        clock.hour = 2
        data = {"before": {"is_active": True}, "after": {"is_active": False}}
        AuditEvent.objects.create(action="changed", target="team: team1", team="team1", actor="alice", data=data)
        Team.objects.update(is_active=False)
        clock.hour = 4
        assert [bool(who("team1", hour)) for hour in (1, 3)] == [True, False]
        assert not Review("team1", clock.at(3)).was_active

    def test_a_team_that_was_deleted(self, clock: Clock) -> None:
        user, team = make_user("user1"), make_team("team1")
        make_mapping("staff", team, role="staff")
        say_groups(user, "staff")
        role = role_arn(team.domain, "staff")
        clock.hour = 2
        assert client_of("alice").post(f"/admin/teams/team/{team.pk}/delete/", {"post": "yes"}).status_code == 302
        clock.hour = 4
        assert [(line.username, line.role) for line in lines("team1", 1)] == [("user1", role)]
        assert lines("team1", 3) == []
        assert [review.slug for review in teams(clock.at(1))] == ["team1"]
        assert [review.slug for review in teams(clock.at(3))] == []

    def test_a_team_that_nobody_ever_knew(self) -> None:
        with pytest.raises(UnknownTeamError):
            Review("nowhere", timezone.now())

    def test_since_and_until_of_what_ended(self, clock: Clock) -> None:
        user, team = make_user("user1", name="User One", email="one@example.com"), make_team("team1")
        make_mapping("staff", team)
        clock.hour = 1
        say_groups(user, "g-1=staff", valid_until=clock.at(9))
        clock.hour = 3
        (line,) = lines("team1", 2)
        assert (line.name, line.email, line.since, line.until) == (
            "User One", "one@example.com", clock.at(1), clock.at(9),
        )  # fmt: skip
        say_groups(user)
        (line,) = lines("team1", 2)
        assert (line.group, line.since, line.until) == ("staff", clock.at(1), None)

    def test_the_role_is_that_of_the_moment(self, clock: Clock) -> None:
        user, team = make_user("user1"), make_team("team1")
        mapping = make_mapping("staff", team, role="first")
        say_groups(user, "staff")
        for hour, change in ((2, {"role": "second"}), (4, {"group": "g-1", "role": "third"}), (6, {"role": ""})):
            clock.hour = hour
            say_groups(user, "g-1=staff", source="okta")
            self.change(mapping, **change)
        clock.hour = 8
        assert [
            {line.role.rpartition("/")[2] for line in lines("team1", hour) if line.source == "saml"} for hour in (1, 3)
        ] == [{"first"}, {"second"}]
        assert [
            {line.role.rpartition("/")[2] for line in lines("team1", hour) if line.source == "okta"} for hour in (5, 7)
        ] == [{"third"}, {"team1-role"}]

    def change(self, mapping: RoleMapping, *, group: str = "", role: str) -> None:
        client = client_of("alice")
        url = f"/admin/teams/rolemapping/{mapping.pk}/change/"
        mapping.refresh_from_db()
        data = {
            "group": group or mapping.group,
            "source": "",
            "team": str(mapping.team_id),
            "execution_role_arn": role and role_arn(mapping.team.domain, role),
            "priority": "0",
        }
        page = client.post(url, data)
        name, digest = page.context["agreed"]
        assert client.post(url, {**data, name: digest}).status_code == 302

    def test_who_gave_access_by_hand_and_why(self, clock: Clock) -> None:
        user, team = make_user("user1"), make_team("team1")
        for hour, reason in ((1, "first"), (3, "second")):
            clock.hour = hour
            memberships.give(user, team, until=clock.at(20))
            AuditEvent.objects.create(
                action="access_given", target="user1", team="team1", actor=f"owner{hour}", reason=reason
            )
        clock.hour = 9
        assert [(line.given_by, line.reason) for line in lines("team1", 2)] == [("owner1", "first")]
        assert [(line.given_by, line.reason) for line in lines("team1", 4)] == [("owner3", "second")]

    def test_how_far_back_the_log_reaches(self, clock: Clock) -> None:
        user, team = make_user(), make_team("team1")
        clock.hour = 2
        say_teams(user, team)
        clock.hour = 4
        assert Review("team1", clock.at(1)).is_before_log
        review = Review("team1", clock.at(3))
        assert not review.is_before_log
        assert review.log_begins == clock.at(2)

    def test_page_by_page_is_the_same_as_all_at_once(self, clock: Clock) -> None:
        team = make_team("team1")
        for name in "abcdefg":
            say_teams(make_user(name), team)
        review = Review("team1", clock.at(0))
        first = list(review.lines(people=3))
        rest = list(review.lines(after=first[-1].username))
        assert [line.username for line in first] == ["a", "b", "c"]
        assert first + rest == list(review.lines())

    def test_it_costs_the_same_for_more_people(self, clock: Clock) -> None:
        team = make_team("team1")
        make_mapping("staff", team)

        def cost() -> int:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                list(Review("team1", clock.at(clock.hour)).lines())
            return len(queries)

        say_groups(make_user(), "staff")
        once = cost()
        for _ in range(5):
            say_groups(make_user(), "staff")
        assert cost() <= once + 3  # the search in a longer log

    def test_another_teams_people_are_not_in_it(self, clock: Clock) -> None:
        one, two = make_team("one"), make_team("two")
        user = make_user()
        say_teams(user, one)
        say_teams(user, two, source="saml:other")
        assert who("two", 1) == {user.username: [("saml:other", "")]}


PEOPLE = ("ann", "ben", "cat")
SOURCES = ("saml", "directory")
GROUPS = ("red", "blue")
ends = st.one_of(st.none(), st.integers(1, 6))
steps = st.one_of(
    st.tuples(st.just("groups"), st.sampled_from(PEOPLE), st.sets(st.sampled_from(GROUPS)), ends),
    st.tuples(st.just("teams"), st.sampled_from(PEOPLE), ends),
    st.tuples(st.just("source"), st.dictionaries(st.sampled_from(PEOPLE), st.sampled_from(GROUPS))),
    st.tuples(st.just("rename"), st.sampled_from(GROUPS)),
    st.tuples(st.just("give"), st.sampled_from(PEOPLE), st.integers(1, 6)),
    st.tuples(st.just("take"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("expire")),
    st.tuples(st.just("session"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("off"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("on"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("mapping"), st.sampled_from(GROUPS)),
)


class World:
    """Three people, one team, and what can happen to them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.team = make_team("team1")
        self.people = {name: make_user(name) for name in PEOPLE}
        self.names = {group: group for group in GROUPS}
        make_mapping("red", self.team)

    def do(self, what: str, *details: Any) -> None:
        step: Callable[..., None] = getattr(self, f"do_{what}")
        step(*details)

    def end(self, hours: int | None) -> datetime | None:
        return None if hours is None else self.clock.at(self.clock.hour + hours)

    def do_groups(self, name: str, groups: set[str], hours: int | None) -> None:
        said = [f"{group}={self.names[group]}" for group in groups]
        say_groups(self.people[name], *said, valid_until=self.end(hours))

    def do_teams(self, name: str, hours: int | None) -> None:
        say_teams(self.people[name], self.team, valid_until=self.end(hours))

    def do_source(self, members: dict[str, str]) -> None:
        memberships.apply_source(
            SourceObservation(
                source="directory",
                realm="default",
                groups=[GroupRef(group, self.names[group]) for group in GROUPS],
                members=[Member(group, name) for name, group in members.items()],
                people=[Person(name) for name in members],
                complete=True,
            )
        )

    def do_rename(self, group: str) -> None:
        self.names[group] = "other" if self.names[group] == group else group

    def do_give(self, name: str, hours: int) -> None:
        memberships.give(self.people[name], self.team, until=self.clock.at(self.clock.hour + hours))

    def do_take(self, name: str) -> None:
        memberships.take_back(self.people[name], self.team)

    def do_expire(self) -> None:
        memberships.expire()

    def do_session(self, name: str) -> None:
        memberships.end_session(self.people[name])

    def do_off(self, name: str) -> None:
        users.deactivate(self.people[name], by="scim")

    def do_on(self, name: str) -> None:
        users.reactivate(self.people[name], by="scim")

    def do_mapping(self, group: str) -> None:
        mapping = RoleMapping.objects.filter(group=group).first()
        if mapping:
            memberships.drop_mapping(mapping)
        else:
            make_mapping(group, self.team)
            memberships.remap(team_ids=[self.team.pk])

    def evidence(self) -> dict[str, list[str]]:
        """Return the sources of everybody's live evidence."""
        found: dict[str, list[str]] = {}
        for row in Membership.objects.filter(access.live(), team=self.team).select_related("user"):
            found.setdefault(row.user.username, []).append(row.source)
        return {name: sorted(sources) for name, sources in found.items()}


class TestWhateverHappens(TestCase):
    """Random histories, looked back upon from their end, hour by hour."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(history=st.lists(steps, min_size=1, max_size=12))
    def test_looking_back_finds_what_was_so(self, history: list[tuple[Any, ...]]) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            clock = Clock(monkeypatch)
            world = World(clock)
            was = {}
            for hour, step in enumerate(history):
                clock.hour = 2 * hour + 1
                world.do(*step)
                was[clock.hour] = world.evidence()
                clock.hour += 1
                was[clock.hour] = world.evidence()
            for hour, expected in was.items():
                found = {name: sorted(source for source, _ in each) for name, each in who("team1", hour).items()}
                assert found == expected, f"at {hour}"


@pytest.mark.django_db
class TestSheet:
    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
    def test_no_cell_is_a_formula(self, text: str) -> None:
        assert sheets.defused(text) == f"'{text}"

    def test_the_rows(self, clock: Clock) -> None:
        user, team = make_user("user1", name='=HYPERLINK("x")', email="one@example.com"), make_team("team1")
        say_teams(user, team, valid_until=clock.at(3))
        headings, row = list(sheets.as_csv(lines("team1", 1)))
        assert headings == "team,user name,name,e-mail,source,group,role,since,until,given by,reason\r\n"
        assert row == (
            f'team1,user1,"\'=HYPERLINK(""x"")",one@example.com,saml,,{team.execution_role_arn},'
            "2026-01-01T00:00:00+00:00,2026-01-01T03:00:00+00:00,,\r\n"
        )


@pytest.mark.django_db
class TestCommand:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("accessreview", *arguments, stdout=out)
        return out.getvalue()

    def test_a_team_at_a_moment(self, clock: Clock) -> None:
        user, team = make_user("user1", name="User One"), make_team("team1")
        clock.hour = 2
        say_teams(user, team)
        clock.hour = 4
        text = self.run("team1", "--at", "2026-01-01T03:00")
        assert text.startswith("team1 at 2026-01-01 03:00:00 UTC\n  user1 User One")
        assert "saml; role " in text
        assert "since 2026-01-01 02:00:00 UTC" in text
        assert text.endswith("  1 person\n")
        assert "The log begins later" in self.run("team1", "--at", "2026-01-01")

    def test_csv_of_all_teams(self, clock: Clock) -> None:
        for slug in ("team2", "team1"):
            say_teams(make_user(), make_team(slug))
        rows = self.run("--all", "--csv").splitlines()
        assert [row.partition(",")[0] for row in rows] == ["team", "team1", "team2"]

    def test_an_inactive_team(self) -> None:
        make_team("team1", is_active=False)
        assert "nobody had access" in self.run("team1")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("nowhere",), "no team with the slug “nowhere”"),
            (("team1", "--at", "yesterday"), "“yesterday” is no date and time"),
            (("team1", "--at", "2999-01-01"), "yet to come"),
            (("team1", "--at", "0001-01-01"), "is no date and time"),
            (("team1", "--all"), "or --all"),
            ((), "or --all"),
        ],
    )
    def test_what_is_refused(self, arguments: tuple[str, ...], said: str) -> None:
        make_team("team1")
        with pytest.raises(CommandError, match=said):
            self.run(*arguments)


@pytest.mark.django_db
class TestPage:
    PAGE = "/admin/access-review/"

    def get(self, name: str, **query: str) -> Any:
        return client_of(name).get(self.PAGE, query)

    @pytest.mark.parametrize("name", ["alice", "bob"])
    def test_admins_and_auditors_read_it(self, clock: Clock, name: str) -> None:
        user, team = make_user("user1"), make_team("team1")
        say_teams(user, team)
        clock.hour = 2
        say_teams(make_user("later"), team)
        clock.hour = 3
        text = self.get(name, team="team1", at="2026-01-01T01:00").content.decode()
        assert "user1" in text
        assert "later" not in text

    @pytest.mark.parametrize("query", [{"team": "\x00"}, {"team": "team1", "after": "\x00"}, {"at": "\x00"}])
    def test_what_no_name_can_hold_is_nothing(self, query: dict[str, str]) -> None:
        make_team("team1")
        assert self.get("alice", **query).status_code == 200

    @pytest.mark.parametrize(("name", "status"), [("charlie", 403), ("anonymous", 302)])
    @pytest.mark.parametrize("form", ["", "csv"])
    def test_nobody_else_does(self, name: str, status: int, form: str) -> None:
        say_teams(make_user("user1"), make_team("team1"))
        response = self.get(name, team="team1", format=form)
        assert response.status_code == status
        assert not response.streaming
        assert b"user1" not in response.content

    def test_it_asks_first(self) -> None:
        make_team("team1")
        response = self.get("alice")
        assert response.status_code == 200
        assert '<option value="team1">' in response.content.decode()

    def test_pages_lead_on(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("portal.admin_views.PEOPLE_PER_PAGE", 2)
        team = make_team("team1")
        for name in ("a+b", "c&d", "e"):
            say_teams(make_user(name), team)
        page = self.get("alice", team="team1", at="2026-01-01T00:00")
        assert [line.username for line in page.context["lines"]] == ["a+b", "c&d"]
        page = client_of("alice").get(self.PAGE + page.context["next_page"])
        assert [line.username for line in page.context["lines"]] == ["e"]
        assert not page.context["next_page"]

    def test_the_download(self, clock: Clock) -> None:
        user, team = make_user("user1"), make_team("team1")
        say_teams(user, team)
        say_teams(make_user("user2"), make_team("team2"))
        response = self.get("bob", team="team1", at="2026-01-01T00:00", format="csv")
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        assert response["Content-Disposition"] == 'attachment; filename="access-team1-2026-01-01T0000.csv"'
        rows = b"".join(response.streaming_content).decode().splitlines()
        assert [row.split(",")[:2] for row in rows[1:]] == [["team1", "user1"]]
        response = self.get("bob", team="", at="2026-01-01T00:00", format="csv")
        rows = b"".join(response.streaming_content).decode().splitlines()
        assert [row.split(",")[:2] for row in rows[1:]] == [["team1", "user1"], ["team2", "user2"]]

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ({"team": "<b>x"}, "no team with the slug “&lt;b&gt;x”"),
            ({"team": "team1", "at": "<b>x"}, "“&lt;b&gt;x” is no date and time"),
            ({"team": "team1", "at": "2999-01-01T00:00"}, "yet to come"),
        ],
    )
    @pytest.mark.parametrize("form", ["", "csv"])
    def test_what_is_refused_is_told_and_escaped(self, query: dict[str, str], said: str, form: str) -> None:
        make_team("team1")
        response = self.get("alice", **query, format=form)
        assert response.status_code == 200
        assert said in response.content.decode()

    def test_it_writes_nothing(self) -> None:
        make_team("team1")
        client = client_of("alice")
        before = AuditEvent.objects.count()
        client.get(self.PAGE, {"team": "team1"})
        assert client.post(self.PAGE, {"team": "team1"}).status_code == 405
        assert AuditEvent.objects.count() == before

    def test_an_inactive_team_and_a_moment_before_the_log_are_told(self, clock: Clock) -> None:
        make_team("team1", is_active=False)
        clock.hour = 5
        text = self.get("alice", team="team1", at="2026-01-01T01:00").content.decode()
        assert "was inactive" in text
        assert "The log begins later" in text
