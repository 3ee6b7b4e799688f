"""The directory where a demo keeps everything, and the rule that one demo at a time runs from it."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


class DemoError(Exception):
    """The demo cannot go on; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Home:
    """The state directory and what lies where in it."""

    path: Path

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.path / "logs"

    @property
    def identity_provider(self) -> Path:
        """The identity provider's signing key and metadata."""
        return self.path / "idp"

    @property
    def aws_state(self) -> Path:
        """What the AWS stand-in remembers."""
        return self.path / "aws.json"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data."""
        return self.path / "postgres"

    @property
    def mail(self) -> Path:
        """The mail that the portal would have sent, a file for each."""
        return self.path / "mail"

    @property
    def processes(self) -> Path:
        """Which processes run, for the start after a kill."""
        return self.path / "processes.json"

    def create(self) -> None:
        """Make the directories."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.mail.mkdir(exist_ok=True)

    def secret_key(self) -> str:
        """Return the SECRET_KEY of this demo, made on first use; only the owner may read the file."""
        path = self.path / "secret-key"
        with suppress(FileNotFoundError):
            if kept := path.read_text().strip():
                return kept
        key = secrets.token_urlsafe(50)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(key)
        return key

    def clear_half_made_postgres(self) -> None:
        """Remove a data directory whose making was interrupted: PostgreSQL would never start from it."""
        if not self._postgres_made.exists():
            shutil.rmtree(self.postgres, ignore_errors=True)
            self._prepared.unlink(missing_ok=True)

    def mark_postgres_made(self) -> None:
        """Remember that the data directory is whole."""
        self._postgres_made.touch()

    def is_prepared(self, fingerprint: str) -> bool:
        """Whether the database was brought up to date for this very schema."""
        return self._prepared.exists() and self._prepared.read_text() == fingerprint

    def mark_prepared(self, fingerprint: str) -> None:
        """Remember that the database is up to date."""
        self._prepared.write_text(fingerprint)

    @property
    def _prepared(self) -> Path:
        return self.path / "prepared"

    @property
    def _postgres_made(self) -> Path:
        return self.path / "postgres.made"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process. Raises DemoError when another demo runs from it.

        The kernel drops the lock with the process, however that ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                raise DemoError(f"A demo is already running from {self.path} (process {lock.read()}).") from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def forget(self) -> None:
        """Remove everything. Raises DemoError when that fails."""
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise DemoError(f"{self.path} cannot be removed: {error}") from error
