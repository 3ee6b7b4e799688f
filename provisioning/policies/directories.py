"""What reading a directory of IAM Identity Center and its queue takes: nothing that writes. Pure.

Only where the portal assigns people to the applications of domains in SSO mode it may do so, and to those alone.
"""

from collections.abc import Iterable

from provisioning.policies import document
from provisioning.policies.document import Document
from provisioning.policies.facts import DirectoryFacts
from provisioning.policies.statements import Statement, allow

_READS = (
    *("DescribeGroup", "DescribeUser", "GetGroupId", "GetUserId", "IsMemberInGroups", "ListGroupMemberships"),
    *("ListGroupMembershipsForMember", "ListGroups", "ListUsers"),
)
_ASSIGNS = ("CreateApplicationAssignment", "DeleteApplicationAssignment", "DescribeApplicationAssignment")
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
    if directory.applications:
        made.append(allow("AssignPeople", [f"sso:{action}" for action in _ASSIGNS], directory.applications))
    return made


def _documents(directory: DirectoryFacts) -> list[Document]:
    reader = f"the role {directory.role_arn}" if directory.role_arn else "the portal's own role"
    return document.divided(
        f"directory-{directory.slug}",
        f"Directory {directory.slug}: read it{' and assign people' if directory.applications else ''}",
        statements_of(directory),
        account_id=directory.account_id,
        attach_to=reader,
    )
