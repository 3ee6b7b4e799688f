"""Statements of IAM policies, and how they fit into documents that AWS takes; pure."""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

VERSION = "2012-10-17"
# Characters that AWS allows in a managed policy, a trust policy and a service control policy, white space not counted.
MANAGED = 6144
TRUST = 2048
SERVICE_CONTROL = 5120

Statement = dict[str, Any]
Conditions = Mapping[str, Mapping[str, Any]]

# Lists of which any value may match, so that two statements with half of it each say the same as one.
_DIVISIBLE = (("Resource",), ("Condition", "StringEquals", "aws:RequestTag/Team"))


def allow(
    sid: str, actions: Iterable[str], resources: Iterable[str], conditions: Conditions | None = None
) -> Statement:
    """Return a statement that allows; actions and resources are put in order."""
    return _statement("Allow", sid, actions, resources, conditions)


def deny(sid: str, actions: Iterable[str], resources: Iterable[str], conditions: Conditions | None = None) -> Statement:
    """Return a statement that denies; actions and resources are put in order."""
    return _statement("Deny", sid, actions, resources, conditions)


def trust(
    sid: str, actions: Iterable[str], principal: Mapping[str, str], conditions: Conditions | None = None
) -> Statement:
    """Return a statement of a trust policy."""
    made: Statement = {"Sid": sid, "Effect": "Allow", "Principal": dict(principal), "Action": sorted(set(actions))}
    return made | ({"Condition": _plain(conditions)} if conditions else {})


def policy(statements: Sequence[Statement]) -> dict[str, Any]:
    """Return a whole document; statements with the same Sid get numbers."""
    return {"Version": VERSION, "Statement": _numbered(statements)}


def policies(statements: Sequence[Statement], limit: int) -> list[dict[str, Any]]:
    """Return as many documents as it takes to stay within `limit`; one that cannot be divided further may exceed it."""
    filled: list[list[Statement]] = []
    for statement in statements:
        for piece in _pieces(statement, limit):
            if filled and size(policy([*filled[-1], piece])) <= limit:
                filled[-1].append(piece)
            else:
                filled.append([piece])
    return [policy(each) for each in filled]


def size(body: Mapping[str, Any]) -> int:
    """Return the number of characters as AWS counts them."""
    return len(json.dumps(body, separators=(",", ":"), ensure_ascii=False))


def text(body: Mapping[str, Any]) -> str:
    """Return a document as people read and paste it."""
    return json.dumps(body, indent=2, ensure_ascii=False)


def _statement(
    effect: str, sid: str, actions: Iterable[str], resources: Iterable[str], conditions: Conditions | None
) -> Statement:
    made: Statement = {
        "Sid": sid,
        "Effect": effect,
        "Action": sorted(set(actions)),
        "Resource": sorted(set(resources)),
    }
    return made | ({"Condition": _plain(conditions)} if conditions else {})


def _plain(conditions: Conditions) -> dict[str, dict[str, Any]]:
    return {operator: dict(keys) for operator, keys in conditions.items()}


def _pieces(statement: Statement, limit: int) -> list[Statement]:
    """Return a statement in as many parts as it takes for each to fit into a document of its own."""
    if size(policy([statement])) <= limit:
        return [statement]
    for path in _DIVISIBLE:
        values = _at(statement, path)
        if len(values) > 1:
            middle = len(values) // 2
            halves = (_with(statement, path, values[:middle]), _with(statement, path, values[middle:]))
            return [piece for half in halves for piece in _pieces(half, limit)]
    return [statement]


def _at(statement: Statement, path: Sequence[str]) -> list[str]:
    found: Any = statement
    for name in path:
        found = found.get(name, {})
    return found if isinstance(found, list) else []


def _with(statement: Statement, path: Sequence[str], values: list[str]) -> Statement:
    made = copy.deepcopy(statement)
    inner = made
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = values
    return made


def _numbered(statements: Sequence[Statement]) -> list[Statement]:
    """Return the statements with Sids that are unique, as IAM asks for."""
    names = [each["Sid"] for each in statements]
    counts: dict[str, int] = {}
    made = []
    for statement, name in zip(statements, names, strict=True):
        counts[name] = counts.get(name, 0) + 1
        made.append({**statement, "Sid": f"{name}{counts[name]}" if names.count(name) > 1 else name})
    return made
