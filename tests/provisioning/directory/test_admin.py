"""Directories in the admin: edits, decisions, lists, warnings; auditors read, nobody else gets in."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal import admin_status
from provisioning.directory import syncs
from provisioning.models import DeadLetter, Directory, DirectorySync, DirtyMark
from teams.models import Team, User
from tests.provisioning.directory.conftest import State, Trigger, World
from tests.teams.admin_clients import client_of, errors, events, inline

pytestmark = pytest.mark.django_db

LIST = "/admin/provisioning/directory/"
SYNCS = "/admin/provisioning/directorysync/"
FORM = {
    "name": "Company",
    "slug": "company",
    "is_active": "on",
    "identity_store_id": "d-1234567890",
    "region": "eu-west-1",
    "account": "",
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/111122223333/portal",
    "realm": "default",
    "subject_attribute": "userId",
    "sync_every": "60",
    "limit_share": "20",
    "limit_number": "50",
}


@pytest.fixture(name="alice")
def _alice() -> Client:
    return client_of("alice")


@pytest.fixture(name="held")
def _held(world: World) -> DirectorySync:
    """A synchronisation by which both people of a team would lose access, which only an admin may allow."""
    Directory.objects.update(limit_number=1)
    world.fill(a=["user1", "user2"])
    world.map("a")
    world.sync()
    world.store.delete_group("a", origin=None)
    return world.sync()


class TestEdits:
    def test_a_new_directory_is_audited_and_read_at_once(self, alice: Client) -> None:
        assert alice.post(f"{LIST}add/", FORM).status_code == 302
        directory = Directory.objects.get()
        (row,) = events(action="created", target="directory: company")
        assert row.actor == "alice"
        sync = directory.syncs.get()
        assert (sync.state, sync.by) == (State.READING, "alice")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("identity_store_id", "d-123"),
            ("identity_store_id", "arn:aws:iam::1:x"),
            ("region", "Europe"),
            ("slug", "Company"),
            ("queue_url", "ftp://x"),
            ("queue_url", "https://sqs.eu-west-1.amazonaws.com/portal"),
            ("realm", "a/b"),
            ("subject_attribute", "phone"),
            ("sync_every", "1"),
            ("limit_share", "101"),
        ],
    )
    def test_values_that_cannot_be_are_refused_at_the_field(self, alice: Client, field: str, value: str) -> None:
        assert field in errors(alice.post(f"{LIST}add/", FORM | {field: value}))
        assert not Directory.objects.exists()

    def test_one_store_is_one_directory(self, alice: Client) -> None:
        alice.post(f"{LIST}add/", FORM)
        assert alice.post(f"{LIST}add/", FORM | {"slug": "other"}).status_code == 200
        assert Directory.objects.count() == 1

    def test_one_queue_is_for_one_directory(self, alice: Client) -> None:
        alice.post(f"{LIST}add/", FORM)
        response = alice.post(f"{LIST}add/", FORM | {"slug": "other", "identity_store_id": "d-0000000000"})
        assert "Another directory reads this queue" in response.content.decode()
        assert Directory.objects.count() == 1

    def test_another_store_makes_what_was_read_void(self, world: World, alice: Client, held: DirectorySync) -> None:
        page = f"{LIST}{world.directory.pk}/change/"
        assert alice.post(page, FORM | {"identity_store_id": "d-0000000000"}).status_code == 302
        held.refresh_from_db()
        assert held.state == State.DISCARDED
        assert DirectorySync.objects.filter(state=State.READING).count() == 1
        (row,) = events(action="changed", target="directory: company")
        assert row.data["after"]["identity_store_id"] == "d-0000000000"

    def test_slug_and_realm_stay_and_so_does_what_readings_wrote(self, world: World, alice: Client) -> None:
        Directory.objects.update(last_error="x", failing_since=timezone.now())
        page = f"{LIST}{world.directory.pk}/change/"
        assert alice.get(page).status_code == 200
        alice.post(page, FORM | {"slug": "other", "realm": "other", "name": "New"})
        directory = Directory.objects.get()
        assert (directory.name, directory.slug, directory.realm) == ("New", "company", "default")
        assert directory.last_error == "x"

    def test_deleting_it_takes_back_what_it_gave(self, world: World, alice: Client) -> None:
        world.fill(a=["user1"])
        door = world.map("a")
        world.sync()
        page = f"{LIST}{world.directory.pk}/delete/"
        assert "1 people" in alice.get(page).content.decode()
        assert world.members(door)
        assert alice.post(page, {"post": "yes"}).status_code == 302
        assert not Directory.objects.exists()
        assert world.members(door) == set()
        assert events(action="deleted", target="directory: company")
        assert User.objects.get(subject=world.subject("user1")).is_active

    def test_actions_begin_a_synchronisation_or_a_dry_run(self, world: World, alice: Client) -> None:
        for action in ("synchronise", "plan", "synchronise"):
            data = {"action": action, "_selected_action": [str(world.directory.pk)]}
            assert alice.post(LIST, data).status_code == 302
        found = DirectorySync.objects.order_by("id").values_list("dry_run", "by", "state")
        assert list(found) == [(False, "alice", "reading"), (True, "alice", "reading")]
        Directory.objects.update(is_active=False)
        alice.post(LIST, {"action": "synchronise", "_selected_action": [str(world.directory.pk)]})
        assert DirectorySync.objects.count() == 2


class TestDecisions:
    def test_the_page_shows_who_would_lose_what(self, world: World, alice: Client, held: DirectorySync) -> None:
        page = alice.get(f"{SYNCS}{held.pk}/change/")
        text = page.content.decode()
        assert world.subject("user1") in text
        assert f"{SYNCS}{held.pk}/apply/" in text
        assert "2 people who would lose" in text
        assert not inline(page)

    def test_applied_after_a_question(self, world: World, alice: Client, held: DirectorySync) -> None:
        url = f"{SYNCS}{held.pk}/apply/"
        question = alice.get(url)
        assert "2 people" in question.content.decode()
        assert not inline(question)
        assert len(world.members(Team.objects.get())) == 2
        assert alice.post(url).status_code == 302
        assert world.members(Team.objects.get()) == set()
        held.refresh_from_db()
        assert (held.state, held.decided_by) == (State.APPLIED, "alice")
        assert events(action="sync_applied")[-1].actor == "alice"

    def test_thrown_away_after_a_question(self, world: World, alice: Client, held: DirectorySync) -> None:
        url = f"{SYNCS}{held.pk}/discard/"
        assert alice.get(url).status_code == 200
        assert alice.post(url).status_code == 302
        held.refresh_from_db()
        assert held.state == State.DISCARDED
        assert len(world.members(Team.objects.get())) == 2
        (row,) = events(action="sync_discarded")
        assert row.actor == "alice"

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_what_is_decided_cannot_be_decided_again(
        self, world: World, alice: Client, held: DirectorySync, method: str
    ) -> None:
        alice.post(f"{SYNCS}{held.pk}/discard/")
        response = getattr(alice, method)(f"{SYNCS}{held.pk}/apply/", follow=True)
        assert "not held back any more" in response.content.decode()
        assert len(world.members(Team.objects.get())) == 2

    def test_the_list_as_a_file_holds_no_formulas(self, world: World, alice: Client, held: DirectorySync) -> None:
        held.plan["lines"][0]["username"] = "=cmd|' /C calc'!A0"
        held.save()
        response = alice.get(f"{SYNCS}{held.pk}/list.csv")
        rows = response.content.decode().splitlines()
        assert rows[0] == "change,user,team,group"
        assert len(rows) == 1 + len(held.plan["lines"])
        assert ",=" not in rows[1]
        assert ",'=" in rows[1]


class TestDenials:
    @pytest.mark.parametrize("what", ["apply", "discard"])
    @pytest.mark.parametrize("name", ["bob", "charlie", "anonymous"])
    def test_only_portal_admins_decide(self, world: World, held: DirectorySync, name: str, what: str) -> None:
        client = client_of(name)
        for method in (client.get, client.post):
            response: Any = method(f"{SYNCS}{held.pk}/{what}/")
            assert response.status_code in {302, 403}
        held.refresh_from_db()
        assert held.state == State.HELD

    def test_auditors_read_everything_and_change_nothing(self, world: World, held: DirectorySync) -> None:
        bob = client_of("bob")
        letter = DeadLetter.objects.create(directory=world.directory, message_id="m", reason="<b>no</b>", body="<i>")
        mark = DirtyMark.objects.create(directory=world.directory, kind="everything")
        for url in (
            LIST, f"{LIST}{world.directory.pk}/change/", SYNCS, f"{SYNCS}{held.pk}/change/",
            f"{SYNCS}{held.pk}/list.csv", "/admin/provisioning/deadletter/",
            f"/admin/provisioning/deadletter/{letter.pk}/change/",
            "/admin/provisioning/dirtymark/", f"/admin/provisioning/dirtymark/{mark.pk}/change/",
        ):  # fmt: skip
            response = bob.get(url)
            assert response.status_code == 200
            assert "<b>no</b>" not in response.content.decode()
        assert "/apply/" not in bob.get(f"{SYNCS}{held.pk}/change/").content.decode()
        bob.post(LIST, {"action": "synchronise", "_selected_action": [str(world.directory.pk)]})
        assert bob.post(f"{LIST}add/", FORM).status_code == 403
        assert bob.post(f"{LIST}{world.directory.pk}/change/", FORM).status_code == 403
        assert not DirectorySync.objects.filter(state=State.READING).exists()

    @pytest.mark.parametrize("name", ["charlie", "anonymous"])
    def test_nobody_else_gets_in(self, world: World, held: DirectorySync, name: str) -> None:
        client = client_of(name)
        for url in (LIST, SYNCS, f"{SYNCS}{held.pk}/list.csv", "/admin/provisioning/deadletter/"):
            assert client.get(url).status_code in {302, 403}

    def test_nobody_writes_dead_letters_marks_or_synchronisations(self, world: World, alice: Client) -> None:
        for model in ("deadletter", "dirtymark", "directorysync"):
            assert alice.get(f"/admin/provisioning/{model}/add/").status_code == 403


class TestWarnings:
    def told(self) -> list[str]:
        return [notice.text for notice in admin_status.notices() if "/provisioning/" in notice.url]

    def ago(self, **delta: int) -> Any:
        return timezone.now() - timedelta(**delta)

    def test_a_directory_that_is_well_is_not_mentioned(self, world: World) -> None:
        world.sync()
        world.consume()
        assert self.told() == []

    def test_failing_for_a_quarter_of_an_hour(self, world: World) -> None:
        Directory.objects.update(failing_since=self.ago(minutes=14), last_error="Denied: no")
        assert self.told() == []
        Directory.objects.update(failing_since=self.ago(minutes=16))
        (text,) = self.told()
        assert "cannot be read" in text
        assert "Denied: no" in text
        Directory.objects.update(is_active=False)
        assert self.told() == []

    def test_not_synchronised_for_long(self, world: World) -> None:
        Directory.objects.update(last_success_at=self.ago(hours=4))
        assert "has not been synchronised" in self.told()[0]

    def test_a_queue_that_cannot_be_read_or_that_nobody_reads(self, world: World) -> None:
        Directory.objects.update(queue_failing_since=self.ago(minutes=16), queue_error="QueueDoesNotExist: gone")
        assert "QueueDoesNotExist" in self.told()[0]
        Directory.objects.update(queue_failing_since=None, polled_at=self.ago(minutes=16))
        assert "directoryevents" in self.told()[0]
        Directory.objects.update(queue_url="")
        assert self.told() == []

    def test_an_inactive_one_that_still_gives_access(self, world: World) -> None:
        world.fill(a=["user1"])
        world.map("a")
        world.sync()
        Directory.objects.update(is_active=False)
        assert "still gives access" in self.told()[0]
        client_of("alice").post(f"{LIST}{world.directory.pk}/delete/", {"post": "yes"})
        assert self.told() == []

    def test_held_back_and_dead_letters_lead_to_their_pages(self, world: World, held: DirectorySync) -> None:
        DeadLetter.objects.create(directory=world.directory, message_id="m", reason="no")
        DeadLetter.objects.create(
            directory=world.directory, message_id="old", reason="no", received_at=self.ago(days=2)
        )
        page = client_of("alice").get("/admin/").content.decode()
        assert "2 people would lose access" in page
        assert f"{SYNCS}{held.pk}/change/" in page
        assert "1 message of a directory" in page
        assert "/admin/provisioning/deadletter/" in page


def test_a_directory_in_use_may_be_read_on_demand_while_events_come(world: World, alice: Client) -> None:
    sync, _ = syncs.start(world.directory, Trigger.EVENTS)
    data = {"action": "synchronise", "_selected_action": [str(world.directory.pk)]}
    page = alice.post(LIST, data, follow=True).content.decode()
    assert "was being read already" in page
    assert f"{SYNCS}{sync.pk}/change/" in page
