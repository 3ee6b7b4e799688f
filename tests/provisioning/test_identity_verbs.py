"""The verbs of identity stores and queues: plain values, every page, and errors in seven words."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from portal.demo.aws.seed import EVENT_QUEUE, IDENTITY_STORE, REGION, directory_id
from portal.demo.aws.server import Handle
from provisioning import limits
from provisioning.aws import errors
from provisioning.aws.client import Account
from provisioning.aws.identity import IdentityStore, Page, PagingError, every
from provisioning.aws.sqs import Queue, region_of

OWN = Account()
STORE = IdentityStore(OWN, REGION, IDENTITY_STORE)
USER, GROUP = directory_id("user1"), directory_id("team-1-scientists")
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def _no_pace(aws: Handle, settings: Settings) -> Iterator[None]:
    settings.IDENTITYSTORE_CALLS_PER_SECOND = 1_000_000.0
    limits.forget()
    yield
    limits.forget()


class TestIdentityStore:
    def test_users_and_groups_are_plain_values(self) -> None:
        user = STORE.describe_user(USER)
        assert (user.user_id, user.user_name, user.email, user.enabled) == (USER, "user1", "user1@example.com", True)
        assert STORE.describe_group(GROUP).name == "team-1-scientists"
        assert STORE.group_id("team-1-scientists") == GROUP
        assert STORE.user_id("user1") == USER

    def test_who_is_disabled_says_so(self, aws: Handle) -> None:
        aws.state.identity_stores[IDENTITY_STORE].disable_user("user1", origin=None)
        assert not STORE.describe_user(USER).enabled

    def test_memberships_from_both_ends_agree(self) -> None:
        of_group = {row.membership_id for row in every(lambda token: STORE.members_page(GROUP, token))}
        of_user = {row.membership_id for row in every(lambda token: STORE.memberships_page(USER, token))}
        assert len(of_group & of_user) == 1
        assert STORE.is_member_in_groups(USER, [GROUP, directory_id("portal-admins")]) == {GROUP}

    def test_what_is_missing_is_told_from_a_store_that_is_missing(self) -> None:
        with pytest.raises(errors.NotFound) as caught:
            STORE.describe_group(NOBODY)
        assert STORE.is_gone(caught.value, "GROUP")
        assert not STORE.is_gone(caught.value, "USER")
        elsewhere = IdentityStore(OWN, REGION, "d-0000000000")
        with pytest.raises(errors.AwsError) as refused:
            elsewhere.members_page(GROUP)
        assert not (isinstance(refused.value, errors.NotFound) and elsewhere.is_gone(refused.value, "GROUP"))

    def test_an_answer_that_does_not_say_what_is_missing_is_checked(self, aws: Handle) -> None:
        silent = errors.NotFound("not found")
        assert STORE.is_gone(silent, "GROUP")
        aws.personality.down = True
        with pytest.raises(errors.Transient):
            STORE.is_gone(silent, "GROUP")

    def test_throttling_slows_everybody_down(self, aws: Handle) -> None:
        aws.personality.fail_next = {"ListGroups": ["ThrottlingException"]}
        with pytest.raises(errors.Throttled):
            STORE.groups_page()
        assert limits.reserve(f"identitystore:{REGION}:{IDENTITY_STORE}:list_groups", 1000.0) > 0.5


class TestPaging:
    def test_a_circle_is_found(self) -> None:
        following = {"": "a", "a": "b", "b": "a"}
        with pytest.raises(PagingError):
            list(every(lambda token: Page((token,), following[token])))

    def test_empty_pages_with_a_token_go_on(self) -> None:
        pages: dict[str, Page[Any]] = {"": Page((), "a"), "a": Page((1,), "b"), "b": Page((2,), "")}
        assert list(every(lambda token: pages[token])) == [1, 2]


class TestQueue:
    @pytest.fixture(name="queue")
    def _queue(self, aws: Handle) -> Queue:
        return Queue(OWN, REGION, f"{aws.url}/{aws.state.home_account}/{EVENT_QUEUE}")

    def test_messages_are_received_deleted_and_counted(self, aws: Handle, queue: Queue) -> None:
        aws.state.identity_stores[IDENTITY_STORE].remove_member("team-1-scientists", "user1")
        assert queue.waiting() == 1
        (message,) = queue.receive(wait=0)
        assert "RemoveMemberFromGroup" in message.body
        assert message.body not in repr(message)
        assert queue.delete([message]) == 0
        assert queue.waiting() == 0
        assert queue.receive(wait=0) == []

    def test_an_old_receipt_is_counted_and_no_failure(self, aws: Handle, queue: Queue) -> None:
        aws.state.identity_stores[IDENTITY_STORE].remove_member("team-1-scientists", "user1")
        (message,) = queue.receive(wait=0)
        broken = type(message)(message.message_id, message.body, "nonsense")
        assert queue.delete([broken]) == 1

    def test_a_queue_that_is_missing_is_not_found(self, aws: Handle) -> None:
        with pytest.raises(errors.NotFound):
            Queue(OWN, REGION, f"{aws.url}/{aws.state.home_account}/nowhere").receive(wait=0)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.us-east-1.amazonaws.com/111122223333/q", "us-east-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q", "cn-north-1"),
        ("http://127.0.0.1:8002/111122223333/q", "eu-west-1"),
    ],
)
def test_the_region_of_a_queue_is_in_its_url(url: str, region: str) -> None:
    assert region_of(url, "eu-west-1") == region
