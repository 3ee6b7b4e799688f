"""User resources as rows, and rows as user resources."""

import json
from typing import Any

from scim2_models import Context, GroupMembership, InvalidValueException, Meta

from portal.scim import answers, schema
from teams.models import ScimClient, ScimUser, User

# In columns of their own, worked out anew for each answer, or nothing that is ever kept (`password`).
_NOT_KEPT = ("schemas", "id", "meta", "userName", "externalId", "active", "password", "groups")
_LENGTH = 256
# In JSON: what a client adds bit by bit grows no further.
MAX_ATTRIBUTES = 100_000


def etag(row: Any) -> str:
    """Return the version of a row as HTTP and SCIM write it."""
    return f'W/"{row.version}"'


def meta(row: Any, kind: str) -> Meta:
    """Return what SCIM tells of every resource."""
    return Meta(
        resource_type=kind,
        created=row.created_at,
        last_modified=row.changed_at,
        location=answers.location(f"{kind}s", str(row.scim_id)),
        version=etag(row),
    )


def resource(row: ScimUser, groups: list[dict[str, str]] | None = None) -> schema.FullUser:
    """Return the resource of a row; `groups` as SCIM writes them, None where nobody asks for them."""
    told = {
        "schemas": [str(schema.User.__schema__)],
        "active": row.active,
        **row.attributes,
        "userName": row.user_name,
        "externalId": row.external_id or None,
    }
    found = schema.FullUser.model_validate(told, scim_ctx=Context.DEFAULT, scim_policy=schema.POLICY)
    found.id = str(row.scim_id)
    found.meta = meta(row, "User")
    if groups is not None:
        found.groups = [GroupMembership.model_validate(each) for each in groups] or None
    return found


def fill(row: ScimUser, said: schema.FullUser) -> None:
    """Put a resource into the columns of a row, but for the person; raises InvalidValueException for what is too long.

    A resource that says nothing about `active` keeps what is on record, and is answered without it.
    """
    kept = said.model_dump(scim_ctx=Context.DEFAULT)
    for name in _NOT_KEPT:
        kept.pop(name, None)
    if said.active is None:
        kept["active"] = None
    else:
        row.active = said.active
    row.user_name = _short("userName", said.user_name)
    row.external_id = _short("externalId", said.external_id)
    if len(json.dumps(kept)) > MAX_ATTRIBUTES:
        raise InvalidValueException(detail=f"The user has more than {MAX_ATTRIBUTES} characters of attributes.")
    row.attributes = kept


def subject(client: ScimClient, said: schema.FullUser) -> str:
    """Return the name by which the identity provider's assertions know the person; raises InvalidValueException."""
    kind = ScimClient.Subject
    found = {kind.USER_NAME: said.user_name, kind.EXTERNAL_ID: said.external_id, kind.EMAIL: email(said)}
    value = found[kind(client.subject_attribute)]
    if not value:
        raise InvalidValueException(
            detail=f"People are known by {kind(client.subject_attribute).label}: it is missing."
        )
    return value


def name(said: schema.FullUser) -> str | None:
    """Return how a person is called, None where the resource does not say."""
    if said.display_name:
        return said.display_name
    if said.name is None:
        return None
    if said.name.formatted:
        return said.name.formatted
    return " ".join(part for part in (said.name.given_name, said.name.family_name) if part) or None


def email(said: schema.FullUser) -> str | None:
    """Return the primary mail address, else that of work, else the first."""
    known = [each for each in said.emails or [] if each.value]
    best = sorted(known, key=lambda each: (not each.primary, each.type != schema.Email.Type.work))
    return best[0].value if best else None


def snapshot(row: ScimUser, person: User) -> dict[str, Any]:
    """Return what the audit log tells of a pushed user."""
    told = {"user name": row.user_name, "external id": row.external_id, "active": row.active}
    return {**told, "person": person.username, "name": person.name, "email": person.email}


def _short(field: str, value: str | None) -> str:
    if value and len(value) > _LENGTH:
        raise InvalidValueException(detail=f"{field} is longer than {_LENGTH} characters.")
    return value or ""
