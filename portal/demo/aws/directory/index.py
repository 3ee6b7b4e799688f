"""Attributes by which a user or a group can be found, and which no two may share."""

from collections.abc import Iterator

from portal.demo.aws.directory.rows import Group, User
from portal.demo.aws.errors import ApiError

# The name of an attribute and its value; an external id has two values, issuer and id.
Key = tuple[str, ...]


class Index:
    """Ids by what is unique about their rows."""

    def __init__(self) -> None:
        self._ids: dict[Key, str] = {}

    def get(self, *key: str) -> str | None:
        """Return the id of the row with this attribute, or None."""
        return self._ids.get(_folded(key))

    def move(self, row_id: str, before: Iterator[Key], after: Iterator[Key]) -> None:
        """Replace the attributes of a row. Raises ApiError `ConflictException` when another row has one of them."""
        wanted = [_folded(key) for key in after]
        if any(self._ids.get(key, row_id) != row_id for key in wanted):
            raise ApiError("ConflictException", "Duplicate attribute value", Reason="UNIQUENESS_CONSTRAINT_VIOLATION")
        for key in before:
            del self._ids[_folded(key)]
        for key in wanted:
            self._ids[key] = row_id


def user_keys(user: User) -> Iterator[Key]:
    """Return what is unique about a user."""
    yield "userName", user.user_name
    if user.email:
        yield "emails.value", user.email
    for external in user.external_ids:
        yield "ExternalId", external["Issuer"], external["Id"]


def group_keys(group: Group) -> Iterator[Key]:
    """Return what is unique about a group."""
    yield "displayName", group.name
    for external in group.external_ids:
        yield "ExternalId", external["Issuer"], external["Id"]


def _folded(key: Key) -> Key:
    # Mail addresses and user names are told apart by more than their case; names of groups and outside ids are not.
    return (key[0], key[1].lower()) if key[0] in ("userName", "emails.value") else key
