"""Who asks and from where: the caller's own word about its address is not believed."""

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory
from pytest_django import Settings

from portal.middleware import client_address, client_network


def asked_from(remote: str, forwarded: str | None = None) -> HttpRequest:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (1, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1", "1.2.3.4, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "10.0.0.1", "198.51.100.1", "10.0.0.1"),
        (1, "10.0.0.1", None, "10.0.0.1"),
        (1, "10.0.0.1", "<script>", None),
        (0, "2001:db8::1", None, "2001:db8::1"),
        (0, "", None, None),
    ],
)
def test_address_of_the_browser(
    settings: Settings, proxies: int, remote: str, forwarded: str | None, expected: str | None
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    assert client_address(asked_from(remote, forwarded)) == expected


@pytest.mark.django_db
def test_every_answer_names_its_request(client: Client) -> None:
    first, second = client.get("/"), client.get("/nothing-here/")
    assert len(first["X-Request-ID"]) == 32
    assert first["X-Request-ID"] != second["X-Request-ID"]


@pytest.mark.django_db
def test_a_request_id_of_the_caller_is_not_taken_over(client: Client) -> None:
    response = client.get("/", headers={"X-Request-ID": "forged"})
    assert response["X-Request-ID"] != "forged"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        (None, "unknown"),
    ],
)
def test_neighbours_for_rate_limits(address: str | None, network: str) -> None:
    assert client_network(address) == network
