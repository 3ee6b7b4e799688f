"""The server: its control paths, its memory, its process."""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from portal.demo.aws.errors import StateFileError
from portal.demo.aws.seed import DOMAIN, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE, TEAM_ROLES
from portal.demo.aws.server import Handle, start
from portal.demo.aws.state import State
from tests.portal.demo_aws.conftest import PROFILE, connect, refusal
from tests.portal.demo_aws.test_urls import browse

ROOT = Path(__file__).parents[3]


def send(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Send a control request; return its status and what it answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    named = {"Content-Type": "application/json", **headers}
    connection.request(method, path, None if body is None else json.dumps(body), named)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if answer.headers["Content-Type"] == "application/json" else text


def test_the_personality_is_shown_and_changed(standin: Handle) -> None:
    assert send(standin.url, "GET", "/_personality")[1]["slow"] == 0
    status, shown = send(standin.url, "POST", "/_personality", {"slow": 0.5, "fail_next": {"ListApps": ["lost"]}})
    assert (status, shown["slow"], shown["fail_next"]["ListApps"][0]["kind"]) == (200, 0.5, "lost")
    assert standin.personality.slow == 0.5
    assert send(standin.url, "POST", "/_personality", {"down": True})[0] == 200
    assert send(standin.url, "GET", "/_health") == (200, {"status": "ok"})
    assert send(standin.url, "POST", "/_personality", {"preset": "plain"})[1]["down"] is False


def test_what_the_control_paths_refuse(standin: Handle) -> None:
    assert send(standin.url, "POST", "/_personality", {"unknown": 1}) == (400, {"error": "unknown: unknown"})
    assert send(standin.url, "POST", "/_personality", {}, **{"Content-Type": "text/plain"})[0] == 415
    assert send(standin.url, "POST", "/_personality", {}, Host="evil.example:80")[0] == 404
    assert send(standin.url, "GET", "/_calls", Host="evil.example")[0] == 404
    assert send(standin.url, "GET", "/_other")[0] == 404
    assert send(standin.url, "POST", "/_other", {})[0] == 404
    assert send(standin.url, "POST", "/other", {})[0] == 404
    assert send(standin.url, "DELETE", "/_profiles/x")[0] == 404


def test_a_profile_disappears_behind_the_portals_back(standin: Handle, studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    path = f"/_profiles/{DOMAIN}/{PROFILE['UserProfileName'].upper()}"
    assert send(standin.url, "DELETE", path)[0] == 200
    assert refusal(studio.describe_user_profile, **PROFILE)[0] == "ResourceNotFound"
    assert send(standin.url, "DELETE", path)[0] == 404
    assert [call["operation"] for call in send(standin.url, "GET", "/_calls")[1]] == [
        "CreateUserProfile",
        "DescribeUserProfile",
    ]


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "new" / "aws.json"
    first = start(state_file=file, personality={"create_delay": 60})
    studio, sts = connect(first.url), connect(first.url, "sts")
    tags = [{"Key": "Team", "Value": "one"}]
    studio.create_user_profile(**PROFILE, Tags=tags, UserSettings={"ExecutionRole": TEAM_ROLES[0]})
    first.state.clock.advance(61)
    studio.create_app(**PROFILE, AppType="JupyterServer", AppName="default")
    studio.create_space(DomainId=DOMAIN, SpaceName="shared")
    url = studio.create_presigned_domain_url(**PROFILE)["AuthorizedUrl"]
    role = {"RoleArn": OTHER_PORTAL_ROLE, "RoleSessionName": "alice", "ExternalId": OTHER_EXTERNAL_ID}
    keys = sts.assume_role(**role)["Credentials"]
    for client in (studio, sts):
        client.close()
    first.stop()
    first.stop()
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["aws.json"]
    for secret in (url.partition("token=")[2], keys["SessionToken"], keys["SecretAccessKey"]):
        assert secret not in text

    second = start(state_file=file)
    second.state.clock.advance(61)
    studio, other = connect(second.url), connect(second.url, keys=keys)
    described = studio.describe_user_profile(**PROFILE)
    assert (described["Status"], described["UserSettings"]) == ("InService", {"ExecutionRole": TEAM_ROLES[0]})
    assert studio.list_tags(ResourceArn=described["UserProfileArn"])["Tags"] == tags
    assert len(studio.list_apps()["Apps"]) == 1
    assert len(studio.list_spaces()["Spaces"]) == 1
    assert len(other.list_domains()["Domains"]) == 1
    moved = url.replace(first.url, second.url)
    assert [browse(moved)[0], browse(moved)[0]] == [200, 403]
    for client in (studio, other):
        client.close()
    second.stop()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "home_account": "x", "accounts": [1]}']
)
def test_a_state_file_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    file = tmp_path / "aws.json"
    file.write_text(text)
    with pytest.raises(StateFileError, match=r"aws\.json"):
        start(state_file=file)
    assert file.read_text() == text


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(tmp_path / "aws.json")
    state.save()
    before = (tmp_path / "aws.json").read_text()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    state.add_account("999999999999")
    with pytest.raises(OSError, match="disk full"):
        state.save()
    assert [path.name for path in tmp_path.iterdir()] == ["aws.json"]
    assert (tmp_path / "aws.json").read_text() == before


def test_it_listens_on_loopback_only(standin: Handle) -> None:
    assert urlsplit(standin.url).hostname == "127.0.0.1"
    services = ("SAGEMAKER", "STS", "IDENTITYSTORE", "SQS", "IAM", "SERVICE_QUOTAS", "SSO_ADMIN")
    assert standin.environment == {f"AWS_ENDPOINT_URL_{service}": standin.url for service in services}


def test_connections_are_kept_and_closed_at_the_end() -> None:
    handle = start()
    connection = http.client.HTTPConnection(urlsplit(handle.url).netloc, timeout=10)
    for _ in range(2):
        connection.request("GET", "/_health")
        assert connection.getresponse().read()
    kept = connection.sock
    started = time.monotonic()
    handle.stop()
    assert time.monotonic() - started < 2
    assert kept.recv(1) == b""
    connection.close()


def test_a_slow_call_does_not_hold_up_the_end() -> None:
    handle = start(personality={"slow": 60})
    with socket.create_connection(("127.0.0.1", urlsplit(handle.url).port or 0), 10) as client:
        head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: SageMaker.ListDomains\r\nContent-Length: 0\r\n\r\n"
        client.sendall(head.encode())
        started = time.monotonic()
        handle.stop()
        assert time.monotonic() - started < 2


def run(*arguments: str) -> "subprocess.Popen[str]":
    """Run the stand-in as a process."""
    command = [sys.executable, "-W", "error", "-m", "portal.demo.aws", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_politely(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "aws.json"
    process = run("--port", "0", "--state-file", str(file), "--create-delay", "0", "--personality", "halfway")
    assert process.stdout
    line = process.stdout.readline()
    url = line.split()[-1]
    studio = connect(url)
    studio.list_domains()
    studio.close()
    assert send(url, "GET", "/_personality")[1]["fail_next"]["CreateUserProfile"]
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")
    assert json.loads(file.read_text())["domains"]


def test_a_port_in_use_gets_one_line(standin: Handle) -> None:
    port = str(urlsplit(standin.url).port)
    process = run("--port", port)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (1, "", f"Port {port} of 127.0.0.1 is in use\n")


def test_a_bad_state_file_gets_one_line(tmp_path: Path) -> None:
    file = tmp_path / "aws.json"
    file.write_text("nonsense")
    process = run("--port", "0", "--state-file", str(file))
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert len(errors.splitlines()) == 1
    assert "aws.json" in errors
