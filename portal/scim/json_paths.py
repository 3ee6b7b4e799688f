"""Conditions on the attributes that are kept as JSON, in the path language of PostgreSQL's jsonb.

A path is passed as a parameter, and every name and value in it is a quoted literal.
"""

import json
import re
from typing import Any

from django.db.models import BooleanField, F, Func, Q, Value
from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    ORDERING_OPERATORS,
    AttributeBinding,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
    coerce_value,
)

from portal.scim.schema import EnterpriseUser

_EXTENSION = str(EnterpriseUser.__schema__)
_ANCHORS = {
    CompareOperator.eq: ("^", "$"),
    CompareOperator.co: ("", ""),
    CompareOperator.sw: ("^", ""),
    CompareOperator.ew: ("", "$"),
}


class _PathExists(Func):
    """Whether the column has anything at a path; what does not fit the path's types is not there."""

    template = "jsonb_path_exists(%(expressions)s::jsonpath, '{}', true)"
    output_field = BooleanField()


def present(binding: AttributeBinding) -> Q:
    """Return the condition that an attribute has a value."""
    return _exists(_path(binding))


def compared(binding: AttributeBinding, op: CompareOperator, value: Any) -> Q:
    """Return the condition that an attribute, or one of its values, compares so; raises InvalidFilterException."""
    return _exists(f"{_path(binding)} ? ({_test('@', binding, op, value)})")


def selected(binding: AttributeBinding, inner: FilterNode) -> Q:
    """Return the condition that one entry of a multi-valued attribute satisfies all of `inner`."""
    return _exists(f"{_head(binding)}[*] ? ({_Predicate(binding).visit(inner)})")


def _exists(path: str) -> Q:
    return Q(_PathExists(F("attributes"), Value(path)))


def _head(binding: AttributeBinding) -> str:
    root = f"$.{json.dumps(_EXTENSION)}" if binding.model is EnterpriseUser else "$"
    return f"{root}.{_name(binding.model, binding.field_name)}"


def _path(binding: AttributeBinding) -> str:
    head = _head(binding) + ("[*]" if binding.is_multivalued else "")
    return f"{head}.{_name(binding.field_type, binding.sub_field_name)}" if binding.sub_field_name else head


def _name(model: Any, field: str) -> str:
    return json.dumps(json_name(model, field))


def json_name(model: Any, field: str) -> str:
    """Return the name under which the JSON has a field of a model."""
    return str(model.model_fields[field].serialization_alias or field)


def _test(item: str, binding: AttributeBinding, op: CompareOperator, value: Any) -> str:
    """Return the predicate of one comparison on `item`."""
    if isinstance(value, bool) and op == CompareOperator.eq:
        return f"{item} == {json.dumps(value)}"
    if not isinstance(value, str) or op in ORDERING_OPERATORS:
        raise InvalidFilterException(detail=f"{op.value} is not supported on {binding.urn or binding.field_name}.")
    if binding.case_exact and op == CompareOperator.eq:
        return f"{item} == {json.dumps(value)}"
    before, after = _ANCHORS[op]
    flag = "" if binding.case_exact else ' flag "i"'
    return f"{item} like_regex {json.dumps(before + re.escape(value) + after)}{flag}"


class _Predicate(FilterVisitor[str]):
    """Writes the filter of a value selection as a predicate on one entry, `@`."""

    def __init__(self, binding: AttributeBinding) -> None:
        self.model: Any = binding.field_type
        if not hasattr(self.model, "model_fields"):
            raise InvalidFilterException(detail=f"{binding.field_name} has no entries to choose from.")

    def visit_not(self, node: Not) -> str:
        return f"!({self.visit(node.expr)})"

    def visit_logical_expr(self, node: LogicalExpr) -> str:
        joiner = " && " if node.op == LogicalOperator.and_ else " || "
        return joiner.join(f"({self.visit(term)})" for term in node.terms)

    def visit_present(self, node: Present) -> str:
        return f"exists(@.{self._bound(node)[1]})"

    def visit_comparison(self, node: Comparison) -> str:
        binding, name = self._bound(node)
        value = operand(binding, node)
        if value is None or node.op == CompareOperator.ne:
            there = f"exists(@.{name})" if value is None else _test(f"@.{name}", binding, CompareOperator.eq, value)
            return there if value is None and node.op == CompareOperator.ne else f"!({there})"
        return _test(f"@.{name}", binding, node.op, value)

    def visit_value_path(self, node: ValuePath) -> str:
        raise InvalidFilterException(detail="A selection stands inside another one.")

    def _bound(self, node: Comparison | Present) -> tuple[AttributeBinding, str]:
        binding = ScimFilter.__class_getitem__(self.model)(str(node)).resolve(node.attr_path)
        if binding is None:
            raise InvalidFilterException(detail=f"There is no attribute {node.attr_path}.")
        return binding, _name(self.model, binding.field_name)


def operand(binding: AttributeBinding, node: Comparison) -> Any:
    """Return the value that a comparison compares with, in the attribute's type; raises InvalidFilterException."""
    value = coerce_value(binding, node.value, node.op)
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= each <= "\udfff" for each in value)):
        raise InvalidFilterException(detail="The filter has a character in it that is no text.")
    return value
