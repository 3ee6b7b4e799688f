"""What an identity store of IAM Identity Center remembers: users, groups and who is in which group."""

from portal.demo.aws.directory.rows import Group, Membership, User
from portal.demo.aws.directory.store import IdentityStore

__all__ = ["Group", "IdentityStore", "Membership", "User"]
