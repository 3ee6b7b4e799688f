"""The processes of a measurement."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import psutil

from portal.demo.services import free_port

THREADS = 64


@contextmanager
def portal() -> Iterator[tuple[int, psutil.Process]]:
    """Serve the portal with one gunicorn worker; gives its port and that worker."""
    port = free_port()
    arguments = ["--config", "portal/gunicorn.py", "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    with process("-m", "gunicorn", "portal.wsgi", *arguments, "--threads", str(THREADS)) as started:
        until_open(started, port)
        yield port, psutil.Process(started.pid).children()[0]


@contextmanager
def process(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Python with these arguments, and end it afterwards."""
    started = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(40)


def until_open(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return when an HTTP server answers on a port. Raises RuntimeError when it does not."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz"):
                return
        except OSError as error:
            if getattr(error, "code", None):
                return
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")
