"""The outside world of the tests: an identity provider that signs, and the AWS stand-in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from django.test import Client

from portal.demo import idp as signer

ISSUER = "https://idp.example.com/metadata"


@dataclass(frozen=True)
class IdentityProvider:
    """An identity provider whose metadata the portal under test trusts."""

    keys: signer.Keys
    metadata_file: Path

    def response(
        self, name_id: str = "user1@example.com", *, spoil: Mapping[str, Any] | None = None, **more: Any
    ) -> str:
        """Return a signed response as the form field carries it; `spoil` replaces fields of the right answer."""
        right = signer.response_for(issuer=ISSUER, portal_url=settings.PORTAL_URL, name_id=name_id, **more)
        return signer.encode(signer.make_response(self.keys, replace(right, **(spoil or {}))))

    def sign_on(self, client: Client, subject: str, **attributes: Sequence[str]) -> HttpResponseBase:
        """Sign `subject` on in this browser, started at the identity provider."""
        message = self.response(f"{subject}@example.com", attributes={"ssouserid": [subject], **attributes})
        return client.post("/saml2/acs/", {"SAMLResponse": message}, REMOTE_ADDR="192.0.2.7")


def identity_provider(metadata_file: Path) -> IdentityProvider:
    """Make the keys and write the metadata where the portal looks for them."""
    keys = signer.create_keys("idp.example.com")
    metadata_file.write_bytes(signer.metadata(ISSUER, "https://idp.example.com/sso", [keys.certificate_pem]))
    return IdentityProvider(keys, metadata_file)
