"""The whole product as `make demo` starts it, in a directory of its own and on ports of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import psutil

from portal.demo.services import die_with_parent, free_port

ROOT = Path(__file__).resolve().parents[2]
UP = "Studio Portal is up"
START_SECONDS = 180
STOP_SECONDS = 60
# Settings of the tests' own services.
FOREIGN = ("AWS_", "SAML_", "PORTAL_", "DEMO_", "DATABASE_", "REDIS_", "DJANGO_", "SECRET_", "ALLOWED_", "STATIC_")


class Stack:
    """A running demo: `portal`, `idp` and `aws` are its addresses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "demo.log"
        self._ports = {name: free_port() for name in ("DEMO_PORT", "DEMO_IDP_PORT", "DEMO_AWS_PORT")}
        self.portal, self.idp, self.aws = (f"http://127.0.0.1:{port}" for port in self._ports.values())
        self._begin = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start everything and wait until it says that it is up. Raises AssertionError when it does not."""
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "portal.demo", "--state-dir", str(self.directory / "state")],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A test run that is ended outright leaves nothing behind either.
                preexec_fn=die_with_parent(),
            )
        deadline = time.monotonic() + START_SECONDS
        while UP not in self._said():
            assert self._process.poll() is None, f"the demo stopped:\n{self._said()}"
            assert time.monotonic() < deadline, f"the demo is not up after {START_SECONDS} s:\n{self._said()}"
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop everything as Ctrl-C does. Raises AssertionError when a process is left behind."""
        assert self._process is not None
        family = self._family()
        self._process.terminate()
        _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
        self._process.wait()
        _kill(alive)
        assert not alive, f"left behind: {alive}"

    def kill(self) -> None:
        """End every process at once with SIGKILL, as a power cut would."""
        assert self._process is not None
        family = self._family()
        _kill(family)
        self._process.wait()

    def behave(self, **personality: Any) -> None:
        """Change how the AWS stand-in behaves; what is not named stays. Raises AssertionError without a demo."""
        assert self._process is not None
        assert self._process.poll() is None, f"the demo stopped:\n{self._said()}"
        body = json.dumps(personality).encode()
        request = urllib.request.Request(
            f"{self.aws}/_personality", data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    def forget_profiles(self) -> None:
        """Make every user profile disappear in AWS, behind the portal's back."""
        client = boto3.client(
            "sagemaker",
            endpoint_url=self.aws,
            region_name="eu-west-1",
            aws_access_key_id="AKIADEMO000000000000",
            aws_secret_access_key="demo",
        )
        for profile in client.list_user_profiles()["UserProfiles"]:
            path = f"/_profiles/{profile['DomainId']}/{profile['UserProfileName']}"
            with urllib.request.urlopen(urllib.request.Request(self.aws + path, method="DELETE"), timeout=10):
                pass

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        ports = {name: str(port) for name, port in self._ports.items()}
        return {**kept, **ports, "PYTHONUNBUFFERED": "1"}

    def _said(self) -> str:
        """Return what the demo printed since its last start."""
        return self.log.read_bytes()[self._begin :].decode(errors="replace")

    def _family(self) -> list[psutil.Process]:
        """Find every process that names the directory, in its command line or its environment."""
        mark = str(self.directory)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(mark in text for text in (*process.cmdline(), *process.environ().values())):
                    found.append(process)
        return found


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=STOP_SECONDS)
