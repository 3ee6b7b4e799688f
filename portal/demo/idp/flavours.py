"""How well-known identity providers write their responses, where a service provider could stumble."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Signed = Literal["assertion", "response", "both", "nothing"]

BASIC = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
UNSPECIFIED = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"


@dataclass(frozen=True)
class Flavour:
    """One provider's habits.

    `protocol_prefix` and `assertion_prefix` are namespace prefixes (None: the default namespace), `name_format` goes
    on attributes (None: left out), `claims` renames attributes, `inclusive_prefixes` is the PrefixList of the
    signatures and `element_per_value` repeats the attribute element instead of its value.
    """

    name: str
    protocol_prefix: str = "samlp"
    assertion_prefix: str | None = "saml"
    sign: Signed = "assertion"
    name_format: str | None = BASIC
    claims: Mapping[str, str] = field(default_factory=dict)
    inclusive_prefixes: tuple[str, ...] = ()
    element_per_value: bool = False


IDENTITY_CENTER = Flavour("identity-center", "saml2p", "saml2", sign="both", name_format=UNSPECIFIED)
OKTA = Flavour("okta", "saml2p", "saml2", sign="both", name_format=UNSPECIFIED, inclusive_prefixes=("xs",))
ENTRA = Flavour(
    "entra",
    assertion_prefix=None,
    name_format=None,
    claims={
        "email": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "name": "http://schemas.microsoft.com/identity/claims/displayname",
        "groups": "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
    },
)
KEYCLOAK = Flavour("keycloak", sign="response", claims={"groups": "Role"}, element_per_value=True)

FLAVOURS = {flavour.name: flavour for flavour in (IDENTITY_CENTER, OKTA, ENTRA, KEYCLOAK)}
