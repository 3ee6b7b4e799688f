"""Queues: what is delivered, how often, and who may delete it."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from portal.demo.aws.queues import Queue
from portal.demo.aws.seed import ACCOUNT, EVENT_QUEUE, OTHER_ACCOUNT, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE
from portal.demo.aws.server import Handle, start
from tests.portal.demo_aws.conftest import connect, refusal

DEADLINE = 10.0
Send = Callable[[str], str]
Take = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def queue(standin: Handle) -> Queue:
    """The queue of the directory's events."""
    return next(queue for queue in standin.state.queues.values() if queue.name == EVENT_QUEUE)


@pytest.fixture
def send(sqs: Any, queue_url: str) -> Callable[[str], str]:
    """Send a text; returns the message's id."""
    return lambda text: str(sqs.send_message(QueueUrl=queue_url, MessageBody=text)["MessageId"])


@pytest.fixture
def take(sqs: Any, queue_url: str) -> Callable[..., list[dict[str, Any]]]:
    """Receive up to ten messages, or what the given parameters ask for."""

    def receive(**params: Any) -> list[dict[str, Any]]:
        return list(
            sqs.receive_message(QueueUrl=queue_url, **{"MaxNumberOfMessages": 10, **params}).get("Messages", [])
        )

    return receive


def bodies(messages: list[dict[str, Any]]) -> list[str]:
    """Return the texts of messages."""
    return [message["Body"] for message in messages]


def test_a_message_is_sent_received_and_deleted(sqs: Any, queue_url: str, send: Send, take: Take) -> None:
    message_id = send("héllo")
    (message,) = take(MessageSystemAttributeNames=["All"])
    assert (message["MessageId"], message["Body"]) == (message_id, "héllo")
    attributes = message["Attributes"]
    assert attributes["ApproximateReceiveCount"] == "1"
    assert int(attributes["SentTimestamp"]) <= int(attributes["ApproximateFirstReceiveTimestamp"])
    for _ in range(2):
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    assert take(VisibilityTimeout=0) == []


def test_a_message_comes_again_when_it_is_not_deleted(standin: Handle, send: Send, take: Take) -> None:
    send("one")
    assert take()
    standin.state.clock.advance(29)
    assert take() == []
    standin.state.clock.advance(2)
    (message,) = take(VisibilityTimeout=100, MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert message["Attributes"] == {"ApproximateReceiveCount": "2"}
    standin.state.clock.advance(99)
    assert take() == []
    standin.state.clock.advance(2)
    assert len(take()) == 1


def test_ten_messages_at_most_and_one_by_default(sqs: Any, queue_url: str, send: Send, take: Take) -> None:
    for number in range(12):
        send(str(number))
    assert bodies(sqs.receive_message(QueueUrl=queue_url)["Messages"]) == ["0"]
    assert bodies(take()) == [str(number) for number in range(1, 11)]
    assert bodies(take()) == ["11"]


def test_only_the_latest_receipt_deletes(sqs: Any, queue_url: str, send: Send, take: Take) -> None:
    send("one")
    old, new = take(VisibilityTimeout=0)[0], take()[0]
    assert old["ReceiptHandle"] != new["ReceiptHandle"]
    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=old["ReceiptHandle"])
    sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=new["ReceiptHandle"], VisibilityTimeout=0)
    assert bodies(take(VisibilityTimeout=0)) == ["one"]
    stale = {"QueueUrl": queue_url, "ReceiptHandle": old["ReceiptHandle"], "VisibilityTimeout": 60}
    assert refusal(sqs.change_message_visibility, **stale)[0] == "InvalidParameterValue"


def test_a_receipt_is_good_after_its_time_until_somebody_else_receives(
    standin: Handle, sqs: Any, queue_url: str, send: Send, take: Take
) -> None:
    send("one")
    receipt = take()[0]["ReceiptHandle"]
    standin.state.clock.advance(60)
    late = {"QueueUrl": queue_url, "ReceiptHandle": receipt}
    code, _ = refusal(sqs.change_message_visibility, **late, VisibilityTimeout=60)
    assert code == "AWS.SimpleQueueService.MessageNotInflight"
    sqs.delete_message(**late)
    assert take() == []


def test_visibility_is_extended(standin: Handle, sqs: Any, queue_url: str, send: Send, take: Take) -> None:
    send("one")
    receipt = take()[0]["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=receipt, VisibilityTimeout=300)
    standin.state.clock.advance(299)
    assert take() == []
    standin.state.clock.advance(2)
    assert len(take()) == 1


def test_batches(sqs: Any, queue_url: str, send: Send, take: Take) -> None:
    for number in range(3):
        send(str(number))
    receipts = [message["ReceiptHandle"] for message in take()]
    entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
    visible = [{**entry, "VisibilityTimeout": 0} for entry in entries[:2]]
    answer = sqs.change_message_visibility_batch(
        QueueUrl=queue_url, Entries=[*visible, {**entries[2], "VisibilityTimeout": 43_201}]
    )
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "1"]
    assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]] == [
        ("2", "InvalidParameterValue", True)
    ]
    receipts[:2] = [message["ReceiptHandle"] for message in take()]
    entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate([*receipts, "x"])]
    answer = sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "1", "2"]
    assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("3", "ReceiptHandleIsInvalid")]
    assert sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"])[
        "Attributes"
    ] == {"ApproximateNumberOfMessages": "0"}


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "EmptyBatchRequest"),
        (["a", "a"], "BatchEntryIdsNotDistinct"),
        ([str(number) for number in range(11)], "TooManyEntriesInBatchRequest"),
        (["a b"], "InvalidBatchEntryId"),
    ],
)
def test_batches_that_are_refused(sqs: Any, queue_url: str, ids: list[str], code: str) -> None:
    entries = [{"Id": entry_id, "ReceiptHandle": "x"} for entry_id in ids]
    found, _ = refusal(sqs.delete_message_batch, QueueUrl=queue_url, Entries=entries)
    assert found == f"AWS.SimpleQueueService.{code}"


def test_a_queue_that_is_not_there(sqs: Any, queue_url: str) -> None:
    elsewhere = queue_url.replace(EVENT_QUEUE, "nothing")
    for call, params in (
        (sqs.get_queue_url, {"QueueName": "nothing"}),
        (sqs.receive_message, {"QueueUrl": elsewhere}),
        (sqs.purge_queue, {"QueueUrl": elsewhere}),
    ):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
            call(**params)
        answer = caught.value.response
        assert answer["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-query-error"].endswith("NonExistentQueue;Sender")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert refusal(sqs.receive_message, QueueUrl="http://127.0.0.1/x")[0] == "InvalidAddress"


def test_a_receipt_that_is_none(sqs: Any, queue_url: str) -> None:
    for call, params in ((sqs.delete_message, {}), (sqs.change_message_visibility, {"VisibilityTimeout": 0})):
        with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid) as caught:
            call(QueueUrl=queue_url, ReceiptHandle="nonsense", **params)
        assert caught.value.response["Error"]["Code"] == "ReceiptHandleIsInvalid"


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("receive_message", {"MaxNumberOfMessages": 0}, "InvalidParameterValue"),
        ("receive_message", {"MaxNumberOfMessages": 11}, "InvalidParameterValue"),
        ("receive_message", {"WaitTimeSeconds": 21}, "InvalidParameterValue"),
        ("receive_message", {"VisibilityTimeout": 43_201}, "InvalidParameterValue"),
        ("send_message", {"MessageBody": ""}, "InvalidParameterValue"),
        ("send_message", {"MessageBody": "x" * (1024 * 1024 + 1)}, "InvalidParameterValue"),
        ("send_message", {"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
        ("send_message", {"MessageBody": "x", "MessageGroupId": "g"}, "AWS.SimpleQueueService.UnsupportedOperation"),
        ("get_queue_attributes", {"AttributeNames": ["Unknown"]}, "InvalidParameterValue"),
    ],
)
def test_what_is_refused(sqs: Any, queue_url: str, operation: str, params: dict[str, Any], code: str) -> None:
    assert refusal(getattr(sqs, operation), QueueUrl=queue_url, **params)[0] == code


def test_throttling_has_the_code_that_clients_retry(standin: Handle, sqs: Any) -> None:
    standin.personality.update({"throttle": {"every": 1}})
    assert refusal(sqs.get_queue_url, QueueName=EVENT_QUEUE)[0] == "RequestThrottled"
    standin.personality.update({"throttle": {"every": 2}})
    retrying = connect(standin.url, "sqs", retries={"total_max_attempts": 2, "mode": "standard"})
    for _ in range(2):
        retrying.get_queue_url(QueueName=EVENT_QUEUE)
    retrying.close()


def test_attributes_and_purging(standin: Handle, sqs: Any, queue_url: str, send: Send, take: Take) -> None:
    assert queue_url == f"{standin.url}/{ACCOUNT}/{EVENT_QUEUE}"
    for text in "abc":
        send(text)
    sqs.send_message(QueueUrl=queue_url, MessageBody="late", DelaySeconds=60)
    take(MaxNumberOfMessages=1)
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    names = ("", "NotVisible", "Delayed")
    assert [found[f"ApproximateNumberOfMessages{name}"] for name in names] == ["2", "1", "1"]
    assert found["QueueArn"] == f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{EVENT_QUEUE}"
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue_url)
    sqs.purge_queue(QueueUrl=queue_url)
    standin.state.clock.advance(50)
    assert take() == []
    assert refusal(sqs.purge_queue, QueueUrl=queue_url)[0] == "AWS.SimpleQueueService.PurgeQueueInProgress"
    standin.state.clock.advance(11)
    sqs.purge_queue(QueueUrl=queue_url)


def test_other_accounts_and_regions(standin: Handle, queue: Queue, queue_url: str, sts: Any) -> None:
    role = {"RoleArn": OTHER_PORTAL_ROLE, "RoleSessionName": "portal", "ExternalId": OTHER_EXTERNAL_ID}
    foreign = connect(standin.url, "sqs", sts.assume_role(**role)["Credentials"])
    assert refusal(foreign.receive_message, QueueUrl=queue_url)[0] == "AccessDenied"
    queue.allowed_accounts.append(OTHER_ACCOUNT)
    owner = {"QueueName": EVENT_QUEUE, "QueueOwnerAWSAccountId": ACCOUNT}
    assert foreign.get_queue_url(**owner)["QueueUrl"] == queue_url
    elsewhere = connect(standin.url, "sqs", region="us-east-1")
    assert refusal(elsewhere.receive_message, QueueUrl=queue_url)[0].endswith("NonExistentQueue")
    for client in (foreign, elsewhere):
        client.close()


def test_old_messages_are_forgotten(standin: Handle, send: Send, take: Take) -> None:
    send("old")
    standin.state.clock.advance(3 * 24 * 3600)
    send("new")
    standin.state.clock.advance(2 * 24 * 3600)
    assert bodies(take()) == ["new"]


def test_what_nobody_can_work_on_goes_aside(standin: Handle, queue: Queue, send: Send, take: Take, sqs: Any) -> None:
    aside = standin.state.add_queue("aside")
    queue.dead_letter_arn, queue.max_receives = aside.arn, 2
    url = sqs.get_queue_url(QueueName=EVENT_QUEUE)["QueueUrl"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]["RedrivePolicy"]
    assert json.loads(policy) == {"deadLetterTargetArn": aside.arn, "maxReceiveCount": 2}
    send("bad")
    for _ in range(2):
        assert bodies(take(VisibilityTimeout=0)) == ["bad"]
    assert take() == []
    url = sqs.get_queue_url(QueueName="aside")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert message["Body"] == "bad"
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == queue.arn


def test_copies_are_delivered_and_deleted_each_for_itself(
    standin: Handle, sqs: Any, queue_url: str, send: Send, take: Take
) -> None:
    standin.personality.duplicate_messages = 1
    message_id = send("one")
    first, second = take()
    assert first["MessageId"] == second["MessageId"] == message_id
    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=first["ReceiptHandle"])
    standin.state.clock.advance(31)
    assert bodies(take()) == ["one"]


def test_the_order_is_not_kept(standin: Handle, send: Send, take: Take) -> None:
    standin.personality.update({"reorder_messages": True, "seed": 4})
    texts = [str(number) for number in range(10)]
    for text in texts:
        send(text)
    found = bodies(take())
    assert sorted(found) == texts
    assert found != texts


def waiting(standin: Handle, take: Callable[..., Any], pool: ThreadPoolExecutor, seconds: int = 20) -> "Future[Any]":
    """Begin a receive call that waits, and return once the stand-in waits for a message in it."""
    future = pool.submit(take, WaitTimeSeconds=seconds)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with standin.state.lock:
            if standin.state.changed._waiters:  # type: ignore[attr-defined]
                return future
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


def test_a_receive_call_waits_for_a_message(standin: Handle, store: Any, take: Take) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = waiting(standin, take, pool)
        # Others are answered meanwhile.
        client = connect(standin.url, "sqs")
        url = client.get_queue_url(QueueName=EVENT_QUEUE)["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody="one")
        client.close()
        assert bodies(future.result(DEADLINE)) == ["one"]
        future = waiting(standin, take, pool)
        store.add_member("portal-admins", "user4")
        (text,) = bodies(future.result(DEADLINE))
        assert "AddMemberToGroup" in text


def test_a_receive_call_waits_until_a_message_can_be_seen_again(standin: Handle, send: Send, take: Take) -> None:
    send("one")
    assert take(VisibilityTimeout=15)
    with ThreadPoolExecutor(1) as pool:
        future = waiting(standin, take, pool)
        standin.state.clock.advance(16)
        assert bodies(future.result(DEADLINE)) == ["one"]


def test_a_receive_call_waits_no_longer_than_asked(standin: Handle, take: Take) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = waiting(standin, take, pool)
        standin.state.clock.advance(21)
        assert future.result(DEADLINE) == []
    assert take(WaitTimeSeconds=0) == []


def test_waiting_does_not_hold_up_the_end() -> None:
    handle = start()
    client = connect(handle.url, "sqs", read_timeout=30)
    url = client.get_queue_url(QueueName=EVENT_QUEUE)["QueueUrl"]

    def take(**params: Any) -> str:
        try:
            return "messages" if client.receive_message(QueueUrl=url, **params).get("Messages") else "nothing"
        except Exception as error:  # noqa: BLE001
            return type(error).__name__

    with ThreadPoolExecutor(1) as pool:
        future = waiting(handle, take, pool)
        handle.stop()
        assert future.result(DEADLINE) in ("ConnectionClosedError", "nothing")
    client.close()


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    first = start(state_file=tmp_path / "aws.json")
    sqs = connect(first.url, "sqs")
    url = sqs.get_queue_url(QueueName=EVENT_QUEUE)["QueueUrl"]
    for text in ("one", "two"):
        sqs.send_message(QueueUrl=url, MessageBody=text)
    receipt = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)
    sqs.close()
    first.stop()
    second = start(state_file=tmp_path / "aws.json")
    sqs = connect(second.url, "sqs")
    # The host in the URL does not matter: the port is another one now.
    assert bodies(sqs.receive_message(QueueUrl=url)["Messages"]) == ["two"]
    sqs.close()
    second.stop()
