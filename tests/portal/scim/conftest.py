"""Fixtures of the SCIM tests."""

import pytest

from tests.portal.scim.scim_client import Provider


@pytest.fixture(name="okta")
def _okta(db: None) -> Provider:
    """An identity provider that pushes to the portal."""
    return Provider("okta")
