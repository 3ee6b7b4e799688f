"""What a sign-on brought ends with its session: which source spoke is kept in the session, and when it was to end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.sessions.backends.base import SessionBase

from teams import memberships
from teams.models import User

SOURCE_KEY = "evidence_source"
_ENDS = "_session_expiry"


def note(session: SessionBase, source: str) -> None:
    """Keep in a session that begins for which source its assertion spoke."""
    session[SOURCE_KEY] = source


def end(user: User, session: Mapping[str, Any] | SessionBase) -> None:
    """Have the evidence run out that came with a session of sign-on; what a later sign-on said stays.

    Call it when somebody signs out, in the transaction of that. Sessions that did not begin with an assertion brought
    nothing.
    """
    source, ends = session.get(SOURCE_KEY), session.get(_ENDS)
    if source and isinstance(ends, str):
        memberships.end_session(user, source=source, until=datetime.fromisoformat(ends))
