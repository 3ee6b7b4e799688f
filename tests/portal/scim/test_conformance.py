"""The conformance suite of the SCIM library's authors finds nothing to complain about."""

from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from tests.portal.scim.scim_client import Provider


@pytest.fixture(name="_one_connection")
def _one_connection() -> Iterator[None]:
    """Have requests leave the connection of the test open, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_connection")
def test_the_service_conforms(okta: Provider) -> None:
    client = WSGISCIMClient(
        get_wsgi_application(),
        base_url="http://127.0.0.1:8000/scim/v2",
        headers={"Authorization": f"Bearer {okta.secret}"},
    )
    results = check_server(client)
    assert [f"{each.title}: {each.reason}" for each in results if each.status == Status.ERROR] == []
    assert sum(each.status == Status.SUCCESS for each in results) > 100
