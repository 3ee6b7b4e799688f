"""The end of access as people and operators meet it: no way in from that moment, and nothing left in the end."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from provisioning import profiles, tasks
from provisioning.aws import client as aws_client
from provisioning.aws.studio import Studio
from provisioning.models import Profile
from teams import memberships
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, RoleMapping, Team, User
from tests.factories import make_account, make_domain, make_mapping, make_team, make_user
from tests.fixtures import IdentityProvider
from tests.flows.test_workers import DEADLINE, Processes, processes, wait_until

__all__ = ["processes"]

pytestmark = pytest.mark.django_db(transaction=True)

MINT = "CreatePresignedDomainUrl"
State = Profile.State


@pytest.fixture(name="mapping")
def _mapping(aws: Any) -> RoleMapping:
    """What speaks for user1 in team1: their group, in which a directory has them."""
    domain = make_domain(make_account(account_id=aws.state.home_account), domain_id="d-demo0studio1")
    mapping = make_mapping("scientists", make_team("team1", domain=domain))
    user = make_user("user1")
    memberships.apply(UserObservation(user, "saml", groups=frozenset({GroupRef("scientists")})))
    return mapping


@pytest.fixture(name="browser")
def _browser(mapping: RoleMapping) -> Client:
    browser = Client()
    browser.force_login(User.objects.get(subject="user1"), backend="portal.saml.backend.SamlBackend")
    return browser


def make_ready() -> Profile:
    """Have the profile made by the workers' own steps."""
    while Profile.objects.get().state != State.READY:
        Profile.objects.update(due_at=timezone.now())
        profiles.ensure(Profile.objects.get().pk)
    return Profile.objects.get()


def settle_in(profile: Profile) -> None:
    """Have the person work in a private space, as another client of the same account would see it."""
    client = aws_client.get(aws_client.Account(), profile.domain.region, "sagemaker", "work")
    domain_id = profile.domain.domain_id
    client.create_space(
        DomainId=domain_id, SpaceName="lab", OwnershipSettings={"OwnerUserProfileName": profile.name},
        SpaceSharingSettings={"SharingType": "Private"},
    )  # fmt: skip
    client.create_app(DomainId=domain_id, SpaceName="lab", AppType="JupyterLab", AppName="default")
    client.create_app(DomainId=domain_id, UserProfileName=profile.name, AppType="JupyterServer", AppName="default")


def running(aws: Any) -> int:
    return sum(app.status not in {"Deleted", "Failed"} for app in aws.state.all_apps())


class TestNoWayIn:
    def test_an_open_landing_page_opens_nothing_any_more(self, aws: Any, mapping: RoleMapping, browser: Client) -> None:
        make_ready()
        assert "Team1" in browser.get("/").content.decode()
        memberships.drop_mapping(mapping)
        assert browser.post("/teams/team1/open/").status_code == 404
        assert "Team1" not in browser.get("/").content.decode()
        assert browser.get("/t/team1/").status_code == 404
        assert aws.calls(MINT) == []

    def test_an_open_progress_page_goes_on_to_nothing(self, aws: Any, mapping: RoleMapping, browser: Client) -> None:
        aws.personality.never_ready = True
        assert browser.post("/teams/team1/open/").status_code == 303
        assert browser.get("/teams/team1/progress/").status_code == 200
        memberships.drop_mapping(mapping)
        assert browser.get("/teams/team1/progress/", headers={"HX-Request": "true"}).status_code == 404
        # What the page would post by itself when the profile is ready.
        Profile.objects.update(state=State.READY)
        assert browser.post("/teams/team1/open/").status_code == 404
        assert aws.calls(MINT) == []

    @pytest.mark.parametrize("switched_off", [User, Team])
    def test_whoever_or_whatever_is_switched_off(self, aws: Any, browser: Client, switched_off: Any) -> None:
        make_ready()
        switched_off.objects.filter(**({"subject": "user1"} if switched_off is User else {})).update(is_active=False)
        response = browser.post("/teams/team1/open/")
        # The session of a person who is switched off is over: they are sent to sign on.
        assert response.status_code in {303, 404}
        assert aws.url not in response.headers.get("Location", "")
        assert aws.calls(MINT) == []

    def test_a_profile_whose_deletion_waits_opens_nothing(
        self, aws: Any, mapping: RoleMapping, browser: Client
    ) -> None:
        make_ready()
        memberships.drop_mapping(mapping)
        assert Profile.objects.get().state == State.RETIRING
        for _ in range(3):
            assert browser.post("/teams/team1/open/").status_code == 404
        assert aws.calls(MINT) == []

    def test_a_click_that_was_let_through_before_is_the_last_one(
        self, aws: Any, mapping: RoleMapping, browser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The URL is being minted while access is taken away; every click after that commit is refused."""
        make_ready()
        original, let_through, go_on = Studio.presigned_url, threading.Event(), threading.Event()
        statuses: list[int] = []

        def held(studio: Studio, *args: Any, **kwargs: Any) -> Any:
            let_through.set()
            assert go_on.wait(DEADLINE)
            return original(studio, *args, **kwargs)

        monkeypatch.setattr(Studio, "presigned_url", held)
        first = threading.Thread(target=click, args=(browser, statuses))
        first.start()
        assert let_through.wait(DEADLINE)
        memberships.drop_mapping(mapping)
        assert browser.post("/teams/team1/open/").status_code == 404
        go_on.set()
        first.join()
        assert statuses == [303]
        assert browser.post("/teams/team1/open/").status_code == 404
        assert len(aws.calls(MINT)) == 1

    def test_the_clicks_of_a_crowd(self, aws: Any, mapping: RoleMapping, browser: Client) -> None:
        make_ready()
        during: list[int] = []
        crowd = [threading.Thread(target=click, args=(browser, during, 8)) for _ in range(4)]
        for each in crowd:
            each.start()
        wait_until(lambda: len(during) >= 4)
        memberships.drop_mapping(mapping)
        # What is asked from here on is asked after the commit.
        after: list[int] = []
        late = [threading.Thread(target=click, args=(browser, after, 4)) for _ in range(2)]
        for each in late:
            each.start()
        for each in (*crowd, *late):
            each.join()
        assert set(during) <= {303, 404}
        assert set(after) == {404}
        assert len(aws.calls(MINT)) == during.count(303)


def click(browser: Client, statuses: list[int], times: int = 1) -> None:
    """Press the button in another tab of this browser, and note what is answered."""
    tab = Client()
    tab.cookies = browser.cookies
    try:
        # One by one, so that others see the first answers while the last are on their way.
        statuses.extend(tab.post("/teams/team1/open/").status_code for _ in range(times))
    finally:
        connection.close()


def test_a_killed_worker_and_an_emptied_redis_do_not_save_anybody(
    aws: Any, idp: IdentityProvider, mapping: RoleMapping, browser: Client, processes: Processes
) -> None:
    settle_in(make_ready())
    worker = processes.start("worker")
    aws.personality.slow = {"DeleteApp": 3.0}
    memberships.drop_mapping(mapping)
    assert browser.post("/teams/team1/open/").status_code == 404
    # It dies while AWS is stopping an app.
    wait_until(lambda: bool(Profile.objects.get().progress.get("asked")))
    processes.kill(worker)
    redis.Redis.from_url(settings.REDIS_URL).flushdb()
    aws.personality.slow = 0.0
    # In production the claim runs out by itself.
    Profile.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))

    processes.start("worker")
    processes.start("beat")
    wait_until(lambda: running(aws) == 0 and Profile.objects.get().claim is None)
    assert Profile.objects.get().state == State.RETIRING
    assert len(aws.state.all_spaces()) == 1
    wait_until(lambda: AuditEvent.objects.filter(action="app_stopped").count() == 2)

    over = timezone.now() - timedelta(seconds=1)
    Profile.objects.update(retire_at=over, due_at=over, changed_at=over - timedelta(minutes=1))
    wait_until(lambda: Profile.objects.get().state == State.RETIRED)
    assert (aws.state.all_spaces(), aws.state.all_profiles(), running(aws)) == ([], [], 0)
    told = AuditEvent.objects.filter(action__in=("app_stopped", "space_deleted", "profile_deleted"))
    assert list(told.order_by("id").values_list("action", flat=True)) == [
        "app_stopped", "app_stopped", "space_deleted", "profile_deleted",
    ]  # fmt: skip
    assert browser.post("/teams/team1/open/").status_code == 404
    assert aws.calls(MINT) == []


def test_a_session_that_runs_out_keeps_apps_and_signing_on_brings_everything_back(
    aws: Any, mapping: RoleMapping, browser: Client
) -> None:
    settle_in(make_ready())
    user, groups = User.objects.get(subject="user1"), frozenset({GroupRef("scientists")})
    soon = timezone.now() + timedelta(seconds=0.5)
    memberships.apply(UserObservation(user, "saml", groups=groups, valid_until=soon))

    def retiring() -> bool:
        # Beat sends it; nobody does anything: time alone ends it.
        tasks.end_access()
        return Profile.objects.get().state == State.RETIRING

    wait_until(retiring)
    assert running(aws) == 2
    assert browser.post("/teams/team1/open/").status_code == 404
    memberships.apply(UserObservation(user, "saml", groups=groups, valid_until=timezone.now() + timedelta(hours=1)))
    assert browser.post("/teams/team1/open/")["Location"].startswith(aws.url)
    assert (running(aws), len(aws.state.all_spaces())) == (2, 1)
    assert aws.calls("DeleteApp") == []
