"""pysaml2's part: our requests for sign-on, by one configuration and one client for the whole process.

Responses are not parsed by pysaml2, so the client holds nothing that changes: no identities, no metadata, no key.
"""

import base64
import sys
import threading
from dataclasses import dataclass

from django.conf import settings
from lxml import etree
from saml2 import BINDING_HTTP_POST, samlp
from saml2.client import Saml2Client
from saml2.config import SPConfig

from portal.saml import keys, signing, sp_metadata
from portal.saml.crypto import SignxmlBackend
from portal.saml.envelope import safe_parser
from portal.saml.verify import acs_url

_lock = threading.Lock()
_clients: dict[tuple[str, str], Saml2Client] = {}

# The SAML specification's limit for RelayState, in bytes.
_MAX_RELAY_STATE = 80


@dataclass(frozen=True)
class AuthnRequest:
    """A request for sign-on: its id, and the message for the POST binding or the address for the Redirect binding."""

    request_id: str
    message: samlp.AuthnRequest
    location: str

    def redirect_url(self, next_path: str) -> str:
        """Return the identity provider's address with the request in its query, signed where requests are."""
        return signing.redirect_url(
            self.location,
            "SAMLRequest",
            str(self.message).encode(),
            relay_state=self.relay_state(next_path),
            key=_signing_key(),
        )

    def form_value(self) -> str:
        """Return the request as the form field of the POST binding carries it, signed where requests are."""
        xml, key = str(self.message).encode(), _signing_key()
        if key is not None:
            xml = signing.enveloped(etree.fromstring(xml, safe_parser()), key)
        return base64.b64encode(xml).decode()

    @staticmethod
    def relay_state(next_path: str) -> str:
        """Return the path as RelayState where it is short enough; the cookie knows it anyway."""
        return next_path if len(next_path.encode()) <= _MAX_RELAY_STATE else ""


def _signing_key() -> keys.SpKey | None:
    return keys.current() if sp_metadata.signs_requests() else None


def client() -> Saml2Client:
    """Return the process-wide client, made at first use and whenever the addresses in the settings are others."""
    key = (settings.SAML_ENTITY_ID, acs_url())
    made = _clients.get(key)
    if made is None:
        with _lock:
            made = _clients.get(key) or _make()
            _clients[key] = made
    return made


def authn_request(location: str) -> AuthnRequest:
    """Return a new request, not signed yet, that is to be answered at our assertion consumer service by POST."""
    request_id, message = client().create_authn_request(location, binding=BINDING_HTTP_POST, sign=False)
    return AuthnRequest(request_id=request_id, message=message, location=location)


def _make() -> Saml2Client:
    configuration = SPConfig()
    configuration.load(
        {
            "entityid": settings.SAML_ENTITY_ID,
            "name": "Studio Portal",
            # The file must exist, and it is never run: signatures are verified in this process.
            "xmlsec_binary": sys.executable,
            "allow_unknown_attributes": True,
            "service": {
                "sp": {
                    "endpoints": {"assertion_consumer_service": [(acs_url(), BINDING_HTTP_POST)]},
                    "name_id_format": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
                    "authn_requests_signed": False,
                    "want_assertions_signed": True,
                    "want_response_signed": False,
                    "allow_unsolicited": settings.SAML_ALLOW_UNSOLICITED,
                }
            },
        }
    )
    made = Saml2Client(configuration)
    made.sec.crypto = SignxmlBackend()
    # Otherwise our metadata would be made by running it.
    configuration.xmlsec_binary = None
    return made
