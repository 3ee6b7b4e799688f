"""A document as admins see it: what it is, where it goes, and whether AWS takes it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.policies import statements
from provisioning.policies.statements import Statement


@dataclass(frozen=True)
class Document:
    """A policy that is ready to paste.

    `name` is unique and fit for a file name. `account_id` is empty for what belongs to no Studio account. `limit` is
    the number of characters that AWS allows, white space not counted.
    """

    name: str
    title: str
    account_id: str
    attach_to: str
    body: dict[str, Any]
    limit: int
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The policy as JSON."""
        return statements.text(self.body)

    @property
    def size(self) -> int:
        """The number of characters as AWS counts them."""
        return statements.size(self.body)

    @property
    def fits(self) -> bool:
        """Whether AWS takes a document of this size."""
        return self.size <= self.limit


def divided(
    name: str,
    title: str,
    given: Sequence[Statement],
    *,
    account_id: str,
    attach_to: str,
    limit: int = statements.MANAGED,
    notes: Iterable[str] = (),
) -> list[Document]:
    """Return these statements as one document, or as several with numbers where one would be too long."""
    bodies = statements.policies(given, limit)
    many = len(bodies) > 1
    return [
        Document(
            name=f"{name}-{number}" if many else name,
            title=f"{title} ({number} of {len(bodies)})" if many else title,
            account_id=account_id,
            attach_to=attach_to,
            body=body,
            limit=limit,
            notes=tuple(notes),
        )
        for number, body in enumerate(bodies, 1)
    ]
