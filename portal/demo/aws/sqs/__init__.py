"""SQS: standard queues. They are made in Python (`State.add_queue`), not through the API."""

from portal.demo.aws.service import Operation, Service
from portal.demo.aws.sqs import messages, queues, receipts
from portal.demo.aws.sqs.codes import CODES

_OPERATIONS: dict[str, Operation] = {**queues.OPERATIONS, **messages.OPERATIONS, **receipts.OPERATIONS}

SERVICE = Service(
    name="sqs",
    operations=_OPERATIONS,
    # Who works on a message, and until when, may be forgotten in a restart: it is then delivered again.
    reads=frozenset(
        {
            "GetQueueUrl",
            "GetQueueAttributes",
            "ReceiveMessage",
            "ChangeMessageVisibility",
            "ChangeMessageVisibilityBatch",
        }
    ),
    codes=CODES,
)
