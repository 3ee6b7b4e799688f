"""A domain in which people run apps, and the scans that find them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from provisioning.aws import client
from provisioning.models import DomainScan, Profile, RunningApp
from provisioning.running import scans, stopping
from teams.models import AuditEvent
from tests.provisioning.conftest import World


class Apps(World):
    """A world in which apps run."""

    @property
    def client(self) -> Any:
        """The product's client, because each costs a tenth of a second."""
        return client.get(client.Account(), self.team.domain.region, "sagemaker", "work")

    def make_space(self, name: str, *, owner: str = "", sharing: str = "Private", gb: int = 0) -> None:
        """Make a space with a volume of so many GB; `owner` is a profile."""
        storage = {"SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": gb}}} if gb else {}
        self.client.create_space(
            DomainId=self.domain_id, SpaceName=name,
            OwnershipSettings={"OwnerUserProfileName": owner or self.profile.name},
            SpaceSharingSettings={"SharingType": sharing}, SpaceSettings={"AppType": "JupyterLab", **storage},
        )  # fmt: skip

    def start(self, space: str = "", *, name: str = "default", instance: str = "ml.t3.medium", hours: float = 0) -> Any:
        """Start an app, of the profile itself where no space is named, that long ago; return the stand-in's row."""
        owner = {"SpaceName": space} if space else {"UserProfileName": self.profile.name}
        self.client.create_app(
            DomainId=self.domain_id, AppType="JupyterLab" if space else "JupyterServer", AppName=name,
            ResourceSpec={"InstanceType": instance}, **owner,
        )  # fmt: skip
        app = self.in_stock(space, name=name)
        app.created -= hours * 3600
        return app

    def in_stock(self, space: str = "", *, name: str = "default") -> Any:
        """The app as the stand-in knows it."""
        found = [
            app for app in self.aws.state.all_apps()
            if app.name == name and (app.space == space if space else app.profile.lower() == self.profile.name)
        ]  # fmt: skip
        return found[0]

    def used(self, app: Any, *, hours: float) -> None:
        """Have a person have done something in an app that long ago."""
        app.active = self.aws.state.clock.now() - hours * 3600

    @property
    def row(self) -> DomainScan:
        """The row of the domain's scan as it stands now."""
        scans.prepare()
        return DomainScan.objects.get(domain=self.team.domain)

    def scan_step(self) -> DomainScan:
        """Let the scan be due now, and make one step."""
        DomainScan.objects.filter(pk=self.row.pk).update(due_at=timezone.now())
        scans.step(self.row.pk)
        return self.row

    def scan(self, most: int = 60) -> DomainScan:
        """Make one scan from its beginning to its end."""
        before = self.row.finished_at
        for _ in range(most):
            row = self.scan_step()
            if row.stage == DomainScan.Stage.DONE and row.finished_at != before:
                return row
            self.aws.state.clock.advance(1)
        pytest.fail(f"still {row.stage} after {most} steps: {row.error}")

    def running(self) -> list[RunningApp]:
        """The apps that are not known to be over, in the order of their spaces."""
        return list(RunningApp.objects.filter(ended_at__isnull=True).order_by("space_name", "profile_name", "name"))

    def app(self, space: str = "", **filters: Any) -> RunningApp:
        """The row of an app."""
        return RunningApp.objects.get(space_name=space, **filters)

    def stop_steps(self, app: RunningApp, most: int = 40) -> RunningApp:
        """Make steps at an app that is to be stopped until nothing is left to do."""
        for _ in range(most):
            RunningApp.objects.filter(pk=app.pk, claim__isnull=True).update(claimed_until=None)
            if app.pk not in stopping.due(10):
                app.refresh_from_db()
                return app
            stopping.step(app.pk)
            self.aws.state.clock.advance(1)
        app.refresh_from_db()
        pytest.fail(f"still not over after {most} steps: {app.stop_error}")

    def expire_claims(self) -> None:
        """Let the claims of workers that died run out."""
        past = timezone.now() - timedelta(seconds=1)
        RunningApp.objects.filter(claim__isnull=False).update(claimed_until=past)
        DomainScan.objects.filter(claim__isnull=False).update(claimed_until=past)

    def log(self, action: str) -> list[AuditEvent]:
        """The audit rows of an action, oldest first."""
        return list(AuditEvent.objects.filter(action=action).order_by("id"))


def moment(stamp: float) -> datetime:
    """Return the stand-in's time as the portal has it."""
    return datetime.fromtimestamp(stamp, UTC)


@pytest.fixture(name="world")
def _world(make_world: Callable[..., World], db: None) -> Apps:
    """User1 in team1, with a ready profile and a private space `lab`."""
    made = make_world()
    world = Apps(made.aws, made.team, made.user)
    world.steps(Profile.State.READY)
    world.make_space("lab", gb=20)
    world.aws.state.calls.clear()
    return world


@pytest.fixture(autouse=True)
def _no_worker_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are what counts in these tests."""
    monkeypatch.setattr("provisioning.queue.enqueue", lambda *args, **kwargs: True)
