"""The writers of user resources: each write is one transaction with the person, the access and the audit rows.

Behind the gate of `teams.memberships`, which comes first, the row of the resource is locked, then that of the person.
"""

import uuid
from collections.abc import Callable

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone
from scim2_models import InvalidValueException, NotFoundException, UniquenessException

from portal.scim import schema, user_rows
from teams import audit, memberships, snapshots, users
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, Group, ScimClient, ScimGroup, ScimUser, User
from teams.users import UnusableIdentityError

Action = AuditEvent.Action
Change = Callable[[schema.FullUser], schema.FullUser]
Requirement = Callable[[str], None]


def find(client: ScimClient, scim_id: uuid.UUID | None) -> ScimUser:
    """Return a user resource of this client; raises NotFoundException, also for those of other clients."""
    row = None if scim_id is None else ScimUser.objects.filter(client=client, scim_id=scim_id).first()
    if row is None:
        raise NotFoundException(detail="There is no user of this id.")
    return row


def create(client: ScimClient, said: schema.FullUser) -> ScimUser:
    """Make a user resource, and the person whom it names where there is none; raises UniquenessException."""
    if said.active is None:
        said.active = True
    row = ScimUser(client=client)
    user_rows.fill(row, said)
    with transaction.atomic():
        memberships.share()
        _require_free_name(row)
        known = User.objects.filter(realm=client.realm, subject=user_rows.subject(client, said)).exists()
        row.user = _person(row, said)
        row.save(force_insert=True)
        _settle(row)
        if known:
            _record(row, {}, reason="taken over by SCIM")
    return row


def change(client: ScimClient, scim_id: uuid.UUID | None, by: Change, *, require: Requirement) -> ScimUser:
    """Change a user resource; `by` returns the resource as it is to be, `require` is asked about the locked version.

    A resource that names another person afterwards takes its memberships there. Two people are written then, for which
    the transaction begins anew with the gate to itself.
    """
    for alone in (False, True):
        with transaction.atomic():
            memberships.hold() if alone else memberships.share()
            row = _locked(client, scim_id)
            require(user_rows.etag(row))
            before = user_rows.resource(row)
            after = by(before.model_copy(deep=True))
            moves = user_rows.subject(client, after) != row.user.subject
            if alone or not moves:
                return _store(row, after)
    raise AssertionError("the second pass returns")


def delete(client: ScimClient, scim_id: uuid.UUID | None, *, require: Requirement) -> None:
    """Forget a user resource: the person is deactivated and in no group of this client any more.

    The groups change with it, for which the transaction has the gate to itself.
    """
    with transaction.atomic():
        memberships.hold()
        row = _locked(client, scim_id)
        require(user_rows.etag(row))
        groups = ScimGroup.objects.filter(client=client, group__memberships__user=row.user)
        groups.update(version=F("version") + 1, changed_at=timezone.now())
        _leave(row.user, client)
        told = {"before": user_rows.snapshot(row, row.user)}
        audit.record(Action.USER_CHANGED, target=row.user.username, reason="deleted by SCIM", data=told)
        row.delete()


def _store(row: ScimUser, after: schema.FullUser) -> ScimUser:
    old, before, kept = row.user, user_rows.snapshot(row, row.user), _kept(row)
    user_rows.fill(row, after)
    _require_free_name(row)
    row.user = _person(row, after)
    if row.user.pk != old.pk:
        _move(row, old)
    if _kept(row) != kept:
        row.version += 1
        row.changed_at = timezone.now()
        row.save()
        _record(row, before)
    _settle(row)
    return row


def _kept(row: ScimUser) -> tuple[object, ...]:
    return (row.user_name, row.external_id, row.active, row.attributes, row.user_id)


def _move(row: ScimUser, old: User) -> None:
    """Take the memberships along to the person whom the resource names now; nobody vouches for the old one any more."""
    found = Group.objects.filter(source=row.client.source, memberships__user=old)
    groups = frozenset(GroupRef(external_id) for external_id in found.values_list("external_id", flat=True))
    _leave(old, row.client)
    memberships.apply(UserObservation(user=row.user, source=row.client.source, groups=groups))


def _leave(person: User, client: ScimClient) -> None:
    memberships.apply(UserObservation(user=person, source=client.source, groups=frozenset()))
    users.deactivate(person, by=client.source)


def _settle(row: ScimUser) -> None:
    """Have the person be as active as the resource says; whom an admin switched off stays so."""
    if row.active:
        users.reactivate(row.user, by=row.client.source)
    else:
        users.deactivate(row.user, by=row.client.source)


def _person(row: ScimUser, said: schema.FullUser) -> User:
    subject = user_rows.subject(row.client, said)
    try:
        person = users.provision(
            realm=row.client.realm, subject=subject, name=user_rows.name(said), email=user_rows.email(said)
        )
    except UnusableIdentityError as error:
        raise InvalidValueException(detail=str(error)) from None
    if ScimUser.objects.filter(client=row.client, user=person).exclude(pk=row.pk).exists():
        raise UniquenessException(detail="Another user resource names the same person.")
    return person


def _require_free_name(row: ScimUser) -> None:
    others = ScimUser.objects.filter(client=row.client).exclude(pk=row.pk)
    if others.filter(Exact(Lower("user_name"), Lower(Value(row.user_name)))).exists():
        raise UniquenessException(detail="This userName is taken.")


def _locked(client: ScimClient, scim_id: uuid.UUID | None) -> ScimUser:
    found = find(client, scim_id)
    rows = ScimUser.objects.select_related("user", "client").select_for_update(no_key=True, of=("self",))
    row = rows.filter(pk=found.pk).first()
    if row is None:
        raise NotFoundException(detail="There is no user of this id.")
    return row


def _record(row: ScimUser, before: snapshots.Snapshot, *, reason: str = "") -> None:
    data = snapshots.difference(before, user_rows.snapshot(row, row.user))
    if data:
        audit.record(Action.USER_CHANGED, target=row.user.username, reason=reason, data=data)
