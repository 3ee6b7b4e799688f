"""The rows of the state that have to do with accounts and with Studio."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

GONE = "gone"


@dataclass
class Role:
    """A role that the portal may assume: its external id (None asks for none) and its longest session in seconds."""

    arn: str
    external_id: str | None = None
    max_session: int = 3600


@dataclass
class Account:
    """An AWS account: roles that can be assumed, execution roles that may not be passed, and quotas of a Region.

    `execution_roles` are those that IAM tells of: by ARN, the `services` that may assume each, and its `tags`.
    """

    account_id: str
    roles: dict[str, Role] = field(default_factory=dict)
    denied_roles: list[str] = field(default_factory=list)
    execution_roles: dict[str, dict[str, Any]] = field(default_factory=dict)
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


def application_arn(account: str, domain_id: str) -> str:
    """Return the ARN of the application that a domain in SSO mode has in the Identity Center of an account."""
    text = digest(domain_id)
    return f"arn:aws:sso::{account}:application/ssoins-{text[:16]}/apl-{text[16:32]}"


@dataclass
class Domain(Resource):
    """A Studio domain.

    In SSO mode `sso_users` are the user names that its directory knows (None: everybody), and `assigned` the principals
    of its application, like “USER:<id>”.
    """

    kind: ClassVar[str] = "domain"

    auth_mode: str = "IAM"
    sso_users: list[str] | None = None
    application_arn: str = ""
    assigned: list[str] = field(default_factory=list)

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
    """An app of a profile or of a space: exactly one of `profile` and `space` is set; `active`: its last use."""

    kind: ClassVar[str] = "app"

    app_type: str = "JupyterServer"
    profile: str = ""
    space: str = ""
    active: float | None = None

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


def digest(secret: str) -> str:
    """Return what is stored in place of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def app_key(app: App) -> tuple[str, str, str, str, str]:
    """Return the key of an app in `State.apps`."""
    return app.domain_id, app.profile.lower(), app.space.lower(), app.app_type, app.name.lower()
