"""Fixtures shared by all tests."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import override_settings

from portal.saml import registry
from tests.fixtures import IdentityProvider, identity_provider


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Give every test an empty Redis database."""
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _no_known_providers() -> Iterator[None]:
    """Have no test remember the rows of identity providers of another."""
    registry.forget()
    yield
    registry.forget()


@pytest.fixture(autouse=True, scope="session")
def _let_the_flush_empty_the_audit_log(django_db_setup: None) -> None:
    """Have the flush after a transactional test lift the audit log's protection: TRUNCATE is refused to everybody."""
    original: Callable[[Iterable[str]], None] = connection.ops.execute_sql_flush

    def flush(sql_list: Iterable[str]) -> None:
        table = "teams_auditevent"
        original([f"ALTER TABLE {table} DISABLE TRIGGER USER", *sql_list, f"ALTER TABLE {table} ENABLE TRIGGER USER"])

    connection.ops.execute_sql_flush = flush  # type: ignore[method-assign]


@pytest.fixture(autouse=True, scope="session")
def _static_files_are_found_when_asked_for() -> None:
    """Spare every test client the look at each static file, which costs more than most requests."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True, scope="session")
def _cheap_passwords() -> Iterator[None]:
    """Hash the passwords of tests with little work: the real one takes a second each, by design."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", name="idp")
def _idp() -> IdentityProvider:
    """The identity provider that the portal under test trusts."""
    return identity_provider(Path(os.environ["SAML_IDP_METADATA"]))


@pytest.fixture(name="aws")
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fresh AWS stand-in, which the production gateways talk to over HTTP."""
    from portal.demo.aws.server import start
    from provisioning.aws import client

    handle = start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", handle.url)
    client.reset()
    yield handle
    client.reset()
    handle.stop()
