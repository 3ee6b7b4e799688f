"""Find what a request speaks of, as far as its caller may see it and as often as it may ask."""

from collections.abc import Callable
from typing import Any, TypeVar

from portal.demo.aws.directory import Group, IdentityStore, User
from portal.demo.aws.directory.contents import missing
from portal.demo.aws.errors import ApiError, invalid
from portal.demo.aws.service import Context

R = TypeVar("R")


def store(context: Context, params: dict[str, Any]) -> IdentityStore:
    """Return the identity store of a request. Raises ApiError when the caller cannot reach it, or asks too often."""
    found = context.state.identity_stores.get(plain(params["IdentityStoreId"]))
    if found is None or found.region != context.caller.region:
        raise missing("IDENTITY_STORE", "")
    if context.caller.account not in (found.account, *found.allowed_accounts):
        raise ApiError(
            "AccessDeniedException",
            f"User: {context.caller.arn} is not authorized to perform: identitystore:{context.model.name} "
            f"on resource: arn:aws:identitystore::{found.account}:identitystore/{found.store_id}",
        )
    _check_rate(context, found)
    return found


def user(found: IdentityStore, user_id: str) -> User:
    """Return the user with an id or an ARN. Raises ApiError."""
    return found.contents.user(plain(user_id))


def group(found: IdentityStore, group_id: str) -> Group:
    """Return the group with an id or an ARN. Raises ApiError."""
    return found.contents.group(plain(group_id))


def member(found: IdentityStore, params: dict[str, Any]) -> User:
    """Return the user that MemberId names. Raises ApiError."""
    return user(found, params["MemberId"]["UserId"])


def plain(identifier: str) -> str:
    """Return the id alone, whether it was given so or as an ARN."""
    return identifier.rpartition("/")[2]


def by_alternate(find: Callable[..., R], params: dict[str, Any], attributes: tuple[str, ...]) -> R:
    """Return what AlternateIdentifier names, looked up by `find`; `attributes` are the paths that are unique."""
    wanted = params["AlternateIdentifier"]
    if external := wanted.get("ExternalId"):
        return find("ExternalId", external["Issuer"], external["Id"])
    path, value = wanted["UniqueAttribute"]["AttributePath"], wanted["UniqueAttribute"]["AttributeValue"]
    if path not in attributes:
        raise invalid(f"The attribute {path} is not unique; there are: {', '.join(attributes)}")
    if not isinstance(value, str):
        raise invalid("AttributeValue must be a string")
    return find(path, value)


def no_filters(params: dict[str, Any]) -> None:
    """Refuse the filters of lists."""
    if params.get("Filters"):
        raise invalid("The AWS stand-in knows no Filters, which are deprecated: there are GetUserId and GetGroupId")


def check_revision(row: User | Group, params: dict[str, Any]) -> None:
    """Refuse a change that was meant for another revision."""
    if params.get("Revision", str(row.revision)) != str(row.revision):
        raise ApiError("ConflictException", "The resource was modified.", Reason="CONCURRENT_MODIFICATION")


def _check_rate(context: Context, found: IdentityStore) -> None:
    """Let through as many calls of an operation as the personality says: a bucket that holds those of one second."""
    # Seconds are the clock's, which a test can move.
    rate, now = context.personality.directory_rate, context.now
    if not rate:
        return
    size = max(rate, 1.0)
    left, since = found.buckets.get(context.model.name, (size, now))
    left = min(size, left + (now - since) * rate)
    is_full = left < 1
    found.buckets[context.model.name] = (left if is_full else left - 1, now)
    if is_full:
        raise ApiError("ThrottlingException", "Rate exceeded")
