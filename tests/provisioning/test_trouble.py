"""What goes wrong with AWS, and what becomes of the profile: nothing is lost, doubled, taken over or hammered."""

from datetime import timedelta

import pytest
from django.utils import timezone

from provisioning import profiles
from provisioning.models import Profile
from provisioning.rows import MAX_BACKOFF, MAX_REPAIRS
from teams.models import AuditEvent
from tests.factories import role_arn
from tests.provisioning.conftest import World

State = Profile.State


def minutes_until(profile: Profile) -> float:
    assert profile.due_at is not None
    return (profile.due_at - timezone.now()).total_seconds() / 60


class TestAwsIsAway:
    def test_throttling_is_waited_out_with_the_state_unchanged(self, world: World) -> None:
        world.aws.personality.fail_next = {"DescribeUserProfile": ["ThrottlingException"] * 3}
        for attempts in (1, 2, 3):
            profile = world.step()
            assert (profile.state, profile.attempts) == (State.WANTED, attempts)
            assert minutes_until(profile) * 60 <= 2.0**attempts
        assert world.steps(State.READY).attempts == 0
        assert "profile_failed" not in world.audited()

    @pytest.mark.parametrize("outcome", ["drop", 500, 503])
    @pytest.mark.parametrize("operation", ["DescribeUserProfile", "CreateUserProfile"])
    def test_a_failure_of_aws_is_tried_again(self, world: World, operation: str, outcome: object) -> None:
        world.aws.personality.fail_next = {operation: [outcome]}
        assert world.step().attempts == 1
        profile = world.steps(State.READY)
        assert (profile.error, profile.attempts) == ("", 0)

    def test_it_keeps_trying_at_most_a_minute_apart(self, world: World) -> None:
        world.aws.personality.down = True
        world.change(attempts=5000)
        profile = world.step()
        assert profile.state == State.WANTED
        assert profile.error
        assert 0 < minutes_until(profile) * 60 <= MAX_BACKOFF
        world.aws.personality.down = False
        assert world.steps(State.READY)

    def test_nothing_listens_at_all(self, world: World) -> None:
        world.aws.stop()
        profile = world.step()
        assert (profile.state, profile.attempts) == (State.WANTED, 1)
        assert "could not be reached" in profile.error


class TestLostAnswers:
    def test_a_create_whose_answer_was_lost_is_recognised_as_ours(self, world: World) -> None:
        world.aws.personality.fail_next = {"CreateUserProfile": ["lost"]}
        assert world.step().state == State.CREATING
        profile = world.steps(State.READY)
        assert profile.managed
        assert len(world.aws.calls("CreateUserProfile")) == 1
        assert "ListTags" in world.operations()

    def test_an_update_whose_answer_was_lost(self, world: World) -> None:
        world.steps(State.READY)
        world.team.execution_role_arn = role_arn(world.team.domain, "other-role")
        world.team.save()
        world.aws.personality.fail_next = {"UpdateUserProfile": ["lost"]}
        world.step()
        assert world.steps(State.READY).execution_role_arn == world.team.execution_role_arn

    def test_a_delete_whose_answer_was_lost(self, world: World) -> None:
        world.aws.personality.create_fails = True
        world.step()
        world.aws.personality.create_fails = False
        world.aws.personality.fail_next = {"DeleteUserProfile": ["lost"]}
        world.step()
        assert world.steps(State.READY)

    def test_a_worker_killed_after_the_create(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from provisioning.aws.studio import Studio

        create = Studio.create_profile

        def die(studio: Studio, *args: object, **kwargs: object) -> None:
            create(studio, *args, **kwargs)  # type: ignore[arg-type]
            raise SystemExit

        monkeypatch.setattr(Studio, "create_profile", die)
        with pytest.raises(SystemExit):
            profiles.ensure(world.profile.pk)
        monkeypatch.undo()
        profile = world.profile
        assert profile.state == State.CREATING
        assert profiles.due(10) == []
        world.change(claimed_until=timezone.now() - timedelta(seconds=1))
        assert profiles.due(10) == [profile.pk]
        assert world.steps(State.READY).managed


class TestReadsThatLagBehindWrites:
    def test_a_profile_just_made_that_cannot_be_seen_yet_is_not_made_twice(self, world: World) -> None:
        world.aws.personality.consistency_lag = 5
        world.step()
        assert world.step().state == State.CREATING
        world.aws.state.clock.advance(5)
        assert world.steps(State.READY)
        assert len(world.aws.calls("CreateUserProfile")) == 1

    def test_a_name_that_is_taken_by_what_cannot_be_seen_yet(self, world: World) -> None:
        world.aws.personality.consistency_lag = 5
        world.make_foreign()
        assert world.step().state == State.CREATING
        world.aws.state.clock.advance(5)
        assert not world.steps(State.READY).managed

    def test_our_tags_that_cannot_be_seen_yet(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from provisioning.aws.studio import Studio

        world.aws.personality.fail_next = {"CreateUserProfile": ["lost"]}
        world.step()
        monkeypatch.setattr(Studio, "list_tags", lambda *_: {})
        for _ in range(2):
            assert world.step().state == State.CREATING
        monkeypatch.undo()
        assert world.steps(State.READY).managed

    def test_not_found_in_its_old_form(self, world: World) -> None:
        world.aws.personality.old_not_found = True
        assert world.steps(State.READY)


class TestStatuses:
    def test_a_failed_profile_is_deleted_and_made_again(self, world: World) -> None:
        world.aws.personality.create_fails = True
        world.step()
        world.step()
        world.aws.personality.create_fails = False
        profile = world.steps(State.READY)
        assert profile.repairs == 0
        assert world.audited().count("profile_created") == 2
        assert "profile_deleted" in world.audited()

    def test_one_that_keeps_failing_is_given_up_with_awss_reason(self, world: World) -> None:
        world.aws.personality.create_fails = "The disk is full"
        profile = world.steps(State.FAILED, most=20)
        assert "The disk is full" in profile.error
        assert len(world.aws.calls("DeleteUserProfile")) == MAX_REPAIRS
        assert len(world.aws.calls("CreateUserProfile")) == MAX_REPAIRS + 1
        assert minutes_until(profile) > 14

    def test_a_click_gives_one_that_was_given_up_all_its_chances_again(self, world: World) -> None:
        world.aws.personality.create_fails = True
        world.steps(State.FAILED, most=20)
        world.aws.personality.create_fails = False
        world.change(changed_at=timezone.now() - timedelta(minutes=1))
        profiles.request(user_id=world.user.pk, team_id=world.team.pk)
        assert world.profile.state == State.WANTED
        assert world.steps(State.READY)

    def test_a_failed_deletion_is_asked_for_again(self, world: World) -> None:
        world.steps(State.READY)
        world.in_aws.begin("Delete_Failed", "", until=None)
        assert world.steps(State.READY)
        assert len(world.aws.calls("DeleteUserProfile")) == 1

    def test_one_that_is_being_deleted_is_waited_for_and_made_again(self, world: World) -> None:
        world.steps(State.READY)
        world.aws.personality.delete_delay = 5
        world.client.delete_user_profile(DomainId=world.domain_id, UserProfileName=world.profile.name)
        assert world.step().state == State.CREATING
        world.aws.state.clock.advance(5)
        assert world.steps(State.READY)
        assert world.audited().count("profile_created") == 2

    def test_one_that_disappeared_is_noticed_and_made_again(self, world: World) -> None:
        world.steps(State.READY)
        world.aws.state.forget_profile(world.domain_id, world.profile.name)
        world.step()
        assert world.steps(State.READY)
        assert "profile_missing" in world.audited()

    def test_a_failed_profile_that_apps_hold_is_waited_for(self, world: World) -> None:
        world.aws.personality.create_fails = True
        world.step()
        world.aws.personality.create_fails = False
        world.aws.personality.fail_next = {"DeleteUserProfile": ["ResourceInUse"]}
        assert world.step().state == State.CREATING
        assert world.steps(State.READY)


class TestRefusals:
    def test_a_denied_role_is_parked_and_says_which_permission_is_missing(self, world: World) -> None:
        world.aws.state.accounts[world.aws.state.home_account].denied_roles = [world.team.execution_role_arn]
        profile = world.step()
        assert profile.state == State.FAILED
        assert "iam:PassRole" in profile.error
        assert world.team.execution_role_arn in profile.error
        assert 14 < minutes_until(profile) <= 15

    def test_a_full_quota_is_parked_for_longer(self, world: World) -> None:
        world.aws.state.accounts[world.aws.state.home_account].max_profiles = 0
        profile = world.step()
        assert (profile.state, profile.error_code) == (State.FAILED, "ResourceLimitExceeded")
        assert 29 < minutes_until(profile) <= 30

    def test_values_that_aws_does_not_take_are_parked(self, world: World) -> None:
        world.aws.personality.fail_next = {"CreateUserProfile": [{"code": "ValidationException", "message": "no good"}]}
        profile = world.step()
        assert (profile.state, profile.error) == (State.FAILED, "no good")

    def test_an_unknown_domain_is_named(self, world: World) -> None:
        del world.aws.state.domains[world.domain_id]
        profile = world.step()
        assert profile.state == State.FAILED
        assert world.domain_id in profile.error

    def test_too_many_tags_are_told_without_a_call(self, world: World) -> None:
        from teams.models import TeamTag

        TeamTag.objects.bulk_create(TeamTag(team=world.team, key=f"k{number}") for number in range(50))
        profile = world.step()
        assert profile.state == State.FAILED
        assert "3 tags too many" in profile.error
        assert world.operations() == []

    def test_the_same_failure_is_told_once(self, world: World) -> None:
        world.aws.personality.fail_next = {"CreateUserProfile": ["AccessDeniedException"] * 2 + ["ValidationException"]}
        for _ in range(3):
            world.step()
        failures = AuditEvent.objects.filter(action="profile_failed", outcome="failed").order_by("id")
        assert [row.data["code"] for row in failures] == ["AccessDeniedException", "ValidationException"]
        assert all(row.aws_request_id for row in failures)

    def test_a_parked_failure_heals_by_itself(self, world: World) -> None:
        world.aws.personality.fail_next = {"CreateUserProfile": ["AccessDeniedException"]}
        world.step()
        profile = world.steps(State.READY)
        assert (profile.error, profile.error_code, profile.attempts) == ("", "", 0)


class TestWhatWeDidNotMake:
    def test_a_profile_of_the_sample_is_found_and_used_as_it_is(self, world: World) -> None:
        world.make_foreign()
        profile = world.step()
        assert (profile.state, profile.managed) == (State.READY, False)
        assert world.operations() == ["DescribeUserProfile", "ListTags"]
        assert world.audited() == ["profile_requested", "profile_found"]

    @pytest.mark.parametrize("tags", [{"Team": "Team1"}, {"owner": "user1"}, {"CostCentre": "42"}])
    def test_tags_that_do_not_contradict(self, world: World, tags: dict[str, str]) -> None:
        world.make_foreign(tags=tags)
        assert world.step().state == State.READY

    @pytest.mark.parametrize("tags", [{"team": "team2"}, {"Owner": "user2"}, {"managed-by": "terraform"}])
    def test_tags_that_contradict(self, world: World, tags: dict[str, str]) -> None:
        world.make_foreign(tags=tags)
        profile = world.step()
        assert (profile.state, profile.due_at, profile.managed) == (State.CONFLICT, None, False)
        assert "tagged" in profile.error
        assert set(world.operations()) == {"DescribeUserProfile", "ListTags"}

    def test_another_role_is_a_conflict_and_nothing_is_changed(self, world: World) -> None:
        world.make_foreign(role=role_arn(world.team.domain, "somebody-elses"))
        profile = world.step()
        assert profile.state == State.CONFLICT
        assert "somebody-elses" in profile.error
        assert set(world.operations()) == {"DescribeUserProfile", "ListTags"}

    def test_a_found_profile_is_never_changed_when_the_mapping_changes(self, world: World) -> None:
        world.make_foreign()
        world.step()
        world.team.execution_role_arn = role_arn(world.team.domain, "other-role")
        world.team.save()
        assert world.step().state == State.CONFLICT
        assert "UpdateUserProfile" not in world.operations()

    def test_a_foreign_profile_that_failed_is_not_deleted(self, world: World) -> None:
        world.make_foreign()
        world.in_aws.begin("Failed", "", until=None)
        assert world.step().state == State.CONFLICT
        assert "DeleteUserProfile" not in world.operations()

    def test_somebody_was_faster(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from provisioning.aws.studio import Studio

        create = Studio.create_profile

        def late(studio: Studio, *args: object, **kwargs: object) -> object:
            world.make_foreign(role=role_arn(world.team.domain, "somebody-elses"))
            return create(studio, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(Studio, "create_profile", late)
        assert world.step().state == State.CONFLICT

    def test_our_own_profile_is_known_by_its_tags_when_the_database_forgot_it(self, world: World) -> None:
        world.steps(State.READY)
        world.change(state=State.WANTED, arn="", execution_role_arn="")
        profile = world.step()
        assert (profile.state, profile.managed) == (State.READY, True)

    def test_our_own_profile_with_the_wrong_role_is_updated_first(self, world: World) -> None:
        world.steps(State.READY)
        world.in_aws.settings["ExecutionRole"] = role_arn(world.team.domain, "tampered")
        world.change(state=State.WANTED, arn="", execution_role_arn="")
        assert world.step().state == State.CREATING
        assert world.steps(State.READY).execution_role_arn == world.team.execution_role_arn

    def test_an_admin_may_try_again_after_the_conflict_is_cleared(self, world: World) -> None:
        world.make_foreign(tags={"owner": "user2"})
        world.step()
        world.aws.state.forget_profile(world.domain_id, world.profile.name)
        assert profiles.retry(world.profile, by="admin")
        profile = world.steps(State.READY)
        assert profile.managed
