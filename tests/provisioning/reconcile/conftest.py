"""A domain with profiles that AWS and the portal agree upon, and comparisons from beginning to end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.utils import timezone
from pytest_django import Settings

from portal.demo.aws.rows import Profile as InAws
from provisioning import desired, limits, profiles
from provisioning.models import Profile, ReconcileItem, Reconciliation
from provisioning.reconcile import runs
from teams.models import AuditEvent, Domain, Membership, Team, User
from tests.factories import make_user
from tests.provisioning.conftest import World

State = Reconciliation.State
Trigger = Reconciliation.Trigger
OLD = timedelta(hours=2)


@dataclass
class Compared:
    """A domain with one team whose members have ready profiles that nobody has touched for hours."""

    world: World

    @property
    def aws(self) -> Any:
        return self.world.aws

    @property
    def team(self) -> Team:
        return self.world.team

    @property
    def domain(self) -> Domain:
        return self.world.team.domain

    def add(self, *subjects: str) -> None:
        """Give people ready profiles, here and in AWS."""
        people = User.objects.bulk_create(
            [User(subject=each, username=each, name=each, email=f"{each}@example.com") for each in subjects]
        )
        Membership.objects.bulk_create([Membership(user=user, team=self.team, source="scim:x") for user in people])
        profiles.prepare([user.pk for user in people])
        self.settle()

    def settle(self) -> None:
        """Have AWS and all rows agree, since hours."""
        now, role, tags = timezone.now(), self.team.execution_role_arn, self.team.tags.values_list("key", "value")
        team_tags = dict(tags)
        rows = Profile.objects.filter(team=self.team)
        for name, username in rows.values_list("name", "user__username"):
            wanted = desired.desired(
                name=name, username=username, team_slug=self.team.slug, execution_role_arn=role,
                user_settings={}, team_tags=team_tags,
            )  # fmt: skip
            prefix = self.put(name, wanted.tags).arn.removesuffix(name)
        rows.update(
            state=Profile.State.READY, arn=Concat(Value(prefix), F("name")), execution_role_arn=role, due_at=None,
            changed_at=now - OLD,
            form_version=self.team.form_version,
        )  # fmt: skip

    def put(self, name: str, tags: dict[str, str], **fields: Any) -> InAws:
        """Have AWS have a profile since hours."""
        then = timezone.now().timestamp() - OLD.total_seconds()
        settings = {**self.team.user_settings, "ExecutionRole": self.team.execution_role_arn}
        given: dict[str, Any] = {"tags": dict(tags), "settings": settings, "created": then, "modified": then}
        account, domain = self.domain.account.account_id, self.domain
        profile = InAws(account, domain.region, domain.domain_id, name, **given | fields)
        self.aws.state.profiles[domain.domain_id, name.lower()] = profile
        return profile

    def in_aws(self, name: str) -> InAws:
        """The profile as AWS has it."""
        found: InAws = self.aws.state.profile(self.domain.domain_id, name)
        return found

    def row(self, name: str) -> Profile:
        """The portal's row of this name."""
        return Profile.objects.get(name=name)

    def start(self, **options: Any) -> Reconciliation:
        """Begin a comparison."""
        return runs.start(self.domain, Trigger.DEMAND, **options)[0]

    def compare(self, **options: Any) -> Reconciliation:
        """Compare from beginning to end."""
        return self.finish(self.start(**options))

    def finish(self, run: Reconciliation, *, most: int = 200) -> Reconciliation:
        """Make steps until a comparison is over; pauses are skipped."""
        for _ in range(most):
            Reconciliation.objects.filter(pk=run.pk, state__in=Reconciliation.OPEN).update(due_at=run.started_at)
            runs.step(run.pk)
            run.refresh_from_db()
            if run.state not in Reconciliation.OPEN:
                return run
        pytest.fail(f"still {run.state} after {most} steps: {run.error}")

    def found(self, run: Reconciliation) -> list[tuple[str, str, str]]:
        """What a comparison found: names, kinds and what is done."""
        return sorted(run.items.values_list("name", "kind", "action"))

    def item(self, run: Reconciliation) -> ReconcileItem:
        """The one difference that a comparison found."""
        return ReconcileItem.objects.select_related("run__domain").get(run=run)

    def calls(self, operation: str = "") -> list[str]:
        """What AWS has been asked for so far."""
        return [each.operation for each in self.aws.calls(operation)]

    def audited(self, action: str) -> list[AuditEvent]:
        """The audit rows of an action, oldest first."""
        return list(AuditEvent.objects.filter(action=action).order_by("id"))


@pytest.fixture(autouse=True)
def _no_pace(settings: Settings) -> None:
    """Have nobody wait for a slot, and the schedule on."""
    settings.RECONCILE_HOURS = 6
    settings.SAGEMAKER_CALLS_PER_SECOND = 1_000_000.0
    limits.forget()


@pytest.fixture(name="make_compared")
def _make_compared(make_world: Callable[..., World]) -> Callable[..., Compared]:
    def make(**fields: Any) -> Compared:
        compared = Compared(make_world(**fields))
        compared.settle()
        return compared

    return make


@pytest.fixture(name="world")
def _world(make_compared: Callable[..., Compared], db: None) -> Compared:
    """User1 in team1, whose profile user1-team1 is as it should be, in a team with settings and a tag."""
    compared = make_compared(user_settings={"SecurityGroups": ["sg-1"]})
    compared.team.tags.create(key="cost", value="42")
    compared.settle()
    return compared


@pytest.fixture(name="leaver")
def _leaver(world: Compared) -> User:
    """Somebody without access, of whose profile the portal has no row."""
    return make_user("leaver")
