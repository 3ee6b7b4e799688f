"""`make demo`'s supervisor: it starts everything, tells what went wrong in a line, and leaves nothing behind."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from portal.demo.home import Home
from portal.demo.services import die_with_parent, free_port

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 120
UP = "Forget the data"


class Demo:
    """Runs the supervisor on free ports and reads what it prints."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "state"
        self.output = directory / "output.txt"
        self.ports = {name: free_port() for name in ("DEMO_PORT", "DEMO_IDP_PORT", "DEMO_AWS_PORT")}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def portal(self) -> str:
        return f"http://127.0.0.1:{self.ports['DEMO_PORT']}"

    def command(self, *arguments: str, state: Path | None = None) -> list[str]:
        return [sys.executable, "-m", "portal.demo", "--state-dir", str(state or self.state), *arguments]

    def environment(self) -> dict[str, str]:
        return os.environ | {name: str(port) for name, port in self.ports.items()}

    def start(self) -> str:
        """Start and wait until it says that it is up; return what it printed."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                # A test run that is ended outright leaves nothing behind either.
                preexec_fn=die_with_parent(),
            )
        self.wait_for(lambda: UP in self.text() or self.process is None or self.process.poll() is not None)
        assert UP in self.text(), self.text()
        return self.text()

    def text(self) -> str:
        return self.output.read_text()

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to the supervisor alone and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def run(self, *arguments: str, state: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        command = self.command(*arguments, state=state)
        return subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def family(self) -> list[psutil.Process]:
        """Every process that names the state directory in its command line or its environment."""
        mark, found = str(self.state), []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(mark in text for text in (*process.cmdline(), *process.environ().values())):
                    found.append(process)
        return found

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def clear(self) -> None:
        """Kill what a failed test left."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """Offer a demo that has run before: its first start is behind it."""
    # Not below pytest's own directory, which another run of pytest closes to PostgreSQL's user.
    directory = Path(tempfile.mkdtemp(prefix="studio-portal-demo-"))
    demo = Demo(directory)
    try:
        first = demo.start()
        assert "migrations applied, 3 teams loaded" in first
        assert demo.signal(signal.SIGINT) == 0
        assert demo.family() == []
        yield demo
    finally:
        demo.clear()
        shutil.rmtree(directory, ignore_errors=True)


def seconds(text: str) -> float:
    found = re.search(r"is up, ([\d.]+) seconds", text)
    assert found
    return float(found[1])


def test_a_second_start_keeps_the_data_is_quick_and_refuses_company(demo: Demo, tmp_path: Path) -> None:
    text = demo.start()
    assert "Database" not in text  # Nothing has changed since the first start.
    assert seconds(text) < 30  # About 6 on an idle computer with two cores.
    for part in ("PostgreSQL", "Redis", "AWS stand-in", "Identity provider", "Worker", "Beat", "Web server"):
        assert f"✓ {part}" in text
    with urllib.request.urlopen(f"{demo.portal}/healthz", timeout=10) as response:
        assert json.load(response) == {"database": "ok", "redis": "ok", "identity_providers": "ok"}

    again = demo.run()
    assert again.returncode == 1
    assert re.fullmatch(r"A demo is already running from \S+ \(process \d+\)\.\n", again.stderr)
    reset = demo.run("--reset")
    assert reset.returncode == 1
    assert "already running" in reset.stderr
    elsewhere = demo.run(state=tmp_path / "other")
    assert elsewhere.returncode == 1
    assert elsewhere.stderr.startswith(f"Port {demo.ports['DEMO_PORT']} is in use. ")
    assert elsewhere.stderr.count("\n") == 1

    assert demo.signal(signal.SIGHUP) == 0
    assert "nothing is left running" in demo.text()
    assert demo.family() == []


def test_after_a_kill_it_starts_again_and_stops_when_a_part_dies(demo: Demo) -> None:
    demo.start()
    demo.signal(signal.SIGKILL)
    assert "Stopped what an earlier run left behind" in demo.start()

    [worker] = [process for process in demo.family() if "worker" in process.cmdline()]
    worker.kill()
    assert demo.process is not None
    assert demo.process.wait(DEADLINE) == 1
    assert f"Worker stopped unexpectedly. The end of {demo.state}/logs/worker.log:" in demo.text()
    assert demo.family() == []


def test_reset_forgets_everything(demo: Demo, tmp_path: Path) -> None:
    kept = tmp_path / "state"
    demo.state.rename(kept)
    assert stat.S_IMODE((kept / "secret-key").stat().st_mode) == 0o600
    done = demo.run("--reset", state=kept)
    assert done.returncode == 0
    assert not kept.exists()


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", demo.ports["DEMO_AWS_PORT"]))
        taken.listen()
        done = demo.run()
    assert done.returncode == 1
    assert done.stderr == (
        f"Port {demo.ports['DEMO_AWS_PORT']} is in use. "
        "Stop what listens there, or choose another: DEMO_AWS_PORT=… make demo\n"
    )
    assert demo.family() == []


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_one_line(tmp_path: Path, port: str) -> None:
    demo = Demo(tmp_path)
    environment = demo.environment() | {"DEMO_PORT": port}
    done = subprocess.run(
        demo.command(), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"DEMO_PORT must be a port number, 1 to 65535, not “{port}”.\n"


def test_a_half_made_database_is_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.postgres.mkdir()
    home.clear_half_made_postgres()
    assert not home.postgres.exists()
    home.postgres.mkdir()
    home.mark_postgres_made()
    home.clear_half_made_postgres()
    assert home.postgres.exists()
