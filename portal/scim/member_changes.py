"""What a PATCH says about the members of a group, read without an object for each of them."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scim2_models import InvalidFilterException, InvalidValueException, MutabilityException, Path
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

from portal.scim import schema
from portal.scim.columns import as_uuid


@dataclass
class MemberChanges:
    """Who is to join and who is to leave, in the order of the operations; `whole` says that nobody else stays."""

    joined: dict[uuid.UUID, None] = field(default_factory=dict)
    left: dict[uuid.UUID, None] = field(default_factory=dict)
    whole: bool = False
    # Ids that no user resource can have.
    unknown: int = 0

    def __bool__(self) -> bool:
        return self.whole or bool(self.joined or self.left)

    def add(self, ids: Iterable[uuid.UUID | None]) -> None:
        """Have these users join."""
        for each in self._known(ids):
            self.left.pop(each, None)
            self.joined[each] = None

    def remove(self, ids: Iterable[uuid.UUID | None]) -> None:
        """Have these users leave."""
        for each in self._known(ids):
            self.joined.pop(each, None)
            if not self.whole:
                self.left[each] = None

    def replace(self, ids: Iterable[uuid.UUID | None]) -> None:
        """Have these users be the only members."""
        self.joined, self.left, self.whole = {}, {}, True
        self.add(ids)

    def _known(self, ids: Iterable[uuid.UUID | None]) -> Iterator[uuid.UUID]:
        for each in ids:
            if each is None:
                self.unknown += 1
            else:
                yield each


def take(operations: list[dict[str, Any]]) -> tuple[MemberChanges, list[dict[str, Any]]]:
    """Return what operations of a PATCH say about members, and the operations that say other things.

    Raises the SCIM exception that fits an operation which cannot be carried out.
    """
    changes, rest = MemberChanges(), []
    for operation in operations:
        path = operation.get("path")
        if path is None or path == "":
            kept = _take_unnamed(operation, changes)
            if kept:
                rest.append(kept)
        elif not _take_named(operation, Path[schema.Group](path), changes):
            rest.append(operation)
    return changes, rest


def _take_unnamed(operation: dict[str, Any], changes: MemberChanges) -> dict[str, Any] | None:
    """Take the members out of the value of an operation without path; return what is left of it."""
    value = operation.get("value")
    if operation["op"] == "remove" or not isinstance(value, dict):
        return operation
    rest = {}
    for key, item in value.items():
        if is_members(key):
            _apply(operation["op"], item, changes)
        else:
            rest[key] = item
    return {**operation, "value": rest} if rest else None


def is_members(key: str) -> bool:
    """Whether a name is that of the members, with or without the schema before it."""
    return key.lower().removeprefix(f"{schema.Group.__schema__.lower()}:") == "members"


def _take_named(operation: dict[str, Any], path: Path[Any], changes: MemberChanges) -> bool:
    """Carry an operation out on the changes; False for one that is not about members."""
    binding = path.resolve()
    if binding is None or binding.field_name != "members":
        return False
    selected = path.value_filter
    if binding.sub_field_name is not None or (selected is not None and operation["op"] == "replace"):
        raise MutabilityException(detail="What a member is cannot be changed; remove it and add another one.")
    if selected is None:
        _apply(operation["op"], operation.get("value"), changes)
    elif operation["op"] == "remove":
        changes.remove(as_uuid(each) for each in _named(selected))
    else:
        # Entra ID's way to add whom the filter describes.
        changes.add(as_uuid(each) for each in _named(selected))
    return True


def _apply(op: str, value: Any, changes: MemberChanges) -> None:
    if op == "remove" and value is None:
        changes.replace(())
    elif op == "remove":
        changes.remove(ids(value))
    elif op == "replace":
        changes.replace(ids([] if value is None else value))
    elif value is None:
        raise InvalidValueException(detail="An add needs a value.")
    else:
        changes.add(ids(value))


def ids(value: Any) -> Iterator[uuid.UUID | None]:
    """Yield the ids in a list of members, or in one member; None for what cannot be an id."""
    for each in value if isinstance(value, list) else [value]:
        found = {key.lower(): item for key, item in each.items()} if isinstance(each, dict) else {}
        if not isinstance(found.get("value"), str):
            raise InvalidValueException(detail="Each member is an object with a value, the id of a user.")
        yield as_uuid(found["value"])


def _named(selected: FilterNode) -> list[str]:
    """Return the ids that `value eq "…"`, or several of these joined by `or`, names."""
    if isinstance(selected, LogicalExpr) and selected.op == LogicalOperator.or_:
        return [each for term in selected.terms for each in _named(term)]
    if (
        isinstance(selected, Comparison)
        and selected.op == CompareOperator.eq
        and selected.attr_path.attr.lower() == "value"
        and isinstance(selected.value, str)
    ):
        return [selected.value]
    raise InvalidFilterException(detail='Members are chosen by members[value eq "id"].')
