"""What each address and method of the SCIM service does, and how its refusals are told."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import DataError, IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponseNotModified
from django.http.response import HttpResponseBase
from pydantic import ValidationError
from scim2_models import Context, Error, NotFoundException, NotImplementedException, ResponseParameters, SCIMException

from portal.scim import answers, discovery, group_rows, groups, listing, patches, received, schema, user_rows, users
from portal.scim.columns import as_uuid
from teams.models import ScimClient, ScimGroup, ScimUser

logger = logging.getLogger(__name__)

Handler = Callable[[], HttpResponseBase]


def respond(request: HttpRequest, client: ScimClient, path: str) -> HttpResponseBase:
    """Answer a request of a client; whatever is wrong with it is told in SCIM's form."""
    try:
        return _serve(request, client, [part for part in path.split("/") if part])
    except SCIMException as error:
        return answers.error(error.status, error.detail, error.scim_type)
    except ValidationError as error:
        return _invalid(error)
    except IntegrityError:
        return answers.error(409, "Another request has made the same at the same time.", "uniqueness")
    except (DataError, UnicodeEncodeError):
        return answers.error(400, "A value cannot be stored.", "invalidValue")
    except OperationalError as error:
        logger.warning("The database did not carry a SCIM request out: %s", type(error).__name__)
        response = answers.error(503, "The database is busy; try again.")
        response["Retry-After"] = "5"
        return response


def _invalid(error: ValidationError) -> HttpResponseBase:
    first = error.errors(include_url=False, include_input=False)[0]
    told = Error.from_validation_error(first)
    return answers.error(told.status or 400, told.detail or "", told.scim_type or "")


def _serve(request: HttpRequest, client: ScimClient, parts: list[str]) -> HttpResponseBase:
    methods = _methods(request, client, parts)
    # The server in front leaves the body away.
    method = "GET" if request.method == "HEAD" else request.method
    if method in methods:
        return methods[method]()
    response = answers.error(405, f"{request.method} is not supported here.")
    response["Allow"] = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
    return response


def _methods(request: HttpRequest, client: ScimClient, parts: list[str]) -> dict[str, Handler]:
    """Return what each method does at an address; raises NotFoundException for an unknown one."""
    match parts:
        case ["Users"]:
            return {
                "GET": lambda: listing.users(client, received.search(request, schema.FullUser)),
                "POST": partial(_create_user, request, client),
            }
        case ["Users", ".search"]:
            return {"POST": lambda: listing.users(client, received.search(request, schema.FullUser))}
        case ["Users", scim_id]:
            return _of_user(request, client, scim_id)
        case ["Groups"]:
            return {
                "GET": lambda: listing.groups(client, received.search(request, schema.Group)),
                "POST": partial(_create_group, request, client),
            }
        case ["Groups", ".search"]:
            return {"POST": lambda: listing.groups(client, received.search(request, schema.Group))}
        case ["Groups", scim_id]:
            return _of_group(request, client, scim_id)
        case _:
            return _of_the_service(request, parts)


def _of_the_service(request: HttpRequest, parts: list[str]) -> dict[str, Handler]:
    match parts:
        case ["ServiceProviderConfig"]:
            return {"GET": discovery.config}
        case ["Schemas" | "ResourceTypes" as endpoint]:
            return {"GET": partial(discovery.collection, endpoint, filtered="filter" in request.GET)}
        case ["Schemas" | "ResourceTypes" as endpoint, name]:
            return {"GET": partial(discovery.one, endpoint, name)}
        case ["Bulk"] | ["Me"] | [".search"]:
            raise NotImplementedException(detail=f"{parts[0]} is not supported.")
        case _:
            raise NotFoundException(detail="There is nothing at this address.")


def _of_user(request: HttpRequest, client: ScimClient, scim_id: str) -> dict[str, Handler]:
    key, require = as_uuid(scim_id), partial(received.require_version, request)
    asked = received.selection(request, schema.FullUser)

    def get() -> HttpResponseBase:
        row = users.find(client, key)
        return _unchanged(request, row) or _user(row, asked)

    def put() -> HttpResponseBase:
        said = _stated(request, Context.RESOURCE_REPLACEMENT_REQUEST)
        return _user(users.change(client, key, lambda before: _replaced(before, said), require=require), asked)

    def patch() -> HttpResponseBase:
        listed = patches.operations(received.body(request))
        change = partial(patches.apply, schema.FullUser, listed=listed)
        return _user(users.change(client, key, change, require=require), asked)

    def delete() -> HttpResponseBase:
        users.delete(client, key, require=require)
        return answers.empty()

    return {"GET": get, "PUT": put, "PATCH": patch, "DELETE": delete}


def _stated(request: HttpRequest, context: Context) -> schema.FullUser:
    body = schema.canonical(received.body(request))
    return schema.FullUser.model_validate(body, scim_ctx=context, scim_policy=schema.POLICY)


def _replaced(before: schema.FullUser, said: schema.FullUser) -> schema.FullUser:
    """Return what a PUT states; one that does not say whether somebody is active does not activate them."""
    if said.active is None:
        said.active = before.active
    return said


def _create_user(request: HttpRequest, client: ScimClient) -> HttpResponseBase:
    asked = received.selection(request, schema.FullUser)
    row = users.create(client, _stated(request, Context.RESOURCE_CREATION_REQUEST))
    return _created(_user(row, asked, status=201), "Users", row)


def _of_group(request: HttpRequest, client: ScimClient, scim_id: str) -> dict[str, Handler]:
    key, require = as_uuid(scim_id), partial(received.require_version, request)
    asked = received.selection(request, schema.Group)

    def get() -> HttpResponseBase:
        row = groups.find(client, key)
        return _unchanged(request, row) or _group(row, asked)

    def put() -> HttpResponseBase:
        stated = groups.statement(received.body(request), Context.RESOURCE_REPLACEMENT_REQUEST)
        return _group(groups.replace(client, key, stated, require=require), asked)

    def patch() -> HttpResponseBase:
        row = groups.patch(client, key, patches.operations(received.body(request)), require=require)
        # Nobody needs a hundred thousand members back because one has joined.
        return _group(row, asked) if asked.attributes else _tagged(answers.empty(), row)

    def delete() -> HttpResponseBase:
        groups.delete(client, key, require=require)
        return answers.empty()

    return {"GET": get, "PUT": put, "PATCH": patch, "DELETE": delete}


def _create_group(request: HttpRequest, client: ScimClient) -> HttpResponseBase:
    asked = received.selection(request, schema.Group)
    stated = groups.statement(received.body(request), Context.RESOURCE_CREATION_REQUEST)
    row = groups.create(client, stated)
    return _created(_group(row, asked, status=201), "Groups", row)


def _user(row: ScimUser, asked: ResponseParameters[Any], *, status: int = 200) -> HttpResponseBase:
    return _tagged(answers.document(listing.user(row, asked), status), row)


def _group(row: ScimGroup, asked: ResponseParameters[Any], *, status: int = 200) -> HttpResponseBase:
    return _tagged(answers.streamed(group_rows.pieces(row, asked), status), row)


def _unchanged(request: HttpRequest, row: Any) -> HttpResponseBase | None:
    """Return the answer to a client that has this version already."""
    known = received.has_version(request, user_rows.etag(row))
    return _tagged(HttpResponseNotModified(), row) if known else None


def _tagged(response: Any, row: Any) -> HttpResponseBase:
    response["ETag"] = user_rows.etag(row)
    return response


def _created(response: Any, endpoint: str, row: Any) -> HttpResponseBase:
    response["Location"] = answers.location(endpoint, str(row.scim_id))
    return response
