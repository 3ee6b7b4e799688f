"""Comparisons in the admin: begun, decided and adopted by admins, read by auditors, nobody else's."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal import admin_status
from provisioning import profiles
from provisioning.models import Profile, ReconcileItem, Reconciliation
from teams.models import Domain, Membership, User
from tests.factories import make_team, make_user
from tests.provisioning.reconcile.conftest import Compared, State
from tests.teams.admin_clients import EVERYBODY, client_of, events, inline

pytestmark = pytest.mark.django_db

DOMAINS = "/admin/teams/domain/"
RUNS = "/admin/provisioning/reconciliation/"
ITEMS = "/admin/provisioning/reconcileitem/"


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="held")
def _held(world: Compared) -> Reconciliation:
    """A comparison after which a profile would be made again, because AWS listed nothing at all."""
    world.aws.state.profiles.clear()
    return world.compare()


@pytest.fixture(name="foreign")
def _foreign(world: Compared) -> ReconcileItem:
    """A profile that somebody made by hand."""
    world.put("by-hand", {"who": "<script>knows</script>"})
    return world.item(world.compare())


def begin(client: Client, domain: Domain, action: str) -> Any:
    return client.post(DOMAINS, {"action": action, "_selected_action": [domain.pk]}, follow=True)


class TestPages:
    def test_everything_shows_what_people_wrote_as_text(self, alice: Client, foreign: ReconcileItem) -> None:
        pages = [
            RUNS, f"{RUNS}{foreign.run_id}/change/", ITEMS, f"{ITEMS}?run__exact={foreign.run_id}&kind__exact=foreign",
            f"{ITEMS}{foreign.pk}/change/", f"{ITEMS}{foreign.pk}/adopt/", f"{ITEMS}?state__exact=applied&q=hand",
            f"{ITEMS}?run__domain__id__exact={foreign.run.domain_id}", f"{RUNS}?state__exact=done&dry_run__exact=0",
        ]  # fmt: skip
        for page in pages:
            response = alice.get(page)
            assert response.status_code == 200, page
            assert not inline(response), page
            assert b"<script>knows" not in response.content, page

    def test_a_comparison_leads_to_its_differences(self, alice: Client, foreign: ReconcileItem) -> None:
        page = alice.get(f"{RUNS}{foreign.run_id}/change/").content.decode()
        link = f"{ITEMS}?run__exact={foreign.run_id}&amp;kind__exact=foreign"
        assert f'<a href="{link}">1 not ours</a>' in page
        assert "by-hand" in alice.get(link.replace("&amp;", "&")).content.decode()

    def test_it_stands_in_the_navigation(self, alice: Client, world: Compared) -> None:
        assert RUNS in alice.get("/admin/").content.decode()


class TestBegin:
    @pytest.mark.parametrize(("action", "dry_run"), [("compare", False), ("compare_only", True)])
    def test_an_admin_begins_one(self, alice: Client, world: Compared, action: str, dry_run: bool) -> None:
        told = begin(alice, world.domain, action).content.decode()
        run = Reconciliation.objects.get()
        assert (run.dry_run, run.by, run.trigger, run.is_full) == (dry_run, "alice", "demand", True)
        assert f"{RUNS}{run.pk}/change/" in told
        assert "already" in begin(alice, world.domain, action).content.decode()
        assert Reconciliation.objects.count() == 1

    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_nobody_else_does(self, world: Compared, name: str) -> None:
        for action in ("compare", "compare_only"):
            begin(client_of(name), world.domain, action)
        assert not Reconciliation.objects.exists()


class TestDecisions:
    def test_it_is_asked_first(self, alice: Client, world: Compared, held: Reconciliation) -> None:
        page = alice.get(f"{RUNS}{held.pk}/apply/").content.decode()
        assert "make again: <b>1</b>" in page
        assert world.row("user1-team1").state == "ready"

    def test_applied(self, alice: Client, world: Compared, held: Reconciliation) -> None:
        alice.post(f"{RUNS}{held.pk}/apply/")
        assert world.finish(held).decided_by == "alice"
        assert world.row("user1-team1").state == "wanted"
        (told,) = events(action="reconcile_applied")
        assert (told.actor, told.data["actions"]) == ("alice", {"remake": 1})

    def test_thrown_away(self, alice: Client, world: Compared, held: Reconciliation) -> None:
        alice.post(f"{RUNS}{held.pk}/discard/")
        held.refresh_from_db()
        assert held.state == State.DISCARDED
        assert "somebody decided already" in alice.post(f"{RUNS}{held.pk}/apply/", follow=True).content.decode()
        assert world.row("user1-team1").state == "ready"

    def test_a_plan_is_applied_too(self, alice: Client, world: Compared) -> None:
        world.in_aws("user1-team1").tags["cost"] = "43"
        run = world.compare(dry_run=True)
        assert world.row("user1-team1").due_at is None
        alice.post(f"{RUNS}{run.pk}/apply/")
        world.finish(run)
        assert world.row("user1-team1").due_at is not None

    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_nobody_else_decides(self, world: Compared, held: Reconciliation, name: str) -> None:
        client = client_of(name)
        for decision in ("apply", "discard"):
            for response in (client.get(f"{RUNS}{held.pk}/{decision}/"), client.post(f"{RUNS}{held.pk}/{decision}/")):
                assert response.status_code in {302, 403}
        held.refresh_from_db()
        assert held.state == State.HELD
        assert world.row("user1-team1").state == "ready"

    @pytest.mark.parametrize("name", EVERYBODY)
    def test_who_reads(self, held: Reconciliation, name: str) -> None:
        client = client_of(name)
        for page in (RUNS, f"{RUNS}{held.pk}/change/", ITEMS):
            response = client.get(page)
            assert (response.status_code == 200) is (name in {"alice", "bob"})
            assert (b"/apply/" in response.content) is (name == "alice" and "change" in page)


class TestNotices:
    def test_what_is_held_back(self, held: Reconciliation) -> None:
        (notice,) = admin_status.notices()
        assert "held back" in notice.text
        assert notice.url == f"{RUNS}{held.pk}/change/"
        assert notice.alarming

    def test_what_cannot_be_compared_until_it_can(self, world: Compared) -> None:
        world.aws.personality.fail_next = {"ListUserProfiles": ["AccessDeniedException"]}
        world.compare()
        (notice,) = admin_status.notices()
        assert "could not be compared" in notice.text
        assert "AccessDenied" in notice.text
        world.compare()
        assert admin_status.notices() == []


class TestAdopting:
    @pytest.fixture(name="member")
    def _member(self, world: Compared) -> User:
        """Somebody in the team whose profile has not been made yet."""
        user = make_user("member")
        Membership.objects.create(user=user, team=world.team, source="scim:x")
        return user

    def adopt(self, client: Client, item: ReconcileItem, **values: Any) -> str:
        known = {"user": "member", "team": item.run.domain.teams.get(slug="team1").pk}
        return client.post(f"{ITEMS}{item.pk}/adopt/", known | values, follow=True).content.decode()

    def test_by_an_admin(self, alice: Client, world: Compared, foreign: ReconcileItem, member: User) -> None:
        self.adopt(alice, foreign)
        row = world.row("by-hand")
        assert (row.user, row.team, row.adopted_by, row.due_at is not None) == (member, world.team, "alice", True)
        foreign.refresh_from_db()
        assert (foreign.state, foreign.profile) == ("applied", row)
        (told,) = events(action="profile_adopted")
        assert (told.actor, told.target) == ("alice", "by-hand")
        assert "adopted already" in self.adopt(alice, foreign)
        for _ in range(3):
            Profile.objects.filter(pk=row.pk).update(due_at=timezone.now())
            profiles.ensure(row.pk)
        row.refresh_from_db()
        assert (row.state, row.managed) == ("ready", True)
        assert world.in_aws("by-hand").tags.items() >= {"owner": "member", "managed-by": "studio-portal"}.items()
        assert len(world.calls("CreateUserProfile")) == 0

    def test_the_profile_whose_tags_were_changed(self, alice: Client, world: Compared) -> None:
        world.in_aws("user1-team1").tags["owner"] = "eve"
        item = world.item(world.compare())
        assert (item.kind, item.action, item.state) == ("tags", "report", "skipped")
        assert world.row("user1-team1").due_at is None
        self.adopt(alice, item, user="user1")
        for _ in range(3):
            Profile.objects.update(due_at=timezone.now())
            profiles.ensure(world.row("user1-team1").pk)
        assert (world.row("user1-team1").state, world.row("user1-team1").managed) == ("ready", True)
        assert world.in_aws("user1-team1").tags["owner"] == "user1"

    def test_the_profile_in_the_way_of_a_row(self, alice: Client, world: Compared) -> None:
        world.in_aws("user1-team1").tags.clear()
        type(world.row("user1-team1")).objects.update(state="conflict", managed=False)
        item = world.item(world.compare())
        assert 'value="user1"' in alice.get(f"{ITEMS}{item.pk}/adopt/").content.decode()
        self.adopt(alice, item, user="user1")
        assert world.row("user1-team1").adopted_by == "alice"

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"user": "nobody"}, "Nobody has this user name"),
            ({"user": "leaver"}, "has no access"),
            ({"user": "user1"}, "has a profile in team1 already"),
        ],
    )
    def test_not_for_everybody(
        self, alice: Client, world: Compared, foreign: ReconcileItem, leaver: User, values: Any, reason: str
    ) -> None:
        assert reason in self.adopt(alice, foreign, **values)
        assert not events(action="profile_adopted")

    def test_not_into_a_team_of_another_domain(self, alice: Client, foreign: ReconcileItem, member: User) -> None:
        self.adopt(alice, foreign, team=make_team().pk)
        assert not events(action="profile_adopted")

    def test_not_under_a_name_that_another_row_has(
        self, alice: Client, world: Compared, foreign: ReconcileItem, member: User
    ) -> None:
        type(world.row("user1-team1")).objects.filter(name="user1-team1").update(name="BY-hand")
        assert "Another row" in self.adopt(alice, foreign)

    def test_not_in_a_domain_in_sso_mode(self, alice: Client, foreign: ReconcileItem, member: User) -> None:
        Domain.objects.update(auth_mode="SSO")
        assert "AWS itself says" in self.adopt(alice, foreign)

    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_by_nobody_else(self, foreign: ReconcileItem, member: User, name: str) -> None:
        client = client_of(name)
        self.adopt(client, foreign)
        assert client.get(f"{ITEMS}{foreign.pk}/adopt/").status_code in {302, 403}
        assert not events(action="profile_adopted")
