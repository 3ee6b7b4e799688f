"""The way of a profile to its end, in order, through everything that AWS and dying workers may do to it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from provisioning import clearing, ending, profiles, queue, tasks
from provisioning.aws import client
from provisioning.aws.studio import Studio
from provisioning.models import Profile
from provisioning.retire import LONGEST_PAUSE, SHORTEST_PAUSE
from provisioning.rows import DEADLINE, MAX_REPAIRS
from teams.models import AuditEvent, Domain, Membership, Team, TeamTag
from tests.factories import make_user
from tests.provisioning.conftest import World
from tests.provisioning.test_tasks import run_workers

State, End = Profile.State, Profile.End

VERBS = ("describe_profile", "list_tags", "list_apps", "spaces_page", "delete_app", "delete_space", "delete_profile")


class Studios(World):
    """A world in which people work: with apps and spaces, and with access that ends."""

    @property
    def client(self) -> Any:
        """The product's client, because each costs a tenth of a second."""
        return client.get(client.Account(), self.team.domain.region, "sagemaker", "work")

    def make_space(self, name: str, *, owner: str = "", sharing: str = "Private", apps: tuple[str, ...] = ()) -> None:
        aws, domain_id = self.client, self.domain_id
        aws.create_space(
            DomainId=domain_id, SpaceName=name,
            OwnershipSettings={"OwnerUserProfileName": owner or self.profile.name},
            SpaceSharingSettings={"SharingType": sharing},
        )  # fmt: skip
        for app in apps:
            aws.create_app(DomainId=domain_id, SpaceName=name, AppType="JupyterLab", AppName=app)

    def make_app(self, name: str = "default", app_type: str = "JupyterServer") -> None:
        self.client.create_app(
            DomainId=self.domain_id, UserProfileName=self.profile.name, AppType=app_type, AppName=name
        )

    def settle_in(self) -> None:
        """Have the person make an app of the old kind, and two private spaces with one app each."""
        self.make_app()
        for name in ("lab", "editor"):
            self.make_space(name, apps=("default",))
        self.aws.state.calls.clear()

    def revoke(self) -> Profile:
        """End the access, a while ago as far as AWS's lagging reads go."""
        Membership.objects.filter(user=self.user).delete()
        ending.end_access()
        self.change(changed_at=timezone.now() - timedelta(minutes=1))
        return self.profile

    def end_grace(self) -> Profile:
        """Let the grace period be over."""
        self.change(retire_at=timezone.now() - timedelta(seconds=1))
        return self.profile

    def give_back(self) -> None:
        Membership.objects.create(user=self.user, team=self.team, source="saml")

    def go(self) -> Profile:
        """Let the row be due now, make one step of whatever kind, return the row."""
        self.change(due_at=timezone.now())
        work = profiles.retire if self.profile.state == State.RETIRING else profiles.ensure
        work(self.profile.pk)
        return self.profile

    def go_until(self, state: str, most: int = 40) -> Profile:
        for _ in range(most):
            if self.go().state == state:
                return self.profile
            self.aws.state.clock.advance(1)
        pytest.fail(f"still {self.profile.state} after {most} steps: {self.profile.error}")

    def go_until_idle(self, most: int = 40) -> Profile:
        """Make steps until the row says that there is nothing to do in the next half minute."""
        for _ in range(most):
            profile = self.go()
            if profile.due_at is None or profile.due_at > timezone.now() + timedelta(seconds=30):
                return profile
            self.aws.state.clock.advance(1)
        pytest.fail(f"still busy after {most} steps: {self.profile.error}")

    def running(self) -> list[str]:
        """Names of the apps that run, with their space."""
        apps = [app for app in self.aws.state.all_apps() if app.status not in {"Deleted", "Failed"}]
        return sorted(f"{app.profile or app.space}/{app.name}" for app in apps)

    def spaces(self) -> list[str]:
        return sorted(space.name for space in self.aws.state.all_spaces())

    def left(self) -> tuple[list[str], list[str], bool]:
        """What AWS still has of this person: running apps, spaces, and whether there is a profile."""
        return self.running(), self.spaces(), self.in_aws is not None

    def log(self, *actions: str) -> list[str]:
        """The actions in the log from the end of access on, oldest first."""
        told = self.audited()
        return [each for each in told if not actions or each in actions]


NOTHING: tuple[list[str], list[str], bool] = ([], [], False)


@pytest.fixture(name="world")
def _world(make_world: Callable[..., World], db: None) -> Studios:
    """User1 in team1, with a ready profile that is in use."""
    made = make_world()
    world = Studios(made.aws, made.team, made.user)
    world.steps(State.READY)
    world.settle_in()
    return world


class TestRevoked:
    def test_apps_are_stopped_and_everything_else_stays(self, world: Studios) -> None:
        world.revoke()
        profile = world.go_until_idle()
        assert world.left() == ([], ["editor", "lab"], True)
        assert (profile.state, profile.claim, profile.progress) == (State.RETIRING, None, {})
        assert world.log("app_stopped", "space_deleted", "profile_deleted") == ["app_stopped"] * 3

    def test_each_app_is_told_with_the_aws_request_id(self, world: Studios) -> None:
        world.revoke()
        world.go_until_idle()
        rows = list(AuditEvent.objects.filter(action="app_stopped").order_by("id"))
        assert [row.aws_request_id for row in rows] == [call.request_id for call in world.aws.calls("DeleteApp")]
        assert {row.target for row in rows} == {"user1-team1"}
        assert sorted(row.data.get("space", "") for row in rows) == ["", "editor", "lab"]

    def test_an_open_session_that_starts_apps_is_watched(self, world: Studios) -> None:
        world.revoke()
        profile = world.go_until_idle()
        assert profile.due_at is not None
        assert SHORTEST_PAUSE / 2 < profile.due_at - timezone.now() <= SHORTEST_PAUSE
        world.make_app("again")
        world.go_until_idle()
        assert world.running() == []
        assert world.log("app_stopped") == ["app_stopped"] * 4

    def test_it_is_watched_less_and_less_often_until_no_session_can_be_open(self, world: Studios) -> None:
        world.revoke()
        world.go_until_idle()
        pauses = []
        for hours in (0.1, 1, 6):
            world.change(ended_at=timezone.now() - timedelta(hours=hours))
            due_at = world.go().due_at
            assert due_at is not None
            pauses.append(round((due_at - timezone.now()).total_seconds() / 60))
        assert pauses == [2, 15, LONGEST_PAUSE.total_seconds() / 60]
        world.change(ended_at=timezone.now() - timedelta(hours=13))
        profile = world.go()
        assert profile.due_at == profile.retire_at

    def test_nothing_is_asked_of_aws_for_a_session_that_is_merely_over(self, world: Studios) -> None:
        Membership.objects.update(valid_until=timezone.now() - timedelta(hours=1))
        ending.end_access()
        profile = world.go()
        assert profile.due_at == profile.retire_at
        assert world.operations() == []
        assert len(world.running()) == 3


class TestInOrderAndToTheEnd:
    def test_after_the_grace_period_nothing_is_left(self, world: Studios) -> None:
        world.revoke()
        world.end_grace()
        profile = world.go_until(State.RETIRED)
        assert world.left() == NOTHING
        assert (profile.arn, profile.execution_role_arn, profile.due_at, profile.claim) == ("", "", None, None)
        calls = [call.operation for call in world.aws.calls() if call.operation.startswith("Delete")]
        assert calls == ["DeleteApp"] * 3 + ["DeleteSpace"] * 2 + ["DeleteUserProfile"]

    def test_the_log_tells_each_deletion_once(self, world: Studios) -> None:
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        kinds = ("profile_retiring", "app_stopped", "space_deleted", "profile_deleted", "profile_missing")
        assert world.log(*kinds) == [
            "profile_retiring", *["app_stopped"] * 3, *["space_deleted"] * 2, "profile_deleted",
        ]  # fmt: skip
        deleted = AuditEvent.objects.get(action="profile_deleted")
        assert deleted.aws_request_id == world.aws.calls("DeleteUserProfile")[0].request_id

    def test_a_lapsed_one_goes_the_same_way(self, world: Studios) -> None:
        Membership.objects.update(valid_until=timezone.now() - timedelta(hours=1))
        Team.objects.update(grace_days=0)
        ending.end_access()
        assert world.profile.ended_by == Profile.End.LAPSED
        world.change(changed_at=timezone.now() - timedelta(minutes=1))
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING

    def test_a_deletion_that_takes_its_time(self, world: Studios) -> None:
        world.aws.personality.delete_delay = 20
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED, most=120)
        assert world.left() == NOTHING
        assert len(world.aws.calls("DeleteUserProfile")) == 1
        assert world.log("app_stopped", "space_deleted") == ["app_stopped"] * 3 + ["space_deleted"] * 2

    def test_a_step_makes_few_calls(self, world: Studios) -> None:
        for number in range(10):
            world.make_space(f"more{number}", apps=("default",))
        world.revoke()
        world.end_grace()
        while world.profile.state == State.RETIRING:
            world.aws.state.calls.clear()
            world.go()
            assert len(world.operations()) <= clearing.BUDGET + 4
        assert world.left() == NOTHING

    def test_what_others_have_is_left_alone(self, world: Studios) -> None:
        colleague = make_user("user10")
        Membership.objects.create(user=colleague, team=world.team, source="saml")
        profiles.prepare()
        theirs = Studios(world.aws, world.team, colleague)
        theirs.steps(State.READY)
        theirs.make_app()
        theirs.make_space("theirs", apps=("default",))
        theirs.make_space("common", sharing="Shared", apps=("default",))
        world.client.create_space(DomainId=world.domain_id, SpaceName="nobodys")
        world.client.create_app(DomainId=world.domain_id, SpaceName="nobodys", AppType="JupyterLab", AppName="default")
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert world.running() == ["common/default", "nobodys/default", "theirs/default", "user10-team1/default"]
        assert world.spaces() == ["common", "nobodys", "theirs"]
        assert theirs.in_aws is not None

    def test_the_owner_of_a_space_is_known_whatever_the_case_of_the_name(self, world: Studios) -> None:
        for space in world.aws.state.all_spaces():
            space.owner = space.owner.upper()
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING

    def test_a_profile_that_was_never_made_ends_without_a_word_about_it(self, world: Studios) -> None:
        world.aws.state.forget_profile(world.domain_id, world.profile.name)
        world.change(state=State.WANTED, arn="", execution_role_arn="")
        world.revoke()
        world.go_until(State.RETIRED)
        assert world.log("profile_deleted", "profile_missing") == []

    def test_a_profile_that_somebody_else_deleted(self, world: Studios) -> None:
        world.revoke()
        world.aws.state.forget_profile(world.domain_id, world.profile.name)
        world.go_until(State.RETIRED)
        assert world.log("profile_deleted", "profile_missing") == ["profile_missing"]

    def test_a_profile_in_a_domain_with_identity_center(self, world: Studios) -> None:
        Domain.objects.update(auth_mode=Domain.AuthMode.SSO)
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING

    def test_the_domain_that_the_team_has_left_meanwhile(self, world: Studios) -> None:
        from tests.factories import make_domain

        old = world.team.domain
        world.team.domain = make_domain(old.account)
        world.team.save()
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert (world.aws.state.profile(old.domain_id, "user1-team1"), world.running()) == (None, [])


class TestPersonalities:
    @pytest.mark.parametrize(
        "personality",
        [
            {"short_pages": True, "seed": 3},
            {"old_not_found": True},
            {"consistency_lag": 3.0},
            {"delete_delay": 3.0},
            {"throttle": {"fraction": 0.4}, "seed": 1},
            {"slow": 0.01},
            {"short_pages": True, "delete_delay": 2.0, "old_not_found": True, "throttle": {"fraction": 0.2}},
        ],
        ids=lambda each: "-".join(each),
    )
    def test_it_ends_all_the_same(self, world: Studios, personality: dict[str, Any]) -> None:
        world.aws.personality.update(personality)
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED, most=200)
        assert world.left() == NOTHING
        assert world.log("app_stopped", "space_deleted", "profile_deleted") == [
            *["app_stopped"] * 3, *["space_deleted"] * 2, "profile_deleted",
        ]  # fmt: skip

    @pytest.mark.parametrize("outcome", ["drop", "lost", 500, "ResourceInUse", "ThrottlingException"])
    def test_any_call_may_fail_at_first(self, world: Studios, outcome: Any) -> None:
        reads = ("DescribeUserProfile", "ListTags", "ListApps", "ListSpaces", "DescribeApp", "DescribeSpace")
        deletions = ("DeleteApp", "DeleteSpace", "DeleteUserProfile")
        world.aws.personality.fail_next = {each: [outcome] * 2 for each in (*reads, *deletions)}
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING
        assert world.log("app_stopped", "space_deleted", "profile_deleted") == [
            *["app_stopped"] * 3, *["space_deleted"] * 2, "profile_deleted",
        ]  # fmt: skip

    def test_aws_is_away_for_a_while(self, world: Studios) -> None:
        world.revoke()
        world.aws.personality.down = True
        profile = world.go()
        assert (profile.state, profile.attempts) == (State.RETIRING, 1)
        assert profile.due_at is not None
        world.aws.personality.down = False
        assert world.go_until_idle().attempts == 0
        assert world.running() == []

    def test_a_profile_that_was_made_a_moment_ago_is_waited_for(self, world: Studios) -> None:
        world.in_aws.hidden_until = world.aws.state.clock.now() + 5
        world.revoke()
        world.change(changed_at=timezone.now())
        assert world.go().state == State.RETIRING
        world.aws.state.clock.advance(5)
        world.go_until_idle()
        assert world.running() == []

    def test_a_list_that_goes_on_over_many_steps(self, world: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("provisioning.aws.studio.PAGE", 1)
        monkeypatch.setattr(clearing, "BUDGET", 2)
        for number in range(6):
            world.make_space(f"more{number}")
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED, most=150)
        assert world.left() == NOTHING

    def test_a_token_that_is_too_old_begins_the_list_again(
        self, world: Studios, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clearing, "BUDGET", 1)
        monkeypatch.setattr("provisioning.aws.studio.PAGE", 1)
        world.revoke()
        world.end_grace()
        while not world.profile.progress.get("token"):
            world.go()
        world.change(progress={**world.profile.progress, "token": "nonsense"})
        monkeypatch.setattr(clearing, "BUDGET", 12)
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING


class TestApps:
    def test_new_apps_and_spaces_midway(self, world: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
        delete = Studio.delete_profile
        more = iter(("late", "later"))

        def interrupted(studio: Studio, domain_id: str, name: str, **given: Any) -> Any:
            if late := next(more, ""):
                world.make_app(late)
                world.make_space(late, apps=(late,))
            return delete(studio, domain_id, name, **given)

        monkeypatch.setattr(Studio, "delete_profile", interrupted)
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING
        assert len(world.log("app_stopped")) == 7

    @pytest.mark.parametrize("status", ["Deleted", "Failed"])
    def test_apps_that_are_over_are_no_work(self, world: Studios, status: str) -> None:
        for app in world.aws.state.all_apps():
            app.begin(status, "", until=None)
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert "DeleteApp" not in world.operations()
        assert world.log("app_stopped") == []

    @pytest.mark.parametrize(
        "message",
        ["App has already been deleted.", "App previously failed and was automatically deleted."],
    )
    def test_an_app_that_went_by_itself(self, world: Studios, message: str) -> None:
        app = world.aws.state.all_apps()[0]
        refused = {"code": "ValidationException", "message": message}
        world.aws.personality.fail_next = {"DeleteApp": [refused]}
        world.revoke()
        world.go()
        assert world.profile.error == ""
        app.begin("Deleted", "", until=None)
        world.go_until_idle()
        assert world.running() == []
        assert len(world.log("app_stopped")) == 2

    def test_maintenance_takes_an_app_through_pending(self, world: Studios) -> None:
        app = world.aws.state.all_apps()[0]
        app.begin("Pending", "InService", until=world.aws.state.clock.now() + 5)
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING

    def test_what_stays_busy_too_long_is_parked_and_tried_again(self, world: Studios) -> None:
        world.aws.state.all_apps()[0].begin("Deleting", "", until=None)
        world.revoke()
        world.go()
        world.change(deadline_at=timezone.now() - timedelta(seconds=1))
        profile = world.go()
        assert (profile.state, profile.error_code) == (State.RETIRING, "Timeout")
        assert "JupyterServer" in profile.error
        assert profile.due_at is not None
        assert profile.due_at > timezone.now() + timedelta(minutes=10)
        world.aws.state.all_apps()[0].begin("Deleted", "", until=None)
        assert world.go_until_idle().error == ""

    def test_an_answer_that_was_lost_is_told_in_the_log(self, world: Studios) -> None:
        world.aws.personality.fail_next = {"DeleteApp": ["lost"]}
        world.revoke()
        world.go_until_idle()
        assert world.running() == []
        rows = AuditEvent.objects.filter(action="app_stopped").order_by("id")
        assert [row.reason for row in rows] == ["AWS's answer was lost.", "", ""]


class TestFailedDeletions:
    def test_a_profile_is_deleted_again_a_few_times_and_later_once_more(self, world: Studios) -> None:
        world.revoke()
        world.end_grace()
        world.aws.personality.delete_delay = 1e6
        while not world.profile.error:
            for row in (*world.aws.state.all_apps(), *world.aws.state.all_spaces()):
                # Only the profile's own deletion fails.
                row.until = row.until and 0
            if world.in_aws.status == "Deleting":
                world.in_aws.failure_reason = "the volume is stuck"
                world.in_aws.begin("Delete_Failed", "", until=None)
            world.go()
        world.aws.personality.delete_delay = 0
        assert len(world.aws.calls("DeleteUserProfile")) == MAX_REPAIRS + 1
        profile = world.profile
        assert (profile.state, profile.error_code, profile.repairs) == (State.RETIRING, "Delete_Failed", 0)
        assert "the volume is stuck" in profile.error
        assert profile.due_at is not None
        assert profile.due_at > timezone.now() + timedelta(minutes=10)
        assert world.log("profile_failed", "profile_deleted") == ["profile_failed"]
        profile = world.go_until(State.RETIRED)
        assert profile.error == ""
        assert world.left() == NOTHING

    def test_a_space_is_deleted_again_a_few_times(self, world: Studios) -> None:
        world.revoke()
        world.end_grace()
        for space in world.aws.state.all_spaces():
            space.begin("Delete_Failed", "", until=None)
        world.aws.personality.fail_next = {"DeleteSpace": ["ResourceInUse"] * 20}
        while not world.profile.error:
            world.go()
        profile = world.profile
        assert (profile.state, profile.error_code) == (State.RETIRING, "Delete_Failed")
        assert len(world.aws.calls("DeleteSpace")) == MAX_REPAIRS
        world.aws.personality.fail_next = {}
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING

    @pytest.mark.parametrize("operation", ["ListApps", "DeleteApp", "ListSpaces", "DeleteSpace", "DeleteUserProfile"])
    def test_a_missing_permission_is_parked_and_named(self, world: Studios, operation: str) -> None:
        message = f"User: arn:aws:sts::1:assumed-role/Portal/x is not authorized to perform: sagemaker:{operation}"
        refused = {"code": "AccessDeniedException", "message": message}
        world.aws.personality.fail_next = {operation: [refused] * 3}
        world.revoke()
        world.end_grace()
        while not world.profile.error:
            world.go()
        profile = world.profile
        assert (profile.state, profile.error_code) == (State.RETIRING, "AccessDeniedException")
        assert f"sagemaker:{operation}" in profile.error
        assert profile.due_at is not None
        assert timedelta(minutes=14) < profile.due_at - timezone.now() <= timedelta(minutes=15)
        world.go()
        assert world.log("profile_failed") == ["profile_failed"]
        world.go_until(State.RETIRED)
        assert world.left() == NOTHING

    def test_a_profile_that_owns_a_shared_space_is_left_to_people(self, world: Studios) -> None:
        world.make_space("common", sharing="Shared", apps=("default",))
        world.revoke()
        world.end_grace()
        while not world.profile.error:
            world.go()
        assert world.left() == (["common/default"], ["common"], True)
        assert world.profile.error_code == "OwnsSharedSpace"
        assert "common" in world.profile.error
        world.client.delete_app(DomainId=world.domain_id, SpaceName="common", AppType="JupyterLab", AppName="default")
        world.client.delete_space(DomainId=world.domain_id, SpaceName="common")
        world.go_until(State.RETIRED)

    def test_what_never_ends_is_parked(self, world: Studios) -> None:
        world.aws.personality.fail_next = {"DeleteUserProfile": ["ResourceInUse"] * 90}
        world.revoke()
        world.end_grace()
        while "DeleteUserProfile" not in world.operations():
            world.go()
        deadline_at = world.profile.deadline_at
        assert deadline_at is not None
        world.go()
        # It is not put off by looking again.
        assert world.profile.deadline_at == deadline_at
        world.change(deadline_at=timezone.now() - timedelta(seconds=1))
        assert world.go().error_code == "Timeout"
        assert deadline_at <= timezone.now() + DEADLINE


class TestWhatIsNotOurs:
    def test_an_unmanaged_profile_and_its_apps_are_never_touched(self, world: Studios) -> None:
        world.change(managed=False)
        world.revoke()
        world.end_grace()
        assert world.go().due_at is None
        assert world.operations() == []
        assert len(world.running()) == 3

    @pytest.mark.parametrize(
        "tags", [{}, {"managed-by": "terraform"}, {"managed-by": "studio-portal", "owner": "user2"}]
    )
    def test_a_profile_that_lost_our_tags_is_not_ours_any_more(self, world: Studios, tags: dict[str, str]) -> None:
        world.in_aws.tags = tags
        world.revoke()
        world.end_grace()
        profile = world.go()
        assert (profile.state, profile.managed, profile.retire_at, profile.due_at) == (
            State.RETIRING, False, None, None,
        )  # fmt: skip
        assert {"DescribeUserProfile", "ListTags"} == set(world.operations())
        assert world.log("profile_found") == ["profile_found"]

    def test_another_team_tag_makes_it_no_stranger(self, world: Studios) -> None:
        TeamTag.objects.create(team=world.team, key="team", value="Research")
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)

    def test_more_tags_than_aws_takes_do_not_stop_it(self, world: Studios) -> None:
        TeamTag.objects.bulk_create(TeamTag(team=world.team, key=f"k{number}") for number in range(60))
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)

    def test_a_team_that_keeps_profiles(self, world: Studios) -> None:
        Team.objects.update(keeps_profiles=True)
        world.revoke()
        world.change(ended_at=timezone.now() - timedelta(hours=13))
        profile = world.go_until_idle()
        assert world.left() == ([], ["editor", "lab"], True)
        assert (profile.state, profile.due_at) == (State.RETIRING, None)

    def test_the_switch_counts_when_the_day_has_come(self, world: Studios) -> None:
        world.revoke()
        world.end_grace()
        Team.objects.update(keeps_profiles=True)
        world.go_until_idle()
        assert world.left() == ([], ["editor", "lab"], True)


class TestComingBack:
    def test_within_the_grace_period_everything_is_there(self, world: Studios) -> None:
        world.revoke()
        world.go_until_idle()
        world.give_back()
        profiles.prepare([world.user.pk])
        profile = world.steps(State.READY)
        assert (profile.due_at, profile.retire_at, profile.ended_by) == (None, None, "")
        assert world.spaces() == ["editor", "lab"]
        assert "profile_restored" in world.audited()

    @pytest.mark.parametrize("verb", VERBS)
    def test_at_every_step_nothing_more_is_deleted(
        self, world: Studios, verb: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Access returns just before one of the calls; that deletion and each after it would be one too many."""
        original = getattr(Studio, verb)
        deleted: list[int] = []

        def returning(studio: Studio, *args: Any, **kwargs: Any) -> Any:
            if not Membership.objects.exists():
                world.give_back()
                deleted.append(len([each for each in world.operations() if each.startswith("Delete")]))
            return original(studio, *args, **kwargs)

        monkeypatch.setattr(Studio, verb, returning)
        world.revoke()
        world.end_grace()
        world.go_until(State.READY)
        calls = [each for each in world.operations() if each.startswith("Delete")]
        assert len(calls) == deleted[0]
        assert world.in_aws is not None
        assert world.in_aws.status == "InService"
        assert len(world.log("profile_restored")) == 1
        assert world.profile.managed

    def test_a_deletion_that_had_begun_is_waited_for_and_the_profile_made_anew(self, world: Studios) -> None:
        world.aws.personality.delete_delay = 3
        world.revoke()
        world.end_grace()
        while "DeleteUserProfile" not in world.operations():
            world.go()
            world.aws.state.clock.advance(1)
        world.give_back()
        assert profiles.prepare([world.user.pk]) == [world.profile.pk]
        assert world.profile.state == State.WANTED
        assert world.go().state == State.CREATING
        world.go_until(State.READY)
        assert world.in_aws.tags["managed-by"] == "studio-portal"
        assert world.profile.managed

    def test_after_the_end_it_is_made_anew(self, world: Studios) -> None:
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED)
        world.give_back()
        profiles.prepare([world.user.pk])
        profile = world.steps(State.READY)
        assert (profile.name, profile.managed) == ("user1-team1", True)
        assert Profile.objects.count() == 1

    def test_the_role_may_be_another_one_by_then(self, world: Studios) -> None:
        from tests.factories import role_arn

        world.revoke()
        world.go_until_idle()
        other = role_arn(world.team.domain, "other-role")
        Team.objects.update(execution_role_arn=other)
        world.give_back()
        profiles.prepare([world.user.pk])
        world.go()
        assert world.steps(State.READY).execution_role_arn == other


class Killed(BaseException):
    """A worker that dies: no code of ours handles it."""


class TestDyingWorkers:
    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("verb", VERBS)
    def test_killed_at_any_call_somebody_else_ends_it(
        self, world: Studios, verb: str, moment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = getattr(Studio, verb)
        deaths = iter((True, True, False))

        def dying(studio: Studio, *args: Any, **kwargs: Any) -> Any:
            dies = next(deaths, False)
            if dies and moment == "before":
                raise Killed
            answer = original(studio, *args, **kwargs)
            if dies:
                raise Killed
            return answer

        monkeypatch.setattr(Studio, verb, dying)
        world.revoke()
        world.end_grace()
        killed = 0
        for _ in range(60):
            try:
                if world.go().state == State.RETIRED:
                    break
            except Killed:
                killed += 1
                assert world.profile.claim is not None
                # In production the claim runs out by itself.
                world.change(claimed_until=timezone.now() - timedelta(seconds=1))
        # After the last deletion there is no second one.
        assert killed == (1 if (verb, moment) == ("delete_profile", "after") else 2)
        assert world.profile.state == State.RETIRED
        assert world.left() == NOTHING
        assert sorted(world.log("app_stopped", "space_deleted", "profile_deleted")) == [
            *["app_stopped"] * 3, "profile_deleted", *["space_deleted"] * 2,
        ]  # fmt: skip

    def test_a_claimed_row_is_left_alone(self, world: Studios) -> None:
        world.revoke()
        later = timezone.now() + timedelta(seconds=30)
        world.change(claim="12345678-1234-1234-1234-123456789012", claimed_until=later)
        assert profiles.retire(world.profile.pk).state == ""
        assert profiles.due_to_retire(10) == []
        assert world.operations() == []

    def test_who_lost_the_claim_deletes_nothing(self, world: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
        original = Studio.list_apps

        def steal(studio: Studio, *args: Any, **kwargs: Any) -> Any:
            world.change(claim="12345678-1234-1234-1234-123456789012")
            return original(studio, *args, **kwargs)

        monkeypatch.setattr(Studio, "list_apps", steal)
        world.revoke()
        world.go()
        assert len(world.running()) == 3
        assert world.log("app_stopped") == []

    def test_a_row_of_another_version_begins_its_round_again(self, world: Studios) -> None:
        world.revoke()
        world.change(progress={"something": "else"})
        world.go_until_idle()
        assert world.running() == []


@pytest.mark.django_db(transaction=True)
class TestTwoWorkers:
    def test_eight_workers_at_one_profile_are_one(self, world: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
        world.revoke()
        world.end_grace()
        monkeypatch.setattr(queue, "enqueue", lambda *args, **kwargs: True)
        world.aws.personality.slow = 0.02
        profile_id = world.profile.pk
        while world.profile.state == State.RETIRING:
            world.change(due_at=timezone.now())
            run_workers(lambda: tasks.retire_profile(profile_id), 8)
        assert world.left() == NOTHING
        calls = [each for each in world.operations() if each.startswith("Delete")]
        assert calls == ["DeleteApp"] * 3 + ["DeleteSpace"] * 2 + ["DeleteUserProfile"]
        assert world.log("app_stopped", "space_deleted", "profile_deleted") == [
            *["app_stopped"] * 3, *["space_deleted"] * 2, "profile_deleted",
        ]  # fmt: skip


class TestTask:
    def test_a_step_asks_for_the_next_of_its_kind(self, world: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
        hints: list[str] = []
        monkeypatch.setattr(queue, "enqueue", lambda task, *args, **kwargs: hints.append(task))
        world.revoke()
        tasks.retire_profile(world.profile.pk, "r-1")
        assert hints == [queue.RETIRE]
        row = AuditEvent.objects.filter(action="app_stopped").latest("id")
        assert (row.actor, row.request_id) == ("system: retire_profile", "r-1")
        world.give_back()
        world.change(due_at=timezone.now())
        tasks.retire_profile(world.profile.pk)
        assert hints == [queue.RETIRE, queue.ENSURE]
        assert world.profile.state == State.READY

    def test_nothing_is_asked_for_what_is_far_away(self, world: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
        world.revoke()
        world.go_until_idle()
        hints: list[str] = []
        monkeypatch.setattr(queue, "enqueue", lambda task, *args, **kwargs: hints.append(task))
        world.change(due_at=timezone.now())
        tasks.retire_profile(world.profile.pk)
        assert hints == []
