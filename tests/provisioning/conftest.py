"""A team with a domain that the AWS stand-in knows too, and somebody in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from portal.demo.aws.server import Handle
from provisioning import profiles
from provisioning.models import Profile
from teams.models import AuditEvent, Membership, Team, User
from tests.factories import make_account, make_domain, make_team, make_user


@dataclass
class World:
    """AWS, one team with one member, and the row of that member's profile."""

    aws: Handle
    team: Team
    user: User

    @property
    def domain_id(self) -> str:
        return self.team.domain.domain_id

    @property
    def profile(self) -> Profile:
        """The row as it stands now."""
        return Profile.objects.get(user=self.user, team=self.team)

    @property
    def in_aws(self) -> Any:
        """The profile as the stand-in knows it, None when it does not."""
        return self.aws.state.profile(self.domain_id, self.profile.name)

    @property
    def client(self) -> Any:
        """Somebody else's client of the same account."""
        return boto3.client("sagemaker", region_name=self.team.domain.region, endpoint_url=self.aws.url)

    def change(self, **fields: Any) -> None:
        """Change the row behind the workers' back."""
        Profile.objects.filter(user=self.user, team=self.team).update(**fields)

    def step(self) -> Profile:
        """Let the row be due now, make one step, return the row."""
        from django.utils import timezone

        self.change(due_at=timezone.now())
        profiles.ensure(self.profile.pk)
        return self.profile

    def steps(self, state: str, most: int = 8) -> Profile:
        """Make steps until the row has this state."""
        for _ in range(most):
            if self.step().state == state:
                return self.profile
        pytest.fail(f"still {self.profile.state} after {most} steps: {self.profile.error}")

    def make_foreign(self, *, role: str = "", tags: dict[str, str] | None = None) -> None:
        """Make the profile in AWS as somebody else would."""
        self.client.create_user_profile(
            DomainId=self.domain_id,
            UserProfileName=self.profile.name,
            UserSettings={"ExecutionRole": role or self.team.execution_role_arn},
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        )
        self.aws.state.calls.clear()

    def operations(self) -> list[str]:
        """The operations that AWS has been asked for so far."""
        return [call.operation for call in self.aws.calls()]

    def audited(self) -> list[str]:
        """The actions in the audit log, oldest first."""
        return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


@pytest.fixture(autouse=True)
def _short_breath(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait for long after AWS throttled a call: it does not get better with time here."""
    monkeypatch.setattr("provisioning.aws.studio.BREATHER", 0.02)


@pytest.fixture(name="make_world")
def _make_world(aws: Handle) -> Callable[..., World]:
    def make(slug: str = "team1", subject: str = "user1", **team_fields: Any) -> World:
        account = make_account(account_id=aws.state.home_account)
        domain = make_domain(account)
        aws.state.add_domain(domain.domain_id, account_id=account.account_id, region=domain.region)
        team = make_team(slug, domain=domain, **team_fields)
        user = make_user(subject)
        Membership.objects.create(user=user, team=team, source="saml")
        profiles.prepare([user.pk])
        return World(aws, team, user)

    return make


@pytest.fixture(name="world")
def _world(make_world: Callable[..., World], db: None) -> World:
    """User1 in team1, with the row of the profile `user1-team1` just made."""
    return make_world()
