"""Verbs of IAM Identity Center's assignments of users to applications. They raise only what `errors` names.

Each verb is exactly one call, at a pace that all workers share: AWS counts all calls of this service together. They go
to the home Region of the Identity Center instance.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from provisioning import limits
from provisioning.aws import client, errors
from provisioning.aws.client import Account, Purpose
from provisioning.database import give_back_connection

# Nobody calls for so many seconds after AWS throttled a call.
BREATHER = 0.5


@dataclass(frozen=True)
class Assignments:
    """The direct assignments of users, reached through an account in the home Region."""

    account: Account
    region: str
    purpose: Purpose = "work"

    def exists(self, application: str, user_id: str) -> bool:
        """Whether a user is assigned by themselves; whether a group of theirs is, AWS does not say here."""
        try:
            self._call("describe_application_assignment", application, user_id)
        except errors.NotFound:
            return False
        return True

    def create(self, application: str, user_id: str) -> str:
        """Assign a user and return AWS's request id. Raises AlreadyExists where an earlier change is under way."""
        return self._call("create_application_assignment", application, user_id)

    def delete(self, application: str, user_id: str) -> str:
        """Take an assignment away and return AWS's request id. Raises NotFound when there is none."""
        return self._call("delete_application_assignment", application, user_id, first=True)

    def _call(self, operation: str, application: str, user_id: str, *, first: bool = False) -> str:
        account = self.account.role_arn.split(":")[4] if self.account.role_arn else "own"
        pace, rate = f"sso-admin:{account}:{self.region}", settings.SSO_ADMIN_CALLS_PER_SECOND
        # No connection of the database is held while this waits.
        give_back_connection()
        # A door that is to be closed goes before those that are to be opened.
        limits.wait(pace, rate, first=first)
        request = {"ApplicationArn": application, "PrincipalId": user_id, "PrincipalType": "USER"}
        try:
            with errors.translated():
                call = getattr(client.get(self.account, self.region, "sso-admin", self.purpose), operation)
                answer: dict[str, Any] = call(**request)
        except errors.Throttled as error:
            limits.push_back(pace, error.retry_after or BREATHER)
            limits.slow_down(pace, rate)
            raise
        except errors.CredentialsExpired:
            client.forget(self.account)
            raise
        return str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
