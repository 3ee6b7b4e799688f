"""Which permission is missing, read from the sentence with which AWS refuses a call; pure.

AWS documents the sentence as “User: … is not authorized to perform: … on resource: … because …”, and leaves parts of it
out where it likes; what cannot be read is shown as AWS wrote it.
"""

import re
from dataclasses import dataclass

_REFUSAL = re.compile(
    r"(?:(?:User|Principal):?\s+(?P<principal>\S+)\s+)?"
    r"is not authorized to perform:?\s+(?P<action>[A-Za-z0-9-]+:[A-Za-z0-9*]+)"
    r"(?:\s+on\s+(?:the\s+)?resources?:?\s+(?P<resource>\S+))?"
    r"(?:\s+(?P<why>(?:because|with)\s.*))?",
    re.IGNORECASE | re.DOTALL,
)
_POLICY = re.compile(
    r"(identity-based|resource-based|session|service control|resource control|VPC endpoint) policy"
    r"|permissions? boundary",
    re.IGNORECASE,
)
_TOLD = re.compile(r"\S+ may not [A-Za-z0-9-]+:[A-Za-z0-9*]+")
MAX_REASON = 120


@dataclass(frozen=True)
class Missing:
    """A permission that AWS found missing; empty is what AWS did not say."""

    principal: str
    action: str
    resource: str
    reason: str

    def __str__(self) -> str:
        who = self.principal or "The portal"
        on = f" on {self.resource}" if self.resource else ""
        return f"{who} may not {self.action}{on}: {self.reason}."


def missing(message: str) -> Missing | None:
    """Return the permission that a refusal is about, None where its text is another one."""
    found = _REFUSAL.search(message)
    if found is None:
        return None
    return Missing(
        principal=_clean(found["principal"]),
        action=_clean(found["action"]),
        resource=_clean(found["resource"]),
        reason=_reason(found["why"] or ""),
    )


def explain(message: str) -> str:
    """Return in one line who may not do what and why, or AWS's own words where they cannot be read."""
    found = missing(message)
    return str(found) if found else message


def is_told(text: str) -> bool:
    """Whether a text says which permission is missing, as `explain` words it."""
    return bool(_TOLD.search(text))


def _reason(why: str) -> str:
    policy = _POLICY.search(why)
    name = policy[0].lower().replace("vpc", "VPC") if policy else ""
    if "explicit deny" in why.lower():
        return f"an explicit deny in a {name} forbids it" if name else "an explicit deny forbids it"
    if name:
        return f"no {name} allows it"
    plain = " ".join(why.split()).rstrip(".")
    return plain[:MAX_REASON] if plain else "AWS gives no reason"


def _clean(text: str | None) -> str:
    return (text or "").strip("\"'“”,.;")
