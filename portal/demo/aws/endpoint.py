"""From an HTTP request to an answer: who is meant, who calls, is it valid, do it, write it down."""

import threading
import uuid
from email.message import Message
from typing import Any

from portal.demo.aws import wire
from portal.demo.aws.credentials import Caller, identify
from portal.demo.aws.errors import ApiError
from portal.demo.aws.personality import Personality
from portal.demo.aws.rows import Call
from portal.demo.aws.service import Context
from portal.demo.aws.state import State
from portal.demo.aws.validation import check_types, constraint_error

# What never goes into the log of calls.
_SECRET_PARAMS = frozenset({"TokenCode", "ExternalId"})
HIDDEN = "***"


class Endpoint:
    """The services behind one URL. `stopping` is set when the server stops, and cuts all waiting short."""

    def __init__(self, state: State, personality: Personality, url: str, stopping: threading.Event) -> None:
        self.state = state
        self.personality = state.personality = personality
        self.url = url
        self.stopping = stopping

    def answer(self, headers: Message, body: bytes) -> wire.Reply | None:
        """Answer an API request; None means that the connection is to be closed without an answer."""
        request_id = str(uuid.uuid4())
        try:
            request = wire.read(headers, body)
        except ApiError as fault:
            return wire.error(None, fault, request_id)
        delay = self.personality.latency(request.operation)
        if delay:
            self.stopping.wait(delay)
        return _Exchange(self, request, request_id).run(headers)


class _Exchange:
    """One call and what is known of it so far."""

    def __init__(self, endpoint: Endpoint, request: wire.Request, request_id: str) -> None:
        self.endpoint = endpoint
        self.request = request
        self.request_id = request_id
        self.caller: Caller | None = None
        self.params: dict[str, Any] = {}

    def run(self, headers: Message) -> wire.Reply | None:
        request = self.request
        planned = self.endpoint.personality.decide(request.operation)
        try:
            self.caller = identify(self.endpoint.state, headers, request.service.scope)
            self.params = self._valid_params()
            if planned.kind == "drop":
                return self._log("dropped", None)
            if planned.kind == "error":
                return self._refuse(ApiError(planned.code, planned.message, planned.status))
            result = self._perform(self.caller)
        except ApiError as fault:
            return self._refuse(fault)
        if planned.kind == "lost":
            return self._log("lost", None)
        return self._log("ok", wire.answer(request.service, request.operation, result, self.request_id))

    def _valid_params(self) -> dict[str, Any]:
        model = self.request.service.operation_model(self.request.operation)
        params = self.request.params(model)
        if model.input_shape is not None:
            check_types(model.input_shape, params)
            if text := constraint_error(model.input_shape, params):
                raise ApiError("ValidationException", text)
        return {name: value for name, value in params.items() if value is not None}

    def _perform(self, caller: Caller) -> dict[str, Any]:
        endpoint, service, operation = self.endpoint, self.request.service, self.request.operation
        model, stopping = service.operation_model(operation), endpoint.stopping.is_set
        context = Context(endpoint.state, caller, endpoint.personality, endpoint.url, model, stopping)
        with endpoint.state.lock:
            result = service.operations[operation](context, self.params)
        if operation not in service.reads:
            endpoint.state.save()
        return result

    def _refuse(self, fault: ApiError) -> wire.Reply | None:
        retry_after = self.endpoint.personality.retry_after
        if fault.code == "ThrottlingException" and retry_after:
            fault.members["RetryAfterSeconds"] = int(retry_after)
        return self._log(fault.code, wire.error(self.request.service, fault, self.request_id))

    def _log(self, outcome: str, reply: wire.Reply | None) -> wire.Reply | None:
        params = {name: HIDDEN if name in _SECRET_PARAMS else value for name, value in self.params.items()}
        self.endpoint.state.log(
            Call(
                service=self.request.service.name,
                operation=self.request.operation,
                params=params,
                outcome=outcome,
                account=self.caller.account if self.caller else "",
                caller=self.caller.arn if self.caller else "",
                at=self.endpoint.state.clock.now(),
                request_id=self.request_id,
            )
        )
        return reply
