"""What a team wants reaches the profiles that are there: tags by templates, settings; nobody waits longer for it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from provisioning import forms, launch, profiles, tasks
from provisioning.aws.client import Account
from provisioning.aws.studio import Studio
from provisioning.desired import desired
from provisioning.models import Profile
from provisioning.rows import LAG, MAX_REPAIRS, PARKED_DENIED
from provisioning.tagging import TagChange, tag_change
from teams import form_versions, tag_templates
from teams.models import AuditEvent, Membership, TagConstant, TeamTag, User
from tests.factories import make_user, role_arn
from tests.provisioning.conftest import World

State = Profile.State


def say_tags(world: World, **tags: str) -> None:
    """Give the team these tags and no others, as a save in the admin does."""
    world.team.tags.all().delete()
    TeamTag.objects.bulk_create(TeamTag(team=world.team, key=key, value=value) for key, value in tags.items())
    form_versions.raise_form_version([world.team.pk])
    world.team.refresh_from_db()


def settle(world: World, most: int = 8) -> Profile:
    """Make steps until the profile has the present form."""
    for _ in range(most):
        profile = world.step()
        world.team.refresh_from_db()
        if profile.form_version == world.team.form_version and profile.due_at is None:
            return profile
    pytest.fail(f"not there after {most} steps: {profile.state} {profile.error}")


@pytest.fixture(name="ready")
def _ready(world: World) -> World:
    """The profile is ready with one tag of the team, next to one that somebody else has put on it."""
    say_tags(world, CostCentre="42")
    world.steps(State.READY)
    world.in_aws.tags["backup"] = "nightly"
    world.aws.state.calls.clear()
    return world


class TestTemplates:
    @pytest.mark.parametrize(
        ("template", "value"),
        [
            ("{user}", "jane_doe_"),
            ("{team}", "team1"),
            ("{email}", "jane+x@example.com"),
            ("{cost-centre}/{team}", "4711/team1"),
            ("plain", "plain"),
            ("{user}" * 60, ("jane_doe_" * 60)[:256]),
        ],
    )
    def test_names_stand_for_values(self, template: str, value: str) -> None:
        made = desired(
            name="p", username="jane(doe)", team_slug="team1", execution_role_arn="r", user_settings={},
            team_tags={"k": template}, email="jane+x@example.com", constants={"cost-centre": "4711"},
        )  # fmt: skip
        assert made.tags["k"] == value

    def test_braces_in_a_value_mean_nothing(self) -> None:
        assert tag_templates.expand("{user}", {"user": "{team}", "team": "x"}) == "{team}"

    def test_a_name_that_lost_its_value_parks_the_profile_and_is_told(self, world: World) -> None:
        TeamTag.objects.create(team=world.team, key="k", value="{gone}")
        profile = world.step()
        assert (profile.state, profile.error_code) == (State.FAILED, "UnknownTagName")
        assert "{gone}" in profile.error
        assert not world.operations()


class TestTagChange:
    @pytest.mark.parametrize(
        ("found", "wanted", "applied", "change"),
        [
            ({}, {"a": "1"}, {}, TagChange((), {"a": "1"})),
            ({"a": "1", "x": "y"}, {"a": "1"}, {}, TagChange()),
            ({"a": "1", "b": "2"}, {"a": "1"}, {"a": "1", "b": "2"}, TagChange(("b",))),
            ({"a": "1", "b": "2"}, {"a": "1"}, {"a": "1"}, TagChange()),
            # Ours, spelled anew: deleted first. Somebody else's spelling: kept.
            ({"A": "1"}, {"a": "1"}, {"A": "1"}, TagChange(("A",), {"a": "1"})),
            ({"A": "1"}, {"a": "1"}, {}, TagChange()),
            ({"A": "2"}, {"a": "1"}, {}, TagChange((), {"A": "1"})),
            # What AWS answers may be older than what was set last.
            ({"a": "1"}, {"a": "1"}, {"a": "2"}, TagChange((), {"a": "1"})),
        ],
    )
    def test_only_what_differs_and_only_ours(
        self, found: dict[str, str], wanted: dict[str, str], applied: dict[str, str], change: TagChange
    ) -> None:
        assert tag_change(found, wanted, applied) == change


class TestTags:
    def test_what_is_created_has_the_form_without_another_call(self, ready: World) -> None:
        assert ready.profile.form_version == 2
        assert ready.profile.applied_tags["CostCentre"] == "42"
        assert ready.step().state == State.READY
        assert ready.operations() == ["DescribeUserProfile"]

    def test_added_changed_and_deleted_in_one_step_that_stays_ready(self, ready: World) -> None:
        say_tags(ready, costcentre="43", Project="x")
        profile = ready.step()
        assert (profile.state, profile.form_version, profile.due_at) == (State.READY, 3, None)
        assert ready.operations() == ["DescribeUserProfile", "ListTags", "DeleteTags", "AddTags"]
        assert ready.in_aws.tags == {
            "backup": "nightly", "costcentre": "43", "Project": "x", "Team": "team1", "owner": "user1",
            "managed-by": "studio-portal",
        }  # fmt: skip
        told = AuditEvent.objects.get(action="profile_updated")
        assert told.data["tags"] == {"costcentre": "43", "Project": "x"}
        assert told.data["tags_removed"] == ["CostCentre"]

    def test_a_mail_address_that_changed_arrives_by_the_rows_alone(self, ready: World) -> None:
        say_tags(ready, mail="{email}")
        settle(ready)
        User.objects.update(email="new@example.com")
        assert profiles.follow_forms() == [ready.profile.pk]
        ready.step()
        assert ready.in_aws.tags["mail"] == "new@example.com"
        assert profiles.follow_forms() == []

    def test_a_lost_signal_is_found_and_nobody_without_access_is_woken(self, ready: World) -> None:
        assert profiles.follow_forms() == []
        ready.change(form_version=0)
        tasks.prepare_missing()
        assert ready.profile.due_at is not None
        ready.change(due_at=None)
        Membership.objects.all().delete()
        assert profiles.follow_forms() == []

    @pytest.mark.parametrize(
        ("operation", "outcome"),
        [
            *(("ListTags", 500), ("AddTags", "lost"), ("AddTags", "ThrottlingException")),
            *(("DeleteTags", "lost"), ("DeleteTags", "drop"), ("DeleteTags", "ThrottlingException")),
        ],
    )
    def test_a_call_that_goes_wrong_is_made_good(self, ready: World, operation: str, outcome: object) -> None:
        say_tags(ready, Project="x")
        ready.aws.personality.fail_next = {operation: [outcome]}
        assert ready.step().state == State.READY
        target = launch.find(ready.user, "team1")
        assert target is not None
        assert target.ready
        profile = settle(ready)
        assert (profile.error, profile.attempts) == ("", 0)
        assert ready.in_aws.tags["Project"] == "x"
        assert "CostCentre" not in ready.in_aws.tags

    @pytest.mark.parametrize("verb", ["describe_profile", "update_profile", "list_tags", "delete_tags", "add_tags"])
    def test_a_worker_killed_after_a_call(self, ready: World, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
        say_tags(ready, Project="x")
        ready.team.user_settings = {"StudioWebPortal": "DISABLED"}
        ready.team.save()
        call = getattr(Studio, verb)

        def die(studio: Studio, *args: Any, **kwargs: Any) -> None:
            call(studio, *args, **kwargs)
            raise SystemExit

        monkeypatch.setattr(Studio, verb, die)
        with pytest.raises(SystemExit):
            settle(ready)
        monkeypatch.undo()
        ready.change(claim=None)
        # The team has thought better of it meanwhile: what the dead one has set is known all the same.
        say_tags(ready, Owner2="y")
        settle(ready)
        assert ready.in_aws.tags.keys() == {"backup", "Owner2", "Team", "owner", "managed-by"}
        assert ready.in_aws.settings["StudioWebPortal"] == "DISABLED"

    def test_what_aws_lists_late_is_set_again(self, ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
        before = dict(ready.in_aws.tags)
        say_tags(ready, CostCentre="43")
        settle(ready)
        say_tags(ready, CostCentre="42")
        monkeypatch.setattr(Studio, "list_tags", lambda *_: before)
        settle(ready)
        assert ready.in_aws.tags["CostCentre"] == "42"

    def test_a_refused_tag_leaves_the_profile_open_and_says_why(self, ready: World) -> None:
        say_tags(ready, Project="x")
        text = (
            "User: arn:aws:sts::1:assumed-role/portal/s is not authorized to perform: sagemaker:AddTags on resource: r"
        )
        ready.aws.personality.fail_next = {"AddTags": [{"code": "AccessDeniedException", "message": text}]}
        profile = ready.step()
        assert profile.state == State.READY
        assert "may not sagemaker:AddTags on r" in profile.error
        assert profile.form_version == 2
        assert profile.due_at is not None

    def test_tags_that_cannot_be_close_nothing(self, ready: World) -> None:
        say_tags(ready, k="{gone}")
        profile = ready.step()
        assert (profile.state, profile.error_code) == (State.READY, "UnknownTagName")
        assert profile.due_at is not None
        say_tags(ready, k="plain")
        assert settle(ready).error == ""

    def test_a_team_that_changes_while_its_profile_is_made(self, world: World) -> None:
        world.aws.personality.create_delay = 5
        world.step()
        say_tags(world, Project="x")
        world.aws.state.clock.advance(5)
        settle(world)
        assert world.in_aws.tags["Project"] == "x"

    def test_a_found_profile_gets_no_tags(self, world: World) -> None:
        world.make_foreign()
        world.step()
        say_tags(world, Project="x")
        assert world.step().state == State.READY
        assert world.in_aws.tags == {}
        assert profiles.follow_forms() == []


class TestSettings:
    def test_settings_alone_close_nothing_until_aws_has_begun(self, ready: World) -> None:
        ready.team.user_settings = {"StudioWebPortal": "DISABLED"}
        ready.team.form_version += 1
        ready.team.save()
        ready.aws.personality.fail_next = {"UpdateUserProfile": ["ThrottlingException"]}
        assert ready.step().state == State.READY
        ready.aws.personality.update_delay = 5
        assert ready.step().state == State.CREATING
        ready.aws.state.clock.advance(5)
        settle(ready)
        assert ready.in_aws.settings["StudioWebPortal"] == "DISABLED"
        assert "StudioWebPortal" in AuditEvent.objects.get(action="profile_updated").data["settings"]

    def test_settings_and_tags_and_role_together(self, ready: World) -> None:
        ready.team.user_settings = {"StudioWebPortal": "DISABLED"}
        ready.team.execution_role_arn = role_arn(ready.team.domain, "other")
        ready.team.save()
        say_tags(ready, Project="x")
        assert settle(ready).execution_role_arn == role_arn(ready.team.domain, "other")
        assert ready.in_aws.tags["Project"] == "x"
        assert len(ready.aws.calls("UpdateUserProfile")) == 1

    def test_settings_that_aws_does_not_repeat_are_asked_for_once(self, ready: World) -> None:
        ready.team.user_settings = {"StudioWebPortal": "DISABLED"}
        ready.team.save()
        form_versions.raise_form_version([ready.team.pk])
        ready.step()
        del ready.in_aws.settings["StudioWebPortal"]
        settle(ready)
        assert len(ready.aws.calls("UpdateUserProfile")) == 1

    def test_what_aws_throttles_or_fails_again_and_again_closes_nothing(self, ready: World) -> None:
        ready.team.user_settings = {"StudioWebPortal": "DISABLED"}
        ready.team.save()
        ready.aws.personality.fail_next = {"UpdateUserProfile": ["ThrottlingException"] * 5 + [500] * 3}
        for _ in range(9):
            assert ready.step().state == State.READY
        assert ready.profile.error_code == "UpdateFailed"
        settle(ready)
        assert ready.in_aws.settings["StudioWebPortal"] == "DISABLED"

    def test_what_aws_refuses_again_and_again_stays_what_the_admin_sees(self, ready: World) -> None:
        ready.team.user_settings = {"StudioWebPortal": "DISABLED"}
        ready.team.save()
        text = "User: arn:aws:sts::1:assumed-role/p/s is not authorized to perform: iam:PassRole on resource: r"
        denied = {"code": "AccessDeniedException", "message": text}
        ready.aws.personality.fail_next = {"UpdateUserProfile": [denied] * (MAX_REPAIRS + 2)}
        for _ in range(MAX_REPAIRS + 2):
            profile = ready.step()
            assert (profile.state, profile.error_code) == (State.READY, "AccessDeniedException")
            assert "may not iam:PassRole on r" in profile.error
        assert AuditEvent.objects.filter(action="profile_failed").count() == 1

    def test_the_arn_may_come_in_another_case_of_letters(self, ready: World) -> None:
        say_tags(ready, Team="Research")
        ready.change(arn=ready.profile.arn.upper())
        assert settle(ready).state == State.READY
        assert ready.in_aws.tags["Team"] == "Research"

    def test_a_role_that_aws_shows_late_is_waited_for(self, ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
        before = Studio(Account(), ready.team.domain.region).describe_profile(ready.domain_id, ready.profile.name)
        ready.team.execution_role_arn = role_arn(ready.team.domain, "other")
        ready.team.save()
        waited = 0.0
        with monkeypatch.context() as patch:
            patch.setattr(Studio, "describe_profile", lambda *_: before)
            for _ in range(MAX_REPAIRS):
                ready.change(due_at=timezone.now())
                waited += profiles.ensure(ready.profile.pk).seconds or 0.0
        assert waited >= LAG.total_seconds()
        assert settle(ready).execution_role_arn == role_arn(ready.team.domain, "other")


class TestBounds:
    """What was bounded without tags is bounded with them."""

    @pytest.fixture(autouse=True)
    def _behind(self, ready: World) -> None:
        say_tags(ready, Project="x")

    def test_an_update_that_keeps_failing(self, ready: World) -> None:
        for _ in range(MAX_REPAIRS):
            ready.in_aws.begin("Update_Failed", "", until=None)
            assert ready.step().state == State.CREATING
        ready.in_aws.begin("Update_Failed", "", until=None)
        assert ready.step().state == State.FAILED
        assert len(ready.aws.calls("UpdateUserProfile")) == MAX_REPAIRS

    def test_one_that_stays_busy(self, ready: World) -> None:
        ready.in_aws.begin("Updating", "", until=None)
        ready.step()
        ready.change(deadline_at=timezone.now() - timedelta(seconds=1))
        profile = ready.step()
        assert (profile.state, profile.error_code) == (State.FAILED, "Timeout")
        assert "AddTags" not in ready.operations()

    def test_one_that_was_replaced_by_somebody_elses(self, ready: World) -> None:
        ready.aws.state.forget_profile(ready.domain_id, ready.profile.name)
        ready.make_foreign(tags={"owner": "user2"})
        profile = ready.step()
        assert (profile.state, profile.managed, profile.applied_tags) == (State.CONFLICT, False, {})
        assert ready.in_aws.tags == {"owner": "user2"}

    def test_one_that_is_gone_is_made_with_the_new_tags(self, ready: World) -> None:
        ready.aws.state.forget_profile(ready.domain_id, ready.profile.name)
        settle(ready)
        assert ready.in_aws.tags["Project"] == "x"


def test_two_workers_at_one_profile(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    say_tags(ready, Project="x")
    listed = Studio.list_tags

    def second(studio: Studio, arn: str) -> dict[str, str]:
        assert profiles.ensure(ready.profile.pk).state == ""
        return listed(studio, arn)

    monkeypatch.setattr(Studio, "list_tags", second)
    assert ready.step().form_version == 3
    assert len(ready.aws.calls("AddTags")) == 1


def test_rows_of_before_are_brought_to_the_form_some_at_a_time(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        user = make_user(f"p{number}")
        Membership.objects.create(user=user, team=ready.team, source="saml")
    profiles.prepare()
    Profile.objects.update(state=State.READY, form_version=0, due_at=None)
    monkeypatch.setattr(profiles, "MAX_FOLLOWING", 3)
    assert len(profiles.follow_forms()) == 3
    assert profiles.follow_forms() == []
    Profile.objects.filter(due_at__lte=timezone.now()).update(due_at=None, form_version=2)
    assert len(profiles.follow_forms()) == 1


def test_profiles_that_wait_for_long_keep_no_others_from_their_form(
    ready: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Membership.objects.create(user=make_user("p1"), team=ready.team, source="saml")
    profiles.prepare()
    Profile.objects.update(state=State.READY, form_version=0, due_at=None)
    ready.change(due_at=timezone.now() + PARKED_DENIED)
    monkeypatch.setattr(profiles, "MAX_FOLLOWING", 1)
    assert profiles.follow_forms() == [Profile.objects.get(user__subject="p1").pk]


def test_a_click_on_one_that_is_busy_does_not_disown_it(ready: World) -> None:
    say_tags(ready, Team="Research")
    ready.aws.personality.fail_next = {"CreatePresignedDomainUrl": ["ResourceInUse"]}
    target = launch.find(ready.user, "team1")
    assert target is not None
    with pytest.raises(launch.NotReady):
        launch.open_studio(target)
    assert settle(ready).state == State.READY
    assert ready.in_aws.tags["Team"] == "Research"


def test_constants_cost_a_query_only_where_a_tag_names_one(
    world: World, django_assert_num_queries: Callable[..., Any]
) -> None:
    TagConstant.objects.create(name="unit", value="7")
    with django_assert_num_queries(0):
        assert forms.constants(["{user}", "plain"]) == {}
    with django_assert_num_queries(1):
        assert forms.constants(["{unit}"]) == {"unit": "7"}
