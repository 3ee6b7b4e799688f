"""Starts every part of the demo in order, watches them, and stops them all, whatever happens."""

import hashlib
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType

from portal.demo import environment, leftovers
from portal.demo.environment import Ports
from portal.demo.home import DemoError, Home
from portal.demo.processes import POLL_SECONDS, START_SECONDS, STOP_SECONDS, Child, Command, answers, logged, spawn
from portal.demo.services import Postgres, Redis, ServiceError, start_postgres, start_redis

SOURCE = Path(__file__).resolve().parent.parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """Somebody asked the demo to stop."""


def say(text: str = "") -> None:
    """Print to the terminal, which may be gone already."""
    with suppress(OSError, ValueError):
        print(text, flush=True)


@dataclass
class Supervisor:
    """One run of the demo. `run` returns when the demo is stopped, with nothing of it left."""

    home: Home
    ports: Ports
    asked: int = 0
    postgres: Postgres | None = None
    redis: Redis | None = None
    # In the order of their start; they are stopped the other way round.
    children: list[list[Child]] = field(default_factory=list)
    wake: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Start everything, wait until asked to stop, stop everything. Raises DemoError when something fails."""
        for number in SIGNALS:
            signal.signal(number, self._ask)
        began = time.monotonic()
        try:
            self._start()
            self._report(time.monotonic() - began)
            self._watch()
        except StoppedError:
            say("\nStopping …")
        finally:
            self._stop()
        say("Stopped; nothing is left running.")

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1

    def _pause(self) -> None:
        if self.asked:
            raise StoppedError
        self.wake.wait(POLL_SECONDS)

    # --- start -------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if leftovers.stop(self.home):
            say("  ✓ Stopped what an earlier run left behind")
        self._require_free_ports()
        say(f"Starting the demo of Studio Portal in {self.home.path}")
        stand_ins = self._spawn(*self._stand_ins())
        self._start_services()
        self._wait_for(stand_ins)
        if self.postgres is None or self.redis is None:
            raise StoppedError
        product = environment.product(self.home, self.ports, database_url=self.postgres.url, redis_url=self.redis.url)
        self._prepare(product)
        self._wait_for(self._spawn(*self._product(product)))

    def _require_free_ports(self) -> None:
        for name, port in self.ports.named().items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise DemoError(
                        f"Port {port} is in use. Stop what listens there, or choose another: {name}=… make demo"
                    ) from error

    def _start_services(self) -> None:
        self.home.clear_half_made_postgres()
        try:
            began = time.monotonic()
            self.redis = start_redis(self.home.path / "redis")
            self._note()
            _tick("Redis", began)
            began = time.monotonic()
            self.postgres = start_postgres(self.home.path)
            self.home.mark_postgres_made()
            _tick("PostgreSQL", began)
        except ServiceError as error:
            if self.asked:
                raise StoppedError from error
            raise DemoError(str(error)) from error

    def _stand_ins(self) -> list[Command]:
        ports, plain = self.ports, environment.plain(self.home)
        aws = ("--port", str(ports.aws), "--state-file", str(self.home.aws_state), "--people-work")
        idp = ("--port", str(ports.identity_provider), "--state-dir", str(self.home.identity_provider))
        return [
            Command(
                "aws", "AWS stand-in", _python("portal.demo.aws", *aws), plain, answers(f"{ports.aws_url}/_health")
            ),
            Command(
                "identity-provider",
                "Identity provider",
                _python("portal.demo.idp", *idp, "--portal-url", ports.portal_url),
                plain,
                answers(f"{ports.identity_provider_url}/healthz"),
            ),
        ]

    def _product(self, product: dict[str, str]) -> list[Command]:
        # Without the query, which may hold SAML messages.
        access = ("--access-logfile", "-", "--access-logformat", "%(h)s %(m)s %(U)s %(s)s %(L)ss")
        gunicorn = ("--bind", f"127.0.0.1:{self.ports.portal}", "--worker-class", "gthread", "--workers", "2")
        # The portal checks its settings itself; Django's checks of pages would double the time to start.
        celery, level = ("celery", "-A", "portal", "--skip-checks"), ("--loglevel", "INFO")
        alone = ("--without-mingle", "--without-gossip")  # It need not look for other workers.
        limits = ("--threads", "16", "--graceful-timeout", "5", "--no-control-socket")
        return [
            Command("worker", "Worker", _python(*celery, "worker", *alone, *level), product, logged(" ready.")),
            Command("beat", "Beat", _python(*celery, "beat", *level), product, logged("beat: Starting")),
            Command(
                "directory-events",
                "Directory events",
                (sys.executable, "manage.py", "directoryevents", "--skip-checks"),
                product,
                logged("Listening"),
            ),
            Command(
                "web",
                "Web server",
                _python("gunicorn", *gunicorn, *limits, *access, "portal.wsgi"),
                product,
                answers(f"{self.ports.portal_url}/healthz"),
            ),
        ]

    def _prepare(self, product: dict[str, str]) -> None:
        fingerprint = _schema_fingerprint()
        if self.home.is_prepared(fingerprint):
            return
        command = Command("prepare", "Database", _python("portal.demo.prepare"), product, lambda _: False)
        [child] = self._spawn(command)
        while child.is_running:
            self._pause()
        self.children.pop()
        if child.process.returncode:
            raise DemoError(_failure(child, "could not be prepared"))
        self.home.mark_prepared(fingerprint)
        done = ", ".join(child.tail().splitlines())
        _tick(f"Database: {done}" if done else "Database", child.since)

    def _spawn(self, *commands: Command) -> list[Child]:
        group: list[Child] = []
        self.children.append(group)
        for command in commands:
            group.append(spawn(command, logs=self.home.logs, directory=SOURCE))  # noqa: PERF401  (a failure keeps the first)
        self._note()
        return group

    def _note(self) -> None:
        pids = [child.process.pid for group in self.children for child in group]
        leftovers.note(self.home, pids + ([self.redis.process.pid] if self.redis else []))

    def _wait_for(self, group: list[Child]) -> None:
        waiting = list(group)
        while waiting:
            for child in list(waiting):
                if child.is_ready:
                    _tick(child.command.title, child.since)
                    waiting.remove(child)
                elif not child.is_running:
                    raise DemoError(_failure(child, "did not start"))
                elif time.monotonic() > child.since + START_SECONDS:
                    raise DemoError(_failure(child, f"was not ready after {START_SECONDS} seconds"))
            self._pause()

    # --- watch -------------------------------------------------------------------------------------------------------

    def _report(self, seconds: float) -> None:
        ports = self.ports
        say(
            f"""
Studio Portal is up, {seconds:.1f} seconds after its start. It answers to this computer only.

  Portal               {ports.portal_url}/
  Identity provider    {ports.identity_provider_url}/    start page with applications
  Admin                {ports.portal_url}/admin/    as Ada Admin

  Who can sign on; nobody has a password
    User 1             Team 1 and Team 2
    User 2             Team 2
    Ada Admin          portal admin, in no team

  Logs                 {self.home.logs}
  Mail                 {self.home.mail}
  Stop                 Ctrl-C; the data stay
  Forget the data      make demo-reset
"""
        )

    def _watch(self) -> None:
        while True:
            self._pause()
            for child in (child for group in self.children for child in group):
                if not child.is_running:
                    raise DemoError(_failure(child, "stopped unexpectedly"))
            if self.redis and self.redis.process.poll() is not None:
                log = self.home.path / "redis" / "redis.log"
                raise DemoError(f"Redis stopped unexpectedly; its log is {log}")
            if not leftovers.postgres_runs(self.home.postgres):
                raise DemoError(f"PostgreSQL stopped unexpectedly; its log is {self.home.postgres / 'log'}")

    # --- stop --------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        asked = self.asked
        for group in reversed(self.children):
            for child in group:
                with suppress(ProcessLookupError):
                    child.process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            for child in group:
                # Asked twice more, by an impatient person: no waiting.
                while child.is_running and time.monotonic() < deadline and self.asked <= asked + 1:
                    self.wake.wait(POLL_SECONDS)
                child.end()
        if self.redis:
            self.redis.stop()
        if self.postgres:
            with suppress(Exception):
                self.postgres.stop()
        leftovers.stop(self.home)


def _schema_fingerprint() -> str:
    """Return a digest of all migrations: while it stays the same, there is nothing to apply."""
    digest = hashlib.sha256(version("django").encode())
    for path in sorted(SOURCE.glob("*/migrations/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _tick(title: str, since: float) -> None:
    say(f"  ✓ {title:<40} {time.monotonic() - since:5.1f} s")


def _failure(child: Child, what: str) -> str:
    return f"{child.command.title} {what}. The end of {child.log}:\n{child.tail()}"
