"""The writers of group resources: each write is one transaction with the memberships, the access and the audit rows.

A group concerns many people, so that each write has the gate of `teams.memberships` to itself; two changes of one
group follow each other.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone
from scim2_models import Context, NotFoundException, UniquenessException

from portal.scim import group_rows, member_changes, patches, schema, user_rows
from portal.scim.users import Requirement
from teams import audit, memberships, snapshots
from teams.memberships import GroupRef, Member, SourceObservation
from teams.models import AuditEvent, Group, ScimClient, ScimGroup, ScimUser

logger = logging.getLogger(__name__)

Action = AuditEvent.Action


@dataclass(frozen=True)
class Statement:
    """A whole group as a POST or PUT states it."""

    said: schema.Group
    members: frozenset[uuid.UUID] = field(default_factory=frozenset)


def statement(body: dict[str, Any], context: Context) -> Statement:
    """Return the group that a body states; the members are read without an object for each of them."""
    rest, members = {}, []
    for key, value in body.items():
        if member_changes.is_members(key):
            members = list(member_changes.ids([] if value is None else value))
        else:
            rest[key] = value
    said = schema.Group.model_validate(schema.canonical(rest), scim_ctx=context, scim_policy=schema.POLICY)
    return Statement(said, frozenset(each for each in members if each is not None))


def find(client: ScimClient, scim_id: uuid.UUID | None) -> ScimGroup:
    """Return a group resource of this client; raises NotFoundException, also for those of other clients."""
    row = None if scim_id is None else ScimGroup.objects.filter(client=client, scim_id=scim_id).first()
    if row is None:
        raise NotFoundException(detail="There is no group of this id.")
    return row


def create(client: ScimClient, stated: Statement) -> ScimGroup:
    """Make a group with its members; raises UniquenessException for a name that another group of the client has."""
    row = ScimGroup(client=client)
    group_rows.fill(row, stated.said)
    with transaction.atomic():
        memberships.hold()
        _require_free_name(row)
        joined = _people(client, stated.members)
        memberships.change_group(client.source, _ref(row), joined=joined)
        row.group = Group.objects.get(source=client.source, external_id=str(row.scim_id))
        row.save(force_insert=True)
        _touch(client, joined)
        _record(Action.GROUP_CREATED, row, {"after": _told(row)}, joined=len(joined))
    return row


def replace(client: ScimClient, scim_id: uuid.UUID | None, stated: Statement, *, require: Requirement) -> ScimGroup:
    """Make a group what a PUT states: its name, and exactly these members."""
    changes = member_changes.MemberChanges(joined=dict.fromkeys(stated.members), whole=True)
    with transaction.atomic():
        row = _locked(client, scim_id, require)
        return _write(row, stated.said, changes)


def patch(
    client: ScimClient, scim_id: uuid.UUID | None, listed: list[dict[str, Any]], *, require: Requirement
) -> ScimGroup:
    """Carry the operations of a PATCH out on a group."""
    changes, rest = member_changes.take(listed)
    if changes.unknown:
        logger.warning("%s named %d members by what is no id.", client.source, changes.unknown)
    with transaction.atomic():
        row = _locked(client, scim_id, require)
        said = patches.apply(schema.Group, group_rows.resource(row), rest) if rest else group_rows.resource(row)
        return _write(row, said, changes)


def delete(client: ScimClient, scim_id: uuid.UUID | None, *, require: Requirement) -> None:
    """Forget a group with the access that rests on it."""
    with transaction.atomic():
        row = _locked(client, scim_id, require)
        members = _members(row)
        _touch(client, members)
        # The row of the resource goes with that of the group.
        memberships.drop_group(client.source, str(row.scim_id))
        _record(Action.GROUP_DELETED, row, {"before": _told(row)}, left=len(members))


def _write(row: ScimGroup, said: schema.Group, changes: member_changes.MemberChanges) -> ScimGroup:
    before = _told(row)
    group_rows.fill(row, said)
    renamed = row.display_name != before["name"]
    if renamed:
        _require_free_name(row)
    joined, left = _change_members(row, changes, renamed=renamed)
    data = snapshots.difference(before, _told(row))
    if data or joined or left:
        row.version += 1
        row.changed_at = timezone.now()
        row.save()
        _touch(row.client, joined | left | (_members(row) if renamed else set()))
        _record(Action.GROUP_CHANGED, row, data, joined=len(joined), left=len(left))
    return row


def _change_members(
    row: ScimGroup, changes: member_changes.MemberChanges, *, renamed: bool
) -> tuple[set[int], set[int]]:
    """Write who is in the group now, and its name; return the ids of the people who came, and of those who went."""
    joined, left = _people(row.client, changes.joined), _people(row.client, changes.left, tell=False)
    if changes.whole:
        before = _members(row)
        _state(row, changes.joined)
        return joined - before, before - joined
    before = _members(row, joined | left)
    joined, left = joined - before, left & before
    if renamed or joined or left:
        memberships.change_group(row.client.source, _ref(row), joined=joined, left=left)
    return joined, left


def _state(row: ScimGroup, ids: Iterable[uuid.UUID]) -> None:
    subjects = group_rows.people(row.client, ids).values()
    members = [Member(str(row.scim_id), subject) for _, subject in subjects]
    memberships.apply_source(
        SourceObservation(source=row.client.source, realm=row.client.realm, groups=[_ref(row)], members=members)
    )


def _members(row: ScimGroup, among: set[int] | None = None) -> set[int]:
    """Return the ids of the people in a group, or of those `among` them."""
    rows = row.group.memberships.all() if among is None else row.group.memberships.filter(user__in=among)
    return set(rows.values_list("user_id", flat=True))


def _people(client: ScimClient, ids: Iterable[uuid.UUID], *, tell: bool = True) -> set[int]:
    """Return the people behind these ids; unknown ones are passed over, because a later attempt names them again."""
    wanted = list(ids)
    found = group_rows.people(client, wanted)
    if tell and len(found) < len(wanted):
        logger.warning("%s named %d members whom it has not pushed.", client.source, len(wanted) - len(found))
    return {person for person, _ in found.values()}


def _touch(client: ScimClient, people: Iterable[int]) -> None:
    """Give the user resources of these people a new version, because what they say of groups has changed."""
    wanted = list(people)
    if wanted:
        rows = ScimUser.objects.filter(client=client, user__in=wanted)
        rows.update(version=F("version") + 1, changed_at=timezone.now())


def _told(row: ScimGroup) -> dict[str, str]:
    return {"name": row.display_name, "external id": row.external_id}


def _record(action: AuditEvent.Action, row: ScimGroup, data: dict[str, Any], *, joined: int = 0, left: int = 0) -> None:
    """Tell what a group is called and how many came and went; whose access changes is told person by person."""
    numbers = {key: number for key, number in (("joined", joined), ("left", left)) if number}
    told = {"source": row.client.source, "id": str(row.scim_id), **data, **numbers}
    audit.record(action, target=f"group: {row.display_name}", data=told)


def _ref(row: ScimGroup) -> GroupRef:
    return GroupRef(str(row.scim_id), row.display_name)


def _require_free_name(row: ScimGroup) -> None:
    """Refuse a second group of one name: mappings know groups by name, and vendors look for theirs by it."""
    others = ScimGroup.objects.filter(client=row.client).exclude(pk=row.pk)
    if others.filter(Exact(Lower("display_name"), Lower(Value(row.display_name)))).exists():
        raise UniquenessException(detail="Another group has this displayName.")


def _locked(client: ScimClient, scim_id: uuid.UUID | None, require: Requirement) -> ScimGroup:
    memberships.hold()
    found = find(client, scim_id)
    rows = ScimGroup.objects.select_related("group", "client").select_for_update(no_key=True, of=("self",))
    row = rows.filter(pk=found.pk).first()
    if row is None:
        raise NotFoundException(detail="There is no group of this id.")
    require(user_rows.etag(row))
    return row
