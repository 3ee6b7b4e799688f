"""What a killed demo left is stopped, and no other process is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from portal.demo import leftovers
from portal.demo.home import DemoError, Home

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "state")
    home.create()
    return home


@pytest.fixture
def ours(home: Home) -> Iterator["subprocess.Popen[bytes]"]:
    yield from sleeper({leftovers.MARK: str(home.path)})


@pytest.fixture
def other(home: Home) -> Iterator["subprocess.Popen[bytes]"]:
    yield from sleeper({leftovers.MARK: f"{home.path}-of-somebody-else"})


def sleeper(environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    yield process
    process.kill()
    process.communicate()


def test_a_noted_process_is_stopped(home: Home, ours: "subprocess.Popen[bytes]") -> None:
    leftovers.note(home, [ours.pid])
    assert leftovers.stop(home) == 1
    assert not psutil.pid_exists(ours.pid)
    assert leftovers.stop(home) == 0


def test_a_process_that_is_not_of_this_demo_lives_on(home: Home, other: "subprocess.Popen[bytes]") -> None:
    leftovers.note(home, [other.pid])
    assert leftovers.stop(home) == 0
    assert psutil.Process(other.pid).is_running()


def test_a_number_that_another_program_has_now_is_left_alone(home: Home, ours: "subprocess.Popen[bytes]") -> None:
    leftovers.note(home, [ours.pid])
    home.processes.write_text(home.processes.read_text().replace("sys.stdin.read()", "another()"))
    assert leftovers.stop(home) == 0
    assert ours.poll() is None


@pytest.mark.parametrize("text", ["", "not json"])
def test_a_damaged_note_stops_nothing(home: Home, text: str) -> None:
    home.processes.write_text(text)
    assert leftovers.stop(home) == 0


def test_the_number_of_a_postgres_long_gone_is_forgotten(home: Home, other: "subprocess.Popen[bytes]") -> None:
    home.postgres.mkdir()
    pid_file = home.postgres / "postmaster.pid"
    for text in (f"{other.pid}\n", "nonsense\n"):
        pid_file.write_text(text)
        assert leftovers.stop_postgres(home.postgres) == 0
        assert not pid_file.exists()
    assert other.poll() is None
    assert not leftovers.postgres_runs(home.postgres)


def test_one_demo_at_a_time(home: Home) -> None:
    with home.locked(), pytest.raises(DemoError, match="A demo is already running"), home.locked():
        pass
    with home.locked():
        assert home.path.exists()
