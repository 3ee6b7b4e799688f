"""Everything the stand-in remembers: accounts, domains, profiles, spaces, apps, sessions and unopened URLs.

Statuses move by the clock and are worked out when somebody looks. After every change the whole state is written to
a file, if there is one. Secrets are kept as SHA-256 digests only.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from portal.demo.aws.errors import StateFileError

GONE = "gone"
APP_KEPT_SECONDS = 24 * 3600
CALLS_KEPT = 20_000
_FORMAT = 1


class Clock:
    """Seconds since the epoch, which a test can move forward."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self.offset += seconds


@dataclass
class Role:
    """A role that the portal may assume: its external id (None asks for none) and its longest session in seconds."""

    arn: str
    external_id: str | None = None
    max_session: int = 3600


@dataclass
class Account:
    """An AWS account: roles that can be assumed, execution roles that may not be passed, and quotas of a Region."""

    account_id: str
    roles: dict[str, Role] = field(default_factory=dict)
    denied_roles: list[str] = field(default_factory=list)
    max_profiles: int = 100_000
    max_domains: int = 50
    max_spaces: int = 100_000


@dataclass
class Resource:
    """What domains, profiles, spaces and apps have in common.

    `status` becomes `then` at the time `until`; `hidden_until` imitates reads that lag behind writes.
    """

    kind: ClassVar[str]

    account: str
    region: str
    domain_id: str
    name: str
    created: float
    modified: float
    status: str = "InService"
    then: str = ""
    until: float | None = None
    failure_reason: str = ""
    hidden_until: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def begin(self, status: str, then: str, *, until: float | None) -> None:
        """Enter `status` now, to become `then` at the time `until` (None: never)."""
        self.status, self.then, self.until = status, then, until

    def settle(self, now: float) -> bool:
        """Move to the next status if it is time; return whether the resource is gone."""
        if self.until is not None and now >= self.until:
            self.status, self.modified, self.until = self.then, self.until, None
        return self.status == GONE

    @property
    def path(self) -> str:
        """What follows the kind in the ARN."""
        return f"{self.domain_id}/{self.name}"

    @property
    def arn(self) -> str:
        """The ARN."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{self.kind}/{self.path}"


@dataclass
class Domain(Resource):
    """A Studio domain; `sso_users` are the people its directory knows (None: everybody)."""

    kind: ClassVar[str] = "domain"

    auth_mode: str = "IAM"
    sso_users: list[str] | None = None

    @property
    def path(self) -> str:
        """Domains are known by their id alone."""
        return self.domain_id


@dataclass
class Profile(Resource):
    """A user profile; `settings` are its UserSettings."""

    kind: ClassVar[str] = "user-profile"

    uid: str = "200001"
    sso_value: str = ""


@dataclass
class Space(Resource):
    """A space; `owner` is the name of the profile that owns it, empty for an old shared space."""

    kind: ClassVar[str] = "space"

    owner: str = ""
    sharing: str = ""
    display_name: str = ""


@dataclass
class App(Resource):
    """An app of a profile or of a space: exactly one of `profile` and `space` is set."""

    kind: ClassVar[str] = "app"

    app_type: str = "JupyterServer"
    profile: str = ""
    space: str = ""

    @property
    def path(self) -> str:
        """Apps are known by their owner and their type too, the type in lower case."""
        return f"{self.domain_id}/{self.profile or self.space}/{self.app_type.lower()}/{self.name}"


@dataclass
class Session:
    """Temporary credentials handed out by AssumeRole."""

    access_key: str
    token_digest: str
    role_arn: str
    session_name: str
    expires: float
    source_identity: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Ticket:
    """A presigned URL that nobody has opened yet, and what its page will tell."""

    account: str
    region: str
    domain_id: str
    profile: str
    execution_role: str
    session_name: str
    session_seconds: int
    expires: float
    landing_uri: str = ""
    space: str = ""


@dataclass
class Call:
    """One request as it was answered: `outcome` is `ok`, an error code, `lost` or `dropped`."""

    service: str
    operation: str
    params: dict[str, Any]
    outcome: str
    account: str
    caller: str
    at: float
    request_id: str


R = TypeVar("R", bound=Resource)


def digest(secret: str) -> str:
    """Return what is stored in place of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class State:
    """The stand-in's memory. Hold `lock` to read or change more than one thing; call `save` after a change."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.path = path
        self.home_account = "111122223333"
        self.accounts: dict[str, Account] = {}
        self.domains: dict[str, Domain] = {}
        self.profiles: dict[tuple[str, str], Profile] = {}
        self.spaces: dict[tuple[str, str], Space] = {}
        self.apps: dict[tuple[str, str, str, str, str], App] = {}
        self.sessions: dict[str, Session] = {}
        self.tickets: dict[str, Ticket] = {}
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

    def add_domain(
        self, domain_id: str, *, account_id: str = "", region: str = "eu-west-1", auth_mode: str = "IAM", name: str = ""
    ) -> Domain:
        """Make a domain that is in service, and its account if need be (the home account by default)."""
        account = self.add_account(account_id or self.home_account)
        now = self.clock.now()
        domain = Domain(account.account_id, region, domain_id, name or domain_id, now, now, auth_mode=auth_mode)
        self.domains[domain_id] = domain
        return domain

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
        """Make a profile disappear, as if somebody had deleted it elsewhere; return whether there was one."""
        with self.lock:
            gone = self.profiles.pop((domain_id, name.lower()), None) is not None
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
                version, text = self._version, json.dumps(self._dump())
            _replace(self.path, text)
            self._saved = version

    def _dump(self) -> dict[str, Any]:
        tables = {name: [asdict(row) for row in getattr(self, name).values()] for name in _TABLES}
        tickets = {key: asdict(ticket) for key, ticket in self.tickets.items()}
        return {"format": _FORMAT, "home_account": self.home_account, "tickets": tickets, **tables}

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


_TABLES = ("accounts", "domains", "profiles", "spaces", "apps", "sessions")


def app_key(app: App) -> tuple[str, str, str, str, str]:
    """Return the key of an app in `State.apps`."""
    return app.domain_id, app.profile.lower(), app.space.lower(), app.app_type, app.name.lower()


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
