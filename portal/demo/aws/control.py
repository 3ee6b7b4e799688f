"""What no AWS has: change the personality and meddle with the state from outside, for demonstrations. Loopback only."""

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

from portal.demo.aws.personality import Personality
from portal.demo.aws.state import State
from portal.demo.aws.wire import Reply

CALLS_SHOWN = 200


def get(state: State, personality: Personality, path: str) -> Reply:
    """Show the personality, the latest calls, or that the stand-in lives."""
    if path == "/_health":
        return _json(200, {"status": "ok"})
    if path == "/_personality":
        return _json(200, personality.as_dict())
    if path == "/_calls":
        return _json(200, [asdict(call) for call in state.calls[-CALLS_SHOWN:]])
    return _json(404, {"error": "there are /_health, /_personality and /_calls"})


def post(personality: Personality, path: str, content_type: str, body: bytes) -> Reply:
    """Change the personality."""
    if path != "/_personality":
        return _json(404, {"error": "there is /_personality"})
    # A page of another site can post a form from the person's browser, but not JSON.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return _json(415, {"error": "send application/json"})
    try:
        personality.update(json.loads(body))
    except ValueError as error:
        return _json(400, {"error": str(error)})
    return _json(200, personality.as_dict())


def delete(state: State, path: str) -> Reply:
    """Make a user profile disappear: `/_profiles/<domain>/<name>`."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if len(parts) != 3 or parts[0] != "_profiles" or not state.forget_profile(parts[1], parts[2]):
        return _json(404, {"error": "no such profile; the path is /_profiles/<domain>/<name>"})
    return _json(200, {"deleted": parts[2]})


def is_local(host: str) -> bool:
    """Return whether a Host header names this machine: a foreign name that resolves to loopback does not get in."""
    return host.rpartition(":")[0] in ("127.0.0.1", "localhost") or host in ("127.0.0.1", "localhost")


def _json(status: int, value: Any) -> Reply:
    body = json.dumps(value, indent=2, default=str).encode() + b"\n"
    return Reply(status, body, "application/json", {"Cache-Control": "no-store"})
