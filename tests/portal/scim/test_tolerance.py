"""What vendors and their validators send beside the letter of the RFCs is taken, and means what they mean by it."""

from io import BytesIO
from typing import Any

import pytest

from portal.scim import patches, received
from teams.models import AuditEvent
from tests.portal.people import log
from tests.portal.scim.scim_client import ENTERPRISE, GROUP, USER, Provider, read, recorded, refusal

pytestmark = pytest.mark.django_db
Action = AuditEvent.Action


@pytest.fixture(name="user")
def _user(okta: Provider) -> str:
    return str(read(okta.send("POST", "Users", recorded("entra_validator_user")))["id"])


def test_the_user_of_entras_validator_comes_back_as_sent(okta: Provider, user: str) -> None:
    sent = recorded("entra_validator_user")
    told = okta.get(f"Users/{user}")
    assert {key: told[key] for key in sent} == sent
    assert okta.send("PUT", f"Users/{user}", sent).status_code == 200


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"value": "boss"}, {"value": "boss"}),
        ({"value": "boss", "displayName": "The Boss"}, {"value": "boss", "displayName": "The Boss"}),
        ({"value": "boss", "$ref": "../Users/boss"}, {"value": "boss", "$ref": "../Users/boss"}),
        ("boss", {"value": "boss"}),
        ("", None),
    ],
)
def test_a_manager_needs_an_id_alone(okta: Provider, user: str, said: Any, kept: Any) -> None:
    body = {"schemas": [USER, ENTERPRISE], "userName": "alice", ENTERPRISE: {"manager": said}}
    told = read(okta.send("PUT", f"Users/{user}", body))
    assert told.get(ENTERPRISE, {}).get("manager") == kept
    if kept:
        assert okta.patch(f"Users/{user}", {"op": "remove", "path": f"{ENTERPRISE}:manager"}).status_code == 200
        told = read(okta.patch(f"Users/{user}", {"op": "add", "path": f"{ENTERPRISE}:manager", "value": said}))
        assert told[ENTERPRISE]["manager"] == kept
        assert okta.found("Users", f'{ENTERPRISE}:manager.value eq "boss"') == ["alice"]


def test_paths_that_choose_are_keys_of_a_value_too(okta: Provider, user: str) -> None:
    value = {
        "name.givenName": "Zed",
        'emails[type eq "work"].value': "zed@example.com",
        'phoneNumbers[type eq "pager"].value': "7",
    }
    told = read(okta.patch(f"Users/{user}", {"op": "Add", "value": value}))
    assert told["name"]["givenName"] == "Zed"
    assert told["emails"] == [{"primary": True, "type": "work", "value": "zed@example.com"}]
    assert told["phoneNumbers"][-1] == {"type": "pager", "value": "7"}


def test_such_keys_count_as_operations(okta: Provider, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "MAX_OPERATIONS", 2)
    value = {f'emails[type eq "{each}"].value': "a@example.com" for each in ("work", "home", "other")}
    assert refusal(okta.patch(f"Users/{user}", {"op": "add", "value": value})) == (400, "invalidValue")


@pytest.mark.parametrize(
    ("path", "value", "gone"),
    [
        ("title", "RKOWWVTPKVDE", "title"),
        ("nickName", "", "nickName"),
        ('phoneNumbers[type eq "fax"]', [{"value": "28-555-3110"}], "28-555-3110"),
        ('phoneNumbers[type eq "fax"].value', "28-555-3110", "28-555-3110"),
        ("phoneNumbers", [{"value": "28-555-3110"}], "28-555-3110"),
    ],
)
def test_a_remove_may_repeat_what_goes(okta: Provider, user: str, path: str, value: Any, gone: str) -> None:
    response = okta.patch(f"Users/{user}", {"op": "Remove", "path": path, "value": value})
    assert response.status_code == 200, response.content
    assert gone not in response.content.decode()
    assert "28-555-6910" in response.content.decode()


@pytest.mark.parametrize("endpoint", ["Users", "Groups"])
def test_urns_have_no_case(okta: Provider, endpoint: str) -> None:
    schema = USER if endpoint == "Users" else GROUP
    response = okta.send("POST", endpoint, {"SCHEMAS": [schema.upper()], "DisplayName": "Zed", "USERNAME": "zed"})
    assert response.status_code == 201, response.content
    assert read(response)["schemas"] == [schema]


def test_unknown_parameters_ask_for_nothing(okta: Provider, user: str) -> None:
    assert okta.get("Users", other="1", attributes="")["Resources"][0]["id"] == user


@pytest.mark.parametrize("path", ["Users", "Users/{}", "Groups", "ServiceProviderConfig", "Schemas"])
def test_head_is_a_get_without_a_body(okta: Provider, user: str, path: str) -> None:
    response = okta.send("HEAD", path.format(user))
    assert (response.status_code, response.getvalue()) == (200, b"")
    assert okta.send("HEAD", "Users/.search").status_code == 405
    assert "HEAD" in okta.send("PROPFIND", path.format(user))["Allow"]


def test_an_answer_without_a_body_has_no_type_of_one(okta: Provider, user: str) -> None:
    response = okta.send("DELETE", f"Users/{user}")
    assert (response.status_code, response.get("Content-Type")) == (204, None)


@pytest.mark.parametrize("media", ["application/json", "application/scim+json; charset=utf-8", "text/plain", ""])
def test_the_type_of_a_body_does_not_matter(okta: Provider, media: str) -> None:
    response = okta.browser.post(
        "/scim/v2/Users",
        b'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "zed"}',
        content_type=media,
        headers={"Authorization": f"Bearer {okta.secret}", "Accept": "*/*"},
    )
    assert response.status_code == 201


class TestChunks:
    BODY = b'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "zed"}'

    def post(self, okta: Provider, content: bytes, **environ: Any) -> Any:
        """Send a body without its length, as a server hands it on that has put the chunks together."""
        extra = {"wsgi.input": BytesIO(content), "HTTP_TRANSFER_ENCODING": "chunked", **environ}
        headers = {"Authorization": f"Bearer {okta.secret}"}
        return okta.browser.generic("POST", "/scim/v2/Users", headers=headers, **extra)

    def test_a_body_in_chunks_is_read(self, okta: Provider) -> None:
        assert self.post(okta, self.BODY, **{"wsgi.input_terminated": True}).status_code == 201

    def test_within_the_limit(self, okta: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(received, "MAX_BODY_BYTES", len(self.BODY) - 1)
        assert self.post(okta, self.BODY, **{"wsgi.input_terminated": True}).status_code == 413

    def test_not_from_a_server_that_would_wait_for_more(self, okta: Provider) -> None:
        assert self.post(okta, self.BODY).status_code == 400


class TestLog:
    def test_groups_are_told_of(self, okta: Provider) -> None:
        alice, bob = okta.make_user("alice")["id"], okta.make_user("bob")["id"]
        group = okta.make_group("Engineers", alice, externalId="e1")["id"]
        okta.patch(f"Groups/{group}", {"op": "replace", "path": "displayName", "value": "Makers"})
        okta.patch(f"Groups/{group}", {"op": "replace", "path": "members", "value": [{"value": bob}]})
        okta.patch(f"Groups/{group}", {"op": "add", "path": "members", "value": [{"value": bob}]})
        okta.send("DELETE", f"Groups/{group}")
        told = [
            (event.action, event.actor, event.target, {key: event.data[key] for key in event.data.keys() - {"id"}})
            for event in log(action__startswith="group_")
        ]
        of = {"source": "scim:okta"}
        begun, now = {"name": "Engineers", "external id": "e1"}, {"name": "Makers", "external id": "e1"}
        renamed = {"before": {"name": "Engineers"}, "after": {"name": "Makers"}}
        assert told == [
            (Action.GROUP_CREATED, "scim: okta", "group: Engineers", {**of, "after": begun, "joined": 1}),
            (Action.GROUP_CHANGED, "scim: okta", "group: Makers", {**of, **renamed}),
            (Action.GROUP_CHANGED, "scim: okta", "group: Makers", {**of, "joined": 1, "left": 1}),
            (Action.GROUP_DELETED, "scim: okta", "group: Makers", {**of, "before": now, "left": 1}),
        ]
        assert {event.data["id"] for event in log(action__startswith="group_")} == {group}

    def test_what_was_refused_is_not(self, okta: Provider) -> None:
        okta.make_group("Engineers")
        body = {"schemas": [GROUP], "displayName": "engineers"}
        assert refusal(okta.send("POST", "Groups", body)) == (409, "uniqueness")
        assert len(log(action__startswith="group_")) == 1

    def test_a_deleted_user_is_told_of_even_when_inactive_before(self, okta: Provider) -> None:
        user = okta.make_user("alice", active=False)["id"]
        okta.send("DELETE", f"Users/{user}")
        event = log(action=Action.USER_CHANGED)[-1]
        assert (event.target, event.reason, event.data["before"]["user name"]) == ("alice", "deleted by SCIM", "alice")
