"""An identity provider that pushes, for tests: a client with a token, and what it sends."""

import json
from pathlib import Path
from typing import Any

from django.http.response import HttpResponseBase
from django.test import Client

from portal.scim import tokens
from teams.models import ScimClient

BODIES = Path(__file__).with_name("bodies")
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Provider:
    """A SCIM client of the portal, which speaks as `slug`."""

    def __init__(self, slug: str = "okta", **fields: Any) -> None:
        self.row = ScimClient.objects.create(slug=slug, name=slug.title(), **fields)
        self.secret = tokens.issue(self.row, by="alice")
        self.browser = Client()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request with the token; `body` is a JSON value, or bytes as they are."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        extra = {"Authorization": f"Bearer {self.secret}", **headers}
        return self.browser.generic(
            method, f"/scim/v2/{path}", content, content_type="application/scim+json", headers=extra
        )

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON of what an address answers."""
        response = self.browser.get(f"/scim/v2/{path}", query, headers={"Authorization": f"Bearer {self.secret}"})
        assert response.status_code == 200, response.content
        return read(response)

    def make_user(self, user_name: str, **more: Any) -> dict[str, Any]:
        """Push a new user and return the resource."""
        response = self.send("POST", "Users", {"schemas": [USER], "userName": user_name, "active": True, **more})
        assert response.status_code == 201, response.content
        return read(response)

    def make_group(self, name: str, *members: str, **more: Any) -> dict[str, Any]:
        """Push a new group with the users of these ids and return the resource."""
        listed = [{"value": each} for each in members]
        response = self.send("POST", "Groups", {"schemas": [GROUP], "displayName": name, "members": listed, **more})
        assert response.status_code == 201, response.content
        return read(response)

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> Any:
        """Send these operations and return the response."""
        return self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    def found(self, endpoint: str, asked: str) -> list[str]:
        """Return the userName or displayName of each resource that a filter finds."""
        page = self.get(endpoint, filter=asked)
        return [each.get("userName") or each["displayName"] for each in page["Resources"]]


def read(response: HttpResponseBase) -> Any:
    """Return the JSON of a response, streamed or not."""
    assert response["Content-Type"] == "application/scim+json", response
    return json.loads(response.getvalue())


def refusal(response: HttpResponseBase) -> tuple[int, str]:
    """Return the status and the scimType of an error."""
    told = read(response)
    assert told["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert told["status"] == str(response.status_code)
    return response.status_code, told.get("scimType", "")


def recorded(form: str, /, **values: str) -> Any:
    """Return a body as a vendor sends it, with `{{name}}` replaced by values."""
    text = (BODIES / f"{form}.json").read_text()
    for key, value in values.items():
        text = text.replace(f"{{{{{key}}}}}", value)
    assert "{{" not in text
    return json.loads(text)
