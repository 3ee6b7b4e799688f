"""Verbs of SageMaker Studio. They take and return plain values, and raise only what `errors` names.

Each verb is exactly one call, `list_tags` one per page. Nothing is retried, except minting a URL when the connection
broke, because a second URL does no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.aws import client, errors
from provisioning.aws.client import Account, Purpose


@dataclass(frozen=True)
class ProfileDescription:
    """A user profile as AWS describes it; `status` is AWS's own word, `Delete_Failed` with its underscore."""

    status: str
    arn: str
    execution_role_arn: str
    failure_reason: str
    user_settings: dict[str, Any]
    request_id: str


@dataclass(frozen=True)
class Answer:
    """What a changing call answers; `arn` is empty where AWS does not tell it."""

    arn: str
    request_id: str


@dataclass(frozen=True)
class Presigned:
    """A URL that opens Studio as somebody: a secret, and therefore not part of the text form."""

    url: str = field(repr=False)
    request_id: str = ""


@dataclass(frozen=True)
class Studio:
    """SageMaker in one account and Region."""

    account: Account
    region: str
    purpose: Purpose = "work"

    def describe_profile(self, domain_id: str, name: str) -> ProfileDescription:
        """Return one profile; its name is found without regard to case. Raises NotFound."""
        answer = self._call("describe_user_profile", DomainId=domain_id, UserProfileName=name)
        settings = answer.get("UserSettings") or {}
        return ProfileDescription(
            status=answer.get("Status", ""),
            arn=answer.get("UserProfileArn", ""),
            execution_role_arn=settings.get("ExecutionRole", ""),
            failure_reason=errors.readable(answer.get("FailureReason") or ""),
            user_settings=settings,
            request_id=_request_id(answer),
        )

    def create_profile(
        self, domain_id: str, name: str, *, user_settings: Mapping[str, Any], tags: Mapping[str, str]
    ) -> Answer:
        """Start making a profile. Raises AlreadyExists, which after a lost answer may mean that it is our own."""
        answer = self._call(
            "create_user_profile",
            DomainId=domain_id,
            UserProfileName=name,
            UserSettings=dict(user_settings),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        return _answer(answer)

    def update_profile(self, domain_id: str, name: str, *, user_settings: Mapping[str, Any]) -> Answer:
        """Start changing the settings of a profile. Raises AlreadyExists while it is busy."""
        return _answer(
            self._call(
                "update_user_profile", DomainId=domain_id, UserProfileName=name, UserSettings=dict(user_settings)
            )
        )

    def delete_profile(self, domain_id: str, name: str) -> Answer:
        """Start deleting a profile. Raises AlreadyExists while apps or spaces hold it."""
        return _answer(self._call("delete_user_profile", DomainId=domain_id, UserProfileName=name))

    def list_tags(self, arn: str) -> dict[str, str]:
        """Return all tags of a resource."""
        tags: dict[str, str] = {}
        page: dict[str, str] = {}
        while True:
            answer = self._call("list_tags", ResourceArn=arn, MaxResults=100, **page)
            tags |= {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
            if not answer.get("NextToken"):
                return tags
            page = {"NextToken": answer["NextToken"]}

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> Answer:
        """Set tags; values of keys that exist are overwritten."""
        return _answer(self._call("add_tags", ResourceArn=arn, Tags=[{"Key": key, "Value": tags[key]} for key in tags]))

    def presigned_url(self, domain_id: str, name: str, *, session_duration: int, url_lifetime: int) -> Presigned:
        """Mint a URL that opens Studio as this profile for `session_duration` seconds if used within `url_lifetime`."""
        request = {
            "DomainId": domain_id,
            "UserProfileName": name,
            "SessionExpirationDurationInSeconds": session_duration,
            "ExpiresInSeconds": url_lifetime,
        }
        try:
            answer = self._call("create_presigned_domain_url", **request)
        except errors.ConnectionBroken:
            answer = self._call("create_presigned_domain_url", **request)
        if not answer.get("AuthorizedUrl"):
            raise errors.Transient("AWS answered without a URL.", request_id=_request_id(answer))
        return Presigned(url=answer["AuthorizedUrl"], request_id=_request_id(answer))

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        try:
            with errors.translated():
                call = getattr(client.get(self.account, self.region, "sagemaker", self.purpose), operation)
                answer: dict[str, Any] = call(**request)
                return answer
        except errors.CredentialsExpired:
            client.forget(self.account)
            raise


def _answer(answer: Mapping[str, Any]) -> Answer:
    return Answer(arn=answer.get("UserProfileArn", ""), request_id=_request_id(answer))


def _request_id(answer: Mapping[str, Any]) -> str:
    return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
