"""SageMaker: the part of its control plane that has to do with Studio."""

from portal.demo.aws.sagemaker import apps, domains, profiles, spaces, tags, urls
from portal.demo.aws.service import Operation, Service

_OPERATIONS: dict[str, Operation] = {
    **profiles.OPERATIONS,
    **domains.OPERATIONS,
    **spaces.OPERATIONS,
    **apps.OPERATIONS,
    **tags.OPERATIONS,
    **urls.OPERATIONS,
}

SERVICE = Service(
    name="sagemaker",
    operations=_OPERATIONS,
    reads=frozenset(name for name in _OPERATIONS if name.startswith(("Describe", "List"))),
)
