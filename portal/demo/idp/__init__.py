"""An identity provider for the demo and the tests: it signs real SAML 2.0 responses for three made-up people.

A test takes the answer that the portal should accept from `response_for`, spoils one field of it with
`dataclasses.replace` where it wants a bad one, and has `make_response` sign it with the keys of `create_keys`.
"""

from portal.demo.idp.flavours import ENTRA, FLAVOURS, IDENTITY_CENTER, KEYCLOAK, OKTA, Flavour
from portal.demo.idp.keys import Keys, create_keys, load_keys
from portal.demo.idp.messages import Response, encode, metadata, response_for
from portal.demo.idp.signer import make_response

__all__ = [
    "ENTRA",
    "FLAVOURS",
    "IDENTITY_CENTER",
    "KEYCLOAK",
    "OKTA",
    "Flavour",
    "Keys",
    "Response",
    "create_keys",
    "encode",
    "load_keys",
    "make_response",
    "metadata",
    "response_for",
]
