"""Pages of list operations: ten rows unless told otherwise, and an opaque token to go on."""

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from portal.demo.aws.errors import invalid
from portal.demo.aws.rows import Resource
from portal.demo.aws.service import Context

DEFAULT_ROWS = 10

# Where a row stands in its list: compared one by one, and unlike all others.
Place = tuple[Any, ...]


def listing(
    context: Context,
    params: dict[str, Any],
    rows: Sequence[Resource],
    name: str,
    show: Callable[[Any], dict[str, Any]],
) -> dict[str, Any]:
    """Return one page of resources as the member `name`, in the order that SortBy and SortOrder ask for."""
    by = "modified" if params.get("SortBy") == "LastModifiedTime" else "created"
    placed: list[tuple[Place, Any]] = [((getattr(row, by), row.arn), row) for row in rows]
    page, token = cut(context, params, placed, DEFAULT_ROWS)
    return {name: [show(row) for row in page], "NextToken": token}


def cut(
    context: Context, params: dict[str, Any], rows: list[tuple[Place, Any]], default: int
) -> tuple[list[Any], str | None]:
    """Sort the rows by their places and return the page that NextToken points to, and the next token.

    A token says at which place to go on, so that rows which come and go do not shift pages. ApiError refuses a token
    that came with other filters, or from elsewhere.
    """
    descending = params.get("SortOrder") == "Descending"
    ordered = sorted(rows, key=lambda row: row[0], reverse=descending)
    filters = {key: value for key, value in sorted(params.items()) if key not in ("NextToken", "MaxResults")}
    if token := params.get("NextToken"):
        asked, place = _read(token)
        if asked != filters:
            raise invalid("NextToken was issued for a request with other parameters")
        ordered = [row for row in ordered if row[0] == place or (row[0] > place) is not descending]
    size = context.personality.page_size(params.get("MaxResults", default))
    page = [row for _, row in ordered[:size]]
    return page, (_token(filters, ordered[size][0]) if size < len(ordered) else None)


def _token(filters: dict[str, Any], place: Place) -> str:
    # Two tokens are never equal, even after an empty page: clients take a repeated one for a loop.
    return base64.urlsafe_b64encode(json.dumps([filters, place, secrets.token_hex(4)]).encode()).decode()


def _read(token: str) -> tuple[dict[str, Any], Place]:
    try:
        filters, place, _ = json.loads(base64.urlsafe_b64decode(token))
        return dict(filters), tuple(place)
    except (ValueError, TypeError) as error:
        raise invalid("NextToken is not valid") from error
