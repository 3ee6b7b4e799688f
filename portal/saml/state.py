"""What this browser asked of which identity provider: a small, signed, short-lived cookie instead of a database row.

Only a response to a request that is noted here, in the cookie of the same browser, may carry an `InResponseTo`.
"""

import time
from dataclasses import dataclass
from typing import Any

from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core import signing

COOKIE_NAME = "saml_session"
COOKIE_PATH = "/saml2/"
# How long a person may take at the identity provider, in seconds.
MAX_AGE = 600
MAX_REQUESTS = 5
MAX_NEXT_LENGTH = 300

_SALT = "portal.saml.state"
_MAX_COOKIE_LENGTH = 4096
_KEY = "requests"


class SamlStateStore(SessionStore):
    """Django's signed-cookie session with a salt and an age of its own; a cookie that does not verify is empty."""

    def load(self) -> dict[str, Any]:
        """Return what the cookie holds, nothing when it is forged, too old or too long."""
        cookie = self.session_key
        if not cookie or len(cookie) > _MAX_COOKIE_LENGTH:
            return {}
        try:
            data = signing.loads(cookie, serializer=self.serializer, max_age=MAX_AGE, salt=_SALT)
        except (signing.BadSignature, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def get_session_cookie_age(self) -> int:
        """Return the seconds that the cookie lives."""
        return MAX_AGE

    def _get_session_key(self) -> str:
        return signing.dumps(self._session, compress=True, salt=_SALT, serializer=self.serializer)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Outstanding:
    """A request that this browser took to an identity provider and that has not been answered yet."""

    request_id: str
    issuer: str
    next_path: str


def remember(store: SamlStateStore, outstanding: Outstanding) -> None:
    """Note a request; the oldest ones go when there are more than a few."""
    requests = _live(store)
    requests[outstanding.request_id] = [outstanding.issuer, outstanding.next_path[:MAX_NEXT_LENGTH], int(time.time())]
    newest = sorted(requests.items(), key=lambda item: item[1][2])[-MAX_REQUESTS:]
    store[_KEY] = dict(newest)


def find(store: SamlStateStore, request_id: str) -> Outstanding | None:
    """Return the request with this id if this browser started it within the last ten minutes."""
    entry = _live(store).get(request_id)
    return Outstanding(request_id=request_id, issuer=entry[0], next_path=entry[1]) if entry else None


def forget(store: SamlStateStore, request_id: str) -> None:
    """Drop a request that has been answered."""
    requests = _live(store)
    requests.pop(request_id, None)
    if requests:
        store[_KEY] = requests
    else:
        store.pop(_KEY, None)


def _live(store: SamlStateStore) -> dict[str, list[Any]]:
    oldest = time.time() - MAX_AGE
    return {key: entry for key, entry in store.get(_KEY, {}).items() if entry[2] >= oldest}
