"""The plan of the house holds: imports only go down, migrations tell all of the models, no test leaves the machine."""

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_socket import SocketConnectBlockedError

ROOT = Path(__file__).resolve().parent.parent


def lint(*arguments: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a process of its own, because it imports what it looks at."""
    script = "import sys; from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", script, "--no-cache", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_imports_only_go_down() -> None:
    outcome = lint()
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


def test_an_import_that_goes_up_is_found(tmp_path: Path) -> None:
    """The contracts themselves work: a house with one wrong import does not pass."""
    for floor, text in {"teams": "import provisioning", "provisioning": "", "portal": "import teams"}.items():
        (tmp_path / floor).mkdir()
        (tmp_path / floor / "__init__.py").write_text(text)
    (tmp_path / "contracts.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["portal", "provisioning", "teams"]\n'
        '[[tool.importlinter.contracts]]\nname = "floors"\ntype = "layers"\n'
        'layers = ["portal", "provisioning", "teams"]\n'
    )
    outcome = lint("--config", "contracts.toml", directory=tmp_path)
    assert outcome.returncode == 1
    assert "teams is not allowed to import provisioning" in outcome.stdout


@pytest.mark.parametrize("module", ["boto3", "botocore"])
def test_only_the_gateway_and_the_demo_know_boto3(module: str) -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for floor in ("teams", "provisioning", "portal")
        for path in (ROOT / floor).rglob("*.py")
        if any(
            line.strip().startswith((f"import {module}", f"from {module}")) for line in path.read_text().splitlines()
        )
    }
    assert {path for path in importers if not path.startswith(("provisioning/aws/", "portal/demo/"))} == set()


@pytest.mark.parametrize("module", ["celery", "requests", "urllib3", "httpx", "urllib.request", "http.client", "saml2"])
def test_the_lowest_floor_speaks_to_nobody(module: str) -> None:
    for path in (ROOT / "teams").rglob("*.py"):
        lines = path.read_text().splitlines()
        assert not any(line.strip().startswith((f"import {module}", f"from {module}")) for line in lines), path


@pytest.mark.django_db
def test_migrations_tell_all_of_the_models() -> None:
    told = io.StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=told)
    assert told.getvalue().strip() == "No changes detected"


# Documentation addresses (RFC 5737, RFC 3849): whatever is wrong with the block, no packet of a test reaches anybody.
@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("198.51.100.7", 443), ("2001:db8::1", 443)])
def test_no_test_leaves_the_machine(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as outgoing:
        outgoing.settimeout(2)
        with pytest.warns(UserWarning, match="tried to use socket"), pytest.raises(SocketConnectBlockedError):
            outgoing.connect(address)


def test_loopback_stays_open() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        assert client.getpeername() == server.getsockname()
