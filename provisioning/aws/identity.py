"""Verbs of an identity store of IAM Identity Center. They take and return plain values, and raise only what `errors`
names.

Each verb is exactly one call, at a pace that all workers share (`provisioning.limits`). Lists come page by page; a page
may be short or empty and still have a token for the next one.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.conf import settings

from provisioning import limits
from provisioning.aws import client, errors
from provisioning.aws.client import Account, Purpose
from provisioning.database import give_back_connection
from teams.scrubbing import storable

PAGE = 100
MAX_PAGES = 100_000
MAX_GROUPS_ASKED = 100

Row = TypeVar("Row")


@dataclass(frozen=True)
class GroupRow:
    """A group; the name may be empty."""

    group_id: str
    name: str


@dataclass(frozen=True)
class UserRow:
    """A user; `enabled` is false only where AWS says that the user is disabled. `email` is the primary one."""

    user_id: str
    user_name: str
    name: str
    email: str
    external_ids: tuple[str, ...]
    enabled: bool


@dataclass(frozen=True)
class MembershipRow:
    """That a user is in a group; an empty `user_id` says that the member is no user."""

    membership_id: str
    group_id: str
    user_id: str


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a list; an empty token says that it is the last one."""

    rows: tuple[Row, ...]
    next_token: str


class PagingError(errors.Transient):
    """AWS's pages lead in a circle, or never end."""


@dataclass(frozen=True)
class IdentityStore:
    """The identity store `store_id`, reached through an account in its home Region."""

    account: Account
    region: str
    store_id: str
    purpose: Purpose = "work"

    def groups_page(self, token: str = "") -> Page[GroupRow]:
        """Return one page of all groups."""
        return self._page("list_groups", "Groups", _group, token)

    def users_page(self, token: str = "") -> Page[UserRow]:
        """Return one page of all users."""
        return self._page("list_users", "Users", _user, token)

    def members_page(self, group_id: str, token: str = "") -> Page[MembershipRow]:
        """Return one page of a group's direct members. Raises NotFound; see `is_gone`."""
        return self._page("list_group_memberships", "GroupMemberships", _membership, token, GroupId=group_id)

    def memberships_page(self, user_id: str, token: str = "") -> Page[MembershipRow]:
        """Return one page of a user's memberships. Raises NotFound; see `is_gone`."""
        member = {"UserId": user_id}
        return self._page("list_group_memberships_for_member", "GroupMemberships", _membership, token, MemberId=member)

    def describe_user(self, user_id: str) -> UserRow:
        """Return one user. Raises NotFound; see `is_gone`."""
        return _user(self._call("describe_user", UserId=user_id))

    def describe_group(self, group_id: str) -> GroupRow:
        """Return one group. Raises NotFound; see `is_gone`."""
        return _group(self._call("describe_group", GroupId=group_id))

    def group_id(self, name: str) -> str:
        """Return the id of the group with this exact name. Raises NotFound."""
        unique = {"AttributePath": "displayName", "AttributeValue": name}
        return str(self._call("get_group_id", AlternateIdentifier={"UniqueAttribute": unique})["GroupId"])

    def user_id(self, user_name: str) -> str:
        """Return the id of the user with this user name. Raises NotFound."""
        unique = {"AttributePath": "userName", "AttributeValue": user_name}
        return str(self._call("get_user_id", AlternateIdentifier={"UniqueAttribute": unique})["UserId"])

    def is_member_in_groups(self, user_id: str, group_ids: Sequence[str]) -> frozenset[str]:
        """Return those of at most 100 groups that the user is in."""
        answer = self._call(
            "is_member_in_groups", MemberId={"UserId": user_id}, GroupIds=list(group_ids[:MAX_GROUPS_ASKED])
        )
        return frozenset(each["GroupId"] for each in answer.get("Results", []) if each.get("MembershipExists"))

    def is_gone(self, error: errors.NotFound, kind: str) -> bool:
        """Whether a group (`GROUP`) or user (`USER`) is what AWS did not find, rather than the whole store.

        An answer that does not say is believed only while the store itself still answers; raises like any verb.
        """
        if error.resource:
            return error.resource.upper() == kind
        self._call("list_groups", MaxResults=1)
        return True

    def _page(
        self, operation: str, member: str, made: Callable[[Mapping[str, Any]], Row], token: str, **request: Any
    ) -> Page[Row]:
        if token:
            request["NextToken"] = token
        answer = self._call(operation, MaxResults=PAGE, **request)
        following = str(answer.get("NextToken") or "")
        if following and following == token:
            raise PagingError("AWS gave the same page token again.")
        return Page(tuple(made(each) for each in answer.get(member) or ()), following)

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        pace = f"identitystore:{self.region}:{self.store_id}:{operation}"
        # No connection of the database is held while this waits.
        give_back_connection()
        limits.wait(pace, settings.IDENTITYSTORE_CALLS_PER_SECOND)
        try:
            with errors.translated():
                call = getattr(client.get(self.account, self.region, "identitystore", self.purpose), operation)
                answer: dict[str, Any] = call(IdentityStoreId=self.store_id, **request)
                return answer
        except errors.Throttled as error:
            limits.push_back(pace, error.retry_after or 1.0)
            raise
        except errors.CredentialsExpired:
            client.forget(self.account)
            raise


def every(page: Callable[[str], Page[Row]]) -> Iterator[Row]:
    """Yield the rows of all pages; `page` takes a token. Raises PagingError when they lead in a circle."""
    seen: set[str] = set()
    token = ""
    for _ in range(MAX_PAGES):
        found = page(token)
        yield from found.rows
        token = found.next_token
        if not token:
            return
        digest = token_digest(token)
        if digest in seen:
            raise PagingError("AWS's pages lead in a circle.")
        seen.add(digest)
    raise PagingError("AWS's pages never end.")


def token_digest(token: str) -> str:
    """Return a short name of a token; empty for the first page."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest() if token else ""


def _group(answer: Mapping[str, Any]) -> GroupRow:
    return GroupRow(_own_id(answer, "GroupId"), _text(answer.get("DisplayName")))


def _membership(answer: Mapping[str, Any]) -> MembershipRow:
    member = answer.get("MemberId") or {}
    return MembershipRow(
        _id(answer.get("MembershipId") or ""), _id(answer.get("GroupId") or ""), _id(member.get("UserId") or "")
    )


def _user(answer: Mapping[str, Any]) -> UserRow:
    emails = [each for each in answer.get("Emails") or () if each.get("Value")]
    primary = next((each for each in emails if each.get("Primary")), emails[0] if emails else {})
    parts = answer.get("Name") or {}
    name = answer.get("DisplayName") or parts.get("Formatted") or ""
    name = name or f"{parts.get('GivenName') or ''} {parts.get('FamilyName') or ''}".strip()
    return UserRow(
        user_id=_own_id(answer, "UserId"),
        user_name=_text(answer.get("UserName")),
        name=_text(name),
        email=_text(primary.get("Value")),
        external_ids=tuple(_text(each["Id"]) for each in answer.get("ExternalIds") or () if each.get("Id")),
        enabled=str(answer.get("UserStatus") or "").upper() != "DISABLED",
    )


def _text(value: Any) -> str:
    """Return a text that PostgreSQL can store; empty for None."""
    return storable(str(value or ""))


def _own_id(answer: Mapping[str, Any], name: str) -> str:
    """Return the id of what AWS tells of. Raises Transient without one: of such an answer nothing can be believed."""
    found = _id(answer.get(name) or "")
    if not found:
        raise errors.Transient(f"AWS's answer could not be read: it has no {name}.", code="MissingId")
    return found


def _id(value: Any) -> str:
    """Return a plain id: AWS may also write one as an ARN."""
    return _text(value).rpartition("/")[2]
