"""Child processes: each in a session of its own, with a log, a sign of being ready and a sure end."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portal.demo.services import die_with_parent

START_SECONDS = 90
STOP_SECONDS = 10
TAIL_LINES = 15
POLL_SECONDS = 0.05

# Whatever the proxy settings of the person at the keyboard say, loopback is reached directly.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Command:
    """How to run one part of the demo. `ready` looks at the log written since the start and says whether it is up."""

    name: str
    title: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[str], bool]


@dataclass(frozen=True)
class Child:
    """A part of the demo that runs."""

    command: Command
    process: "subprocess.Popen[bytes]"
    log: Path
    since: float

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        """Whether it is up."""
        return self.command.ready(self.log.read_text(errors="replace"))

    def tail(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def end(self) -> None:
        """Kill what is left of the child and of its own children."""
        kill_group(self.process.pid)
        self.process.wait()


def spawn(command: Command, *, logs: Path, directory: Path) -> Child:
    """Start a command in `directory`; its log of last time is kept as `.log.1`. Call it from the main thread."""
    log = logs / f"{command.name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.arguments,
            cwd=directory,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for the supervisor, which stops things in order.
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
    return Child(command, process, log, time.monotonic())


def kill_group(leader: int) -> None:
    """Kill whatever is left of the session that this process leads."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM where only the dead remain.
        return


def logged(text: str) -> Callable[[str], bool]:
    """Return a sign of being ready: this text in the log."""
    return lambda log: text in log


def answers(url: str) -> Callable[[str], bool]:
    """Return a sign of being ready: 200 at this address."""

    def is_up(_log: str) -> bool:
        try:
            with _opener.open(url, timeout=5) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return is_up
