"""What a flood of forged messages from one network may cost, without shutting out the honest people behind it.

A whole company often shares one address, so an address is never refused: only a message is. Refusals of messages that
no known key signed are counted for each network and minute. While a network is over `SAML_REFUSALS_PER_MINUTE`, its
messages are looked at in two cheap steps before any XML is parsed:

* Can it be honest at all? Every real answer is base64 of a text that names a known issuer and holds a signature value
  or an encrypted assertion. What does not is answered 429, with a page made once, no log line and no audit row.
* Has this very message failed its signature, or could it not be decrypted, within the last minute? Floods repeat
  themselves; it is answered likewise.

Everything else is verified as always, so that a real answer signs its person on however many forged ones its network
sends beside it, and so that a person whose provider is set up wrongly still reads why. A flood of messages that are
plausible and all different therefore costs a verification each, as it does below the limit: no cheaper test tells them
from honest ones. Sign-on itself takes one more read of the shared cache. Without the cache nothing is counted; sign-on
fails closed then anyway, because a replay could not be told.
"""

import hashlib
import html
import logging
import re

from django.conf import settings
from django.core.cache import cache

from portal import throttle
from portal.middleware import client_network
from portal.saml import envelope, verify
from portal.saml.causes import Cause, Refused
from portal.saml.providers import provider_for
from portal.saml.state import SamlStateStore
from teams import audit

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
# What only cryptography finds out.
_COSTLY = frozenset({Cause.SIGNATURE_INVALID, Cause.DECRYPTION})

# Bounded, and stopped by the next tag, so that it takes linear time on any text.
_ISSUER = re.compile(r"<(?:[\w.-]{1,64}:)?Issuer(?:\s[^<>]{0,1000})?>([^<>]{1,2000})</")


def read(field: str, store: SamlStateStore) -> verify.Verified:
    """Verify a SAMLResponse, after the cheap look where its network is over the limit; raise `Refused`."""
    if _over_the_limit() and (_failed_before(field) or not _can_be_honest(field)):
        raise Refused(Cause.TOO_MANY)
    try:
        return verify.verify(field, store)
    except Refused as refused:
        if refused.cause in _COSTLY:
            _remember(field)
        raise


def count() -> None:
    """Count a refusal of a message that nobody vouches for; one log line tells when its network goes over the limit."""
    network = client_network(audit.current().address)
    try:
        number = throttle.add(_counter(network), seconds=WINDOW_SECONDS)
    except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
        logger.warning("A refusal is not counted: %s", type(error).__name__)
        return
    if number == settings.SAML_REFUSALS_PER_MINUTE + 1:
        logger.warning("More than %d refusals a minute from %s: garbage is answered 429.", number - 1, network)


def _over_the_limit() -> bool:
    try:
        counted = throttle.number(_counter(client_network(audit.current().address)))
    except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
        logger.warning("Refusals are not counted: %s", type(error).__name__)
        return False
    return counted > settings.SAML_REFUSALS_PER_MINUTE


def _can_be_honest(field: str) -> bool:
    try:
        text = envelope.decode(field, settings.SAML_MAX_MESSAGE_BYTES).decode()
    except Refused:
        return False
    if "SignatureValue" not in text and "CipherValue" not in text:
        return False
    # In front of an encrypted assertion the issuer stands too; without it the response is refused anyway.
    found = _ISSUER.search(text)
    return found is not None and provider_for(html.unescape(found[1]).strip()) is not None


def _failed_before(field: str) -> bool:
    try:
        return cache.get(_failure(field)) is not None
    except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
        logger.warning("Earlier refusals are not known: %s", type(error).__name__)
        return False


def _remember(field: str) -> None:
    try:
        cache.set(_failure(field), 1, timeout=WINDOW_SECONDS)
    except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
        logger.warning("A refusal is not remembered: %s", type(error).__name__)


def _counter(network: str) -> str:
    return f"saml-refusals:{network}"


def _failure(field: str) -> str:
    return f"saml-forged:{hashlib.sha256(field.encode('utf-8', 'replace')).hexdigest()}"
