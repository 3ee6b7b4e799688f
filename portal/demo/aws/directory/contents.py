"""The rows of an identity store, kept consistent and found quickly; nothing is told of changes here."""

import dataclasses
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from portal.demo.aws.directory.index import Index, group_keys, user_keys
from portal.demo.aws.directory.rows import Group, Membership, Table, User
from portal.demo.aws.errors import ApiError


class Contents:
    """Users, groups and memberships. Not safe for several threads: the identity store around it holds the lock."""

    def __init__(self, prefix: str = "") -> None:
        """`prefix` begins the ids that are made here, as those of newer stores begin with ten digits and a hyphen."""
        self.prefix = prefix
        self.users: Table[User] = Table()
        self.groups: Table[Group] = Table()
        self.memberships: Table[Membership] = Table()
        self._members: dict[str, Table[Membership]] = {}
        self._groups_of: dict[str, dict[str, Membership]] = {}
        self._user_index = Index()
        self._group_index = Index()
        self._last = 0

    def user(self, user_id: str) -> User:
        """Return a user by id. Raises ApiError."""
        found = self.users.get(user_id)
        if found is None:
            raise missing("USER", user_id)
        return found

    def group(self, group_id: str) -> Group:
        """Return a group by id. Raises ApiError."""
        found = self.groups.get(group_id)
        if found is None:
            raise missing("GROUP", group_id)
        return found

    def membership(self, membership_id: str) -> Membership:
        """Return a membership by id. Raises ApiError."""
        found = self.memberships.get(membership_id)
        if found is None:
            raise missing("GROUP_MEMBERSHIP", membership_id)
        return found

    def user_by(self, *key: str) -> User:
        """Return the user with a unique attribute, such as `userName` and its value. Raises ApiError."""
        return self.user(self._user_index.get(*key) or "")

    def group_by(self, *key: str) -> Group:
        """Return the group with a unique attribute, such as `displayName` and its value. Raises ApiError."""
        return self.group(self._group_index.get(*key) or "")

    def membership_of(self, group_id: str, user_id: str) -> Membership | None:
        """Return the membership of a user in a group, or None."""
        return self._groups_of.get(user_id, {}).get(group_id)

    def members_after(self, group_id: str, number: int, count: int) -> list[Membership]:
        """Return up to `count` memberships of a group with higher numbers than `number`."""
        table = self._members.get(group_id)
        return table.after(number, count) if table else []

    def groups_after(self, user_id: str, number: int, count: int) -> list[Membership]:
        """Return up to `count` memberships of a user with higher numbers than `number`."""
        return [row for row in self._groups_of.get(user_id, {}).values() if row.number > number][:count]

    def add_user(self, user: User) -> User:
        """Put in a new user. Raises ApiError when a unique attribute is taken."""
        user.user_id = user.user_id or self.new_id()
        self._user_index.move(user.user_id, iter(()), user_keys(user))
        self._number(user)
        self.users.add(user.user_id, user)
        return user

    def add_group(self, group: Group) -> Group:
        """Put in a new group. Raises ApiError when a unique attribute is taken."""
        group.group_id = group.group_id or self.new_id()
        self._group_index.move(group.group_id, iter(()), group_keys(group))
        self._number(group)
        self.groups.add(group.group_id, group)
        return group

    def add_membership(self, row: Membership) -> Membership:
        """Put a user into a group, both of which must be there. Raises ApiError when the user is in it already."""
        mine = self._groups_of.setdefault(row.user_id, {})
        if row.group_id in mine:
            raise ApiError(
                "ConflictException",
                "Member and Group relationship already exists.",
                Reason="UNIQUENESS_CONSTRAINT_VIOLATION",
            )
        row.membership_id = row.membership_id or self.new_id()
        self._number(row)
        mine[row.group_id] = row
        self._members.setdefault(row.group_id, Table()).add(row.user_id, row)
        self.memberships.add(row.membership_id, row)
        return row

    def change_user(self, user: User, changes: Mapping[str, Any]) -> None:
        """Change fields of a user. Raises ApiError when a unique attribute is taken; nothing is changed then."""
        self._user_index.move(user.user_id, user_keys(user), user_keys(dataclasses.replace(user, **changes)))
        _set(user, changes)

    def change_group(self, group: Group, changes: Mapping[str, Any]) -> None:
        """Change fields of a group. Raises ApiError when a unique attribute is taken; nothing is changed then."""
        self._group_index.move(group.group_id, group_keys(group), group_keys(dataclasses.replace(group, **changes)))
        _set(group, changes)

    def remove_membership(self, row: Membership) -> None:
        """Take a user out of a group."""
        self.memberships.remove(row.membership_id)
        self._members[row.group_id].remove(row.user_id)
        del self._groups_of[row.user_id][row.group_id]

    def remove_user(self, user: User) -> None:
        """Forget a user and the memberships with it."""
        self._remove_memberships(self._groups_of.get(user.user_id, {}).values())
        self._groups_of.pop(user.user_id, None)
        self._user_index.move(user.user_id, user_keys(user), iter(()))
        self.users.remove(user.user_id)

    def remove_group(self, group: Group) -> None:
        """Forget a group and the memberships with it."""
        self._remove_memberships(self._members.get(group.group_id, ()))
        self._members.pop(group.group_id, None)
        self._group_index.move(group.group_id, group_keys(group), iter(()))
        self.groups.remove(group.group_id)

    def new_id(self) -> str:
        """Return an id that nothing has."""
        # `uuid4` takes four times as long, which shows when hundreds of thousands are made.
        text = secrets.token_hex(16)
        return f"{self.prefix}{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _remove_memberships(self, rows: Iterable[Membership]) -> None:
        for row in list(rows):
            self.remove_membership(row)

    def _number(self, row: User | Group | Membership) -> None:
        # Rows that come from a file have their numbers, so that a token of a list keeps its meaning.
        row.number = row.number or self._last + 1
        self._last = max(self._last, row.number)


def missing(kind: str, row_id: str) -> ApiError:
    """Return the error for something that does not exist; `kind` is a ResourceType of the service model."""
    members: dict[str, Any] = {"ResourceType": kind, "ResourceId": row_id} if row_id else {"ResourceType": kind}
    return ApiError("ResourceNotFoundException", f"{kind} not found.", **members)


def _set(row: User | Group, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)
    row.revision += 1
