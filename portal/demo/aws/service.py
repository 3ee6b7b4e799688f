"""What a service is made of; a new one is a module with a `SERVICE` and a line in `services.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel

from portal.demo.aws.credentials import Caller
from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.personality import Personality
from portal.demo.aws.rows import Resource
from portal.demo.aws.state import State


@dataclass(frozen=True)
class Context:
    """What an operation may use: the state (its lock is held), who calls, the personality, the endpoint's own URL,
    the operation's own model, and whether the server is stopping.
    """

    state: State
    caller: Caller
    personality: Personality
    url: str
    model: OperationModel
    stopping: Callable[[], bool]

    @property
    def now(self) -> float:
        """The time in seconds since the epoch."""
        return self.state.clock.now()

    def begin_create(self, row: Resource) -> None:
        """Let a new resource be Pending for as long as the personality says, and then in service or failed."""
        row.failure_reason = self.personality.failure_reason
        until = None if self.personality.never_ready else self.now + self.personality.create_delay
        row.begin("Pending", "Failed" if row.failure_reason else "InService", until=until)
        row.hidden_until = self.now + self.personality.consistency_lag

    def begin_delete(self, row: Resource, then: str) -> None:
        """Let a resource be Deleting for as long as the personality says, and then be `then`."""
        row.begin("Deleting", then, until=self.now + self.personality.delete_delay)

    def not_found(self, what: str) -> ApiError:
        """Return the error for something that does not exist, in the newer or the older form."""
        if self.personality.old_not_found:
            return invalid(f"RecordNotFound: {what} does not exist.")
        return ApiError("ResourceNotFound", f"{what} does not exist.")


Operation = Callable[[Context, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Service:
    """A service of the stand-in: botocore's name of it and its operations.

    `reads` are the operations after which the state need not be saved. `codes` renames errors for the Query protocol,
    and for services that spoke it once and still tell its codes.
    """

    name: str
    operations: Mapping[str, Operation]
    reads: frozenset[str] = frozenset()
    codes: Mapping[str, str] = field(default_factory=dict)
    signing_name: str = ""

    @cached_property
    def model(self) -> ServiceModel:
        """The service model of botocore."""
        return _session().get_service_model(self.name)

    @property
    def is_query(self) -> bool:
        """Whether the service speaks the Query protocol (forms and XML) rather than JSON."""
        return self.model.metadata["protocol"] == "query"

    @property
    def scope(self) -> str:
        """The service's name in a credential scope."""
        return self.signing_name or self.model.signing_name

    def operation_model(self, name: str) -> OperationModel:
        """Return the model of an operation. Raises ApiError when the stand-in does not have it."""
        if name not in self.operations:
            raise ApiError("UnknownOperationException", f"The AWS stand-in has no {self.name} operation {name}")
        return self.model.operation_model(name)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.Session()
