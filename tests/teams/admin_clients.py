"""Browsers of the people in the admin's tests, and what these tests read from pages."""

from html.parser import HTMLParser
from typing import Any

from django.forms import BaseForm
from django.test import Client

from teams.models import AuditEvent, User
from tests.factories import make_user

LOCAL = "portal.saml.backend.SamlBackend"
EVERYBODY = ("alice", "bob", "charlie", "anonymous")


def client_of(name: str) -> Client:
    """Return the browser of alice (portal admin), bob (auditor), charlie (no role) or anonymous."""
    client = Client()
    roles = {"alice": User.Role.ADMIN, "bob": User.Role.AUDITOR, "charlie": User.Role.NONE}
    if name in roles:
        user = User.objects.filter(username=name).first() or make_user(name, role=roles[name])
        client.force_login(user, backend=LOCAL)
    return client


def form_of(response: Any) -> BaseForm:
    """Return the form of a page of the admin."""
    return response.context["adminform"].form


def errors(response: Any) -> dict[str, list[str]]:
    """Return the messages at the fields of a form that was refused."""
    assert response.status_code == 200
    return {field: [str(message) for message in messages] for field, messages in form_of(response).errors.items()}


def tags(*rows: tuple[str, str], pks: tuple[int, ...] = (), **more: str) -> dict[str, str]:
    """Return what the browser sends for the tags of a team; `pks` are the ids of the rows that exist already."""
    data = {"tags-TOTAL_FORMS": str(len(rows)), "tags-INITIAL_FORMS": str(len(pks)), **owners()}
    for index, (key, value) in enumerate(rows):
        data |= {f"tags-{index}-key": key, f"tags-{index}-value": value}
        if index < len(pks):
            data[f"tags-{index}-id"] = str(pks[index])
    return data | more


def owners(*names: str, pks: tuple[int, ...] = ()) -> dict[str, str]:
    """Return what the browser sends for the owners of a team; `pks` are the ids of the rows that exist already."""
    data = {"owners-TOTAL_FORMS": str(len(names)), "owners-INITIAL_FORMS": str(len(pks))}
    for index, name in enumerate(names):
        data[f"owners-{index}-user"] = name
        if index < len(pks):
            data[f"owners-{index}-id"] = str(pks[index])
    return data | cleanup()


def cleanup(pk: int | None = None, **values: str | list[str]) -> dict[str, Any]:
    """Return what the browser sends for the cleanup rule of a team; `pk` is that of the rule if there is one."""
    data: dict[str, Any] = {"cleanup_rule-TOTAL_FORMS": "1", "cleanup_rule-INITIAL_FORMS": "1" if pk else "0"}
    shown = {"warn_minutes": "30", "timezone": "UTC", **values} | ({"id": str(pk)} if pk else {})
    return data | {f"cleanup_rule-0-{name}": value for name, value in shown.items()}


def events(**filters: Any) -> list[AuditEvent]:
    """Return the audit rows with these values, oldest first."""
    return list(AuditEvent.objects.filter(**filters).order_by("id"))


class _Inline(HTMLParser):
    """Collects what a strict Content-Security-Policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.found.append(f"<{tag} {name}>")
            if name in {"href", "src", "action"} and (value or "").lower().startswith(("javascript:", "http")):
                self.found.append(f"<{tag} {name}={value}>")


def inline(response: Any) -> list[str]:
    """Return the inline scripts, styles, event handlers and foreign addresses of a page."""
    parser = _Inline()
    parser.feed(response.content.decode())
    return parser.found
