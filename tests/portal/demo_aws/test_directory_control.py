"""The directory in the hands of somebody at the demo, and over a restart."""

import json
from pathlib import Path
from typing import Any

import pytest

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.seed import EVENT_QUEUE, IDENTITY_STORE
from portal.demo.aws.server import Handle, start
from tests.portal.demo_aws.conftest import connect
from tests.portal.demo_aws.test_directory import STORE
from tests.portal.demo_aws.test_server import send


def change(url: str, **changes: Any) -> tuple[int, Any]:
    """Change the directory through the control path."""
    return send(url, "POST", "/_directory", changes)


def test_members_come_and_go(standin: Handle, store: IdentityStore) -> None:
    status, shown = send(standin.url, "GET", "/_directory")
    assert (status, shown[IDENTITY_STORE]["groups"]["team-1-scientists"]) == (200, ["user1", "user3"])
    member = {"group": "team-1-scientists", "user": "user4"}
    status, shown = change(standin.url, action="add", **member)
    assert (status, shown["groups"]["team-1-scientists"]) == (200, ["user1", "user3", "user4"])
    assert change(standin.url, action="add", **member)[0] == 409
    assert change(standin.url, action="remove", **member, origin="scim")[0] == 200
    assert change(standin.url, action="remove", **member)[0] == 404
    assert store.members_of("team-1-scientists") == ["user1", "user3"]
    (queue,) = standin.state.queues.values()
    names = [json.loads(row.body)["detail"]["eventName"] for row in queue.messages.values()]
    assert names == ["AddMemberToGroup", "PatchGroup"]


def test_users_are_disabled_and_enabled(standin: Handle, directory: Any, store: IdentityStore) -> None:
    user_id = store.find_user("user1").user_id
    assert change(standin.url, action="disable", user="user1")[1]["disabled"] == ["user1"]
    assert directory.describe_user(**STORE, UserId=user_id)["UserStatus"] == "DISABLED"
    assert change(standin.url, action="enable", user="user1", origin="scim", store=IDENTITY_STORE)[1]["disabled"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({}, 400),
        ({"action": 1}, 400),
        ({"action": "dance", "user": "user1"}, 400),
        ({"action": "disable", "user": "user1", "origin": "moon"}, 400),
        ({"action": "disable", "user": "user1", "origin": "api"}, 400),
        ({"action": "disable", "user": "user1", "store": "d-0000000000"}, 400),
        ({"action": "disable", "user": "nobody"}, 404),
        ({"action": "add", "user": "user1", "group": "nothing"}, 404),
    ],
)
def test_what_is_refused(standin: Handle, body: Any, status: int) -> None:
    before = send(standin.url, "GET", "/_directory")
    found, answer = send(standin.url, "POST", "/_directory", body)
    assert (found, list(answer)) == (status, ["error"])
    assert send(standin.url, "GET", "/_directory") == before


def test_other_sites_do_not_get_in(standin: Handle) -> None:
    leaver = {"action": "disable", "user": "user1"}
    assert send(standin.url, "POST", "/_directory", leaver, **{"Content-Type": "text/plain"})[0] == 415
    assert send(standin.url, "POST", "/_directory", leaver, Host="evil.example")[0] == 404
    assert send(standin.url, "GET", "/_directory", Host="evil.example")[0] == 404
    assert send(standin.url, "GET", "/_directory")[1][IDENTITY_STORE]["disabled"] == []


def test_the_directory_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "aws.json"
    first = start(state_file=file)
    store = first.state.identity_stores[IDENTITY_STORE]
    external = {"Issuer": "https://idp.example", "Id": "1"}
    store.add_user("eve", email="eve@example.com", external_ids=[external])
    store.allowed_accounts.append("444455556666")
    assert change(first.url, action="disable", user="eve")[0] == 200
    assert change(first.url, action="add", group="portal-admins", user="eve")[0] == 200
    directory = connect(first.url, "identitystore")
    token = directory.list_users(**STORE, MaxResults=3)["NextToken"]
    before = directory.list_users(**STORE)["Users"]
    assert "eve" in file.read_text()
    directory.close()
    first.stop()

    second = start(state_file=file)
    again = second.state.identity_stores[IDENTITY_STORE]
    directory = connect(second.url, "identitystore")
    assert directory.list_users(**STORE)["Users"] == before
    assert directory.list_users(**STORE, NextToken=token)["Users"] == before[3:]
    wanted = {**STORE, "AlternateIdentifier": {"ExternalId": external}}
    assert directory.get_user_id(**wanted)["UserId"] == again.find_user("eve").user_id
    assert again.groups_of("eve") == ["portal-admins"]
    assert not again.find_user("eve").enabled
    assert (again.event_queue, again.tenant_id) == (EVENT_QUEUE, store.tenant_id)
    assert again.allowed_accounts == ["444455556666"]
    directory.close()
    second.stop()


def test_a_file_from_before_there_were_directories(tmp_path: Path) -> None:
    file = tmp_path / "aws.json"
    start(state_file=file).stop()
    old = json.loads(file.read_text())
    del old["identity_stores"], old["queues"]
    file.write_text(json.dumps(old))
    handle = start(state_file=file)
    assert handle.state.identity_stores[IDENTITY_STORE].members_of("portal-admins") == ["ada"]
    handle.stop()


def test_a_large_directory_is_not_worked_through_for_every_write(tmp_path: Path, monkeypatch: Any) -> None:
    handle = start(state_file=tmp_path / "aws.json")
    store = handle.state.identity_stores[IDENTITY_STORE]
    handle.state.save()
    written: list[object] = []
    whole = json.dumps

    def dumps(value: Any, *args: Any, **options: Any) -> str:
        written.append(value)
        return whole(value, *args, **options)

    monkeypatch.setattr("portal.demo.aws.directory.store.json.dumps", dumps)
    handle.state.save()
    assert not any(isinstance(value, dict) and "users" in value for value in written)
    store.add_member("portal-admins", "user4")
    handle.state.save()
    assert sum(isinstance(value, dict) and "users" in value for value in written) == 1
    handle.stop()
