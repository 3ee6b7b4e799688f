"""The way of a profile from wanted to ready, and back to being made good."""

from datetime import timedelta

import pytest
from django.utils import timezone

from provisioning import launch, profiles
from provisioning.models import Profile
from provisioning.rows import CLAIM, MAX_REPAIRS
from teams import memberships
from teams.memberships import GroupRef, UserObservation
from teams.models import AuditEvent, Membership, RoleMapping, TeamTag
from tests.factories import make_domain, make_mapping, role_arn
from tests.provisioning.conftest import World

State = Profile.State


class TestTheUsualWay:
    def test_a_missing_profile_is_created_with_role_settings_and_tags(self, world: World) -> None:
        world.team.user_settings = {"StudioWebPortal": "ENABLED"}
        world.team.save()
        TeamTag.objects.create(team=world.team, key="CostCentre", value="42")
        profile = world.step()
        assert profile.state == State.CREATING
        assert profile.name == "user1-team1"
        assert world.in_aws.settings == {
            "ExecutionRole": world.team.execution_role_arn, "StudioWebPortal": "ENABLED",
        }  # fmt: skip
        assert world.in_aws.tags == {
            "CostCentre": "42", "Team": "team1", "owner": "user1", "managed-by": "studio-portal",
        }  # fmt: skip

    def test_it_is_ready_once_it_is_in_service(self, world: World) -> None:
        world.aws.personality.create_delay = 5
        world.step()
        assert world.step().state == State.CREATING
        world.aws.state.clock.advance(5)
        profile = world.step()
        assert profile.state == State.READY
        assert profile.execution_role_arn == world.team.execution_role_arn
        assert profile.arn == world.in_aws.arn
        assert (profile.due_at, profile.deadline_at, profile.claim) == (None, None, None)

    def test_a_first_launch_takes_three_calls(self, world: World) -> None:
        world.step()
        world.step()
        assert world.operations() == ["DescribeUserProfile", "CreateUserProfile", "DescribeUserProfile"]

    def test_the_log_tells_each_turn_with_the_aws_request_id(self, world: World) -> None:
        world.steps(State.READY)
        assert world.audited() == ["profile_requested", "profile_created", "profile_ready"]
        created = AuditEvent.objects.get(action="profile_created")
        assert created.aws_request_id == world.aws.calls("CreateUserProfile")[0].request_id
        assert (created.target, created.team) == ("user1-team1", "team1")

    def test_a_pending_profile_is_asked_for_less_and_less_often(self, world: World) -> None:
        world.aws.personality.never_ready = True
        world.step()
        seconds = []
        for age in (1, 20, 90):
            world.change(deadline_at=timezone.now() + timedelta(minutes=10, seconds=-age), due_at=timezone.now())
            seconds.append(profiles.ensure(world.profile.pk).seconds)
        assert seconds == [1, 2, 5]

    def test_a_profile_that_stays_pending_fails_at_the_deadline_and_may_still_come(self, world: World) -> None:
        world.aws.personality.never_ready = True
        world.step()
        world.change(deadline_at=timezone.now() - timedelta(seconds=1))
        profile = world.step()
        assert profile.state == State.FAILED
        assert "Pending" in profile.error
        assert profile.due_at is not None
        world.in_aws.begin("Pending", "InService", until=0)
        assert world.step().state == State.READY

    def test_nothing_is_done_before_it_is_due(self, world: World) -> None:
        world.change(due_at=timezone.now() + timedelta(minutes=1))
        assert profiles.ensure(world.profile.pk).seconds is None
        assert world.operations() == []

    def test_a_ready_profile_that_fits_costs_one_call(self, world: World) -> None:
        world.steps(State.READY)
        world.aws.state.calls.clear()
        assert world.step().state == State.READY
        assert world.operations() == ["DescribeUserProfile"]
        assert world.audited().count("profile_ready") == 1

    def test_a_profile_unknown_to_the_database_is_ignored(self, world: World) -> None:
        assert profiles.ensure(0).seconds is None


class TestAccess:
    def test_nothing_is_made_for_somebody_who_lost_access(self, world: World) -> None:
        Membership.objects.all().delete()
        profile = world.step()
        assert (profile.state, profile.due_at) == (State.WANTED, None)
        assert world.operations() == []

    @pytest.mark.parametrize("gone", ["membership", "user", "team"])
    def test_access_ends_in_three_ways(self, world: World, gone: str) -> None:
        if gone == "membership":
            Membership.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
        elif gone == "user":
            type(world.user).objects.update(is_active=False)
        else:
            type(world.team).objects.update(is_active=False)
        world.step()
        assert world.operations() == []

    def test_a_ready_profile_stays_recorded_when_access_ends(self, world: World) -> None:
        world.steps(State.READY)
        Membership.objects.all().delete()
        profile = world.step()
        assert (profile.state, profile.due_at) == (State.READY, None)

    def test_it_goes_on_when_access_returns(self, world: World) -> None:
        Membership.objects.all().delete()
        world.step()
        Membership.objects.create(user=world.user, team=world.team, source="saml")
        assert profiles.prepare([world.user.pk]) == [world.profile.pk]
        assert world.steps(State.READY)


class TestDrift:
    def test_another_role_is_set_before_the_profile_is_ready_again(self, world: World) -> None:
        world.steps(State.READY)
        other = role_arn(world.team.domain, "other-role")
        world.team.execution_role_arn = other
        world.team.save()
        world.aws.personality.update_delay = 5
        profile = world.step()
        assert profile.state == State.CREATING
        assert profile.execution_role_arn != other
        world.aws.state.clock.advance(5)
        profile = world.step()
        assert (profile.state, profile.execution_role_arn) == (State.READY, other)
        assert world.in_aws.settings["ExecutionRole"] == other

    def test_new_settings_of_the_team_reach_the_profile(self, world: World) -> None:
        world.steps(State.READY)
        world.team.user_settings = {"StudioWebPortal": "DISABLED"}
        world.team.save()
        world.step()
        assert world.steps(State.READY)
        assert world.in_aws.settings["StudioWebPortal"] == "DISABLED"

    def test_an_update_that_may_not_be_made_does_not_spoil_a_profile_with_the_right_role(self, world: World) -> None:
        world.steps(State.READY)
        world.team.user_settings = {"StudioWebPortal": "DISABLED"}
        world.team.save()
        world.aws.personality.fail_next = {"UpdateUserProfile": ["AccessDeniedException"]}
        profile = world.step()
        assert profile.state == State.READY
        assert profile.error_code == "AccessDeniedException"
        assert profile.due_at is not None

    def test_an_update_that_may_not_be_made_leaves_no_profile_with_the_wrong_role_ready(self, world: World) -> None:
        world.steps(State.READY)
        world.team.execution_role_arn = role_arn(world.team.domain, "other-role")
        world.team.save()
        world.aws.personality.fail_next = {"UpdateUserProfile": ["AccessDeniedException"]}
        assert world.step().state == State.FAILED

    def test_a_failed_update_is_made_again_a_few_times(self, world: World) -> None:
        world.steps(State.READY)
        world.team.execution_role_arn = role_arn(world.team.domain, "other-role")
        world.team.save()
        for _ in range(MAX_REPAIRS):
            assert world.step().state == State.CREATING
            world.in_aws.begin("Update_Failed", "", until=None)
        profile = world.step()
        assert profile.state == State.FAILED
        assert len(world.aws.calls("UpdateUserProfile")) == MAX_REPAIRS

    def test_a_role_that_aws_does_not_take_over_is_given_up(self, world: World) -> None:
        world.steps(State.READY)
        right = world.team.execution_role_arn
        world.team.execution_role_arn = role_arn(world.team.domain, "other-role")
        world.team.save()
        for _ in range(MAX_REPAIRS):
            world.step()
            world.in_aws.settings["ExecutionRole"] = right
        assert world.step().state == State.FAILED

    def test_a_team_that_moves_takes_its_members_to_the_other_domain(self, world: World) -> None:
        world.steps(State.READY)
        old = world.domain_id
        domain = make_domain(world.team.domain.account)
        world.aws.state.add_domain(domain.domain_id, account_id=domain.account.account_id)
        world.team.domain = domain
        world.team.save()
        profile = world.steps(State.READY)
        assert profile.domain == domain
        assert world.aws.state.profile(domain.domain_id, profile.name) is not None
        assert world.aws.state.profile(old, profile.name) is not None
        assert AuditEvent.objects.filter(data__left_in=old).exists()


class TestTwoWorkers:
    def test_a_claimed_row_is_left_alone(self, world: World) -> None:
        world.change(claim="12345678-1234-1234-1234-123456789012", claimed_until=timezone.now() + CLAIM)
        assert profiles.ensure(world.profile.pk).seconds is None
        assert world.operations() == []
        assert profiles.due(10) == []

    def test_the_claim_of_a_dead_worker_runs_out(self, world: World) -> None:
        past = timezone.now() - timedelta(seconds=1)
        world.change(claim="12345678-1234-1234-1234-123456789012", claimed_until=past, due_at=past)
        assert profiles.due(10) == [world.profile.pk]
        assert world.step().state == State.CREATING

    def test_a_row_that_is_woken_during_a_step_stays_due(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from provisioning.aws.studio import Studio

        world.steps(State.READY)
        describe = Studio.describe_profile

        def wake(studio: Studio, domain_id: str, name: str) -> object:
            profiles.look_again([world.team.pk])
            return describe(studio, domain_id, name)

        monkeypatch.setattr(Studio, "describe_profile", wake)
        profile = world.step()
        assert (profile.state, profile.claim) == (State.READY, None)
        assert profiles.due(10) == [profile.pk]

    def test_who_lost_the_claim_writes_nothing(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from provisioning.aws.studio import Studio

        describe = Studio.describe_profile

        def steal(studio: Studio, domain_id: str, name: str) -> object:
            world.change(claim="12345678-1234-1234-1234-123456789012")
            return describe(studio, domain_id, name)

        monkeypatch.setattr(Studio, "describe_profile", steal)
        profiles.ensure(world.profile.pk)
        assert world.profile.state == State.WANTED
        assert world.operations() == ["DescribeUserProfile"]
        assert world.audited() == ["profile_requested"]


class TestARoleThatCannotBe:
    """The name of a group came after the mapping, and gives no role."""

    TEMPLATE = "arn:aws:iam::{account}:role/{group}"

    def rename(self, world: World, name: str) -> None:
        memberships.apply(
            UserObservation(user=world.user, source="saml", groups=frozenset({GroupRef("g-1", name)}), valid_until=None)
        )
        profiles.prepare([world.user.pk])

    @pytest.fixture(name="named")
    def _named(self, world: World) -> World:
        make_mapping("g-1", world.team, execution_role_arn=self.TEMPLATE)
        self.rename(world, "Science")
        world.steps(State.READY)
        return world

    def test_the_group_gives_the_role(self, named: World) -> None:
        assert named.profile.execution_role_arn == role_arn(named.team.domain, "Science")
        assert named.in_aws.settings["ExecutionRole"] == role_arn(named.team.domain, "Science")

    def test_nothing_opens_with_another_role(self, named: World) -> None:
        self.rename(named, "Data Science")
        assert named.profile.due_at is not None
        named.aws.state.calls.clear()
        target = launch.find(named.user, named.team.slug)
        assert target is not None
        assert not target.ready
        profile = named.step()
        assert (profile.state, profile.error_code, profile.due_at) == (State.FAILED, "BadRole", None)
        assert role_arn(named.team.domain, "Data Science") in profile.error
        assert not named.operations()
        target = launch.find(named.user, named.team.slug)
        assert target is not None
        assert not target.ready

    def test_it_goes_on_by_itself_when_the_name_gives_a_role(self, named: World) -> None:
        self.rename(named, "Data Science")
        named.step()
        self.rename(named, "Data-Science")
        assert named.profile.due_at is not None
        assert named.steps(State.READY).execution_role_arn == role_arn(named.team.domain, "Data-Science")

    def test_a_role_of_another_account(self, named: World) -> None:
        RoleMapping.objects.update(execution_role_arn="arn:aws:iam::999999999999:role/x")
        assert "another account" in named.step().error
