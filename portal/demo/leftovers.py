"""What a killed demo left behind: found by the process ids that it noted, stopped if it is still the same."""

import json
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from portal.demo.home import Home
from portal.demo.processes import STOP_SECONDS, kill_group

# Every child carries this in its environment: the state directory that it belongs to.
MARK = "STUDIO_PORTAL_DEMO"


def note(home: Home, pids: Iterable[int]) -> None:
    """Remember which processes run, with their command lines."""
    commands = {}
    for pid in pids:
        with suppress(psutil.Error):
            commands[str(pid)] = psutil.Process(pid).cmdline()
    draft = home.processes.with_suffix(".new")
    draft.write_text(json.dumps(commands))
    draft.replace(home.processes)


def stop(home: Home) -> int:
    """Stop the processes of a demo that was killed, PostgreSQL too; return how many there were.

    They may be on their way out already: this waits for them, so that their ports are free afterwards.
    """
    found = _noted(home)
    for process in found:
        with suppress(psutil.Error):
            process.terminate()
    stopped = len(found) + stop_postgres(home.postgres)
    deadline = time.monotonic() + STOP_SECONDS
    for process in found:
        with suppress(psutil.Error):
            process.wait(max(0.1, deadline - time.monotonic()))
        kill_group(process.pid)
    home.processes.unlink(missing_ok=True)
    return stopped


def stop_postgres(data: Path) -> int:
    """Stop the PostgreSQL server that runs on this data directory; return how many there were, 0 or 1."""
    pid_file = data / "postmaster.pid"
    try:
        # A server that only sets the directory up notes its process id with a minus sign.
        process = psutil.Process(abs(int(pid_file.read_text().split("\n", 1)[0])))
        command = process.cmdline()
    except FileNotFoundError:
        return 0
    except (ValueError, psutil.NoSuchProcess):
        command = []
    if str(data) not in command:
        # After a reboot the number may be another program's, and the library would take that for PostgreSQL.
        pid_file.unlink(missing_ok=True)
        return 0
    with suppress(psutil.NoSuchProcess):
        # PostgreSQL's fast shutdown; SIGTERM would wait for clients.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
    return 1


def postgres_runs(data: Path) -> bool:
    """Whether the server that noted itself in this data directory lives."""
    try:
        return psutil.pid_exists(abs(int((data / "postmaster.pid").read_text().split("\n", 1)[0])))
    except (OSError, ValueError):
        return False


def _noted(home: Home) -> list[psutil.Process]:
    try:
        commands: dict[str, list[str]] = json.loads(home.processes.read_text())
    except (OSError, ValueError):
        return []
    found = []
    for pid, command in commands.items():
        with suppress(psutil.Error):
            process = psutil.Process(int(pid))
            if process.cmdline() == command and _belongs(process, home):
                found.append(process)
    return found


def _belongs(process: psutil.Process, home: Home) -> bool:
    # Redis overwrites its environment with its title, but it works in its directory.
    return process.environ().get(MARK) == str(home.path) or Path(process.cwd()).is_relative_to(home.path)
