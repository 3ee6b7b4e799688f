"""Scans: every app of a domain is found, with its owner, and what is gone is noticed, whatever AWS does meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from portal import admin_status
from portal.demo.aws.rows import app_key
from provisioning import profiles
from provisioning.aws.studio import Studio
from provisioning.models import DomainScan, Profile, RunningApp, StudioSpace
from provisioning.running import scans, sightings
from teams.models import Membership, Team
from tests.factories import make_domain, make_team, make_user
from tests.provisioning.running.conftest import Apps, moment
from tests.provisioning.test_tasks import run_workers

Stage = DomainScan.Stage
LISTS = ("ListSpaces", "ListApps", "DescribeApp")


def test_apps_of_profiles_and_of_spaces_are_found_with_their_people(world: Apps) -> None:
    world.start()
    lab = world.start("lab", instance="ml.g5.xlarge")
    world.scan()
    own, of_space = world.running()
    assert (own.profile_name, own.space_name, own.app_type) == ("user1-team1", "", "JupyterServer")
    assert (of_space.profile_name, of_space.space_name, of_space.instance_type) == ("", "lab", "ml.g5.xlarge")
    assert [(app.user, app.team, app.status) for app in (own, of_space)] == [(world.user, world.team, "InService")] * 2
    assert of_space.started_at == moment(lab.created)


def test_the_domain_is_listed_as_a_whole(world: Apps) -> None:
    world.start("lab")
    world.scan()
    (call,) = world.aws.calls("ListApps")
    assert "UserProfileNameEquals" not in call.params
    assert call.params["DomainIdEquals"] == world.domain_id


def test_spaces_are_noted_with_their_volumes_and_forgotten_when_they_are_gone(world: Apps) -> None:
    world.make_space("common", sharing="Shared")
    world.scan()
    rows = StudioSpace.objects.order_by("name").values_list("name", "owner", "sharing", "volume_gb")
    assert list(rows) == [("common", "user1-team1", "Shared", None), ("lab", "user1-team1", "Private", 20)]
    world.client.delete_space(DomainId=world.domain_id, SpaceName="common")
    world.scan()
    assert [space.name for space in StudioSpace.objects.all()] == ["lab"]


def test_the_owner_is_found_whatever_the_case_of_names(world: Apps) -> None:
    world.start("lab")
    for space in world.aws.state.all_spaces():
        space.owner = space.owner.upper()
    world.in_stock("lab").space = "LAB"
    world.scan()
    (app,) = world.running()
    assert app.user == world.user


def test_a_shared_space_without_an_owner_is_nobodys(world: Apps) -> None:
    world.client.create_space(DomainId=world.domain_id, SpaceName="nobodys")
    world.start("nobodys")
    world.scan()
    (app,) = world.running()
    assert (app.user, app.team) == (None, None)


def test_apps_of_a_profile_that_is_somebody_elses_are_nobodys(world: Apps) -> None:
    world.start("lab")
    world.change(state=Profile.State.CONFLICT, managed=False)
    world.scan()
    (app,) = world.running()
    assert (app.user, app.team) == (None, None)


def test_where_aws_names_both_the_space_wins(world: Apps) -> None:
    colleague = make_user("user2")
    Membership.objects.create(user=colleague, team=world.team, source="saml")
    profiles.prepare()
    world.start("lab")
    world.in_stock("lab").profile = "user2-team1"
    found = Studio.apps_page
    rows = _row_with_both(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Studio, "apps_page", rows)
        world.scan()
    (app,) = world.running()
    assert (app.profile_name, app.space_name, app.user) == ("", "lab", world.user)


def _row_with_both(original: Callable[..., Any]) -> Callable[..., Any]:
    def apps_page(studio: Studio, domain_id: str, token: str = "") -> Any:
        page = original(studio, domain_id, token)
        return replace(page, apps=tuple(replace(app, profile="user2-team1", space="lab") for app in page.apps))

    return apps_page


class TestTheEnd:
    def test_a_deleted_app_has_ended_when_it_was_seen(self, world: Apps) -> None:
        world.start("lab")
        began = world.scan().started_at
        assert began is not None
        assert world.app("lab").seen_at == began
        world.client.delete_app(DomainId=world.domain_id, SpaceName="lab", AppType="JupyterLab", AppName="default")
        before = timezone.now()
        world.scan()
        app = world.app("lab")
        assert app.status == "Deleted"
        assert app.ended_at is not None
        assert before <= app.ended_at <= timezone.now()

    def test_what_ended_long_before_anybody_looked_is_not_charged_for_all_of_it(self, world: Apps) -> None:
        world.start("lab", hours=30)
        world.scan()
        yesterday = timezone.now() - timedelta(hours=20)
        RunningApp.objects.update(seen_at=yesterday)
        world.client.delete_app(DomainId=world.domain_id, SpaceName="lab", AppType="JupyterLab", AppName="default")
        world.scan()
        assert world.app("lab").ended_at == yesterday + sightings.UNSEEN

    def test_what_never_ran_while_somebody_looked_is_not_recorded(self, world: Apps) -> None:
        world.start("lab")
        world.client.delete_app(DomainId=world.domain_id, SpaceName="lab", AppType="JupyterLab", AppName="default")
        world.scan()
        assert not RunningApp.objects.exists()

    def test_an_app_started_again_is_another_run(self, world: Apps) -> None:
        world.start("lab", hours=5)
        world.scan()
        world.client.delete_app(DomainId=world.domain_id, SpaceName="lab", AppType="JupyterLab", AppName="default")
        second = world.start("lab")
        world.scan()
        first, again = RunningApp.objects.order_by("started_at")
        assert first.ended_at is not None
        assert first.ended_at <= moment(second.created)
        assert (again.started_at, again.ended_at) == (moment(second.created), None)

    def test_an_app_that_one_list_lacks_is_asked_for(self, world: Apps) -> None:
        world.start("lab")
        world.scan()
        lagging = _lacking_lists(Studio.apps_page)
        world.aws.state.calls.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Studio, "apps_page", lagging)
            began = world.scan().started_at
        assert world.operations().count("DescribeApp") == 1
        app = world.app("lab")
        assert (app.ended_at, app.seen_at) == (None, began)

    def test_an_app_that_aws_has_no_more_ended_when_it_was_last_seen(self, world: Apps) -> None:
        world.start("lab", hours=5)
        world.scan()
        seen_at = world.app("lab").seen_at
        world.aws.state.apps.clear()
        world.scan()
        assert world.app("lab").ended_at == seen_at

    def test_it_runs_again_when_it_was_not_gone_after_all(self, world: Apps) -> None:
        world.start("lab", hours=1)
        world.scan()
        world.in_stock("lab").hidden_until = world.aws.state.clock.now() + 3600
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Studio, "apps_page", _lacking_lists(Studio.apps_page))
            world.scan()
        assert world.app("lab").ended_at is not None
        world.in_stock("lab").hidden_until = 0
        world.scan()
        assert world.app("lab").ended_at is None

    @pytest.mark.parametrize("stage", [Stage.SPACES, Stage.APPS])
    def test_a_scan_that_broke_off_ends_nothing(self, world: Apps, stage: DomainScan.Stage) -> None:
        world.start("lab")
        world.scan()
        world.aws.state.apps.clear()
        world.aws.personality.fail_next = {"ListSpaces" if stage == Stage.SPACES else "ListApps": [500] * 40}
        for _ in range(3):
            assert world.scan_step().stage == stage
        assert world.app("lab").ended_at is None
        began = timezone.now() - scans.DEADLINE - timedelta(seconds=1)
        DomainScan.objects.update(started_at=began)
        world.aws.personality.fail_next = {}
        assert world.scan().started_at != began
        assert world.app("lab").ended_at is not None


def _lacking_lists(original: Callable[..., Any]) -> Callable[..., Any]:
    def apps_page(studio: Studio, domain_id: str, token: str = "") -> Any:
        return replace(original(studio, domain_id, token), apps=())

    return apps_page


class TestPersonalities:
    @pytest.mark.parametrize(
        "personality",
        [
            {"short_pages": True, "seed": 3}, {"old_not_found": True}, {"consistency_lag": 3.0},
            {"throttle": {"fraction": 0.4}, "seed": 1}, {"slow": 0.01}, {"fail_next": {"ListApps": ["drop", 503]}},
            {"fail_next": {"ListSpaces": ["lost", "AccessDeniedException"]}},
        ],
        ids=lambda each: "-".join(each),
    )  # fmt: skip
    def test_it_finds_all_and_ends_what_is_gone(self, world: Apps, personality: dict[str, Any]) -> None:
        world.start()
        world.start("lab")
        for number in range(4):
            world.start("lab", name=f"more{number}")
        world.aws.personality.update(personality)
        world.scan()
        assert len(world.running()) == 6
        world.client.delete_app(DomainId=world.domain_id, SpaceName="lab", AppType="JupyterLab", AppName="more1")
        del world.aws.state.apps[next(key for key in world.aws.state.apps if key[-1] == "more2")]
        world.aws.state.clock.advance(5)
        world.scan()
        assert [app.name for app in world.running()] == ["default", "default", "more0", "more3"]
        assert world.row.error == ""

    def test_aws_is_away_for_a_while(self, world: Apps) -> None:
        world.start("lab")
        world.aws.personality.down = True
        row = world.scan_step()
        assert (row.attempts, row.claim) == (1, None)
        assert row.error
        assert row.due_at > timezone.now()
        world.aws.personality.down = False
        world.scan()
        assert len(world.running()) == 1

    def test_a_token_that_aws_has_forgotten_begins_the_list_again(self, world: Apps) -> None:
        world.start("lab")
        scans.prepare()
        DomainScan.objects.update(stage=Stage.APPS, token="of old", started_at=timezone.now())
        world.scan()
        assert len(world.running()) == 1

    def test_a_list_without_an_end_is_an_error(self, world: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
        from provisioning.aws.studio import SpacePage

        monkeypatch.setattr(Studio, "spaces_page", lambda *_: SpacePage((), "again"))
        row = world.scan_step()
        assert row.attempts == 1
        assert "end of a list" in row.error


class TestWorkers:
    @pytest.mark.parametrize("verb", ["spaces_page", "apps_page", "describe_app"])
    def test_one_that_dies_leaves_nothing_undone(self, world: Apps, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
        world.start("lab")
        world.scan()
        world.start("lab", name="second")
        del world.aws.state.apps[next(key for key in world.aws.state.apps if key[-1] == "default")]
        with monkeypatch.context() as patch:
            patch.setattr(Studio, verb, _die)
            with pytest.raises(KeyboardInterrupt):
                world.scan_step()
        assert world.row.claim is not None
        assert scans.step(world.row.pk) is None
        world.expire_claims()
        world.scan()
        assert [app.name for app in world.running()] == ["second"]

    def test_one_whose_claim_was_taken_writes_nothing(self, world: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
        world.start("lab")
        original = Studio.apps_page

        def slowly(studio: Studio, domain_id: str, token: str = "") -> Any:
            DomainScan.objects.update(claim="00000000-0000-0000-0000-000000000000")
            return original(studio, domain_id, token)

        monkeypatch.setattr(Studio, "apps_page", slowly)
        assert world.scan_step().stage == Stage.APPS
        assert not RunningApp.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_two_make_one_scan(self, world: Apps) -> None:
        world.start("lab")
        scan = world.row
        run_workers(lambda: scans.step(scan.pk), 2)
        assert len(world.aws.calls("ListSpaces")) == 1
        assert len(world.running()) == 1


def _die(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


class TestSchedule:
    def test_only_domains_with_teams_are_read(self, world: Apps) -> None:
        make_domain()
        other = make_team().domain
        scans.prepare()
        assert {scan.domain for scan in DomainScan.objects.all()} == {world.team.domain, other}
        Team.objects.filter(domain=other).delete()
        assert scans.due(10) == [world.row.pk]

    def test_the_next_one_follows_after_the_interval_or_when_asked_for(self, world: Apps) -> None:
        row = world.scan()
        assert row.started_at is not None
        assert row.due_at == row.started_at + timedelta(minutes=5)
        scans.soon(row.domain_id)
        assert scans.due(10) == [row.pk]

    def test_none_where_it_is_switched_off(self, world: Apps, settings: Settings) -> None:
        scans.prepare()
        settings.APPS_SCAN_MINUTES = 0
        assert scans.due(10) == []
        DomainScan.objects.update(created_at=timezone.now() - timedelta(hours=2))
        assert not scans.late()
        assert admin_status.read()

    def test_a_domain_that_is_not_read_for_long_is_told_of(self, world: Apps) -> None:
        assert [each for each in admin_status.notices() if "apps" in each.text] == []
        scans.prepare()
        DomainScan.objects.update(created_at=timezone.now() - timedelta(hours=2), error="AWS said no.")
        (notice,) = [each for each in admin_status.notices() if "apps" in each.text]
        assert "AWS said no." in notice.text
        figures = admin_status.read()
        assert [figure.number for figure in figures if figure.label == "domains read late"] == [1]
        assert [each for each in admin_status.notices(figures) if "apps" in each.text] == [notice]


class TestActivity:
    def test_it_is_asked_for_in_turn(self, world: Apps) -> None:
        app = world.start("lab", hours=3)
        world.used(app, hours=1)
        world.scan()
        assert world.app("lab").active_at == moment(app.active)
        assert world.app("lab").arn == app.arn
        world.aws.state.calls.clear()
        world.scan()
        assert "DescribeApp" not in world.operations()
        RunningApp.objects.update(looked_at=timezone.now() - timedelta(hours=2))
        world.scan()
        assert "DescribeApp" in world.operations()

    def test_it_does_not_hold_the_scans_up(self, world: Apps) -> None:
        world.start("lab")
        world.aws.personality.fail_next = {"DescribeApp": ["AccessDeniedException"]}
        row = world.scan()
        assert row.finished_at is not None
        assert row.error


def test_a_large_domain_takes_few_calls_and_queries(world: Apps, settings: Settings) -> None:
    settings.APPS_ACTIVITY_MINUTES = 0
    first = world.start("lab")
    for number in range(250):
        copy = replace(first, name=f"app{number}", tags={})
        world.aws.state.apps[app_key(copy)] = copy
    world.scan()
    world.aws.state.calls.clear()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        world.scan()
    assert len(world.running()) == 251
    assert len(world.aws.calls("ListApps")) == 3
    assert len(queries) < 70
