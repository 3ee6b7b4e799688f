"""How the identity provider misbehaves on demand."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

from portal.demo.idp.flavours import FLAVOURS, IDENTITY_CENTER
from portal.demo.idp.messages import RESPONDER, Response

MAX_DELAY = 30.0

FAULTS = {
    "none": "answers as it should",
    "failing": "answers with a status other than Success",
    "wrong-audience": "addresses the assertion to another service provider",
    "wrong-recipient": "names another recipient",
    "expired": "sends an assertion of an hour ago",
    "unsigned": "does not sign",
    "no-groups": "leaves the groups out",
}


@dataclass(frozen=True)
class Personality:
    """`delay` in seconds before each answer, one of FAULTS, and the name of one of FLAVOURS."""

    delay: float = 0.0
    fault: str = "none"
    flavour: str = IDENTITY_CENTER.name

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= MAX_DELAY:
            raise ValueError(f"delay must be 0 to {MAX_DELAY:g} seconds")
        if self.fault not in FAULTS:
            raise ValueError(f"fault must be one of {', '.join(FAULTS)}")
        if self.flavour not in FLAVOURS:
            raise ValueError(f"flavour must be one of {', '.join(FLAVOURS)}")

    def changed(self, values: Mapping[str, Any]) -> "Personality":
        """Return this personality with some values replaced. Raises ValueError or TypeError with what is wrong."""
        known = {field.name for field in fields(self)}
        if unknown := values.keys() - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return replace(self, **values)

    def spoil(self, answer: Response) -> Response:
        """Return the answer as this personality gives it."""
        answer = replace(answer, flavour=FLAVOURS[self.flavour])
        match self.fault:
            case "failing":
                return replace(answer, status=RESPONDER)
            case "wrong-audience":
                return replace(answer, audience="https://another.example.com/metadata")
            case "wrong-recipient":
                return replace(answer, recipient="https://another.example.com/acs")
            case "expired":
                return _an_hour_ago(answer)
            case "unsigned":
                return replace(answer, sign="nothing")
            case "no-groups":
                said = {name: values for name, values in (answer.attributes or {}).items() if name != "groups"}
                return replace(answer, attributes=said)
        return answer


def _an_hour_ago(answer: Response) -> Response:
    hour = timedelta(hours=1)
    return replace(
        answer,
        issued_at=answer.issued_at - hour,
        not_before=answer.issued_at - 2 * hour,
        not_on_or_after=answer.issued_at - hour / 2,
        confirmation_not_on_or_after=answer.issued_at - hour / 2,
    )
