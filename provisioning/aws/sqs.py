"""Verbs of one SQS queue. They take and return plain values, and raise only what `errors` names; one call each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from provisioning.aws import client, errors
from provisioning.aws.client import Account
from provisioning.database import give_back_connection

BATCH = 10
# How long a message that was received stays hidden from others: longer than anybody needs to note what it says.
VISIBILITY = 120


@dataclass(frozen=True)
class Message:
    """A message as it was received; `receipt` is good for this receipt only."""

    message_id: str
    body: str = field(repr=False)
    receipt: str = field(repr=False)


@dataclass(frozen=True)
class Queue:
    """The queue at `url`, reached through an account."""

    account: Account
    region: str
    url: str

    def receive(self, *, wait: int) -> list[Message]:
        """Return up to ten messages; with none there AWS waits for `wait` seconds, 20 at most. Raises NotFound."""
        answer = self._call(
            "receive_message", MaxNumberOfMessages=BATCH, WaitTimeSeconds=wait, VisibilityTimeout=VISIBILITY
        )
        return [
            Message(str(each.get("MessageId", "")), str(each.get("Body", "")), str(each.get("ReceiptHandle", "")))
            for each in answer.get("Messages") or ()
        ]

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete up to ten messages and return how many of them could not be; those will be received again."""
        entries = [{"Id": str(index), "ReceiptHandle": each.receipt} for index, each in enumerate(messages)]
        return len(self._call("delete_message_batch", Entries=entries).get("Failed") or ())

    def waiting(self) -> int:
        """Return about how many messages are in the queue, those that somebody has received included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._call("get_queue_attributes", AttributeNames=names).get("Attributes") or {}
        return sum(int(found.get(name, 0)) for name in names)

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        give_back_connection()
        try:
            with errors.translated():
                call = getattr(client.get(self.account, self.region, "sqs", "poll"), operation)
                answer: dict[str, Any] = call(QueueUrl=self.url, **request)
                return answer
        except errors.CredentialsExpired:
            client.forget(self.account)
            raise


def region_of(url: str, default: str) -> str:
    """Return the Region that the URL of a queue names, `default` where it names none."""
    labels = (urlsplit(url).hostname or "").split(".")
    return labels[1] if len(labels) > 3 and labels[0] == "sqs" else default
