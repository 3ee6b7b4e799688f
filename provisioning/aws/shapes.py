"""Checks of values against SageMaker's own service model, as botocore carries it; no network, no client.

botocore itself checks required members, types and minimums only. Patterns, enums and maximums would come back from AWS
as a `ValidationException` long after somebody saved the value, so they are checked here, recursively, and the sentences
name the path of the member.
"""

import difflib
import json
import math
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Any

import regex
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from provisioning.aws.loader import loader

MAX_FAULTS = 20
# A pattern of the model that backtracks without end on a hostile value is cut off after this many seconds.
PATTERN_TIMEOUT = 0.2

# What the patterns mean, for shapes that people type in.
_MEANING = {
    "RoleArn": "is not the ARN of an IAM role, like arn:aws:iam::123456789012:role/name",
    "DomainId": "is not the id of a Studio domain, like d-abcdefghijkl",
    "UserProfileName": "is not a profile name: letters, digits and single hyphens between them",
    "TagKey": "holds a character that tags may not have; letters, digits, spaces and _ . : / = + - @ are allowed",
    "TagValue": "holds a character that tags may not have; letters, digits, spaces and _ . : / = + - @ are allowed",
    "SecurityGroupId": "is not the id of a security group, like sg-0123456789abcdef0",
    "StudioLifecycleConfigArn": "is not the ARN of a Studio lifecycle configuration",
    "S3Uri": "is not an S3 address, like s3://bucket/prefix",
}
_EMPTY = frozenset({"RoleArn", "DomainId", "UserProfileName", "TagKey"})


def faults(shape: str, value: Any) -> list[str]:
    """Return one sentence for each way in which `value` is not a valid `shape` of SageMaker, at most `MAX_FAULTS`.

    Raises botocore's NoShapeFoundError when the model has no such shape.
    """
    found: list[str] = []
    for fault in _faults(_shape(shape), value, ""):
        found.append(fault)
        if len(found) == MAX_FAULTS:
            break
    return found


@lru_cache(maxsize=1)
def _model() -> ServiceModel:
    return ServiceModel(loader().load_service_model("sagemaker", "service-2"), "sagemaker")


@lru_cache(maxsize=64)
def _shape(name: str) -> Shape:
    return _model().shape_for(name)


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> regex.Pattern[str]:
    # The model writes the upper planes as surrogate pairs, as Java does; and Java's \d and \w are ASCII.
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    return regex.compile(pattern, 0 if r"\p{" in pattern else regex.ASCII)


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        yield from _structure(shape, value, path)
    elif isinstance(shape, MapShape):
        yield from _map(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _list(shape, value, path)
    elif isinstance(shape, StringShape):
        yield from _string(shape, value, path)
    elif shape.type_name in {"integer", "long", "float", "double"}:
        yield from _number(shape, value, path)
    elif shape.type_name == "boolean":
        if not isinstance(value, bool):
            yield _says(path, f"{_shown(value)} is not true or false.")
    elif not isinstance(value, str | bytes | date | int | float):
        yield _says(path, f"{_shown(value)} is not a {shape.type_name}.")


def _structure(shape: StructureShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _says(path, f"{_shown(value)} is not a JSON object.")
        return
    members = shape.members
    for name in value:
        if name not in members:
            yield _says(_join(path, str(name)), f"SageMaker has no such member.{_did_you_mean(str(name), members)}")
    for name in shape.required_members:
        if name not in value:
            yield _says(_join(path, name), "is required.")
    for name, member in members.items():
        if name in value:
            yield from _faults(member, value[name], _join(path, name))


def _map(shape: MapShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _says(path, f"{_shown(value)} is not a JSON object.")
        return
    yield from _bounds(shape, len(value), f"{len(value)} entries", path)
    for key, item in value.items():
        yield from _faults(shape.key, key, _join(path, str(key)))
        yield from _faults(shape.value, item, _join(path, str(key)))


def _list(shape: ListShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield _says(path, f"{_shown(value)} is not a list.")
        return
    yield from _bounds(shape, len(value), f"{len(value)} entries", path)
    for index, item in enumerate(value):
        yield from _faults(shape.member, item, f"{path}[{index}]")


def _number(shape: Shape, value: Any, path: str) -> Iterator[str]:
    whole = shape.type_name in {"integer", "long"}
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        yield _says(path, f"{_shown(value)} is not a {'whole ' if whole else ''}number.")
    elif not math.isfinite(value):
        yield _says(path, f"{_shown(value)} is not a number that AWS accepts.")
    else:
        yield from _bounds(shape, value, str(value), path)


def _string(shape: StringShape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield _says(path, f"{_shown(value)} is not a text.")
        return
    shown = _shown(value)
    if not value and shape.name in _EMPTY:
        yield _says(path, "must not be empty.")
    elif len(value) > shape.metadata.get("max", math.inf):
        yield _says(path, f"{shown} has {len(value)} characters; at most {shape.metadata['max']} are allowed.")
    elif shape.enum and value not in shape.enum:
        yield _says(path, f"{shown} is not one of SageMaker's values.{_choices(value, shape.enum)}")
    elif "\x00" in value or not _matches(shape.metadata.get("pattern"), value):
        yield _says(path, f"{shown} {_MEANING.get(shape.name) or _not_the_form(shape)}.")
    elif len(value) < shape.metadata.get("min", 0):
        yield _says(path, f"{shown} has {len(value)} characters; at least {shape.metadata['min']} are needed.")


def _matches(pattern: str | None, value: str) -> bool:
    """Whether AWS's pattern matches the whole value; a match that takes too long counts as none."""
    if pattern is None:
        return True
    try:
        return _pattern(pattern).fullmatch(value, timeout=PATTERN_TIMEOUT) is not None
    except TimeoutError:
        return False


def _bounds(shape: Shape, size: float, shown: str, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield _says(path, f"{shown} is less than {least}." if shown == str(size) else f"{shown}; at least {least}.")
    if most is not None and size > most:
        yield _says(path, f"{shown} is more than {most}." if shown == str(size) else f"{shown}; at most {most}.")


def _not_the_form(shape: Shape) -> str:
    pattern = shape.metadata.get("pattern", "")
    return f"does not have the form {pattern}" if 0 < len(pattern) <= 120 else f"is not a valid {shape.name}"


def _did_you_mean(name: str, members: Any) -> str:
    by_lower = {str(member).lower(): str(member) for member in members}
    close = difflib.get_close_matches(name[:100].lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]}?" if close else ""


def _choices(value: str, enum: list[str]) -> str:
    if len(enum) <= 8:
        return f" Choose from {', '.join(enum)}."
    return _did_you_mean(value, enum)


def _join(path: str, name: str) -> str:
    name = name if len(name) <= 60 else name[:60] + "…"
    return f"{path}.{name}" if path else name


def _says(path: str, sentence: str) -> str:
    if path:
        return f"{path}: {sentence}"
    return sentence[0].upper() + sentence[1:]


def _shown(value: Any) -> str:
    """Return the value as JSON would write it, cut to a length that fits a sentence."""
    if isinstance(value, str):
        return f"“{value}”" if len(value) <= 60 else f"“{value[:60]}…”"
    if isinstance(value, dict | list | tuple):
        return "this"
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return f"a {type(value).__name__}"
