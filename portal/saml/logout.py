"""Single logout: which sessions came from which provider, leaving for the provider, and ending what it asks to end."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from lxml import etree

from portal import throttle
from portal.saml import evidence, keys, logout_messages, signing
from portal.saml.causes import Cause, Refused
from portal.saml.keys import SpKey
from portal.saml.logout_messages import Asked
from portal.saml.metadata import LogoutLocation
from portal.saml.names import HTTP_POST, HTTP_REDIRECT
from portal.saml.providers import Provider, provider_for
from portal.saml.session_name import SessionName
from portal.saml.state import MAX_AGE, MAX_REQUESTS, SamlStateStore
from portal.sessions import SessionStore
from teams import audit
from teams.models import AuditEvent, User
from teams.session_models import SamlSession

logger = logging.getLogger(__name__)

SESSION_KEY = "saml_name"
_STATE_KEY = "logouts"
_ACTOR = f"{audit.SYSTEM}: identity provider"


@dataclass(frozen=True)
class Outgoing:
    """A logout message of ours on its way: an address to go to, or a form to post."""

    location: str
    name: str
    message: etree._Element = field(repr=False)
    binding: str
    relay_state: str
    key: SpKey

    def url(self) -> str:
        """Return the address for the Redirect binding, with the signed message in its query."""
        message = etree.tostring(self.message)
        return signing.redirect_url(self.location, self.name, message, relay_state=self.relay_state, key=self.key)

    def xml(self) -> bytes:
        """Return the signed message for the POST binding."""
        return signing.enveloped(self.message, self.key)


def note(session: SessionBase, issuer: str, name: SessionName | None) -> None:
    """Keep in a session that begins how its provider calls it, where a logout there is possible at all."""
    if name is not None and keys.current() is not None:
        session[SESSION_KEY] = name.stored(issuer)


def register(session: SessionBase, user: User) -> None:
    """Have the provider's logout find a session that has been stored."""
    known = session.get(SESSION_KEY)
    if not known:
        return
    SamlSession.objects.create(
        session_id=str(session.session_key),
        user=user,
        person=throttle.name(known["issuer"], known["name_id"]),
        index=_index(known["index"]),
    )


def leave(known: dict[str, Any] | None, store: SamlStateStore) -> Outgoing | None:
    """Return the request that ends the session at the provider that it came from, and note it in this browser.

    `known` is what `note` kept. None where the provider takes no logout or there is no key to sign with, and whatever
    goes wrong: the person has been signed out here, and must be told so.
    """
    try:
        return _leave(known, store)
    except Exception as error:  # noqa: BLE001  (a provider that cannot be reached keeps nobody here)
        logger.error("The session at the identity provider goes on: %s", type(error).__name__)  # noqa: TRY400
        return None


def _leave(known: dict[str, Any] | None, store: SamlStateStore) -> Outgoing | None:
    key = keys.current()
    provider = provider_for(known["issuer"]) if known and key else None
    if known is None or key is None or provider is None or provider.expired:
        return None
    chosen = _location(provider, HTTP_REDIRECT)
    if chosen is None:
        return None
    binding, place = chosen
    name = SessionName(known["name_id"], known["attributes"], known["index"])
    message = logout_messages.request(name, place.location)
    asked = {**_asked(store), message.get("ID", ""): [provider.entity_id, int(time.time())]}
    store[_STATE_KEY] = dict(sorted(asked.items(), key=lambda item: item[1][1])[-MAX_REQUESTS:])
    return Outgoing(place.location, "SAMLRequest", message, binding, "", key)


def returned(store: SamlStateStore, request_id: str, provider: Provider) -> None:
    """Forget the request that a provider has answered; refuse an answer to what this browser never asked of it."""
    asked = _asked(store)
    entry = asked.pop(request_id, None)
    if entry is None or entry[0] != provider.entity_id:
        raise Refused(Cause.IN_RESPONSE_TO_UNKNOWN)
    if asked:
        store[_STATE_KEY] = asked
    else:
        store.pop(_STATE_KEY, None)


def end_sessions(provider: Provider, asked: Asked) -> bool:
    """End the sessions that a provider names, in whichever browser; False when copies may live on for minutes.

    Sessions of other people, other providers and other indexes go on. A session without an index is the person's, too.
    """
    found = SamlSession.objects.filter(person=throttle.name(provider.entity_id, asked.name_id))
    if asked.indexes:
        found = found.filter(Q(index="") | Q(index__in=[_index(each) for each in asked.indexes]))
    with transaction.atomic():
        sessions = dict(found.values_list("session_id", "user__username"))
        for each in found.select_related("session", "user"):
            evidence.end(each.user, each.session.get_decoded())
        Session.objects.filter(pk__in=sessions).delete()
        for username in sorted(set(sessions.values())):
            audit.record(
                AuditEvent.Action.SIGN_OUT,
                actor=_ACTOR,
                target=username,
                data={
                    "how": "by the identity provider",
                    "issuer": provider.entity_id,
                    "sessions": list(sessions.values()).count(username),
                },
            )
    try:
        cache.delete_many([SessionStore(key).cache_key for key in sessions])
    except Exception as error:  # noqa: BLE001  (whatever the cache's client raises)
        logger.warning("Copies of ended sessions may live on for minutes: %s", type(error).__name__)
        return False
    return True


def answer(provider: Provider, asked: Asked, *, binding: str, relay_state: str, complete: bool) -> Outgoing | None:
    """Return the response to a provider's request, None where its metadata name no address for it."""
    key, chosen = keys.current(), _location(provider, binding)
    if key is None or chosen is None:
        return None
    found, place = chosen
    message = logout_messages.response(asked.request_id, place.response_location, complete=complete)
    return Outgoing(place.response_location, "SAMLResponse", message, found, relay_state, key)


def _location(provider: Provider, preferred: str) -> tuple[str, LogoutLocation] | None:
    for binding in (preferred, HTTP_REDIRECT, HTTP_POST):
        if binding in provider.logout_locations:
            return binding, provider.logout_locations[binding]
    return None


def _asked(store: SamlStateStore) -> dict[str, list[Any]]:
    oldest = time.time() - MAX_AGE
    return {name: entry for name, entry in store.get(_STATE_KEY, {}).items() if entry[1] >= oldest}


def _index(value: str) -> str:
    return throttle.name(value) if value else ""
