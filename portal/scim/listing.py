"""Lists of resources: filtered, sorted and cut into pages by the database."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.expressions import OrderBy
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Lower
from django.http.response import HttpResponseBase
from scim2_models import Context, InvalidPathException, ResponseParameters, SearchRequest
from scim2_models.path import AttributeBinding

from portal.scim import answers, filters, group_rows, json_paths, schema, user_rows
from portal.scim.columns import GROUPS, USERS, Columns
from teams.models import ScimClient, ScimGroup, ScimUser

_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
# PostgreSQL counts no further in OFFSET; no client has so many.
_MAX_START = 2**31

# Yields, for each row, the JSON text of its resource in pieces.
Pieces = Callable[[list[Any], ResponseParameters[Any]], Iterator[Iterable[str]]]


def users(client: ScimClient, asked: SearchRequest[Any]) -> HttpResponseBase:
    """Answer a page of the users of a client."""
    return _page(ScimUser.objects.filter(client=client), asked, schema.FullUser, USERS, _users)


def groups(client: ScimClient, asked: SearchRequest[Any]) -> HttpResponseBase:
    """Answer a page of the groups of a client."""
    return _page(ScimGroup.objects.filter(client=client), asked, schema.Group, GROUPS, _groups)


def user(row: ScimUser, asked: ResponseParameters[Any]) -> dict[str, Any]:
    """Return a user as JSON."""
    of = group_rows.groups_of([row]) if group_rows.wants(asked, "groups") else {}
    return _dump(row, of, asked)


def _dump(row: ScimUser, of: dict[int, list[dict[str, str]]], asked: ResponseParameters[Any]) -> dict[str, Any]:
    found = user_rows.resource(row, of.get(row.pk))
    return found.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)


def _users(rows: list[ScimUser], asked: ResponseParameters[Any]) -> Iterator[Iterable[str]]:
    of = group_rows.groups_of(rows) if rows and group_rows.wants(asked, "groups") else {}
    for row in rows:
        yield (json.dumps(_dump(row, of, asked)),)


def _groups(rows: list[ScimGroup], asked: ResponseParameters[Any]) -> Iterator[Iterable[str]]:
    for row in rows:
        yield group_rows.pieces(row, asked)


def _page(
    rows: QuerySet[Any], asked: SearchRequest[Any], model: schema.AnyModel, columns: Columns, pieces: Pieces
) -> HttpResponseBase:
    if asked.filter is not None:
        rows = rows.filter(filters.condition(asked.filter, columns))
    start = min(asked.start_index or 1, _MAX_START)
    count = min(schema.DEFAULT_PAGE if asked.count is None else asked.count, schema.MAX_PAGE)
    page = list(rows.order_by(*_order(asked, model, columns), "pk")[start - 1 : start - 1 + count]) if count else []
    numbers = {"totalResults": rows.count(), "startIndex": start, "itemsPerPage": len(page)}
    return answers.streamed(_document(numbers, page, asked, pieces))


def _document(
    numbers: dict[str, int], page: list[Any], asked: ResponseParameters[Any], pieces: Pieces
) -> Iterator[str]:
    yield json.dumps({"schemas": [_LIST], **numbers})[:-1] + ', "Resources": ['
    for index, resource in enumerate(pieces(page, asked)):
        if index:
            yield ", "
        yield from resource
    yield "]}"


def _order(asked: SearchRequest[Any], model: schema.AnyModel, columns: Columns) -> list[Any]:
    """Return what `sortBy` sorts by; raises InvalidPathException for what this service does not sort by."""
    if asked.sort_by is None:
        return []
    binding = asked.sort_binding(model)
    if binding is None:
        raise InvalidPathException(detail=f"This service does not sort by {asked.sort_by}.")
    name = ".".join(each for each in (binding.field_name, binding.sub_field_name) if each)
    by = columns.sorts.get(name)
    if by is None:
        if binding.is_multivalued or binding.field_name in {"meta", "schemas"}:
            raise InvalidPathException(detail=f"This service does not sort by {asked.sort_by}.")
        by = Lower(_stored(binding))
    if asked.sort_order == SearchRequest.SortOrder.descending:
        return [OrderBy(by, descending=True, nulls_first=True)]
    return [OrderBy(by, nulls_last=True)]


def _stored(binding: AttributeBinding) -> KeyTextTransform:
    """Return the expression of an attribute that is kept as JSON."""
    found: Any = F("attributes")
    keys = [json_paths.json_name(binding.model, binding.field_name)]
    if binding.model is schema.EnterpriseUser:
        keys.insert(0, str(schema.EnterpriseUser.__schema__))
    if binding.sub_field_name:
        keys.append(json_paths.json_name(binding.field_type, binding.sub_field_name))
    for key in keys[:-1]:
        found = KeyTransform(key, found)
    return KeyTextTransform(keys[-1], found)
