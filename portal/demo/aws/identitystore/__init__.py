"""The identity store of IAM Identity Center: users, groups and memberships."""

from portal.demo.aws.identitystore import groups, memberships, trail, users
from portal.demo.aws.service import Operation, Service

_READS: dict[str, Operation] = {**users.READS, **groups.READS, **memberships.READS}
_WRITES: dict[str, Operation] = {**users.WRITES, **groups.WRITES, **memberships.WRITES}

SERVICE = Service(
    name="identitystore",
    operations=_READS | {name: trail.logged(write) for name, write in _WRITES.items()},
    reads=frozenset(_READS),
)
