"""Pages of list operations: ten rows unless told otherwise, and an opaque token to go on."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from portal.demo.aws.errors import invalid
from portal.demo.aws.service import Context
from portal.demo.aws.state import Resource

DEFAULT_ROWS = 10


def listing(
    context: Context, params: dict[str, Any], rows: Sequence[Resource], name: str, row: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """Return one page of resources as the member `name`, in the order that SortBy and SortOrder ask for."""
    by_time = {"LastModifiedTime": "modified"}.get(params.get("SortBy", ""), "created")
    ordered = sorted(rows, key=lambda item: (getattr(item, by_time), item.domain_id, item.name))
    if params.get("SortOrder") == "Descending":
        ordered.reverse()
    page, token = cut(context, params, [(item.arn, item) for item in ordered], DEFAULT_ROWS)  # type: ignore[attr-defined]
    return {name: [row(item) for item in page], "NextToken": token}


def cut(
    context: Context, params: dict[str, Any], rows: list[tuple[str, Any]], default: int
) -> tuple[list[Any], str | None]:
    """Return the page of `rows` (id and row) that NextToken points to, and the next token.

    A token names the page's first row, so that rows which come and go do not shift pages. One from a request with other
    filters is refused with ApiError.
    """
    filters = {key: value for key, value in sorted(params.items()) if key not in ("NextToken", "MaxResults")}
    start = 0
    if token := params.get("NextToken"):
        asked, index, first = _read(token)
        if asked != filters:
            raise invalid("NextToken was issued for a request with other parameters")
        start = next((i for i, (row_id, _) in enumerate(rows) if row_id == first), min(index, len(rows)))
    end = start + context.personality.page_size(params.get("MaxResults", default))
    page = [row for _, row in rows[start:end]]
    return page, (_token(filters, end, rows[end][0]) if end < len(rows) else None)


def _token(filters: dict[str, Any], index: int, first: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([filters, index, first]).encode()).decode()


def _read(token: str) -> tuple[dict[str, Any], int, str]:
    try:
        filters, index, first = json.loads(base64.urlsafe_b64decode(token))
        return dict(filters), int(index), str(first)
    except (ValueError, TypeError) as error:
        raise invalid("NextToken is not valid") from error
