"""What can be done with the receipt of a message: delete it, or change how long it stays hidden."""

import re
from collections.abc import Callable
from typing import Any

from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.queues import Queue
from portal.demo.aws.service import Context, Operation
from portal.demo.aws.sqs import lookup
from portal.demo.aws.sqs.codes import code

_RECEIPT = re.compile(r"[0-9a-f]{16}-[0-9a-f]{32}")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_BATCH = 10


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteMessage: with an older receipt it succeeds and deletes nothing."""
    _delete(context, lookup.queue(context, params["QueueUrl"]), params)
    return {}


def delete_batch(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteMessageBatch."""
    return _batch(context, params, _delete)


def change(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ChangeMessageVisibility."""
    _change(context, lookup.queue(context, params["QueueUrl"]), params)
    return {}


def change_batch(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ChangeMessageVisibilityBatch."""
    return _batch(context, params, _change)


def _delete(context: Context, queue: Queue, entry: dict[str, Any]) -> None:  # noqa: ARG001
    queue.delete(_receipt(entry))


def _change(context: Context, queue: Queue, entry: dict[str, Any]) -> None:
    hide = lookup.number(entry, "VisibilityTimeout", queue.visibility_timeout, lookup.HIDE_SECONDS)
    message = queue.held(_receipt(entry))
    if message is None:
        raise invalid(
            f"Value {entry['ReceiptHandle']} for parameter ReceiptHandle is invalid. "
            "Reason: Message does not exist or is not available for visibility timeout change."
        )
    if message.visible_at <= context.now:
        raise ApiError("MessageNotInflight", "The specified message isn't in flight.")
    message.visible_at = context.now + hide
    context.state.wake()


def _receipt(entry: dict[str, Any]) -> str:
    receipt = str(entry["ReceiptHandle"])
    if not _RECEIPT.fullmatch(receipt):
        raise ApiError("ReceiptHandleIsInvalid", "The specified receipt handle isn't valid.")
    return receipt


def _batch(
    context: Context, params: dict[str, Any], perform: Callable[[Context, Queue, dict[str, Any]], None]
) -> dict[str, Any]:
    """Do something for each entry; what fails is told in the answer, and does not stop the others."""
    queue = lookup.queue(context, params["QueueUrl"])
    entries = params["Entries"]
    _check_entries(entries)
    successful: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry in entries:
        try:
            perform(context, queue, entry)
        except ApiError as fault:
            failed.append({"Id": entry["Id"], "SenderFault": True, "Code": code(fault), "Message": fault.message})
        else:
            successful.append({"Id": entry["Id"]})
    return {"Successful": successful, "Failed": failed}


def _check_entries(entries: list[dict[str, Any]]) -> None:
    ids = [entry["Id"] for entry in entries]
    if not ids:
        raise ApiError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(ids) > _BATCH:
        raise ApiError("TooManyEntriesInBatchRequest", f"Maximum number of entries per request are {_BATCH}.")
    if len(set(ids)) < len(ids):
        raise ApiError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
    if not all(_ENTRY_ID.fullmatch(entry_id) for entry_id in ids):
        raise ApiError("InvalidBatchEntryId", "A batch entry id has letters, digits, hyphens and underscores only.")


OPERATIONS: dict[str, Operation] = {
    "DeleteMessage": delete,
    "DeleteMessageBatch": delete_batch,
    "ChangeMessageVisibility": change,
    "ChangeMessageVisibilityBatch": change_batch,
}
