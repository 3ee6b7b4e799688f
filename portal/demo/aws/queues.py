"""Queues of SQS: what waits, what is being worked on, and who may delete it."""

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

RETENTION_SECONDS = 4 * 24 * 3600
MESSAGE_BYTES = 1024 * 1024


@dataclass
class Message:
    """One copy of a message. `receipt` is its latest receipt; it cannot be seen before `visible_at`."""

    message_id: str
    body: str
    sender: str
    sent: float
    visible_at: float
    receipt: str = ""
    receive_count: int = 0
    first_received: float = 0.0
    source_arn: str = ""


@dataclass
class Queue:
    """A standard queue. After `max_receives` deliveries a message belongs into the queue `dead_letter_arn`.

    Every copy of a message has a key of its own, with which its receipts begin. Hold the state's lock.
    """

    account: str
    region: str
    name: str
    created: float
    visibility_timeout: int = 30
    wait_seconds: int = 0
    delay_seconds: int = 0
    retention_seconds: int = RETENTION_SECONDS
    dead_letter_arn: str = ""
    max_receives: int = 0
    allowed_accounts: list[str] = field(default_factory=list)
    purged: float = 0.0
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The ARN."""
        return queue_arn(self.region, self.account, self.name)

    def send(self, body: str, *, now: float, sender: str, delay: float | None = None, copies: int = 1) -> str:
        """Take a message and return its id; it can be received after `delay` seconds, the queue's own by default."""
        message_id = str(uuid.uuid4())
        visible_at = now + (self.delay_seconds if delay is None else delay)
        for _ in range(copies):
            self.put(Message(message_id, body, sender, now, visible_at))
        return message_id

    def put(self, message: Message) -> None:
        """Take a copy of a message."""
        self.messages[secrets.token_hex(8)] = message

    def visible(self, now: float) -> Iterator[str]:
        """Return the keys of the copies that can be received, in the order of sending."""
        return (key for key, row in self.messages.items() if row.visible_at <= now)

    def next_visible(self, now: float) -> float | None:
        """Return when a copy can be received that cannot now, or None."""
        return min((row.visible_at for row in self.messages.values() if row.visible_at > now), default=None)

    def is_worn_out(self, key: str) -> bool:
        """Return whether a copy was delivered too often."""
        return bool(self.dead_letter_arn) and self.messages[key].receive_count >= self.max_receives

    def hand_over(self, key: str, dead_letters: "Queue", now: float) -> None:
        """Move a copy to the queue for what cannot be worked on."""
        row = self.messages.pop(key)
        row.receipt, row.source_arn, row.visible_at = "", self.arn, now
        dead_letters.put(row)

    def deliver(self, key: str, hide_seconds: float, now: float) -> Message:
        """Return a copy with a new receipt and hide it for so many seconds."""
        row = self.messages[key]
        row.receipt = f"{key}-{secrets.token_hex(16)}"
        row.receive_count += 1
        row.first_received = row.first_received or now
        row.visible_at = now + hide_seconds
        return row

    def held(self, receipt: str) -> Message | None:
        """Return the copy that this is the latest receipt of, or None."""
        row = self.messages.get(receipt.partition("-")[0])
        return row if row is not None and row.receipt == receipt else None

    def delete(self, receipt: str) -> None:
        """Forget a copy, if this is its latest receipt."""
        if self.held(receipt):
            del self.messages[receipt.partition("-")[0]]

    def forget_expired(self, now: float) -> None:
        """Forget what has waited for too long."""
        limit = now - self.retention_seconds
        # In the order of sending, so that nothing is looked at beyond the first that is young enough.
        while self.messages and next(iter(self.messages.values())).sent <= limit:
            del self.messages[next(iter(self.messages))]


def queue_arn(region: str, account: str, name: str) -> str:
    """Return the ARN of a queue."""
    return f"arn:aws:sqs:{region}:{account}:{name}"
