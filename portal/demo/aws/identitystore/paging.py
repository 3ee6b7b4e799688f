"""Pages of the identity store's lists: a token says after which row to go on."""

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from portal.demo.aws.directory.rows import Numbered
from portal.demo.aws.errors import invalid
from portal.demo.aws.service import Context

DEFAULT_ROWS = 50

R = TypeVar("R", bound=Numbered)


def listing(
    context: Context,
    params: dict[str, Any],
    name: str,
    after: Callable[[int, int], Sequence[R]],
    show: Callable[[R], dict[str, Any]],
) -> dict[str, Any]:
    """Return one page as the member `name`; `after(number, count)` finds rows behind a number.

    Raises ApiError for a token that came with other parameters, or from elsewhere.
    """
    asked = [context.model.name, {key: params[key] for key in sorted(params) if key not in ("NextToken", "MaxResults")}]
    place = _place(params["NextToken"], asked) if "NextToken" in params else 0
    size = context.personality.page_size(params.get("MaxResults", DEFAULT_ROWS))
    found = after(place, size + 1)
    page = found[:size]
    more = len(found) > size
    return {
        name: [show(row) for row in page],
        "NextToken": _token(asked, page[-1].number if page else place) if more else None,
    }


def _token(asked: list[Any], place: int) -> str:
    # Two tokens are never equal, even after an empty page: clients take a repeated one for a loop.
    return base64.urlsafe_b64encode(json.dumps([asked, place, secrets.token_hex(4)]).encode()).decode()


def _place(token: str, asked: list[Any]) -> int:
    try:
        meant, place, _ = json.loads(base64.urlsafe_b64decode(token))
        number = int(place)
    except (ValueError, TypeError) as error:
        raise invalid("NextToken is not valid") from error
    if meant != asked:
        raise invalid("NextToken was issued for a request with other parameters")
    return number
