"""The services that the endpoint speaks."""

from portal.demo.aws import iam, identitystore, quotas, sagemaker, sqs, ssoadmin, sts
from portal.demo.aws.service import Service

SERVICES: tuple[Service, ...] = (
    *(sagemaker.SERVICE, sts.SERVICE, identitystore.SERVICE, sqs.SERVICE),
    *(iam.SERVICE, quotas.SERVICE, ssoadmin.SERVICE),
)


def by_target(prefix: str) -> Service | None:
    """Return the JSON service that an `X-Amz-Target` with this prefix is meant for."""
    return next((s for s in SERVICES if not s.is_query and s.model.metadata["targetPrefix"] == prefix), None)


def by_version(version: str) -> Service | None:
    """Return the Query service of an API version."""
    return next((s for s in SERVICES if s.is_query and s.model.metadata["apiVersion"] == version), None)
