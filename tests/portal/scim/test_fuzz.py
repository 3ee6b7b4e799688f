"""Whatever a client with a token sends, it is answered in SCIM's form, and never by a fault of the service."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teams.models import ScimGroup, ScimUser
from tests.portal.scim.scim_client import ENTERPRISE, GROUP, PATCH, USER, Provider

pytestmark = pytest.mark.django_db

FUZZ = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = [
    "userName", "externalId", "displayName", "name", "name.givenName", "name.formatted", "emails", "emails.value",
    'emails[type eq "work"]', 'emails[type eq "work"].value', "emails[primary eq true].type", "members",
    "members.value", 'members[value eq "x"]', 'members[value eq "x"].display', "active", "password", "groups", "meta",
    "meta.location", "id", "schemas", "roles", 'roles[primary eq "True"].value', "x509Certificates", "photos",
    ENTERPRISE, f"{ENTERPRISE}:manager", f"{ENTERPRISE}:manager.value", f"{USER}:active", f"{GROUP}:members",
    USER, GROUP, "$ref", "title[", "", ".", "emails[]", "emails[type]", "a" * 600, "urn:x:y", "active.x",
]  # fmt: skip

names = st.sampled_from(NAMES) | st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars | st.sampled_from(["True", "false", "2020-01-01T00:00:00Z", "a@example.com"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
operations = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "Replace", "REMOVE", "move"])},
        optional={"path": names | scalars, "value": values},
    )
    | values,
    min_size=1,
    max_size=4,
)
resources = st.dictionaries(names, values, max_size=6)
comparisons = st.builds(
    "{} {} {}".format,
    st.sampled_from(NAMES) | st.text(max_size=8),
    st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr", "xx"]),
    st.one_of(scalars.map(json.dumps), st.just("")),
)
filters = st.recursive(
    comparisons,
    lambda inner: (
        st.builds("{} and {}".format, inner, inner)
        | st.builds("{} or {}".format, inner, inner)
        | st.builds("not ({})".format, inner)
        | st.builds("emails[{}]".format, inner)
    ),
    max_leaves=5,
)


def check(response: Any) -> None:
    assert response.status_code < 500, response.content
    if response.status_code not in {204, 304}:
        told = json.loads(response.getvalue())
        assert told["schemas"]
        if response.status_code >= 400:
            assert told["status"] == str(response.status_code)


def resource(body: dict[str, Any], kind: str) -> bytes:
    """Return a body in JSON as Python writes it, with NaN and halves of characters."""
    return json.dumps({"schemas": [kind], "userName": "alice", "displayName": "x", **body}).encode()


@FUZZ
@given(body=resources)
def test_resources(okta: Provider, body: dict[str, Any]) -> None:
    for path, kind in (("Users", USER), ("Groups", GROUP)):
        response = okta.send("POST", path, resource(body, kind))
        check(response)
        if response.status_code == 201:
            own = f"{path}/{json.loads(response.getvalue())['id']}"
            check(okta.send("PUT", own, resource(body, kind)))
            check(okta.send("GET", own))
            assert okta.send("DELETE", own).status_code == 204


@FUZZ
@given(listed=operations)
def test_patches(okta: Provider, listed: list[Any]) -> None:
    user = ScimUser.objects.filter(client=okta.row).first() or (okta.make_user("alice") and ScimUser.objects.get())
    group = ScimGroup.objects.filter(client=okta.row).first() or (okta.make_group("x") and ScimGroup.objects.get())
    assert user
    assert group
    for path in (f"Users/{user.scim_id}", f"Groups/{group.scim_id}"):
        check(okta.send("PATCH", path, {"schemas": [PATCH], "Operations": listed}))
        check(okta.send("GET", path))


@FUZZ
@given(asked=filters, sort=names, attributes=names, start=scalars, count=scalars)
def test_queries(okta: Provider, asked: str, sort: str, attributes: str, start: Any, count: Any) -> None:
    for path in ("Users", "Groups"):
        query = [f"filter={quote(asked, errors='replace')}", f"startIndex={quote(str(start), errors='replace')}"]
        check(okta.send("GET", f"{path}?{'&'.join(query)}"))
        check(okta.send("GET", f"{path}?sortBy={quote(sort, errors='replace')}"))
        check(okta.send("GET", f"{path}?attributes={quote(attributes, errors='replace')}"))
        body = {"filter": asked, "sortBy": sort, "attributes": [attributes], "startIndex": start, "count": count}
        check(okta.send("POST", f"{path}/.search", body))


@FUZZ
@given(
    content=st.binary(max_size=60), path=st.text(max_size=20), method=st.sampled_from(["GET", "POST", "PATCH", "PUT"])
)
def test_bytes_and_addresses(okta: Provider, content: bytes, path: str, method: str) -> None:
    check(okta.send(method, quote(path, errors="replace"), content))
    check(okta.send(method, "Users", content, **{"If-Match": quote(path, errors="replace")}))
