"""Filters as conditions on the rows of users and groups; what cannot be translated is refused, never ignored."""

import re
from typing import Any

from django.db.models import Q
from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)

from portal.scim import json_paths
from portal.scim.columns import Columns

MAX_LENGTH = 2000
# Entra ID asks for `emails[type eq "work"].value eq "a@example.com"`, which the grammar of filters does not have.
_SUB_OF_SELECTION = re.compile(r"\s*([\w:.$-]+)\[([^\]]*)\]\.([\w$]+)\s+(.+)\Z", re.DOTALL)


def rewritten(text: str) -> str:
    """Return a filter with the vendors' own forms put into those of RFC 7644; raises InvalidFilterException."""
    if len(text) > MAX_LENGTH:
        raise InvalidFilterException(detail=f"The filter is longer than {MAX_LENGTH} characters.")
    match = _SUB_OF_SELECTION.match(text)
    return f"{match[1]}[({match[2]}) and {match[3]} {match[4]}]" if match else text


def condition(asked: ScimFilter[Any], columns: Columns) -> Q:
    """Return the condition on rows that a filter stands for; raises InvalidFilterException."""
    return _Translator(asked, columns).visit(asked.ast)


class _Translator(FilterVisitor[Q]):
    def __init__(self, asked: ScimFilter[Any], columns: Columns) -> None:
        self.asked = asked
        self.columns = columns

    def visit_not(self, node: Not) -> Q:
        return ~self.visit(node.expr)

    def visit_logical_expr(self, node: LogicalExpr) -> Q:
        found = self.visit(node.terms[0])
        for term in node.terms[1:]:
            found = found & self.visit(term) if node.op == LogicalOperator.and_ else found | self.visit(term)
        return found

    def visit_present(self, node: Present) -> Q:
        binding = self._bound(self.asked.resolve(node.attr_path), node.attr_path)
        special = self.columns.present(_key(binding))
        return special if special is not None else json_paths.present(binding)

    def visit_comparison(self, node: Comparison) -> Q:
        binding = self._bound(self.asked.resolve_comparison(node.attr_path), node.attr_path)
        value = json_paths.operand(binding, node)
        if value is None:
            return self._compared_to_null(binding, node)
        if node.op == CompareOperator.ne:
            return ~self._compared(binding, CompareOperator.eq, value)
        return self._compared(binding, node.op, value)

    def _compared(self, binding: AttributeBinding, op: CompareOperator, value: Any) -> Q:
        special = self.columns.compared(_key(binding), op, value)
        return special if special is not None else json_paths.compared(binding, op, value)

    def _compared_to_null(self, binding: AttributeBinding, node: Comparison) -> Q:
        if node.op not in {CompareOperator.eq, CompareOperator.ne}:
            raise _unsupported(node)
        special = self.columns.present(_key(binding))
        there = special if special is not None else json_paths.present(binding)
        return there if node.op == CompareOperator.ne else ~there

    def visit_value_path(self, node: ValuePath) -> Q:
        binding = self._bound(self.asked.resolve(node.attr_path), node.attr_path)
        if binding.field_name not in self.columns.related:
            return json_paths.selected(binding, node.val_filter)
        inner = node.val_filter
        if not isinstance(inner, Comparison) or inner.attr_path.attr.lower() != "value":
            raise _unsupported(node)
        return self.visit(Comparison(AttrPath(node.attr_path.attr, "value"), inner.op, inner.value))

    def _bound(self, binding: AttributeBinding | None, path: AttrPath) -> AttributeBinding:
        if binding is None:
            raise InvalidFilterException(detail=f"There is no attribute {path}.")
        return binding


def _unsupported(node: FilterNode) -> InvalidFilterException:
    """Return the refusal of a comparison that RFC 7644 allows and this service does not have."""
    return InvalidFilterException(detail=f"This service does not support the filter {node}.")


def _key(binding: AttributeBinding) -> str:
    """Return the Python name of an attribute: `user_name`, `meta.created`, `members.value`."""
    sub = f".{binding.sub_field_name}" if binding.sub_field_name else ""
    return f"{binding.field_name}{sub}"
