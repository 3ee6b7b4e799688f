"""Rows of identity providers for tests, and other processes that know nothing of what this one did."""

from datetime import datetime
from typing import Any

from portal.demo.idp import Keys, metadata
from portal.saml import registry, upkeep
from portal.saml.metadata import parse
from teams.models import IdentityProvider


def make_provider(
    entity_id: str, *keys: Keys, sign_on: str = "", until: datetime | None = None, **fields: Any
) -> IdentityProvider:
    """Create an active provider whose metadata name these keys, as an admin would."""
    sign_on = sign_on or "https://idp.example.com/sso"
    document = metadata(entity_id, sign_on, [each.certificate_pem for each in keys], valid_until=until)
    row = IdentityProvider(**{"name": entity_id, "allow_unsolicited": True} | fields)
    upkeep.fill(row, document, parse(document)[0])
    row.save()
    registry.look_soon()
    return row


def several(*documents: bytes) -> bytes:
    """Return one document with the metadata of several providers."""
    inner = b"".join(each.partition(b"?>")[2] for each in documents)
    name = b"md:EntitiesDescriptor"
    return b'<%b xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">%b</%b>' % (name, inner, name)
