"""A directory of IAM Identity Center, as the portal and as the AWS stand-in have it, and its queue of events."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.server import Handle
from provisioning import limits
from provisioning.directory import syncs
from provisioning.directory.consumer import Consumer
from provisioning.directory.reading import Reading
from provisioning.models import Directory, DirectorySync, DirtyMark
from teams import access
from teams.models import AuditEvent, Membership, Team, User
from tests.factories import make_mapping, make_team

STORE = "d-1234567890"
QUEUE = "directory-events"
State = DirectorySync.State
Trigger = DirectorySync.Trigger


@dataclass
class World:
    """AWS with one identity store, and the portal's directory that reads it."""

    aws: Handle
    store: IdentityStore
    directory: Directory

    def map(self, group: str, slug: str = "", **fields: Any) -> Team:
        """Make a team whose members are those of the group with this name."""
        team = make_team(slug or f"{group}-team")
        make_mapping(group, team, **fields)
        return team

    def fill(self, **groups: list[str]) -> None:
        """Put groups with these members into the store, without events; users are made as they are named."""
        names = {name for members in groups.values() for name in members}
        known = {user.user_name for user in self.store.contents.users}
        self.store.load(
            users=[{"user_name": name, "email": f"{name}@example.com"} for name in sorted(names - known)],
            groups=list(groups),
            members=[(group, name) for group, members in groups.items() for name in members],
        )

    def sync(self, *, most: int = 200, **options: Any) -> DirectorySync:
        """Synchronise from beginning to end; fails when that takes more steps than it should."""
        sync, _ = syncs.start(self.directory, Trigger.DEMAND, **options)
        return self.finish(sync, most=most)

    def finish(self, sync: DirectorySync, *, most: int = 200) -> DirectorySync:
        """Make steps until a synchronisation is over; pauses are skipped."""
        for _ in range(most):
            DirectorySync.objects.filter(pk=sync.pk, state=State.READING).update(due_at=sync.started_at)
            syncs.step(sync.pk)
            sync.refresh_from_db()
            if sync.state != State.READING:
                return sync
        pytest.fail(f"still being read after {most} steps: {sync.error}")

    def consume(self) -> int:
        """Take in what is in the queue and work it off; returns how many messages came."""
        directory = Directory.objects.select_related("account").get(pk=self.directory.pk)
        return Consumer(directory.pk, threading.Event()).turn(directory, listen=0)

    def send(self, body: str) -> None:
        """Put a message into the queue."""
        queue = next(iter(each for each in self.aws.state.queues.values() if each.name == QUEUE))
        queue.send(body, now=self.aws.state.clock.now(), sender="events.amazonaws.com")

    @property
    def in_queue(self) -> int:
        """How many messages are in the queue, those that somebody has received included."""
        return sum(len(each.messages) for each in self.aws.state.queues.values() if each.name == QUEUE)

    def subject(self, user_name: str) -> str:
        """The id of a user in the store, which is also the subject of their sign-on."""
        return self.store.find_user(user_name).user_id

    def may_open(self, user_name: str, team: Team) -> bool:
        """Whether the door of a team is open for a user of the store."""
        user = User.objects.filter(subject=self.subject(user_name)).first()
        return user is not None and user.is_active and access.find(user, team.slug) is not None

    def members(self, team: Team) -> set[str]:
        """The subjects of those for whom the door of a team is open."""
        live = Membership.objects.filter(access.live(), team=team)
        return set(live.values_list("user__subject", flat=True))

    def marks(self, **filters: Any) -> list[tuple[str, str]]:
        """The marks that are not worked off, as kind and id."""
        rows = DirtyMark.objects.filter(done_at__isnull=True, **filters).order_by("kind", "external_id")
        return list(rows.values_list("kind", "external_id"))

    def calls(self, operation: str = "") -> list[str]:
        """The operations of the identity store that AWS has been asked for so far."""
        return [each.operation for each in self.aws.calls(operation) if each.service == "identitystore"]

    def audited(self, action: str) -> list[AuditEvent]:
        """The audit rows of an action, oldest first."""
        return list(AuditEvent.objects.filter(action=action).order_by("id"))


def read_until(sync: DirectorySync, condition: Callable[[], bool]) -> None:
    """Read page by page until the condition holds, as a worker that is about to be killed does."""
    token = uuid.uuid4()
    DirectorySync.objects.filter(pk=sync.pk).update(claim=token, claimed_until=timezone.now() - timedelta(seconds=1))
    reading = Reading(sync, token)
    for _ in range(100):
        if condition():
            break
        reading.next_page()
    assert condition()
    DirectorySync.objects.filter(pk=sync.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))


@pytest.fixture(autouse=True)
def _no_pace(settings: Settings) -> None:
    """Have nobody wait for a slot, unless a test is about that."""
    settings.IDENTITYSTORE_CALLS_PER_SECOND = 1_000_000.0
    limits.forget()


@pytest.fixture(name="make_world")
def _make_world(aws: Handle) -> Callable[..., World]:
    def make(**fields: Any) -> World:
        aws.personality.directory_rate = 0
        aws.state.add_queue(QUEUE)
        store = aws.state.add_identity_store(STORE, event_queue=QUEUE)
        given = {
            "name": "Company",
            "slug": "company",
            "identity_store_id": STORE,
            "region": "eu-west-1",
            "queue_url": f"{aws.url}/{aws.state.home_account}/{QUEUE}",
        }
        return World(aws, store, Directory.objects.create(**given | fields))

    return make


@pytest.fixture(name="world")
def _world(make_world: Callable[..., World], db: None) -> World:
    """A directory without people, and one event queue without events."""
    return make_world()
