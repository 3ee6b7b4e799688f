"""Check a request against botocore's service model, as the real services do before they act.

Documents, which the model leaves open, are for the operations to check.

botocore's client checks required members, types and minimums only; patterns, enums and maximums are the service's
to refuse.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import regex
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from portal.demo.aws.errors import ApiError

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "blob": (str, bytes),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def check_types(shape: Shape, value: Any) -> None:
    """Refuse a value that does not have the shape's type, or has members that the shape does not know.

    Raises ApiError `SerializationException`. A `None` stands for an absent value and is accepted anywhere.
    """
    if value is None:
        return
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        _expect(isinstance(value, dict), shape, value)
        for name, member in value.items():
            if name not in shape.members:
                raise ApiError("SerializationException", f"Unexpected member {name} in {shape.name}")
            check_types(shape.members[name], member)
    elif isinstance(shape, ListShape):
        _expect(isinstance(value, list), shape, value)
        for member in value:
            check_types(shape.member, member)
    elif isinstance(shape, MapShape):
        _expect(isinstance(value, dict), shape, value)
        for key, member in value.items():
            check_types(shape.key, key)
            check_types(shape.value, member)
    else:
        is_bool_for_number = isinstance(value, bool) and shape.type_name != "boolean"
        _expect(isinstance(value, _SCALARS[shape.type_name]) and not is_bool_for_number, shape, value)


def _expect(condition: bool, shape: Shape, value: Any) -> None:
    if not condition:
        found = {dict: "STRUCTURE", list: "LIST", str: "STRING_VALUE", bool: "TRUE_VALUE"}.get(
            type(value), "NUMBER_VALUE"
        )
        message = f"{found} can not be converted to {shape.type_name.capitalize()} ({shape.name})"
        raise ApiError("SerializationException", message)


def constraint_error(shape: Shape, value: Any) -> str | None:
    """Return AWS's text about everything in `value` that breaks a constraint of the model, or None if nothing does."""
    found = list(_faults(shape, value, ""))
    if not found:
        return None
    noun = "validation error" if len(found) == 1 else "validation errors"
    return f"{len(found)} {noun} detected: " + "; ".join(found)


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        yield from _structure_faults(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _size_faults(shape, value, len(value), "length", path)
        for index, member in enumerate(value, 1):
            yield from _faults(shape.member, member, _join(path, f"{index}.member"))
    elif isinstance(shape, MapShape):
        yield from _size_faults(shape, value, len(value), "length", path)
        for key, member in value.items():
            if any(_faults(shape.key, key, path)):
                yield _sentence(value, path, "Map keys must satisfy the constraints of " + shape.key.name)
            yield from _faults(shape.value, member, _join(path, f"{key}.member"))
    elif isinstance(shape, StringShape):
        yield from _string_faults(shape, value, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _size_faults(shape, value, value, "value", path)


def _structure_faults(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    present = {name: member for name, member in value.items() if member is not None}
    for name in shape.required_members:
        if name not in present:
            yield f"Value null at '{_join(path, _lower(name))}' failed to satisfy constraint: Member must not be null"
    if getattr(shape, "is_tagged_union", False) and len(present) != 1:
        yield _sentence(value, path, "Exactly one member of the union must be set")
    for name, member in present.items():
        yield from _faults(shape.members[name], member, _join(path, _lower(name)))


def _string_faults(shape: StringShape, value: str, path: str) -> Iterator[str]:
    yield from _size_faults(shape, value, len(value), "length", path)
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield _sentence(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        yield _sentence(value, path, f"Member must satisfy enum value set: [{', '.join(enum)}]")


def _size_faults(shape: Shape, value: Any, size: float, noun: str, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _sentence(value, path, f"Member must have {noun} greater than or equal to {least}")
    if most is not None and size > most:
        yield _sentence(value, path, f"Member must have {noun} less than or equal to {most}")


def _sentence(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


@cache
def _compiled(pattern: str) -> "regex.Pattern[str]":
    # The models are written for Java: classes such as \p{L} are beyond `re`.
    return regex.compile(pattern, regex.V0)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _lower(name: str) -> str:
    return re.sub(r"^.", lambda match: match[0].lower(), name)
