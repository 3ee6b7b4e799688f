"""Profiles in domains in SSO mode: whose they are, one for each person, and who may enter."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from portal.demo.aws.seed import directory_id
from portal.demo.aws.server import Handle
from provisioning import ending, launch, profiles, sso, sso_assignments, sso_domains, watch
from provisioning.aws.assignments import Assignments
from provisioning.aws.studio import Studio
from provisioning.models import Directory, DirectoryPerson, Profile
from teams.models import AuditEvent, Domain, Membership, Team, User
from tests.factories import make_domain, make_team, make_user, role_arn
from tests.provisioning.sso_world import DOMAIN, PRINCIPAL, SingleSignOn, join, make_directory, single_sign_on

State, End = Profile.State, Profile.End
WRITES = ("CreateApplicationAssignment", "DeleteApplicationAssignment")


@pytest.fixture(name="world")
def _world(aws: Handle, db: None) -> SingleSignOn:
    """User1 in team1, whose profile nobody has made yet."""
    return single_sign_on(aws)


@pytest.fixture(name="ready")
def _ready(world: SingleSignOn) -> SingleSignOn:
    """The same with the profile ready."""
    world.steps(State.READY)
    world.aws.state.calls.clear()
    return world


class TestMaking:
    def test_it_is_made_for_the_user_and_ready_once_they_are_assigned(self, world: SingleSignOn) -> None:
        world.step()
        assert (world.profile.state, world.assigned) == (State.CREATING, [])
        world.steps(State.READY)
        assert (world.in_aws.sso_value, world.profile.sso_user) == ("user1", "user1")
        assert world.assigned == [f"USER:{PRINCIPAL}"]
        assert world.stage == "made"
        told = ["profile_requested", "metadata_refreshed", "profile_created", "application_assigned", "profile_ready"]
        assert world.audited() == told
        assert world.data_of("application_assigned").aws_request_id

    def test_without_assignments_nobody_is_asked_about_them(self, aws: Handle, db: None) -> None:
        world = single_sign_on(aws, assigns=False)
        world.steps(State.READY)
        assert world.assigned == []
        assert not [each for each in world.operations() if "Assignment" in each]

    def test_switched_on_later_people_are_assigned(self, aws: Handle, db: None) -> None:
        world = single_sign_on(aws, assigns=False)
        world.steps(State.READY)
        Domain.objects.update(assigns_application=True)
        world.step()
        assert (world.profile.state, world.assigned) == (State.READY, [f"USER:{PRINCIPAL}"])

    def test_a_role_that_changes_reaches_the_profile(self, ready: SingleSignOn) -> None:
        Team.objects.update(execution_role_arn=role_arn(ready.team.domain, "other"))
        assert profiles.prepare([ready.user.pk]) == [ready.profile.pk]
        ready.steps(State.READY)
        assert ready.in_aws.settings["ExecutionRole"] == role_arn(ready.team.domain, "other")
        assert ready.in_aws.sso_value == "user1"
        assert [each for each in ready.operations() if each in WRITES] == []

    def test_somebody_whom_identity_center_does_not_know(self, world: SingleSignOn) -> None:
        world.aws.state.domains[DOMAIN].sso_users = []
        profile = world.steps(State.FAILED)
        assert "AWS makes no profile for “user1”" in profile.error
        assert profile.due_at is not None
        world.aws.state.domains[DOMAIN].sso_users = ["user1"]
        world.steps(State.READY)

    @pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
    def test_whatever_aws_calls_it(self, world: SingleSignOn, code: str) -> None:
        world.aws.personality.fail_next = {"CreateUserProfile": [code]}
        assert "AWS makes no profile for “user1”" in world.steps(State.FAILED).error


class TestWhoSomebodyIs:
    def rename(self, world: SingleSignOn, attribute: str, subject: str) -> None:
        """Have the directory know people by something else than the user name."""
        Directory.objects.update(subject_attribute=attribute)
        DirectoryPerson.objects.update(subject=subject)
        User.objects.filter(pk=world.user.pk).update(subject=subject)

    @pytest.mark.parametrize("attribute", ["email", "userId"])
    def test_the_directory_is_asked_for_the_user_name(self, world: SingleSignOn, attribute: str) -> None:
        self.rename(world, attribute, PRINCIPAL if attribute == "userId" else "someone@example.com")
        world.steps(State.READY)
        assert (world.in_aws.sso_value, world.assigned) == ("user1", [f"USER:{PRINCIPAL}"])

    def test_without_a_directory_it_is_the_subject(self, aws: Handle, db: None) -> None:
        world = single_sign_on(aws, assigns=False)
        Directory.objects.all().delete()
        world.steps(State.READY)
        assert world.in_aws.sso_value == "user1"

    def test_a_domain_may_go_by_mail_addresses(self, aws: Handle, db: None) -> None:
        world = single_sign_on(aws, assigns=False)
        Domain.objects.update(sso_user_attribute=Domain.SsoUser.EMAIL)
        User.objects.filter(pk=world.user.pk).update(email="")
        assert "no mail address" not in world.profile.error
        assert "has none on record" in world.steps(State.FAILED).error
        User.objects.filter(pk=world.user.pk).update(email="user2")
        world.steps(State.READY)
        assert world.in_aws.sso_value == "user2"

    def test_nobody_is_assigned_for_whom_the_profile_is_not(self, world: SingleSignOn) -> None:
        Domain.objects.update(sso_user_attribute=Domain.SsoUser.EMAIL)
        User.objects.filter(pk=world.user.pk).update(email="user2")
        assert "knows this person as “user1”" in world.steps(State.FAILED).error
        assert world.assigned == []

    def test_somebody_whom_no_directory_knows_is_not_assigned(self, world: SingleSignOn) -> None:
        DirectoryPerson.objects.all().delete()
        profile = world.steps(State.FAILED)
        assert "No directory here knows “user1”" in profile.error
        assert profile.due_at is not None
        DirectoryPerson.objects.create(directory=Directory.objects.get(), external_id=PRINCIPAL, subject="user1")
        world.steps(State.READY)

    def test_a_subject_that_two_users_have_is_nobodys(self, world: SingleSignOn) -> None:
        DirectoryPerson.objects.create(directory=Directory.objects.get(), external_id="another", subject="user1")
        assert "No directory here knows" in world.steps(State.FAILED).error

    def test_several_directories_that_know_the_person(self, world: SingleSignOn) -> None:
        other = make_directory(slug="other", identity_store_id="d-0000000000")
        DirectoryPerson.objects.create(directory=other, external_id="x", subject="user1")
        assert "company, other" in world.steps(State.FAILED).error
        User.objects.filter(pk=world.user.pk).update(known_by="identity-center:company")
        world.steps(State.READY)


class TestOneEach:
    def test_the_profile_of_another_person_is_no_way_in(self, world: SingleSignOn) -> None:
        """Somebody made it with the right role and our tags, for somebody else."""
        tags = {"managed-by": "studio-portal", "owner": "user1", "Team": "team1"}
        world.client.create_user_profile(
            DomainId=DOMAIN, UserProfileName=world.profile.name, SingleSignOnUserIdentifier="UserName",
            SingleSignOnUserValue="user2", UserSettings={"ExecutionRole": world.team.execution_role_arn},
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )  # fmt: skip
        profile = world.steps(State.CONFLICT)
        assert "belongs to another person: to “user2”" in profile.error
        assert (profile.managed, world.assigned) == (False, [])
        assert "DeleteUserProfile" not in world.operations()

    def test_a_user_who_has_another_name_by_now(self, ready: SingleSignOn) -> None:
        """What AWS makes of a new name nobody documents: this is the one answer that shows it."""
        ready.in_aws.sso_value = "renamed"
        assert "to “renamed” in IAM Identity Center" in ready.steps(State.CONFLICT).error
        DirectoryPerson.objects.update(subject="renamed")
        User.objects.filter(pk=ready.user.pk).update(subject="renamed")
        profile = ready.steps(State.READY)
        assert (profile.managed, profile.sso_user) == (True, "renamed")

    def test_a_profile_that_was_there_is_used_when_it_is_the_persons_own(self, world: SingleSignOn) -> None:
        world.client.create_user_profile(
            DomainId=DOMAIN, UserProfileName=world.profile.name, SingleSignOnUserIdentifier="UserName",
            SingleSignOnUserValue="USER1", UserSettings={"ExecutionRole": world.team.execution_role_arn},
        )  # fmt: skip
        profile = world.steps(State.READY)
        assert (profile.managed, world.assigned) == (False, [f"USER:{PRINCIPAL}"])
        # It stays in AWS when access ends; what the portal gave is taken away.
        world.revoke()
        world.go()
        assert (world.assigned, world.in_aws is not None) == ([], True)

    def test_another_profile_in_aws_has_the_person(self, world: SingleSignOn) -> None:
        world.client.create_user_profile(
            DomainId=DOMAIN, UserProfileName="by-hand", SingleSignOnUserIdentifier="UserName",
            SingleSignOnUserValue="user1",
        )  # fmt: skip
        profile = world.steps(State.CONFLICT, most=10)
        assert "“user1” has another one in this domain" in profile.error
        world.aws.state.forget_profile(DOMAIN, "by-hand")
        assert profiles.retry(world.profile, by="alice")
        world.steps(State.READY)

    def test_a_profile_of_an_inactive_team_is_in_the_way_until_it_is_gone(self, ready: SingleSignOn) -> None:
        """Inactive teams do not count, but their people's profiles are still there."""
        Team.objects.filter(pk=ready.team.pk).update(is_active=False)
        ending.end_access()
        other = make_team("team2", domain=ready.team.domain)
        join(ready, ready.user, other)
        row = Profile.objects.get(team=other)
        profiles.ensure(row.pk)
        row.refresh_from_db()
        assert (row.state, row.error_code) == (State.CONFLICT, "SsoUserTaken")
        assert "user1-team1 of the team Team1" in row.error
        assert row.due_at is not None
        ready.end_grace()
        ready.change(changed_at=timezone.now() - timedelta(minutes=1))
        ready.go_until(State.RETIRED)
        for _ in range(4):
            Profile.objects.filter(pk=row.pk).update(due_at=timezone.now())
            profiles.ensure(row.pk)
        row.refresh_from_db()
        assert (row.state, ready.assigned) == (State.READY, [f"USER:{PRINCIPAL}"])

    def test_the_database_has_room_for_one(self, ready: SingleSignOn) -> None:
        other = make_team("team2", domain=ready.team.domain)
        join(ready, ready.user, other)
        with pytest.raises(IntegrityError):
            Profile.objects.filter(team=other).update(sso_user="User1")

    def test_a_second_team_gets_nothing_made(self, ready: SingleSignOn) -> None:
        other = make_team("team2", domain=ready.team.domain)
        bob = make_user("user2")
        join(ready, bob, other)
        row = Profile.objects.get(user=bob)
        profiles.ensure(row.pk)
        row.refresh_from_db()
        assert (row.state, row.error_code) == (State.FAILED, "SecondTeam")
        assert "this one serves the team Team1" in row.error
        assert ready.operations() == []
        assert ready.step().state == State.READY


class TestTheModeInAws:
    def test_sso_here_and_iam_there(self, world: SingleSignOn) -> None:
        world.aws.state.domains[DOMAIN].auth_mode = "IAM"
        profile = world.steps(State.FAILED)
        assert "is in IAM mode in AWS, and in SSO mode here" in profile.error
        assert "CreateUserProfile" not in world.operations()
        world.aws.state.domains[DOMAIN].auth_mode = "SSO"
        world.look()
        assert world.profile.due_at is not None
        world.steps(State.READY)

    def test_iam_here_and_sso_there(self, world: SingleSignOn) -> None:
        Domain.objects.update(auth_mode="IAM")
        assert sso_domains.due(10) == [world.domain.pk]
        world.look()
        world.aws.state.calls.clear()
        assert "is in SSO mode in AWS, and in IAM mode here" in world.steps(State.FAILED).error
        assert world.operations() == []

    def test_a_domain_that_is_not_there(self, world: SingleSignOn) -> None:
        del world.aws.state.domains[DOMAIN]
        assert "AWS has no domain d-singlesignon" in world.steps(State.FAILED).error
        assert world.domain.look_error

    @pytest.mark.parametrize(
        ("url", "safe"),
        [
            ("https://d-1.studio.eu-west-1.sagemaker.aws", True),
            ("http://127.0.0.1:8002/domains/d-1", True),
            ("http://d-1.studio.eu-west-1.sagemaker.aws", False),
            ("javascript:alert(1)", False),
            ("https://studio@evil.example", False),
            ("https://a\r\nSet-Cookie: x", False),
            ("https:\\\\evil.example", False),
            ("https://", False),
            ("", False),
        ],
    )
    def test_people_are_sent_to_safe_addresses_only(self, url: str, safe: bool) -> None:
        assert sso_domains.is_safe(url) is safe

    def test_what_is_stored_is_told_once(self, world: SingleSignOn) -> None:
        world.look()
        world.look()
        assert world.audited().count("metadata_refreshed") == 1
        assert world.domain.url.endswith(f"/domains/{DOMAIN}")
        assert world.domain.application_arn == world.aws.state.domains[DOMAIN].application_arn
        assert sso_domains.due(10) == []
        Domain.objects.update(looked_at=timezone.now() - timedelta(days=2))
        assert sso_domains.due(10) == [world.domain.pk]


class TestAssignments:
    def test_a_lost_answer(self, world: SingleSignOn) -> None:
        world.aws.personality.fail_next = {"CreateApplicationAssignment": ["lost"]}
        world.steps(State.READY)
        assert (world.assigned, world.stage) == ([f"USER:{PRINCIPAL}"], "made")
        world.revoke()
        world.go_until_idle()
        assert (world.assigned, world.stage) == ([], "gone")

    def test_a_worker_killed_between_the_assignment_and_the_record(
        self, world: SingleSignOn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = Assignments.create

        def killed(self: Assignments, application: str, user_id: str) -> str:
            create(self, application, user_id)
            raise SystemExit

        monkeypatch.setattr(Assignments, "create", killed)
        with pytest.raises(SystemExit):
            world.steps(State.READY)
        assert (world.stage, world.profile.state) == ("asked", State.CREATING)
        monkeypatch.setattr(Assignments, "create", create)
        world.change(claimed_until=timezone.now())
        world.steps(State.READY)
        assert (world.assigned, world.stage) == ([f"USER:{PRINCIPAL}"], "made")

    def test_a_change_that_has_not_reached_all_of_aws(self, world: SingleSignOn) -> None:
        """AWS documents ConflictException as this, and not as “assigned already”."""
        world.aws.personality.fail_next = {"CreateApplicationAssignment": ["ConflictException"]}
        world.steps(State.CREATING)
        assert world.assigned == []
        world.steps(State.READY)
        assert world.assigned == [f"USER:{PRINCIPAL}"]

    @pytest.mark.parametrize("code", ["ThrottlingException", "drop"])
    @pytest.mark.parametrize("operation", ["DescribeApplicationAssignment", "CreateApplicationAssignment"])
    def test_a_call_that_fails_is_made_again(self, world: SingleSignOn, operation: str, code: object) -> None:
        world.aws.personality.fail_next = {operation: [code]}
        world.steps(State.READY)
        assert world.assigned == [f"USER:{PRINCIPAL}"]

    def test_a_refusal_is_told_and_nothing_is_ready(self, world: SingleSignOn) -> None:
        message = "User is not authorized to perform: sso:CreateApplicationAssignment"
        refusal = {"code": "AccessDeniedException", "message": message}
        world.aws.personality.fail_next = {"CreateApplicationAssignment": [refusal]}
        assert "sso:CreateApplicationAssignment" in world.steps(State.FAILED).error
        world.steps(State.READY)

    def test_a_ready_profile_whose_person_cannot_be_assigned_is_not_ready(self, aws: Handle, db: None) -> None:
        world = single_sign_on(aws, assigns=False)
        world.steps(State.READY)
        Domain.objects.update(assigns_application=True)
        aws.personality.fail_next = {"DescribeApplicationAssignment": ["ThrottlingException"]}
        assert world.step().state == State.CREATING
        assert world.steps(State.READY).managed

    def test_an_assignment_of_somebody_else_is_left_alone(self, world: SingleSignOn) -> None:
        world.aws.state.domains[DOMAIN].assigned.append(f"USER:{PRINCIPAL}")
        world.steps(State.READY)
        assert world.stage == "found"
        world.revoke()
        world.go_until_idle()
        assert world.assigned == [f"USER:{PRINCIPAL}"]
        assert world.data_of("application_unassigned").outcome == AuditEvent.Outcome.REFUSED
        assert not [each for each in world.operations() if each in WRITES]

    def test_what_somebody_has_taken_away_is_made_again_when_the_profile_is_looked_at(
        self, ready: SingleSignOn
    ) -> None:
        ready.assigned.clear()
        ready.change(state=State.WANTED)
        ready.steps(State.READY)
        assert ready.assigned == [f"USER:{PRINCIPAL}"]

    def test_a_domain_without_an_application(self, world: SingleSignOn) -> None:
        world.aws.state.domains[DOMAIN].application_arn = ""
        assert "AWS tells no application" in world.steps(State.FAILED).error

    def test_the_team_moves_to_another_domain(self, ready: SingleSignOn) -> None:
        domain = make_domain(ready.team.domain.account)
        ready.aws.state.add_domain(domain.domain_id, account_id=domain.account.account_id)
        Team.objects.update(domain=domain)
        Profile.objects.update(due_at=timezone.now())
        for _ in range(4):
            Profile.objects.update(due_at=timezone.now())
            profiles.ensure(ready.profile.pk)
        assert ready.profile.state == State.READY
        assert (ready.assigned, ready.profile.sso_user, ready.profile.assigned_to) == ([], "", {})

    @pytest.mark.parametrize("outcome", ["ThrottlingException", "AccessDeniedException"])
    def test_it_moves_only_once_the_old_door_is_closed(self, ready: SingleSignOn, outcome: str) -> None:
        domain = make_domain(ready.team.domain.account)
        ready.aws.state.add_domain(domain.domain_id, account_id=domain.account.account_id)
        Team.objects.update(domain=domain)
        ready.aws.personality.fail_next = {"DeleteApplicationAssignment": [outcome] * 2}
        for _ in range(2):
            ready.go()
            assert (ready.profile.domain_id, ready.stage) == (ready.domain.pk, "leaving")
        ready.go_until(State.READY)
        assert (ready.assigned, ready.profile.domain_id) == ([], domain.pk)


class TestTheEnd:
    def test_revoked_the_door_closes_before_anything_else(self, ready: SingleSignOn) -> None:
        ready.settle_in()
        ready.revoke()
        ready.go()
        assert ready.assigned == []
        assert ready.operations()[0] == "DeleteApplicationAssignment"
        ready.go_until_idle()
        assert ready.running() == []
        ready.end_grace()
        ready.go_until(State.RETIRED)
        assert ready.left() == ([], [], False)
        assert ready.audited().count("application_unassigned") == 1

    def test_access_that_returns_is_assigned_again_before_it_is_ready(self, ready: SingleSignOn) -> None:
        ready.revoke()
        ready.go()
        ready.give_back()
        ending.restore()
        assert (ready.profile.state, ready.assigned) == (State.WANTED, [])
        ready.go_until(State.READY)
        assert ready.assigned == [f"USER:{PRINCIPAL}"]

    def test_access_that_returns_in_time_keeps_its_assignment(self, ready: SingleSignOn) -> None:
        ready.revoke()
        ready.give_back()
        ready.go()
        assert (ready.profile.state, ready.assigned) == (State.READY, [f"USER:{PRINCIPAL}"])
        assert not [each for each in ready.operations() if each in WRITES]

    def test_a_session_that_is_over_leaves_it_for_the_grace_period(self, ready: SingleSignOn) -> None:
        Membership.objects.update(valid_until=timezone.now() - timedelta(minutes=1))
        ending.end_access()
        assert ready.profile.ended_by == End.LAPSED
        ready.go()
        assert ready.assigned == [f"USER:{PRINCIPAL}"]
        ready.end_grace()
        ready.go()
        assert ready.assigned == []

    @pytest.mark.parametrize("keeps", [{"keeps_profiles": True}, {"managed": False}])
    def test_what_is_not_deleted_is_closed_too(self, ready: SingleSignOn, keeps: dict[str, bool]) -> None:
        (Team if "keeps_profiles" in keeps else Profile).objects.update(**keeps)
        ready.revoke()
        assert ready.profile.due_at is not None
        ready.go()
        assert (ready.assigned, ready.in_aws is not None) == ([], True)

    @pytest.mark.parametrize("keeps", [{"keeps_profiles": True}, {"managed": False}])
    def test_a_step_a_moment_early_comes_back_to_close_it(self, ready: SingleSignOn, keeps: dict[str, bool]) -> None:
        (Team if "keeps_profiles" in keeps else Profile).objects.update(**keeps)
        Membership.objects.update(valid_until=timezone.now() - timedelta(minutes=1))
        ending.end_access()
        ready.go()
        assert (ready.stage, ready.profile.due_at) == ("made", sso_assignments.lapses_at(ready.profile))

    def test_a_profile_that_is_no_longer_ours_keeps_no_door_open(self, ready: SingleSignOn) -> None:
        ready.in_aws.tags.clear()
        ready.revoke()
        ready.aws.personality.fail_next = {"DeleteApplicationAssignment": ["AccessDeniedException"]}
        ready.go()
        assert (ready.profile.managed, ready.profile.due_at is not None) == (False, True)
        ready.go()
        assert (ready.assigned, ready.in_aws is not None) == ([], True)

    @pytest.mark.parametrize("outcome", ["lost", "ThrottlingException", "ConflictException"])
    def test_a_call_that_fails_is_made_again(self, ready: SingleSignOn, outcome: object) -> None:
        ready.aws.personality.fail_next = {"DeleteApplicationAssignment": [outcome]}
        ready.revoke()
        ready.go()
        ready.go()
        assert (ready.assigned, ready.stage) == ([], "gone")
        assert ready.audited().count("application_unassigned") == 1

    def test_where_it_may_not_be_taken_away_apps_are_stopped_and_nothing_is_forgotten(
        self, ready: SingleSignOn
    ) -> None:
        ready.settle_in()
        ready.revoke()
        ready.end_grace()
        ready.aws.personality.fail_next = {"DeleteApplicationAssignment": ["AccessDeniedException"] * 8}
        for _ in range(8):
            ready.go()
            ready.aws.state.clock.advance(1)
        assert (ready.running(), ready.profile.error_code) == ([], "AccessDeniedException")
        assert (ready.in_aws is not None, ready.stage) == (True, "leaving")
        ready.go_until(State.RETIRED)
        assert (ready.assigned, ready.stage) == ([], "gone")

    @pytest.mark.parametrize(
        "verb", [(Assignments, "delete"), *((Studio, name) for name in ("list_apps", "delete_app", "delete_profile"))]
    )
    def test_a_worker_killed_at_each_step(
        self, ready: SingleSignOn, monkeypatch: pytest.MonkeyPatch, verb: tuple[type, str]
    ) -> None:
        ready.settle_in()
        ready.revoke()
        ready.end_grace()
        owner, name = verb
        whole: Callable[..., object] = getattr(owner, name)

        def killed(*args: object, **kwargs: object) -> object:
            whole(*args, **kwargs)
            raise SystemExit

        monkeypatch.setattr(owner, name, killed)
        with pytest.raises(SystemExit):
            ready.go_until(State.RETIRED)
        monkeypatch.setattr(owner, name, whole)
        ready.change(claimed_until=timezone.now())
        ready.go_until(State.RETIRED)
        assert (ready.assigned, ready.left()) == ([], ([], [], False))
        assert ready.audited().count("application_unassigned") == 1


class TestPersonalities:
    @pytest.mark.parametrize(
        "personality",
        [
            {"throttle": {"fraction": 0.4}, "seed": 3},
            {"consistency_lag": 3.0, "short_pages": True, "seed": 2},
            {"old_not_found": True, "create_delay": 3.0, "delete_delay": 3.0},
            {"fail_next": {"*": ["drop", "lost", 503, "ok", "lost", "ThrottlingException", "drop", "lost"]}},
        ],
    )
    def test_there_and_away_again(self, world: SingleSignOn, personality: dict[str, object]) -> None:
        world.aws.personality.update(personality)
        world.go_until(State.READY)
        assert world.assigned == [f"USER:{PRINCIPAL}"]
        world.revoke()
        world.end_grace()
        world.go_until(State.RETIRED, most=80)
        assert (world.assigned, world.left()) == ([], ([], [], False))

    def test_many_at_once_are_watched_together(self, world: SingleSignOn) -> None:
        world.aws.state.domains[DOMAIN].sso_users = None
        directory = Directory.objects.get()
        for name in ("user2", "user3", "user4", "user5"):
            DirectoryPerson.objects.create(directory=directory, external_id=directory_id(name), subject=name)
            join(world, make_user(name), world.team)
        for pk in list(Profile.objects.values_list("pk", flat=True)):
            profiles.ensure(pk)
        assert "DescribeUserProfile" not in world.operations()
        watch.look(world.domain.pk)
        assert set(Profile.objects.values_list("state", flat=True)) == {State.READY}
        assert len(world.assigned) == 5
        assert {each.sso_value for each in world.aws.state.all_profiles()} == {f"user{n}" for n in range(1, 6)}

    def test_two_workers_settle_for_one_person_at_once(
        self, world: SingleSignOn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = make_team("team2", domain=make_domain(world.team.domain.account))
        join(world, world.user, other)
        rival = Profile.objects.get(team=other)
        Profile.objects.filter(pk=rival.pk).update(domain=world.domain.pk, sso_user="USER1")
        real, looks = sso._rival, list[str]()

        def too_early(profile: Profile, name: str) -> Profile | None:
            looks.append(name)
            return real(profile, name) if len(looks) > 1 else None

        monkeypatch.setattr(sso, "_rival", too_early)
        profile = world.steps(State.CONFLICT)
        assert (profile.error_code, looks) == ("SsoUserTaken", ["user1", "user1"])
        assert "CreateUserProfile" not in world.operations()


class TestTheLaunch:
    def test_it_is_the_domains_address_and_no_call(self, ready: SingleSignOn) -> None:
        target = launch.find(ready.user, "team1")
        assert target is not None
        assert (target.ready, target.address) == (True, ready.domain.url)
        assert ready.operations() == []

    @pytest.mark.parametrize(
        "fields",
        [{"url": ""}, {"real_auth_mode": "IAM"}, {"real_auth_mode": ""}, {"url": "http://evil.example"}],
    )
    def test_it_waits_for_an_address_that_can_be_trusted(self, ready: SingleSignOn, fields: dict[str, str]) -> None:
        Domain.objects.update(**fields)
        target = launch.find(ready.user, "team1")
        assert target is not None
        assert (target.ready, target.address) == (False, "")
