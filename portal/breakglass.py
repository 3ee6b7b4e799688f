"""The way in for an emergency: a link that signs a local administrator on once, made on the server's own console.

It needs PostgreSQL and nothing else: no identity provider, no Redis, no password. A link is the user's id, signed
with SECRET_KEY for PORTAL_URL, and a proof that depends on what the database alone knows of the account, so that
neither the key nor a copy of the database is enough to make one. Using it raises the account's session epoch under a
row lock, which changes the proof: of many at once exactly one is first, and a newer link ends all older ones and the
sessions that they opened.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.auth import login
from django.core import signing
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.http import urlencode

from portal.saml.backend import SamlBackend
from teams import audit
from teams.models import AuditEvent, User

LINK_SECONDS = 600
MAX_MINUTES = 12 * 60
ACTOR = "system: breakglass"
REALM = "local"
# In the session: when it ends, for the banner.
SESSION_UNTIL = "breakglass_until"

_BACKEND = "portal.breakglass.BreakGlassBackend"
_PURPOSE = "portal.breakglass"


class BreakGlassBackend(SamlBackend):
    """Finds the person of an emergency's session again; like its parent it accepts no credentials."""


class RefusedError(Exception):
    """No link is made, or a link signs nobody on; the message says why and repeats nothing secret."""


@dataclass(frozen=True)
class Ticket:
    """What a link that is still good says."""

    user: User
    minutes: int
    reason: str


def make_link(*, username: str, reason: str, minutes: int) -> str:
    """Return the address that signs `username` on once within ten minutes, for `minutes` of work in the admin.

    The local account is created, or made an active portal admin again; both are audited with the `reason`. Raises
    RefusedError for a name that belongs to a person of an identity provider and for a length that cannot be.
    """
    if not 1 <= minutes <= MAX_MINUTES:
        raise RefusedError(f"A session lasts 1 to {MAX_MINUTES} minutes.")
    if not reason.strip():
        raise RefusedError("Say why: the log keeps the reason.")
    with audit.context(actor=ACTOR), transaction.atomic():
        user, account = _account(username)
        user.session_epoch += 1
        user.save()
        event = audit.record(
            AuditEvent.Action.CREATED,
            target=user.username,
            reason=reason,
            data={"what": "one-time sign-on", "account": account, "minutes": minutes},
        )
        payload = {"user": user.pk, "minutes": minutes, "event": event.pk, "proof": _proof(user)}
    token = signing.dumps(payload, salt=_salt())
    return f"{settings.PORTAL_URL}{reverse('breakglass')}?{urlencode({'token': token})}"


def look(token: str) -> Ticket:
    """Return what a link says without using it; raise RefusedError for one that is not, or no longer, good."""
    return _read(token, lock=False)


def sign_on(request: HttpRequest, token: str) -> User:
    """Use a link: sign its account on in this browser; raise RefusedError where it is used, too old or forged."""
    with transaction.atomic():
        ticket = _read(token, lock=True)
        user = ticket.user
        user.session_epoch += 1
        user.save(update_fields=["session_epoch"])
        audit.record(
            AuditEvent.Action.SIGN_ON,
            actor=ACTOR,
            target=user.username,
            reason=ticket.reason,
            data={"by": "one-time sign-on", "minutes": ticket.minutes},
        )
        until = datetime.now(UTC) + timedelta(minutes=ticket.minutes)
        request.session.flush()
        login(request, user, backend=_BACKEND)
        request.session[SESSION_UNTIL] = f"{until:%H:%M} UTC"
        request.session.set_expiry(until)
    return user


def _account(username: str) -> tuple[User, str]:
    """Return the local account, locked, and what was done to it: created, enabled or found as it should be."""
    if not username.strip() or username != username.strip() or not username.isprintable() or len(username) > 256:
        raise RefusedError("This cannot be a user name.")
    user = User.objects.select_for_update().filter(username=username).first()
    if user is None:
        user = User(realm=REALM, subject=username, username=username, role=User.Role.ADMIN)
        # A long random value that no password has, and that the proof is made of.
        user.set_unusable_password()
        return user, "created"
    if user.realm != REALM:
        raise RefusedError("This is a person of an identity provider. Choose another name for the local account.")
    if user.is_active and user.role == User.Role.ADMIN:
        return user, "found"
    user.is_active, user.role = True, User.Role.ADMIN
    # Whoever knew the password of the disabled account stays outside.
    user.set_unusable_password()
    return user, "enabled"


def _read(token: str, *, lock: bool) -> Ticket:
    try:
        payload = signing.loads(token, salt=_salt(), max_age=LINK_SECONDS)
    except signing.SignatureExpired:
        raise RefusedError("The link is older than ten minutes.") from None
    except signing.BadSignature:
        raise RefusedError("The link is not one of this portal's.") from None
    users = User.objects.select_for_update() if lock else User.objects.all()
    user = users.filter(pk=payload["user"], realm=REALM, is_active=True, role=User.Role.ADMIN).first()
    if user is None or not constant_time_compare(payload["proof"], _proof(user)):
        raise RefusedError("The link has been used, or a newer one has been made.")
    reason = AuditEvent.objects.values_list("reason", flat=True).get(pk=payload["event"])
    return Ticket(user=user, minutes=payload["minutes"], reason=reason)


def _proof(user: User) -> str:
    """Return what only the account in its present state gives: its password's hash and its session epoch are in it."""
    return salted_hmac(_PURPOSE, user.get_session_auth_hash(), algorithm="sha256").hexdigest()


def _salt() -> str:
    return f"{_PURPOSE}:{settings.PORTAL_URL}"
