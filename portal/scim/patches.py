"""PATCH in the dialects of the vendors, put into the words of RFC 7644 before the library carries it out."""

import re
from typing import Any, TypeVar

from scim2_models import (
    ComplexAttribute,
    Context,
    InvalidPathException,
    InvalidSyntaxException,
    InvalidValueException,
    PatchOp,
    Path,
    Resource,
)
from scim2_models.path import AttributeBinding

from portal.scim import schema

MAX_OPERATIONS = 1000
_MAX_PATH = 500
_SCHEMA = str(PatchOp.__schema__)
# Entra ID quotes truth values: roles[primary eq "True"].value
_QUOTED_TRUTH = re.compile(r'(\bprimary\s+eq\s+)"(true|false)"', re.IGNORECASE)

Patched = TypeVar("Patched", bound=Resource[Any])


def operations(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations of a PATCH with `op` in lower case and no other keys than `op`, `path` and `value`.

    Raises InvalidSyntaxException or InvalidValueException for what is no list of operations.
    """
    sent = {key.lower(): value for key, value in body.items()}
    schemas = sent.get("schemas", [_SCHEMA])
    if not isinstance(schemas, list) or _SCHEMA.lower() not in {str(each).lower() for each in schemas}:
        raise InvalidSyntaxException(detail=f"schemas has to name {_SCHEMA}.")
    listed = sent.get("operations")
    if not isinstance(listed, list) or not listed:
        raise InvalidValueException(detail="Operations has to be a list of one or more operations.")
    if len(listed) > MAX_OPERATIONS:
        raise InvalidValueException(detail=f"There are more than {MAX_OPERATIONS} operations.")
    unfolded = [each for sent in listed for each in _unfolded(_operation(sent))]
    if len(unfolded) > MAX_OPERATIONS:
        raise InvalidValueException(detail=f"The operations do more than {MAX_OPERATIONS} things.")
    return unfolded


def _operation(sent: Any) -> dict[str, Any]:
    found = {key.lower(): value for key, value in sent.items()} if isinstance(sent, dict) else {}
    op, path = found.get("op"), found.get("path")
    if not isinstance(op, str) or op.lower() not in {"add", "remove", "replace"}:
        raise InvalidValueException(detail="The op of an operation is add, remove or replace.")
    operation = {"op": op.lower()}
    if path is not None and path != "":
        if not isinstance(path, str) or len(path) > _MAX_PATH:
            raise InvalidPathException(detail=f"A path is a text of at most {_MAX_PATH} characters.")
        operation["path"] = _QUOTED_TRUTH.sub(lambda match: match[1] + match[2].lower(), path)
    if "value" in found:
        operation["value"] = found["value"]
    return operation


def _unfolded(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Take paths that choose among entries, as in `emails[type eq "work"].value`, out of the value of an operation.

    Entra ID has them there as keys; the library passes over these.
    """
    value = operation.get("value")
    if "path" in operation or operation["op"] == "remove" or not isinstance(value, dict):
        return [operation]
    chosen = [key for key in value if "[" in key]
    rest = {key: item for key, item in value.items() if key not in chosen}
    kept = [{**operation, "value": rest}] if rest or not chosen else []
    return kept + [_operation({"op": operation["op"], "path": key, "value": value[key]}) for key in chosen]


def apply(model: type[Patched], resource: Patched, listed: list[dict[str, Any]]) -> Patched:
    """Carry operations out on a resource and return it; raises the library's exceptions."""
    told = [_translated(model, each) for each in listed]
    patch_op: Any = PatchOp.__class_getitem__(model)
    body = {"schemas": [_SCHEMA], "Operations": told}
    patch = patch_op.model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=schema.POLICY)
    patch.patch(resource, scim_policy=schema.POLICY)
    return resource


def _translated(model: type[Patched], operation: dict[str, Any]) -> dict[str, Any]:
    path = operation.get("path")
    if path is not None:
        named = Path.__class_getitem__(model)(path)
        if named.resolve() is None and named.model is None:
            raise InvalidPathException(detail=f"There is no attribute {path}.")
    if operation["op"] == "remove":
        return operation if _names_entries(operation) else {key: operation[key] for key in operation if key != "value"}
    if "value" not in operation:
        return operation
    return {**operation, "value": _value(model, path or "", operation["value"])}


def _names_entries(operation: dict[str, Any]) -> bool:
    """Whether the value of a remove says which entries go; Entra ID also repeats the value of what the path names."""
    return isinstance(operation.get("value"), (list, dict)) and "[" not in operation.get("path", "")


def _value(model: type[Patched], name: str, value: Any) -> Any:
    """Return a value in the shape that the attribute called `name` has; "" stands for the whole resource."""
    try:
        path = Path.__class_getitem__(model)(name)
    except InvalidPathException:
        # No attribute: the library passes over it.
        return value
    if path.model is not None:
        prefix = f"{name}:" if name and path.model is not model else ""
        return (
            {key: _value(model, prefix + key, item) for key, item in value.items()}
            if isinstance(value, dict)
            else value
        )
    binding = path.resolve()
    return value if binding is None or path.value_filter is not None else _shaped(binding, value)


def _shaped(binding: AttributeBinding, value: Any) -> Any:
    """Take a single value out of the list that Entra ID puts it in, and make an object of a manager's bare id."""
    if binding.target_is_multivalued or (binding.is_multivalued and binding.sub_field_name):
        return value
    target = binding.target_type
    is_complex = isinstance(target, type) and issubclass(target, ComplexAttribute)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0] if is_complex else value[0].get("value", value)
    return {"value": value} if is_complex and isinstance(value, str) else value
