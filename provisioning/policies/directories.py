"""What reading a directory of IAM Identity Center and its queue takes: nothing that writes. Pure."""

from collections.abc import Iterable

from provisioning.policies import document
from provisioning.policies.document import Document
from provisioning.policies.facts import DirectoryFacts
from provisioning.policies.statements import Statement, allow

_READS = (
    *("DescribeGroup", "DescribeUser", "GetGroupId", "GetUserId", "IsMemberInGroups", "ListGroupMemberships"),
    *("ListGroupMembershipsForMember", "ListGroups", "ListUsers"),
)
_QUEUE = ("ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage")


def documents(directories: Iterable[DirectoryFacts]) -> list[Document]:
    """Return one document for each directory."""
    return [made for each in directories for made in _documents(each)]


def statements_of(directory: DirectoryFacts) -> list[Statement]:
    """Return what reading one directory takes; users, groups and memberships have ARNs without an account."""
    start = f"arn:{directory.partition}:identitystore:"
    store = f"{start}:*:identitystore/{directory.store_id}"
    kinds = [f"{start}::{kind}/*" for kind in ("user", "group", "membership")]
    made = [allow("ReadDirectory", [f"identitystore:{action}" for action in _READS], [store, *kinds])]
    if directory.queue_arn:
        made.append(allow("ReadQueue", [f"sqs:{action}" for action in _QUEUE], [directory.queue_arn]))
    return made


def _documents(directory: DirectoryFacts) -> list[Document]:
    reader = f"the role {directory.role_arn}" if directory.role_arn else "the portal's own role"
    return document.divided(
        f"directory-{directory.slug}",
        f"Directory {directory.slug}: read it",
        statements_of(directory),
        account_id=directory.account_id,
        attach_to=reader,
    )
