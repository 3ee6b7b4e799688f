"""The two sides of the comparison, each in a process with a database of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

PORTAL = "portal.settings"
STOCK = "tests.bench.stock.settings"


class Site:
    """A site that answers orders; see `tests.bench.visitor`."""

    def __init__(self, settings: str, database_url: str) -> None:
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": settings, "DATABASE_URL": database_url}
        if program := xmlsec1():
            environment["BENCH_XMLSEC1"] = program
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0", "--skip-checks"]
        subprocess.run(migrate, env=environment, check=True)
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process and wait until it is warm."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.visitor"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def visit(self, path: str, **order: Any) -> dict[str, Any]:
        """Have requests made; see `Visitor.visit`."""
        return self.do("visit", path=path, **order)

    def do(self, what: str, **order: Any) -> dict[str, Any]:
        """Give an order and return the answer."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the site has not been started")
        self._process.stdin.write(json.dumps({"do": what, **order}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """End the process."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
            self._process.wait(20)

    def _answer(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the site has not been started")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the site ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


def xmlsec1() -> str | None:
    """Return where the program is that only the comparison needs."""
    return shutil.which("xmlsec1")


@contextmanager
def database(name: str) -> Iterator[str]:
    """Make an empty database beside the one of DATABASE_URL and drop it at the end; yields its URL."""
    url = os.environ["DATABASE_URL"]
    parts = urlsplit(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
