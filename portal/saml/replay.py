"""Nothing is used twice: assertions and our own requests are spent in the cache that all processes share."""

import hashlib
import logging
from datetime import datetime

from django.core.cache import cache

from portal.saml import times
from portal.saml.causes import Cause, Refused
from portal.saml.state import MAX_AGE

logger = logging.getLogger(__name__)


def spend_assertion(*, issuer: str, assertion_id: str, now: datetime, until: datetime) -> None:
    """Note the first use of an assertion until it could not be shown again; refuse the second, or any when in doubt."""
    _spend(f"saml-assertion:{_digest(issuer, assertion_id)}", (until - now).total_seconds(), Cause.REPLAYED)


def spend_request(request_id: str) -> None:
    """Note that a request of ours is answered: it cannot be answered again, not even by a fresh assertion."""
    _spend(f"saml-request:{_digest(request_id)}", MAX_AGE + 60, Cause.REQUEST_USED)


def spend_logout(*, issuer: str, request_id: str) -> None:
    """Note the first use of a provider's logout request for as long as it could be shown again; refuse the second."""
    seconds = (times.MAX_AGE + 2 * times.SKEW).total_seconds()
    _spend(f"saml-logout:{_digest(issuer, request_id)}", seconds, Cause.REPLAYED)


def _spend(key: str, seconds: float, cause: Cause) -> None:
    try:
        # One atomic command (SET NX), so that of many at once exactly one is first.
        first = cache.add(key, 1, timeout=max(60, int(seconds) + 1))
    except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
        # Without the memory of all processes a second use could not be told from the first.
        logger.error("Sign-on needs the shared cache, which cannot be reached: %s", type(error).__name__)  # noqa: TRY400
        raise Refused(Cause.CACHE_DOWN) from None
    if not first:
        raise Refused(cause)


def _digest(*parts: str) -> str:
    # Lengths first, so that no two pairs run together.
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
