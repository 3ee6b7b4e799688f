"""Queues themselves: where they are, what they hold."""

import json
from typing import Any

from portal.demo.aws.errors import ApiError
from portal.demo.aws.queues import MESSAGE_BYTES, Queue
from portal.demo.aws.service import Context, Operation
from portal.demo.aws.sqs import lookup

PURGE_SECONDS = 60


def get_url(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetQueueUrl: a URL of this server."""
    owner = params.get("QueueOwnerAWSAccountId", context.caller.account)
    queue = lookup.named(context, owner, params["QueueName"])
    return {"QueueUrl": f"{context.url}/{queue.account}/{queue.name}"}


def get_attributes(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetQueueAttributes."""
    found = _attributes(lookup.queue(context, params["QueueUrl"]), context.now)
    asked = params.get("AttributeNames", [])
    return {"Attributes": {name: value for name, value in found.items() if name in asked or "All" in asked} or None}


def purge(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """PurgeQueue: once a minute at most."""
    queue = lookup.queue(context, params["QueueUrl"])
    if context.now < queue.purged + PURGE_SECONDS:
        message = f"Only one PurgeQueue operation on {queue.name} is allowed every {PURGE_SECONDS} seconds."
        raise ApiError("PurgeQueueInProgress", message)
    queue.purged = context.now
    queue.messages.clear()
    return {}


def _attributes(queue: Queue, now: float) -> dict[str, str]:
    hidden = [row for row in queue.messages.values() if row.visible_at > now]
    delayed = sum(row.receive_count == 0 for row in hidden)
    found = {
        "QueueArn": queue.arn,
        "ApproximateNumberOfMessages": len(queue.messages) - len(hidden),
        "ApproximateNumberOfMessagesNotVisible": len(hidden) - delayed,
        "ApproximateNumberOfMessagesDelayed": delayed,
        "CreatedTimestamp": int(queue.created),
        "LastModifiedTimestamp": int(queue.created),
        "VisibilityTimeout": queue.visibility_timeout,
        "MaximumMessageSize": MESSAGE_BYTES,
        "MessageRetentionPeriod": queue.retention_seconds,
        "DelaySeconds": queue.delay_seconds,
        "ReceiveMessageWaitTimeSeconds": queue.wait_seconds,
        "SqsManagedSseEnabled": "true",
    }
    if queue.dead_letter_arn:
        redrive = {"deadLetterTargetArn": queue.dead_letter_arn, "maxReceiveCount": queue.max_receives}
        found["RedrivePolicy"] = json.dumps(redrive)
    return {name: str(value) for name, value in found.items()}


OPERATIONS: dict[str, Operation] = {
    "GetQueueUrl": get_url,
    "GetQueueAttributes": get_attributes,
    "PurgeQueue": purge,
}
