"""Fixtures shared by all tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Give every test an empty Redis database."""
    yield
    cache.clear()


@pytest.fixture(autouse=True, scope="session")
def _let_the_flush_empty_the_audit_log(django_db_setup: None, django_db_blocker: Any) -> None:
    """Have the flush after a transactional test lift the audit log's protection, which refuses TRUNCATE to everybody."""
    original: Callable[[list[str]], None] = connection.ops.execute_sql_flush

    def flush(sql_list: list[str]) -> None:
        table = "teams_auditevent"
        unlocked = [f"ALTER TABLE {table} DISABLE TRIGGER USER", *sql_list, f"ALTER TABLE {table} ENABLE TRIGGER USER"]
        original(unlocked)

    connection.ops.execute_sql_flush = flush  # type: ignore[method-assign]


