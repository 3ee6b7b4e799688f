"""Identity providers of each flavour, set up in the portal by their own metadata."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from portal.demo.idp import Keys
from portal.saml import registry
from teams.models import IdentityProvider
from tests.portal.saml.flavours import messages


@pytest.fixture
def set_up(keys: Keys, settings: LazySettings, tmp_path: Path) -> Iterator[Callable[..., IdentityProvider]]:
    """Add a vendor's provider to the portal as an administrator does, with its metadata pasted and its preset."""
    # Other tests have a provider there, and with two of them a sign-on begins with a choice.
    settings.SAML_IDP_METADATA = str(tmp_path / "none.xml")

    def make(flavour: str, **fields: Any) -> IdentityProvider:
        defaults = {
            "name": flavour,
            "flavour": flavour,
            "entity_id": messages.ISSUERS[flavour],
            "metadata": messages.metadata(flavour, keys).decode(),
            "allow_unsolicited": True,
        }
        row = IdentityProvider.objects.create(**defaults | fields)
        registry.look_soon()
        return row

    yield make
    registry.forget()
