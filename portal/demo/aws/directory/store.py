"""An identity store: the doors through which a test or a demonstration changes it, and the events that follow."""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from portal.demo.aws.directory import telling
from portal.demo.aws.directory.contents import Contents
from portal.demo.aws.directory.rows import Group, Membership, User
from portal.demo.aws.directory.telling import Origin
from portal.demo.aws.events import Envelope, Event

_HEAD = ("store_id", "account", "region", "event_queue", "allowed_accounts")
_USER = User.__dataclass_fields__
_GROUP = Group.__dataclass_fields__
_MEMBERSHIP = Membership.__dataclass_fields__


class IdentityStore:
    """The identity store of an account in a Region.

    Users and groups are named by id, by user name or group name, or by their row. `origin` says where a change is made
    and so which event is put into `event_queue`, a queue of the same account and Region; None makes none. ApiError is
    raised for what does not exist or exists already. Nothing is written to the state file: call `State.save`.
    """

    def __init__(
        self,
        store_id: str,
        account: str,
        region: str,
        *,
        lock: AbstractContextManager[Any],
        now: Callable[[], float],
        publish: Callable[["IdentityStore", Event], None],
        event_queue: str = "",
        prefixed_ids: bool = False,
    ) -> None:
        """`lock` is held for every change and every look; `publish` delivers an event of this store.

        `prefixed_ids` begins new ids with the ten digits of the store's own.
        """
        self.store_id = store_id
        self.account = account
        self.region = region
        self.event_queue = event_queue
        self.tenant_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, store_id))
        # Accounts that may call besides the owner.
        self.allowed_accounts: list[str] = []
        self.contents = Contents(f"{store_id.removeprefix('d-')}-" if prefixed_ids else "")
        self.buckets: dict[str, tuple[float, float]] = {}
        self.lock = lock
        self._now = now
        self._publish = publish
        self._text: str | None = None

    @property
    def envelope(self) -> Envelope:
        """What all events of this store have in common, if they happen now."""
        return {"account": self.account, "region": self.region, "at": self._now()}

    def publish(self, event: Event) -> None:
        """Put an event into the queue, if the store has one."""
        self._publish(self, event)

    def find_user(self, user: User | str) -> User:
        """Return a user by id or user name."""
        if isinstance(user, User):
            return user
        return self.contents.users.get(user) or self.contents.user_by("userName", user)

    def find_group(self, group: Group | str) -> Group:
        """Return a group by id or name."""
        if isinstance(group, Group):
            return group
        return self.contents.groups.get(group) or self.contents.group_by("displayName", group)

    def groups_of(self, user: User | str) -> list[str]:
        """Return the names of the groups that a user is in."""
        with self.lock:
            found = self.contents.groups_after(self.find_user(user).user_id, 0, len(self.contents.groups))
            return [self.contents.group(row.group_id).name for row in found]

    def members_of(self, group: Group | str) -> list[str]:
        """Return the user names of a group's members."""
        with self.lock:
            found = self.contents.members_after(self.find_group(group).group_id, 0, len(self.contents.users))
            return [self.contents.user(row.user_id).user_name for row in found]

    def add_user(self, user_name: str, *, origin: Origin | None = "console", **fields: Any) -> User:
        """Make a user; `fields` are others of User, such as `user_id`, `display_name` and `email`."""
        with self.lock:
            user = self.contents.add_user(User(**self._fresh("user_id", fields), user_name=user_name))
            self._tell_user(origin, "CreateUser", user)
        return user

    def update_user(self, user: User | str, *, origin: Origin | None = "console", **changes: Any) -> User:
        """Change fields of a user."""
        return self._change_user(user, "UpdateUser", origin, changes)

    def disable_user(self, user: User | str, *, origin: Origin | None = "console") -> User:
        """Disable a user, who stays in all groups."""
        return self._change_user(user, "DisableUser", origin, {"enabled": False})

    def enable_user(self, user: User | str, *, origin: Origin | None = "console") -> User:
        """Enable a user again."""
        return self._change_user(user, "EnableUser", origin, {"enabled": True})

    def delete_user(self, user: User | str, *, origin: Origin | None = "console") -> None:
        """Delete a user; the memberships go without events of their own."""
        with self.lock:
            found = self.find_user(user)
            self.contents.remove_user(found)
            self._tell_user(origin, "DeleteUser", found)

    def add_group(self, name: str, *, origin: Origin | None = "console", **fields: Any) -> Group:
        """Make a group; `fields` are others of Group, such as `group_id` and `description`."""
        with self.lock:
            group = self.contents.add_group(Group(**self._fresh("group_id", fields), name=name))
            self._tell_group(origin, "CreateGroup", group)
        return group

    def update_group(self, group: Group | str, *, origin: Origin | None = "console", **changes: Any) -> Group:
        """Change fields of a group, `name` for one."""
        with self.lock:
            found = self.find_group(group)
            self.contents.change_group(found, {**changes, "modified": self._now()})
            self._tell_group(origin, "UpdateGroup", found)
        return found

    def delete_group(self, group: Group | str, *, origin: Origin | None = "console") -> None:
        """Delete a group; the memberships go without events of their own."""
        with self.lock:
            found = self.find_group(group)
            self.contents.remove_group(found)
            self._tell_group(origin, "DeleteGroup", found)

    def add_member(self, group: Group | str, user: User | str, origin: Origin | None = "console") -> Membership:
        """Put a user into a group."""
        with self.lock:
            ids = self.find_group(group).group_id, self.find_user(user).user_id
            row = self.contents.add_membership(Membership("", *ids, created=self._now()))
            self._changed()
            if origin:
                self.publish(telling.member_added(origin, self.store_id, self.tenant_id, row, **self.envelope))
        return row

    def remove_member(self, group: Group | str, user: User | str, origin: Origin | None = "console") -> None:
        """Take a user out of a group."""
        with self.lock:
            ids = self.find_group(group).group_id, self.find_user(user).user_id
            row = self.contents.membership_of(*ids)
            self.remove_membership(row.membership_id if row else "", origin)

    def remove_membership(self, membership_id: str, origin: Origin | None = "console") -> None:
        """Take a user out of a group, by the membership's id."""
        with self.lock:
            row = self.contents.membership(membership_id)
            self.contents.remove_membership(row)
            self._changed()
            if origin:
                self.publish(telling.member_removed(origin, self.store_id, self.tenant_id, row, **self.envelope))

    def load(
        self,
        *,
        users: Iterable[str | Mapping[str, Any]] = (),
        groups: Iterable[str | Mapping[str, Any]] = (),
        members: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Put in many rows at once, without events.

        Users and groups are names, or mappings with the fields of User and Group; `members` are pairs of a group's
        name and a user name.
        """
        with self.lock:
            contents, now = self.contents, self._now()
            for user in users:
                fields = {"user_name": user} if isinstance(user, str) else user
                contents.add_user(User(**{"user_id": "", "created": now, "modified": now, **fields}))
            for group in groups:
                fields = {"name": group} if isinstance(group, str) else group
                contents.add_group(Group(**{"group_id": "", "created": now, "modified": now, **fields}))
            for group_name, user_name in members:
                ids = self.find_group(group_name).group_id, self.find_user(user_name).user_id
                contents.add_membership(Membership("", *ids, created=now))
            self._changed()

    def text(self) -> str:
        """Return all that the store remembers as JSON.

        The rows' text is kept until they change: a large directory seldom does, and is not to be worked through
        whenever anything else is written.
        """
        with self.lock:
            head = {name: getattr(self, name) for name in _HEAD} | {"prefix": self.contents.prefix}
            if self._text is None:
                rows = {
                    "users": [[getattr(row, name) for name in _USER] for row in self.contents.users],
                    "groups": [[getattr(row, name) for name in _GROUP] for row in self.contents.groups],
                    "members": [[getattr(row, name) for name in _MEMBERSHIP] for row in self.contents.memberships],
                }
                self._text = json.dumps(rows)
            return f'{{"head": {json.dumps(head)}, "rows": {self._text}}}'

    def restore(self, data: Mapping[str, Any]) -> None:
        """Fill an empty store with what `text` returned."""
        head, rows = data["head"], data["rows"]
        self.event_queue, self.allowed_accounts = head["event_queue"], head["allowed_accounts"]
        self.contents = Contents(head["prefix"])
        for row in rows["users"]:
            self.contents.add_user(User(*row))
        for row in rows["groups"]:
            self.contents.add_group(Group(*row))
        for row in rows["members"]:
            self.contents.add_membership(Membership(*row))

    def _change_user(
        self, user: User | str, change: telling.UserChange, origin: Origin | None, changes: Mapping[str, Any]
    ) -> User:
        if origin == "api" and change in telling.SWITCHES:
            raise ValueError("users are disabled and enabled in the console or by SCIM")
        with self.lock:
            found = self.find_user(user)
            self.contents.change_user(found, {**changes, "modified": self._now()})
            self._tell_user(origin, change, found)
        return found

    def _fresh(self, key: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        now = self._now()
        return {key: "", "created": now, "modified": now, **fields}

    def _tell_user(self, origin: Origin | None, change: telling.UserChange, user: User) -> None:
        self._changed()
        if origin:
            known = (origin, self.store_id, self.tenant_id, change, user.user_id)
            self.publish(telling.user_changed(*known, **self.envelope))

    def _tell_group(self, origin: Origin | None, change: telling.GroupChange, group: Group) -> None:
        self._changed()
        if origin:
            known = (origin, self.store_id, self.tenant_id, change, group.group_id)
            self.publish(telling.group_changed(*known, **self.envelope))

    def _changed(self) -> None:
        self._text = None
