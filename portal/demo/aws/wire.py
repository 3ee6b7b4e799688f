"""Requests and answers as they travel: JSON 1.x, and Query (forms in, XML out). Driven by the service model."""

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from portal.demo.aws.errors import ApiError
from portal.demo.aws.service import Service
from portal.demo.aws.services import by_target, by_version


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request whose service is known; `raw` is the JSON text or the form."""

    service: Service
    operation: str
    raw: Any

    def params(self, model: OperationModel) -> dict[str, Any]:
        """Return the parameters. Raises ApiError `SerializationException` when they cannot be read."""
        if self.service.is_query:
            value = _from_form(model.input_shape, self.raw, "") if model.input_shape else None
            return value or {}
        try:
            value = json.loads(self.raw or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", "The request is not JSON") from error
        if not isinstance(value, dict):
            raise ApiError("SerializationException", "Start of structure or map found where not expected.")
        return value


def read(headers: Message, body: bytes) -> Request:
    """Find out which operation of which service is meant. Raises ApiError when none is."""
    prefix, _, operation = headers.get("X-Amz-Target", "").rpartition(".")
    if service := by_target(prefix):
        return Request(service, operation, body)
    if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if service := by_version(form.get("Version", "")):
            return Request(service, form.get("Action", ""), form)
    raise ApiError("UnknownOperationException", "No service of the AWS stand-in is meant by this request", 404)


def answer(service: Service, operation: str, result: dict[str, Any], request_id: str) -> Reply:
    """Return the answer of an operation that went well."""
    if not service.is_query:
        return _json_reply(service, 200, result, request_id)
    shape = service.model.operation_model(operation).output_shape
    inner = _members(shape, result) if shape else ""
    text = f"<{operation}Result>{inner}</{operation}Result>"
    return _xml_reply(service, 200, f"{operation}Response", text + _metadata(request_id), request_id)


def error(service: Service | None, fault: ApiError, request_id: str) -> Reply:
    """Return the answer that tells a caller about `fault`."""
    if service and service.is_query:
        code = service.codes.get(fault.code, fault.code)
        sender = "Receiver" if fault.status >= 500 else "Sender"
        text = (
            f"<Error><Type>{sender}</Type><Code>{escape(code)}</Code><Message>{escape(fault.message)}</Message></Error>"
        )
        return _xml_reply(
            service, fault.status, "ErrorResponse", f"{text}<RequestId>{request_id}</RequestId>", request_id
        )
    # JSON services tell client errors by the code in the body; the status is always 400.
    status = fault.status if fault.status >= 500 or service is None else 400
    members = _error_members(service, fault.code)
    body = {"__type": fault.code, "message" if members is None else "Message": fault.message}
    further = {**fault.members, "RequestId": request_id}
    body |= {name: value for name, value in further.items() if name in (members or ())}
    reply = _json_reply(service, status, body, request_id)
    if service and service.model.is_query_compatible:
        code = service.codes.get(fault.code, fault.code)
        reply.headers["x-amzn-query-error"] = f"{code};{'Receiver' if status >= 500 else 'Sender'}"
    return reply


def _error_members(service: Service | None, code: str) -> list[str] | None:
    """Return the names of a modelled error's members, or None for an error that the model does not know."""
    shapes = service.model.error_shapes if service else []
    found = next((shape for shape in shapes if shape.name == code), None)
    return None if found is None else list(found.members) if isinstance(found, StructureShape) else []


def _json_reply(service: Service | None, status: int, value: dict[str, Any], request_id: str) -> Reply:
    body = json.dumps({name: member for name, member in value.items() if member is not None}).encode()
    version = service.model.metadata["jsonVersion"] if service else "1.1"
    return Reply(status, body, f"application/x-amz-json-{version}", {"x-amzn-RequestId": request_id})


def _xml_reply(service: Service, status: int, root: str, inner: str, request_id: str) -> Reply:
    namespace = service.model.metadata["xmlNamespace"]
    body = f'<{root} xmlns="{namespace}">{inner}</{root}>'.encode()
    return Reply(status, body, "text/xml", {"x-amzn-RequestId": request_id})


def _metadata(request_id: str) -> str:
    return f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"


def _members(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        present = ((name, value[name]) for name in shape.members if value.get(name) is not None)
        return "".join(f"<{name}>{_members(shape.members[name], member)}</{name}>" for name, member in present)
    if isinstance(shape, ListShape):
        return "".join(f"<member>{_members(shape.member, member)}</member>" for member in value)
    if shape.type_name == "timestamp":
        return dt.datetime.fromtimestamp(value, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return escape(str(value))


def _from_form(shape: Shape, form: dict[str, str], prefix: str) -> Any:
    """Return the value at `prefix`, or None where the form has nothing under it."""
    below = f"{prefix}." if prefix else ""
    if isinstance(shape, StructureShape):
        found = {name: _from_form(member, form, below + name) for name, member in shape.members.items()}
        return {name: value for name, value in found.items() if value is not None} or None
    if isinstance(shape, ListShape):
        numbers = {int(m[1]) for key in form if (m := re.match(re.escape(below) + r"member\.(\d{1,4})(\.|$)", key))}
        return [_from_form(shape.member, form, f"{below}member.{number}") for number in sorted(numbers)] or None
    if isinstance(shape, MapShape):
        raise ApiError("MalformedInput", f"{shape.name}: maps are not understood here")
    text = form.get(prefix)
    if text is None or shape.type_name == "string":
        return text
    try:
        return {"true": True, "false": False}[text] if shape.type_name == "boolean" else int(text)
    except (KeyError, ValueError) as problem:
        raise ApiError("MalformedInput", f"{shape.name} can not be read") from problem
