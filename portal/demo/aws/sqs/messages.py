"""Send and receive."""

import hashlib
from itertools import islice
from typing import Any

from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.queues import MESSAGE_BYTES, Message, Queue
from portal.demo.aws.service import Context, Operation
from portal.demo.aws.sqs import lookup

# As far as a queue looks for what it could deliver next, where it does not keep the order.
_WINDOW = 100
_NOT_HERE = ("MessageAttributes", "MessageSystemAttributes", "MessageDeduplicationId", "MessageGroupId")


def send(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """SendMessage: a body and no attributes, to a standard queue."""
    queue = lookup.queue(context, params["QueueUrl"])
    body = params["MessageBody"]
    if unknown := [name for name in _NOT_HERE if params.get(name)]:
        raise ApiError("UnsupportedOperation", f"The AWS stand-in knows no {unknown[0]}")
    if not body:
        raise invalid("The request must contain the parameter MessageBody.")
    if len(body.encode()) > MESSAGE_BYTES:
        raise invalid(f"One or more parameters are invalid. Reason: Message must be at most {MESSAGE_BYTES} bytes.")
    delay = lookup.number(params, "DelaySeconds", queue.delay_seconds, (0, 900))
    copies = context.personality.message_copies()
    message_id = queue.send(body, now=context.now, sender=context.caller.user_id, delay=delay, copies=copies)
    context.state.wake()
    return {"MessageId": message_id, "MD5OfMessageBody": _md5(body)}


def receive(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ReceiveMessage. While it waits for a message, the lock is free for other calls."""
    queue = lookup.queue(context, params["QueueUrl"])
    count = lookup.number(params, "MaxNumberOfMessages", 1, (1, 10))
    hide = lookup.number(params, "VisibilityTimeout", queue.visibility_timeout, lookup.HIDE_SECONDS)
    deadline = context.now + lookup.number(params, "WaitTimeSeconds", queue.wait_seconds, (0, 20))
    asked = {*params.get("AttributeNames", ()), *params.get("MessageSystemAttributeNames", ())}
    while True:
        found = _take(context, queue, count, hide)
        now = context.now
        if found or now >= deadline or context.stopping():
            return {"Messages": [_shown(message, asked) for message in found] or None}
        context.state.changed.wait(min(deadline, queue.next_visible(now) or deadline) - now)


def _take(context: Context, queue: Queue, count: int, hide: int) -> list[Message]:
    now = context.now
    queue.forget_expired(now)
    keys = list(islice(queue.visible(now), _WINDOW))
    context.personality.shuffle(keys)
    dead_letters = context.state.queues.get(queue.dead_letter_arn)
    found: list[Message] = []
    for key in keys:
        if len(found) == count:
            break
        if dead_letters and queue.is_worn_out(key):
            queue.hand_over(key, dead_letters, now)
        else:
            found.append(queue.deliver(key, hide, now))
    return found


def _shown(message: Message, asked: set[str]) -> dict[str, Any]:
    attributes = {
        "SenderId": message.sender,
        "SentTimestamp": _milliseconds(message.sent),
        "ApproximateReceiveCount": str(message.receive_count),
        "ApproximateFirstReceiveTimestamp": _milliseconds(message.first_received),
    }
    if message.source_arn:
        attributes["DeadLetterQueueSourceArn"] = message.source_arn
    shown: dict[str, Any] = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": _md5(message.body),
        "Body": message.body,
    }
    if wanted := {name: value for name, value in attributes.items() if name in asked or "All" in asked}:
        shown["Attributes"] = wanted
    return shown


def _milliseconds(at: float) -> str:
    return str(int(at * 1000))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


OPERATIONS: dict[str, Operation] = {"SendMessage": send, "ReceiveMessage": receive}
