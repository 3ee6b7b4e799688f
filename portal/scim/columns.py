"""The attributes that are columns of their own, so that filters and sorting find them by index."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Contains, EndsWith, Exact, StartsWith
from scim2_models import InvalidFilterException
from scim2_models.path import CompareOperator

from teams.models import GroupMembership

_TEXT_LOOKUPS: Mapping[CompareOperator, Any] = {
    CompareOperator.eq: Exact,
    CompareOperator.co: Contains,
    CompareOperator.sw: StartsWith,
    CompareOperator.ew: EndsWith,
}
_TIMES = {op: op.value for op in (CompareOperator.gt, CompareOperator.lt)} | {
    CompareOperator.ge: "gte",
    CompareOperator.le: "lte",
    CompareOperator.eq: "exact",
}

Test = Callable[[CompareOperator, Any], Q]

_ALWAYS = Q(pk__isnull=False)
_NEVER = Q(pk__isnull=True)


@dataclass(frozen=True)
class Columns:
    """How attributes that are no part of the stored JSON are compared and looked for."""

    # Attribute → its comparison, whether it is there, and by what it is sorted.
    tests: Mapping[str, Test]
    there: Mapping[str, Q]
    sorts: Mapping[str, Any]
    # Attributes that are rows of other tables.
    related: frozenset[str] = field(default_factory=frozenset)

    def compared(self, name: str, op: CompareOperator, value: Any) -> Q | None:
        """Return the condition of a comparison, None for an attribute that is in the JSON."""
        test = self.tests.get(name)
        if test is not None:
            return test(op, value)
        self._refuse_parts_of_related(name)
        return None

    def present(self, name: str) -> Q | None:
        """Return the condition that an attribute has a value, None for an attribute that is in the JSON."""
        if name in self.there:
            return self.there[name]
        self._refuse_parts_of_related(name)
        return None

    def _refuse_parts_of_related(self, name: str) -> None:
        head = name.partition(".")[0]
        if head in self.related or head in {"meta", "schemas", "password"}:
            raise InvalidFilterException(detail=f"This service has no filter on {name}.")


def _text(column: str) -> Test:
    """Compare without regard to case, by the expression that the index has."""

    def test(op: CompareOperator, value: Any) -> Q:
        lookup = _TEXT_LOOKUPS.get(op)
        if lookup is None or not isinstance(value, str):
            raise InvalidFilterException(detail=f"{op.value} is not supported on this attribute.")
        return Q(lookup(Lower(F(column)), Lower(Value(value)) if lookup is Exact else value.lower()))

    return test


def _exact(column: str) -> Test:
    def test(op: CompareOperator, value: Any) -> Q:
        lookup = _TEXT_LOOKUPS.get(op)
        if lookup is None or not isinstance(value, str):
            raise InvalidFilterException(detail=f"{op.value} is not supported on this attribute.")
        return Q(lookup(F(column), value))

    return test


def _id(op: CompareOperator, value: Any) -> Q:
    _require_eq(op)
    found = as_uuid(value)
    return _NEVER if found is None else Q(scim_id=found)


def _flag(column: str) -> Test:
    def test(op: CompareOperator, value: Any) -> Q:
        _require_eq(op)
        return Q(**{column: bool(value)})

    return test


def _time(column: str) -> Test:
    def test(op: CompareOperator, value: Any) -> Q:
        if op not in _TIMES or not isinstance(value, datetime):
            raise InvalidFilterException(detail=f"{op.value} is not supported on this attribute.")
        return Q(**{f"{column}__{_TIMES[op]}": value})

    return test


def _member(op: CompareOperator, value: Any) -> Q:
    _require_eq(op)
    found = as_uuid(value)
    if found is None:
        return _NEVER
    return Q(Exists(GroupMembership.objects.filter(group=OuterRef("group"), user__scim_users__scim_id=found)))


def _in_group(op: CompareOperator, value: Any) -> Q:
    _require_eq(op)
    found = as_uuid(value)
    if found is None:
        return _NEVER
    rows = GroupMembership.objects.filter(
        user=OuterRef("user"), group__scim_group__scim_id=found, group__scim_group__client=OuterRef("client")
    )
    return Q(Exists(rows))


def _require_eq(op: CompareOperator) -> None:
    if op != CompareOperator.eq:
        raise InvalidFilterException(detail=f"{op.value} is not supported on this attribute.")


def as_uuid(text: object) -> uuid.UUID | None:
    """Return the id of a resource, None for what cannot be one."""
    try:
        return uuid.UUID(text) if isinstance(text, str) and len(text) == 36 else None
    except ValueError:
        return None


_SHARED_TESTS: dict[str, Test] = {
    "id": _id,
    "external_id": _exact("external_id"),
    "meta.created": _time("created_at"),
    "meta.last_modified": _time("changed_at"),
}
_SHARED_THERE = {
    "id": _ALWAYS,
    "external_id": ~Q(external_id=""),
    "meta": _ALWAYS,
    "meta.created": _ALWAYS,
    "meta.last_modified": _ALWAYS,
}
_SHARED_SORTS: dict[str, Any] = {
    "id": F("scim_id"),
    "external_id": F("external_id"),
    "meta.created": F("created_at"),
    "meta.last_modified": F("changed_at"),
}

USERS = Columns(
    tests={
        **_SHARED_TESTS,
        "user_name": _text("user_name"),
        "active": _flag("active"),
        "groups.value": _in_group,
    },
    there={
        **_SHARED_THERE,
        "user_name": _ALWAYS,
        "active": _ALWAYS,
        "groups": Q(
            Exists(GroupMembership.objects.filter(user=OuterRef("user"), group__scim_group__client=OuterRef("client")))
        ),
    },
    sorts={**_SHARED_SORTS, "user_name": Lower("user_name"), "active": F("active")},
    related=frozenset({"groups"}),
)
GROUPS = Columns(
    tests={**_SHARED_TESTS, "display_name": _text("display_name"), "members.value": _member},
    there={
        **_SHARED_THERE,
        "display_name": _ALWAYS,
        "members": Q(Exists(GroupMembership.objects.filter(group=OuterRef("group")))),
    },
    sorts={**_SHARED_SORTS, "display_name": Lower("display_name")},
    related=frozenset({"members"}),
)
