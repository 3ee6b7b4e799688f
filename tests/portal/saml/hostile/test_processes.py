"""The memory of what has been used is one for all processes: of many that ask at the same moment one is first."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from portal.saml.causes import Cause

PROCESSES = 4
ROUNDS = 25
ROOT = Path(__file__).parents[4]

# Waits for each line, so that all processes have loaded everything before the first round begins.
PROGRAM = """
import sys
from datetime import UTC, datetime, timedelta
from portal.saml import replay
from portal.saml.causes import Refused
print("ready", flush=True)
for line in sys.stdin:
    now = datetime.now(UTC)
    try:
        until = now + timedelta(minutes=5)
        replay.spend_assertion(issuer="https://idp", assertion_id=line.strip(), now=now, until=until)
        print("first", flush=True)
    except Refused as refused:
        print(refused.cause.value, flush=True)
"""


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Several processes of the portal's, each with a connection of its own, waiting for assertions to spend."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for _ in range(PROCESSES)
        ]
        yield started
        for process in started:
            process.kill()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_several_processes_one_is_first(processes: list[subprocess.Popen[str]]) -> None:
    assert [_said(process) for process in processes] == ["ready"] * PROCESSES

    for number in range(ROUNDS):
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"_assertion{number}\n")
            process.stdin.flush()
        said = sorted(_said(process) for process in processes)
        assert said == ["first"] + [Cause.REPLAYED] * (PROCESSES - 1)
