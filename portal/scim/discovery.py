"""What the service says about itself: ServiceProviderConfig, Schemas, ResourceTypes."""

from typing import Any

from django.http import HttpResponse
from scim2_models import Context, ForbiddenException, Meta, NotFoundException, Resource

from portal.scim import answers, schema

_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


def config() -> HttpResponse:
    """Answer what is supported and what is not."""
    found = schema.PROVIDER.config
    return answers.document(found.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE) if found else {})


def collection(endpoint: str, *, filtered: bool) -> HttpResponse:
    """Answer all schemas or all resource types; RFC 7644 has filters refused here."""
    if filtered:
        raise ForbiddenException(detail="This endpoint takes no filter.")
    found = [_dump(endpoint, each) for each in _all(endpoint)]
    page = {"totalResults": len(found), "startIndex": 1, "itemsPerPage": len(found), "Resources": found}
    return answers.document({"schemas": [_LIST], **page})


def one(endpoint: str, name: str) -> HttpResponse:
    """Answer the schema or resource type of this id."""
    for each in _all(endpoint):
        if str(each.id).casefold() == name.casefold():
            return answers.document(_dump(endpoint, each))
    raise NotFoundException(detail="There is nothing of this id.")


def _all(endpoint: str) -> tuple[Resource[Any], ...]:
    return schema.PROVIDER.schemas if endpoint == "Schemas" else schema.PROVIDER.resource_types


def _dump(endpoint: str, each: Resource[Any]) -> dict[str, Any]:
    kind = endpoint.removesuffix("s")
    meta = Meta(resource_type=kind, location=answers.location(endpoint, str(each.id)))
    told = each.model_copy(update={"meta": meta})
    return told.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
