"""`/healthz`, which load balancers ask by address and without TLS."""

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings


@pytest.mark.django_db
def test_healthy(client: Client, settings: Settings) -> None:
    settings.SAML_IDP_METADATA = ""
    settings.SECURE_SSL_REDIRECT = True
    response = client.get("/healthz", headers={"Host": "10.1.2.3"})
    assert response.status_code == 200
    # Nobody signs on here: there is no identity provider.
    assert response.json() == {"database": "ok", "redis": "ok", "identity_providers": "expired"}
    assert "Set-Cookie" not in response


@pytest.mark.django_db
def test_without_redis_the_portal_still_serves(client: Client, settings: Settings) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json()["redis"] == "unreachable"


@pytest.mark.django_db
def test_without_the_database_it_does_not(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("the server is gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["database"] == "unreachable"
