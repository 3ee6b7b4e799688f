"""People as identity providers name them: created and brought up to date when they sign on."""

import unicodedata

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from teams import audit, memberships
from teams.models import AuditEvent, User
from teams.signals import send_access_changed

# Control and format characters, halves of characters, line and paragraph separators: two names that look alike would be
# two people, and PostgreSQL cannot store all of them.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class UnusableIdentityError(ValueError):
    """The identity provider's name for a person cannot be used; the message says why without repeating it."""


def sign_on(*, realm: str, subject: str, name: str | None, email: str | None, groups: frozenset[str] | None) -> User:
    """Return the person whom the identity providers of `realm` know as `subject`, created or brought up to date.

    `name` and `email` None keep what is on record. `groups` decides the portal role where PORTAL_ADMIN_GROUPS or
    PORTAL_AUDITOR_GROUPS is set; None says nothing. An inactive person is returned as they are: the caller refuses
    them. Within a transaction, an active person's row is then locked behind the gate of `memberships`. Raises
    UnusableIdentityError for a realm or subject that is blank, too long or holds invisible characters.
    """
    _require_usable("realm", realm, length=64)
    if "/" in realm:
        raise UnusableIdentityError("The realm has a slash in it.")
    _require_usable("subject", subject, length=256)
    profile = {"name": _clean_name(name), "email": _clean_email(email)}
    user = _touch(realm, subject, profile) or _find(realm, subject) or _create(realm, subject, profile)
    if user.is_active:
        _update_role(user, groups)
    return user


def provision(*, realm: str, subject: str, name: str | None = None, email: str | None = None) -> User:
    """Return the person whom a source that pushes people names, created or with the new name and mail address.

    None keeps what is on record. Audited when they are new. Raises UnusableIdentityError like `sign_on`.
    """
    _require_usable("realm", realm, length=64)
    if "/" in realm:
        raise UnusableIdentityError("The realm has a slash in it.")
    _require_usable("subject", subject, length=256)
    profile = {"name": _clean_name(name), "email": _clean_email(email)}
    given = {field: value for field, value in profile.items() if value is not None}
    with transaction.atomic():
        memberships.share()
        new = User(realm=realm, subject=subject, username=User.username_for(realm, subject), **given)
        new.set_unusable_password()
        known = _find(realm, subject)
        if known is None:
            User.objects.bulk_create([new], ignore_conflicts=True)
            known = _find(realm, subject)
            if known is None:
                raise UnusableIdentityError("The user name belongs to somebody else.")
            audit.record(AuditEvent.Action.USER_CREATED, target=known.username)
        elif given:
            User.objects.filter(pk=known.pk).update(**given)
            known.refresh_from_db(fields=list(given))
    return known


def deactivate(user: User, *, by: str, reason: str = "inactive at the source") -> bool:
    """End a person's access and sessions because the source `by` says so; False when they were inactive already."""
    with transaction.atomic():
        memberships.share()
        changed = User.objects.filter(pk=user.pk, is_active=True).update(
            is_active=False, deactivated_by=by, session_epoch=F("session_epoch") + 1
        )
        if changed:
            audit.record(AuditEvent.Action.USER_DEACTIVATED, target=user.username, reason=reason, data={"source": by})
            send_access_changed(user_ids=[user.pk])
    return bool(changed)


def reactivate(user: User, *, by: str, reason: str = "") -> bool:
    """Let a person in again whom the same source had deactivated; False for everybody else."""
    with transaction.atomic():
        memberships.share()
        changed = User.objects.filter(pk=user.pk, is_active=False, deactivated_by=by).update(
            is_active=True, deactivated_by=""
        )
        if changed:
            audit.record(AuditEvent.Action.USER_REACTIVATED, target=user.username, reason=reason, data={"source": by})
            send_access_changed(user_ids=[user.pk])
    return bool(changed)


def end_sessions(user: User) -> None:
    """Sign this person out of every browser at once; audited with the actor of the context."""
    with transaction.atomic():
        memberships.end_session(user)
        User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
        audit.record(AuditEvent.Action.SIGN_OUT, target=user.username, reason="everywhere")


def _require_usable(field: str, value: str, *, length: int) -> None:
    if not value.strip():
        raise UnusableIdentityError(f"The {field} is empty.")
    if len(value) > length:
        raise UnusableIdentityError(f"The {field} is longer than {length} characters.")
    if value != value.strip() or _has_unfit(value):
        raise UnusableIdentityError(f"The {field} has white space around it or invisible characters in it.")


def _has_unfit(text: str) -> bool:
    return any(unicodedata.category(character) in _UNFIT for character in text)


def _clean_name(name: str | None) -> str | None:
    """Return a name on one line, cut to its column."""
    if name is None:
        return None
    visible = "".join(" " if unicodedata.category(each) in _UNFIT else each for each in name)
    return " ".join(visible.split())[:256].rstrip()


def _clean_email(email: str | None) -> str | None:
    """Return an address as it is, or None for what cannot be one: half an address would be somebody else's."""
    if email is None:
        return None
    email = email.strip()
    return None if len(email) > 320 or _has_unfit(email) or len(email.split()) > 1 else email


# The gate first (see `teams.memberships`), then the row, whose lock lasts as long as the transaction.
_TOUCH = """
    WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(%(gate)s))
    UPDATE teams_user
    SET last_login = %(now)s, name = coalesce(%(name)s, name), email = coalesce(%(email)s, email)
    FROM gate
    WHERE realm = %(realm)s AND subject = %(subject)s AND is_active
    RETURNING teams_user.*
"""


def _touch(realm: str, subject: str, profile: dict[str, str | None]) -> User | None:
    """Bring an active person up to date and return them, locked; None for an unknown or inactive one."""
    said = {"gate": memberships.GATE, "now": timezone.now(), "realm": realm, "subject": subject, **profile}
    return next(iter(User.objects.raw(_TOUCH, said)), None)


def _find(realm: str, subject: str) -> User | None:
    return User.objects.filter(realm=realm, subject=subject).first()


def _create(realm: str, subject: str, profile: dict[str, str | None]) -> User:
    """Insert the person unless another browser of theirs is faster."""
    given = {field: value for field, value in profile.items() if value is not None}
    new = User(realm=realm, subject=subject, username=User.username_for(realm, subject), **given)
    new.set_unusable_password()
    # Before the row that another browser may wait for.
    memberships.share()
    User.objects.bulk_create([new], ignore_conflicts=True)
    user = _touch(realm, subject, profile) or _find(realm, subject)
    if user is None:
        raise UnusableIdentityError("The user name belongs to somebody else, for instance to a local administrator.")
    return user


def _update_role(user: User, groups: frozenset[str] | None) -> None:
    admins, auditors = frozenset(settings.PORTAL_ADMIN_GROUPS), frozenset(settings.PORTAL_AUDITOR_GROUPS)
    if groups is None or not (admins or auditors):
        return
    if groups & admins:
        role = User.Role.ADMIN
    elif groups & auditors:
        role = User.Role.AUDITOR
    else:
        role = User.Role.NONE
    if role != user.role:
        _set_role(user, role, because=sorted(groups & (admins | auditors)))


def _set_role(user: User, role: User.Role, *, because: list[str]) -> None:
    with transaction.atomic():
        before = User.objects.select_for_update(no_key=True).values_list("role", flat=True).get(pk=user.pk)
        user.role = role
        if before == role:
            return
        User.objects.filter(pk=user.pk).update(role=role)
        audit.record(
            AuditEvent.Action.ROLE_CHANGED,
            target=user.username,
            data={"before": before, "after": role.value, "groups": because},
        )
