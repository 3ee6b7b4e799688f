"""What no AWS has: change the personality and meddle with the state from outside, for demonstrations. Loopback only.

Somebody leaves a group when this is posted to `/_directory` as application/json:
`{"action": "remove", "group": "team-1-scientists", "user": "user1"}`.
"""

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

from portal.demo.aws.directory import IdentityStore
from portal.demo.aws.directory.telling import ORIGINS
from portal.demo.aws.errors import ApiError
from portal.demo.aws.personality import Personality
from portal.demo.aws.state import State
from portal.demo.aws.wire import Reply

CALLS_SHOWN = 200


def get(state: State, personality: Personality, path: str) -> Reply:
    """Show the personality, the latest calls, who is in which group, or that the stand-in lives."""
    if path == "/_health":
        return _json(200, {"status": "ok"})
    if path == "/_personality":
        return _json(200, personality.as_dict())
    if path == "/_calls":
        return _json(200, [asdict(call) for call in state.calls[-CALLS_SHOWN:]])
    if path == "/_directory":
        return _json(200, {store_id: _shown(store) for store_id, store in state.identity_stores.items()})
    return _json(404, {"error": "there are /_health, /_personality, /_calls and /_directory"})


def post(state: State, personality: Personality, path: str, content_type: str, body: bytes) -> Reply:
    """Change the personality or the directory."""
    if path not in ("/_personality", "/_directory"):
        return _json(404, {"error": "there are /_personality and /_directory"})
    # A page of another site can post a form from the person's browser, but not JSON.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return _json(415, {"error": "send application/json"})
    try:
        if path == "/_directory":
            return _json(200, _shown(_change_directory(state, json.loads(body))))
        personality.update(json.loads(body))
    except ValueError as error:
        return _json(400, {"error": str(error)})
    except ApiError as fault:
        return _json(409 if fault.code == "ConflictException" else 404, {"error": fault.message})
    return _json(200, personality.as_dict())


def delete(state: State, path: str) -> Reply:
    """Make a user profile disappear: `/_profiles/<domain>/<name>`."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if len(parts) != 3 or parts[0] != "_profiles" or not state.forget_profile(parts[1], parts[2]):
        return _json(404, {"error": "no such profile; the path is /_profiles/<domain>/<name>"})
    return _json(200, {"deleted": parts[2]})


def _change_directory(state: State, change: Any) -> IdentityStore:
    """Put somebody into a group or take them out, disable or enable them: `action`, `user`, `group`, `origin`.

    Returns the identity store, the one named by `store` or else the first. Raises ValueError and ApiError.
    """
    if not isinstance(change, dict) or not all(isinstance(value, str) for value in change.values()):
        raise ValueError("send a mapping of texts")
    store = state.identity_stores.get(change.get("store", next(iter(state.identity_stores), "")))
    action, user, origin = change.get("action"), change.get("user", ""), change.get("origin", "console")
    if store is None or origin not in ORIGINS:
        raise ValueError(f"store is one of {', '.join(state.identity_stores)}; origin is one of {', '.join(ORIGINS)}")
    if action == "add":
        store.add_member(change.get("group", ""), user, origin=origin)
    elif action == "remove":
        store.remove_member(change.get("group", ""), user, origin=origin)
    elif action == "disable":
        store.disable_user(user, origin=origin)
    elif action == "enable":
        store.enable_user(user, origin=origin)
    else:
        raise ValueError("action is add, remove, disable or enable")
    state.save()
    return store


def _shown(store: IdentityStore) -> dict[str, Any]:
    with store.lock:
        groups = {group.name: store.members_of(group) for group in store.contents.groups}
        disabled = [user.user_name for user in store.contents.users if not user.enabled]
        return {"groups": groups, "disabled": disabled, "users": len(store.contents.users)}


def is_local(host: str) -> bool:
    """Return whether a Host header names this machine: a foreign name that resolves to loopback does not get in."""
    return host.rpartition(":")[0] in ("127.0.0.1", "localhost") or host in ("127.0.0.1", "localhost")


def _json(status: int, value: Any) -> Reply:
    body = json.dumps(value, indent=2, default=str).encode() + b"\n"
    return Reply(status, body, "application/json", {"Cache-Control": "no-store"})
