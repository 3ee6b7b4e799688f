"""How many wrong passwords of local accounts are borne, counted in the cache that all processes share.

Few for one account from one network, so that guessing is slow; more for a network and for an account in all, so that
neither many names from one place nor many places for one name get round it. An attempt counts before the password is
looked at, so that of many at once no more are looked at than the limit says.
"""

import logging

from portal import throttle
from portal.middleware import client_network
from teams.models import AuditEvent

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 900
PER_ACCOUNT_AND_NETWORK = 5
PER_NETWORK = 20
# High, because whoever reaches it locks the account's owner out as well, for whom `manage.py breakglass` is left.
PER_ACCOUNT = 50


class UnavailableError(Exception):
    """The attempts cannot be counted, so that none is made."""


class Attempt:
    """One attempt to sign on as `username` from `address`."""

    def __init__(self, username: str, address: str | None) -> None:
        network = client_network(address)
        self._pair = f"password:pair:{throttle.name(username.casefold(), network)}"
        self._network = f"password:network:{throttle.name(network)}"
        self._account = f"password:account:{throttle.name(username.casefold())}"
        self._username = username

    def begin(self) -> bool:
        """Count the attempt; return whether it may be made. Raises UnavailableError where it cannot be counted."""
        limits = (
            (self._pair, PER_ACCOUNT_AND_NETWORK),
            (self._network, PER_NETWORK),
            (self._account, PER_ACCOUNT),
        )
        try:
            # What one limit stops does not count for the next: one network alone cannot lock an account everywhere.
            return all(throttle.add(key, seconds=WINDOW_SECONDS) <= limit for key, limit in limits)
        except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
            logger.error("Passwords need the shared cache, which cannot be reached: %s", type(error).__name__)  # noqa: TRY400
            raise UnavailableError from None

    def succeeded(self) -> None:
        """Forget the failures of this account from this network, and that the attempt was one: it was no guess."""
        try:
            throttle.forget(self._pair)
            throttle.take_back(self._network)
            throttle.take_back(self._account)
        except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
            logger.warning("Failed passwords are not forgotten: %s", type(error).__name__)

    def record_locked(self) -> None:
        """Audit that attempts are stopped, once a minute for each network and account."""
        throttle.audit_now_and_then(
            AuditEvent.Action.SIGN_ON,
            about=self._pair,
            reason="too many wrong passwords",
            data={"by": "local account"},
            target=self._username,
        )
