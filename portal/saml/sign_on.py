"""From a verified assertion to a signed-on person: user, memberships and the audit row in one transaction."""

import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.urls import reverse

from portal.saml import evidence, logout
from portal.saml.causes import Cause, Refused
from portal.saml.verify import Verified
from teams import access, audit, memberships, users
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
        _begin_session(request, user, until, verified)
    except users.UnusableIdentityError as error:
        logger.warning("The identity provider named somebody who cannot be stored: %s", error)
        raise _refused(Cause.SUBJECT_UNUSABLE, verified) from None
    except DatabaseError as error:
        logger.error("The sign-on could not be stored: %s", type(error).__name__)  # noqa: TRY400
        raise _refused(Cause.DATABASE_DOWN, verified) from None
    return user


def _begin_session(request: HttpRequest, user: User, until: datetime, verified: Verified) -> None:
    """Do what Django's `login` does, always under a new key, with one write of the session and none of the user."""
    request.session.flush()
    request.session[SESSION_KEY] = str(user.pk)
    request.session[BACKEND_SESSION_KEY] = _BACKEND
    request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    # A point in time, which does not move when the session is stored again.
    request.session.set_expiry(until)
    evidence.note(request.session, memberships.saml_source(verified.provider.realm))
    logout.note(request.session, verified.provider.entity_id, verified.session_name)
    request.session.save()
    logout.register(request.session, user)
    request.user = user
    rotate_token(request)


def landing_path(user: User, verified: Verified) -> str:
    """Return where somebody goes who did not say: on to the one team that the assertion names, or to all their teams.

    A team that the assertion names but the person may not open does not count.
    """
    named = verified.identity.teams or frozenset()
    if len(named) == 1:
        for each in access.for_user(user):
            if each.team.saml_id in named:
                return reverse("team", args=[each.team.slug])
    return reverse("landing")


def _session_end(verified: Verified) -> datetime:
    """Return when the session ends: when ours would, or with the identity provider's where that is earlier."""
    ours = datetime.now(UTC) + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return min(ours, verified.session_until or ours)


def _record(verified: Verified, until: datetime) -> User:
    who, provider = verified.identity, verified.provider
    with audit.context(actor=User.username_for(provider.realm, who.subject)), transaction.atomic():
        user = users.sign_on(
            realm=provider.realm,
            subject=who.subject,
            name=who.name,
            email=who.email,
            groups=who.groups if provider.gives_roles else None,
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
            ),
            entered=True,
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
        **({"ignored": list(who.ignored)} if who.ignored else {}),
    }


def _refused(cause: Cause, verified: Verified) -> Refused:
    return Refused(cause, issuer=verified.provider.entity_id, trusted=True, subject=verified.identity.subject)
