"""Everything the stand-in remembers: accounts, domains, profiles, spaces, apps, sessions, unopened URLs, directories
and queues.

Statuses move by the clock and are worked out when somebody looks. After every change the whole state is written to
a file, if there is one. Secrets are kept as SHA-256 digests only.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.errors import StateFileError
from portal.demo.aws.events import Event
from portal.demo.aws.personality import Personality
from portal.demo.aws.queues import Message, Queue, queue_arn
from portal.demo.aws.rows import (
    Account,
    App,
    Call,
    Domain,
    Profile,
    Resource,
    Role,
    Session,
    Space,
    Ticket,
    app_key,
    application_arn,
)

APP_KEPT_SECONDS = 24 * 3600
CALLS_KEPT = 20_000
_FORMAT = 1
_TABLES = ("accounts", "domains", "profiles", "spaces", "apps", "sessions", "queues")


class Clock:
    """Seconds since the epoch, which a test can move forward; `moved` is called then."""

    def __init__(self, moved: Callable[[], None] = lambda: None) -> None:
        self.offset = 0.0
        self._moved = moved

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self.offset += seconds
        self._moved()


R = TypeVar("R", bound=Resource)


class State:
    """The stand-in's memory. Hold `lock` to read or change more than one thing; call `save` after a change."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        # Wakes who waits for a message: it may have come, its time may have come, or the server stops.
        self.changed = threading.Condition(self.lock)
        self.clock = Clock(self.wake)
        self.personality = Personality()
        self.path = path
        self.home_account = "111122223333"
        # Whether who enters Studio begins to work there.
        self.people_work = False
        self.accounts: dict[str, Account] = {}
        self.domains: dict[str, Domain] = {}
        self.profiles: dict[tuple[str, str], Profile] = {}
        self.spaces: dict[tuple[str, str], Space] = {}
        self.apps: dict[tuple[str, str, str, str, str], App] = {}
        self.sessions: dict[str, Session] = {}
        self.tickets: dict[str, Ticket] = {}
        self.identity_stores: dict[str, IdentityStore] = {}
        self.queues: dict[str, Queue] = {}
        self.calls: list[Call] = []
        self._version = 0
        self._saved = 0
        self._file_lock = threading.Lock()

    def add_account(self, account_id: str, *, home: bool = False) -> Account:
        """Return the account, new if it is unknown; `home` makes it the one that the portal's own keys belong to."""
        if home:
            self.home_account = account_id
        return self.accounts.setdefault(account_id, Account(account_id))

    def add_role(self, arn: str, *, external_id: str | None = None, max_session: int = 3600) -> Role:
        """Let the portal assume the role `arn`, with an external id where one is given."""
        role = Role(arn, external_id, max_session)
        self.add_account(arn.split(":")[4]).roles[arn] = role
        return role

    def add_execution_role(
        self, arn: str, *, services: Sequence[str] = ("sagemaker.amazonaws.com",), tags: Mapping[str, str] | None = None
    ) -> None:
        """Have IAM know an execution role: which services may assume it, and its tags."""
        account = self.add_account(arn.split(":")[4])
        account.execution_roles[arn] = {"services": list(services), "tags": dict(tags or {})}

    def add_domain(
        self, domain_id: str, *, account_id: str = "", region: str = "eu-west-1", auth_mode: str = "IAM", name: str = ""
    ) -> Domain:
        """Make a domain that is in service, and its account if need be (the home account by default)."""
        account = self.add_account(account_id or self.home_account)
        now = self.clock.now()
        domain = Domain(account.account_id, region, domain_id, name or domain_id, now, now, auth_mode=auth_mode)
        if auth_mode == "SSO":
            domain.application_arn = application_arn(self.home_account, domain_id)
        self.domains[domain_id] = domain
        return domain

    def add_identity_store(
        self,
        store_id: str,
        *,
        account_id: str = "",
        region: str = "eu-west-1",
        event_queue: str = "",
        prefixed_ids: bool = False,
    ) -> IdentityStore:
        """Make an empty identity store; `event_queue` is the name of the queue that gets its events, if any."""
        store = IdentityStore(
            store_id,
            self.add_account(account_id or self.home_account).account_id,
            region,
            lock=self.lock,
            now=self.clock.now,
            publish=self._publish,
            event_queue=event_queue,
            prefixed_ids=prefixed_ids,
        )
        self.identity_stores[store_id] = store
        return store

    def add_queue(self, name: str, *, account_id: str = "", region: str = "eu-west-1", **fields: Any) -> Queue:
        """Make an empty queue; `fields` are others of Queue, such as `visibility_timeout`."""
        account = self.add_account(account_id or self.home_account).account_id
        queue = Queue(account, region, name, self.clock.now(), **fields)
        self.queues[queue.arn] = queue
        return queue

    def wake(self) -> None:
        """Let those who wait for messages look again."""
        with self.changed:
            self.changed.notify_all()

    def profile(self, domain_id: str, name: str) -> Profile | None:
        """Return a profile as it stands now, whatever the case of its name; None if there is none."""
        return self._current(self.profiles, (domain_id, name.lower()))

    def space(self, domain_id: str, name: str) -> Space | None:
        """Return a space as it stands now, or None."""
        return self._current(self.spaces, (domain_id, name.lower()))

    def domain(self, domain_id: str) -> Domain | None:
        """Return a domain as it stands now, or None."""
        return self._current(self.domains, domain_id)

    def app(self, key: tuple[str, str, str, str, str]) -> App | None:
        """Return an app as it stands now, or None when it was never there or was deleted a day ago."""
        app = self._current(self.apps, key)
        if app and app.status == "Deleted" and app.modified + APP_KEPT_SECONDS <= self.clock.now():
            del self.apps[key]
            return None
        return app

    def all_profiles(self) -> list[Profile]:
        """Return every profile that is not gone."""
        return list(self._rows(self.profiles))

    def all_spaces(self) -> list[Space]:
        """Return every space that is not gone."""
        return list(self._rows(self.spaces))

    def all_domains(self) -> list[Domain]:
        """Return every domain that is not gone."""
        return list(self._rows(self.domains))

    def all_apps(self) -> list[App]:
        """Return every app, those deleted within a day included."""
        return [app for key in list(self.apps) if (app := self.app(key))]

    def forget_profile(self, domain_id: str, name: str) -> bool:
        """Make a profile disappear, as if somebody had deleted it elsewhere; return whether there was one.

        What was in the way of that is gone too: its apps, the spaces that it owned, and their apps.
        """
        mine = name.lower()
        with self.lock:
            gone = self.profiles.pop((domain_id, mine), None) is not None
            spaces = {
                space.name.lower()
                for space in self.spaces.values()
                if space.domain_id == domain_id and space.owner.lower() == mine
            }
            for space in spaces:
                del self.spaces[domain_id, space]
            for key, app in list(self.apps.items()):
                if app.domain_id == domain_id and (app.profile.lower() == mine or app.space.lower() in spaces):
                    del self.apps[key]
        self.save()
        return gone

    def log(self, call: Call) -> None:
        """Remember a call; the oldest are forgotten in time."""
        self.calls.append(call)
        if len(self.calls) > CALLS_KEPT:
            del self.calls[: CALLS_KEPT // 2]

    def save(self) -> None:
        """Write the state to its file, if it has one, so that readers see the old file or the new one.

        Several callers at once share one write.
        """
        if self.path is None:
            return
        with self.lock:
            self._version += 1
            mine = self._version
        with self._file_lock:
            if self._saved >= mine:
                return
            with self.lock:
                version, text = self._version, self._dump()
            _replace(self.path, text)
            self._saved = version

    def _dump(self) -> str:
        tables = {name: [asdict(row) for row in getattr(self, name).values()] for name in _TABLES}
        tickets = {key: asdict(ticket) for key, ticket in self.tickets.items()}
        text = json.dumps({"format": _FORMAT, "home_account": self.home_account, "tickets": tickets, **tables})
        stores = ", ".join(store.text() for store in self.identity_stores.values())
        return f'{text[:-1]}, "identity_stores": [{stores}]}}'

    def load(self) -> bool:
        """Read the state from its file; return whether there was one. Raises StateFileError when it makes no sense."""
        if self.path is None or not self.path.exists():
            return False
        try:
            data = json.loads(self.path.read_text())
            if data["format"] != _FORMAT:
                raise StateFileError(f"{self.path} has format {data['format']}, this version reads {_FORMAT}")
            self._restore(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateFileError(f"{self.path} is no state of the AWS stand-in: {error}") from error
        return True

    def _restore(self, data: dict[str, Any]) -> None:
        self.home_account = data["home_account"]
        for row in data["accounts"]:
            roles = {arn: Role(**role) for arn, role in row.pop("roles").items()}
            self.accounts[row["account_id"]] = Account(roles=roles, **row)
        self.domains = {row["domain_id"]: Domain(**row) for row in data["domains"]}
        self.profiles = {(row["domain_id"], row["name"].lower()): Profile(**row) for row in data["profiles"]}
        self.spaces = {(row["domain_id"], row["name"].lower()): Space(**row) for row in data["spaces"]}
        self.apps = {app_key(app): app for app in (App(**row) for row in data["apps"])}
        self.sessions = {row["access_key"]: Session(**row) for row in data["sessions"]}
        self.tickets = {key: Ticket(**row) for key, row in data["tickets"].items()}
        # Files of earlier versions have neither queues nor directories.
        for row in data.get("queues", ()):
            messages = {key: Message(**message) for key, message in row.pop("messages").items()}
            queue = Queue(messages=messages, **row)
            self.queues[queue.arn] = queue
        for saved in data.get("identity_stores", ()):
            head = saved["head"]
            known = {"account_id": head["account"], "region": head["region"]}
            self.add_identity_store(head["store_id"], **known).restore(saved)

    def _publish(self, store: IdentityStore, event: Event) -> None:
        """Deliver an event of a directory, as far as the personality lets it arrive."""
        queue = self.queues.get(queue_arn(store.region, store.account, store.event_queue))
        if queue is None:
            return
        for _ in range(self.personality.event_copies()):
            queue.send(
                json.dumps(event),
                now=self.clock.now(),
                sender="events.amazonaws.com",
                delay=self.personality.events_delay or None,
                copies=self.personality.message_copies(),
            )
        self.wake()

    def _current(self, table: dict[Any, R], key: Any) -> R | None:
        with self.lock:
            row = table.get(key)
            if row is not None and row.settle(self.clock.now()):
                del table[key]
                return None
            return row

    def _rows(self, table: dict[Any, R]) -> Iterator[R]:
        for key in list(table):
            row = self._current(table, key)
            if row is not None:
                yield row


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes the file readable by its owner only.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
