"""JSON as people type it: faults are told in words, and nothing passes that PostgreSQL's jsonb could not hold."""

import json
import re
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read(text: str) -> Any:
    """Return the value of a JSON text.

    Raises ValueError with a sentence for people: not JSON, a key that appears twice, no number of JSON (NaN, Infinity),
    a character that cannot be stored, too deep, or a number that is too long.
    """
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        _check_strings(found)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"This is not valid JSON: {error.msg} in {where}.") from error
    except RecursionError as error:
        raise ValueError("This JSON is nested too deeply.") from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"“{twice}” appears twice in one object.")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON.")


def _check_strings(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value or _LONE_SURROGATE.search(value):
            raise ValueError("This JSON has a character in it that is no text: a null or half of a surrogate pair.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key)
            _check_strings(item)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)
