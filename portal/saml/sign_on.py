"""From a verified assertion to a signed-on person: user, memberships and the audit row in one transaction."""

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.auth import login
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpRequest

from portal.saml.causes import Cause, Refused
from portal.saml.verify import Verified
from teams import audit, memberships, users
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, User

logger = logging.getLogger(__name__)

# An assertion may name thousands, a row of the audit need not.
MAX_TEAMS_TOLD = 50

_BACKEND = "portal.saml.backend.SamlBackend"


def sign_on(request: HttpRequest, verified: Verified) -> User:
    """Return the person, now signed on in this browser under a new session key; raise `Refused` for an inactive one."""
    until = _session_end(verified)
    try:
        user = _record(verified, until)
        # Django keeps the key when the same person signs on again; here every sign-on gets a new one.
        request.session.flush()
        login(request, user, backend=_BACKEND)
    except users.UnusableIdentityError as error:
        logger.warning("The identity provider named somebody who cannot be stored: %s", error)
        raise _refused(Cause.SUBJECT_UNUSABLE, verified) from None
    except DatabaseError as error:
        logger.error("The sign-on could not be stored: %s", type(error).__name__)  # noqa: TRY400
        raise _refused(Cause.DATABASE_DOWN, verified) from None
    request.session.set_expiry(max(1, int((until - datetime.now(UTC)).total_seconds())))
    return user


def _session_end(verified: Verified) -> datetime:
    """Return when the session ends: when ours would, or with the identity provider's where that is earlier."""
    ours = datetime.now(UTC) + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return min(ours, verified.session_until or ours)


def _record(verified: Verified, until: datetime) -> User:
    who, provider = verified.identity, verified.provider
    with audit.context(actor=User.username_for(provider.realm, who.subject)), transaction.atomic():
        user = users.sign_on(
            realm=provider.realm, subject=who.subject, name=who.name, email=who.email, groups=who.groups
        )
        if not user.is_active:
            raise _refused(Cause.INACTIVE, verified)
        memberships.apply(
            UserObservation(
                user=user,
                source=memberships.saml_source(provider.realm),
                groups=None if who.groups is None else frozenset(GroupRef(external_id=group) for group in who.groups),
                teams=who.teams,
                valid_until=until,
            )
        )
        audit.record(AuditEvent.Action.SIGN_ON, target=user.username, data=_told(verified))
    return user


def _told(verified: Verified) -> dict[str, object]:
    """Return what the audit keeps of a sign-on; never the assertion."""
    who = verified.identity
    return {
        "issuer": verified.provider.entity_id,
        "how": "started here" if verified.outstanding else "started at the identity provider",
        "groups": None if who.groups is None else len(who.groups),
        "teams": None if who.teams is None else sorted(who.teams)[:MAX_TEAMS_TOLD],
    }


def _refused(cause: Cause, verified: Verified) -> Refused:
    return Refused(cause, issuer=verified.provider.entity_id, trusted=True, subject=verified.identity.subject)
