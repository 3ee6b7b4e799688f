"""Group resources as rows, and rows as group resources, whose members are read some hundreds at a time."""

import json
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import F
from scim2_models import Context, InvalidValueException, Reference, ResponseParameters

from portal.scim import answers, schema, user_rows
from teams.models import ScimClient, ScimGroup, ScimUser, User

CHUNK = 500
_LENGTH = 256
# As in `teams.bulk`, which takes no such names: two that look alike would be two groups.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# More ids than this go to the database in several queries.
_IDS = 5000


def resource(row: ScimGroup) -> schema.Group:
    """Return the resource of a row, without members."""
    found = schema.Group(display_name=row.display_name, external_id=row.external_id or None)
    found.id = str(row.scim_id)
    found.meta = user_rows.meta(row, "Group")
    return found


def fill(row: ScimGroup, said: schema.Group) -> None:
    """Put a resource into the columns of a row; raises InvalidValueException for what they cannot hold."""
    row.display_name = _fitting("displayName", said.display_name)
    row.external_id = _fitting("externalId", said.external_id)
    if not row.display_name.strip():
        raise InvalidValueException(detail="displayName is empty.")


def _fitting(field: str, value: str | None) -> str:
    if value and (len(value) > _LENGTH or any(unicodedata.category(each) in _INVISIBLE for each in value)):
        raise InvalidValueException(detail=f"{field} has invisible characters or more than {_LENGTH}.")
    return value or ""


def pieces(row: ScimGroup, asked: ResponseParameters[Any]) -> Iterator[str]:
    """Yield the JSON text of a group piece by piece, with no more than `CHUNK` members in memory."""
    told = resource(row).model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)
    head = json.dumps(told)
    chunks = _members(row, asked) if wants(asked, "members") else iter(())
    first = next(chunks, None)
    if first is None:
        yield head
        return
    yield f'{head[:-1]}, "members": [{first}'
    for chunk in chunks:
        yield f", {chunk}"
    yield "]}"


def wants(asked: ResponseParameters[Any], field: str) -> bool:
    """Whether an attribute is to be in the answer."""
    names = {binding.field_name for path in asked.attributes or () if (binding := path.resolve())}
    if asked.attributes:
        return field in names
    excluded = [path.resolve() for path in asked.excluded_attributes or ()]
    return not any(each and each.field_name == field and each.sub_field_name is None for each in excluded)


def _members(row: ScimGroup, asked: ResponseParameters[Any]) -> Iterator[str]:
    """Yield the members of a group, `CHUNK` at a time, as the inside of a JSON array."""
    last = 0
    while True:
        rows = ScimUser.objects.filter(client=row.client_id, user__group_memberships__group=row.group_id, pk__gt=last)
        found = list(rows.order_by("pk").values_list("pk", "scim_id", "user__name", "user_name")[:CHUNK])
        if found:
            members = [_member(scim_id, name or user_name) for _, scim_id, name, user_name in found]
            group = schema.Group(id=str(row.scim_id), display_name=row.display_name, members=members)
            told = group.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)
            yield json.dumps(told.get("members", []))[1:-1]
        if len(found) < CHUNK:
            return
        last = found[-1][0]


def _member(scim_id: uuid.UUID, display: str) -> schema.GroupMember:
    ref: Any = Reference(answers.location("Users", str(scim_id)))
    return schema.GroupMember(value=str(scim_id), type="User", display=display, ref=ref)


def groups_of(users: Iterable[ScimUser]) -> dict[int, list[dict[str, str]]]:
    """Return the groups of these user resources as SCIM writes them, by the pk of the resource, with one query."""
    by_person = {row.user_id: row.pk for row in users}
    found: dict[int, list[dict[str, str]]] = {pk: [] for pk in by_person.values()}
    rows = User.objects.filter(
        pk__in=by_person, scim_users__in=found, group_memberships__group__scim_group__client=F("scim_users__client")
    )
    group = "group_memberships__group__scim_group__"
    for person, scim_id, name in rows.values_list("pk", f"{group}scim_id", f"{group}display_name").order_by("pk"):
        told = {"value": str(scim_id), "$ref": answers.location("Groups", str(scim_id)), "display": name}
        found[by_person[person]].append({**told, "type": "direct"})
    return found


def people(client: ScimClient, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[int, str]]:
    """Return the person (id and subject) of each user resource of this client; unknown ids are left out."""
    found: dict[uuid.UUID, tuple[int, str]] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), _IDS):
        rows = ScimUser.objects.filter(client=client, scim_id__in=wanted[start : start + _IDS])
        for scim_id, person, subject in rows.values_list("scim_id", "user_id", "user__subject"):
            found[scim_id] = (person, subject)
    return found
