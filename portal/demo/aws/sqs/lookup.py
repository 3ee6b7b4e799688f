"""Find the queue that a request speaks of, and the checks that several operations share."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.queues import Queue, queue_arn
from portal.demo.aws.service import Context

HIDE_SECONDS = (0, 43_200)
_PATH = re.compile(r"/(\d{12})/([A-Za-z0-9_-]{1,80})/?")


def queue(context: Context, url: str) -> Queue:
    """Return the queue of a URL, whatever the host in it. Raises ApiError when the caller cannot reach it."""
    found = _PATH.fullmatch(urlsplit(url).path)
    if not found:
        raise ApiError("InvalidAddress", f"The address {url} is not valid for this endpoint.")
    return named(context, found[1], found[2])


def named(context: Context, account: str, name: str) -> Queue:
    """Return the queue of an account with a name. Raises ApiError when the caller cannot reach it."""
    found = context.state.queues.get(queue_arn(context.caller.region, account, name))
    if found is None:
        raise ApiError("QueueDoesNotExist", "The specified queue does not exist.")
    if context.caller.account not in (found.account, *found.allowed_accounts):
        raise ApiError(
            "AccessDeniedException",
            f"User: {context.caller.arn} is not authorized to perform: sqs:{context.model.name} "
            f"on resource: {found.arn} because no resource-based policy allows the sqs:{context.model.name} action",
        )
    return found


def number(params: Mapping[str, Any], name: str, default: int, limits: tuple[int, int]) -> int:
    """Return a number of the request. Raises ApiError beyond limits, which the service model does not know."""
    value = int(params.get(name, default))
    if not limits[0] <= value <= limits[1]:
        raise invalid(
            f"Value {value} for parameter {name} is invalid. "
            f"Reason: Must be between {limits[0]} and {limits[1]}, if provided."
        )
    return value
