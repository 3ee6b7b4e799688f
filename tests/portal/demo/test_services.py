"""The embedded PostgreSQL and Redis: started in a directory, patient after a crash, gone after a stop."""

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from portal.demo import services


def test_postgres_is_joined_once_it_has_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = services.library()
    real, tries = library.get_server, []

    def slow(*arguments: Any, **options: Any) -> Any:
        tries.append(arguments)
        if len(tries) == 1:
            raise subprocess.TimeoutExpired("pg_ctl", 10)
        return real(*arguments, **options)

    monkeypatch.setattr(library, "get_server", slow)
    postgres = services.start_postgres(tmp_path)
    try:
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        postgres.stop()
    assert len(tries) == 2
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_postgres_that_never_recovers_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: Any, **_options: Any) -> Any:
        raise subprocess.TimeoutExpired("pg_ctl", 10)

    monkeypatch.setattr(services.library(), "get_server", never)
    monkeypatch.setattr(services, "RECOVERY_SECONDS", 0.1)
    with pytest.raises(services.ServiceError, match=r"^PostgreSQL did not start: .*$"):
        services.start_postgres(tmp_path)


def test_redis_is_gone_after_a_stop(tmp_path: Path) -> None:
    started = services.start_redis(tmp_path)
    with redis.Redis.from_url(started.url) as client:
        assert client.ping()
    started.stop()
    assert started.process.poll() is not None


def test_redis_that_cannot_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = services.start_redis(tmp_path)
    port = int(started.url.rsplit(":", 1)[1].split("/")[0])
    try:
        monkeypatch.setattr(services, "_answers_ping", lambda _port: False)
        with pytest.raises(services.ServiceError, match="Redis did not start; its log is"):
            services.start_redis(tmp_path / "other", port=port)
    finally:
        started.stop()
