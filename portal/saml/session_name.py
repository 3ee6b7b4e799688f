"""What the identity provider calls a person and their session: needed word for word when they sign out there."""

from dataclasses import dataclass, field
from typing import Any, Self

from lxml import etree

from portal.saml.names import SAML
from portal.saml.text import text_of

NAME_ID_ATTRIBUTES = ("Format", "NameQualifier", "SPNameQualifier", "SPProvidedID")
_MAX_LENGTH = 1024


@dataclass(frozen=True)
class SessionName:
    """A NameID with its XML attributes, and the SessionIndex, empty where there is none; kept in the session only."""

    name_id: str = field(repr=False)
    attributes: dict[str, str] = field(repr=False)
    index: str = field(repr=False)

    def stored(self, issuer: str) -> dict[str, Any]:
        """Return it as a session keeps it, with the provider's entity id."""
        return {"issuer": issuer, "name_id": self.name_id, "attributes": self.attributes, "index": self.index}

    @classmethod
    def read(cls, assertion: etree._Element) -> Self | None:
        """Return the names in a verified assertion, None where it names nobody or a value is longer than names are."""
        name_id = assertion.find(f"{SAML}Subject/{SAML}NameID")
        if name_id is None:
            return None
        attributes = {name: str(value) for name in NAME_ID_ATTRIBUTES if (value := name_id.get(name)) is not None}
        statements = assertion.findall(f"{SAML}AuthnStatement")
        index = next((str(each.get("SessionIndex")) for each in statements if each.get("SessionIndex")), "")
        text = text_of(name_id)
        if not text or max(map(len, (text, index, *attributes.values()))) > _MAX_LENGTH:
            return None
        return cls(text, attributes, index)
