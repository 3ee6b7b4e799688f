"""The launch path: authorised again, one query, one call, no URL left behind, never the wrong role."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from provisioning import launch, queue
from provisioning.aws import errors
from provisioning.models import Profile
from teams import access
from teams.models import AuditEvent, Group, Membership, RoleMapping
from tests.factories import make_domain, make_mapping, make_team, make_user, role_arn
from tests.provisioning.conftest import World

State = Profile.State


@pytest.fixture(name="hints")
def _hints(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The profiles that workers were asked to look at."""
    sent: list[int] = []
    monkeypatch.setattr(queue, "enqueue_ensure", lambda profile_id, **_: sent.append(profile_id))
    return sent


@pytest.fixture(name="ready")
def _ready(world: World) -> World:
    world.steps(State.READY)
    world.aws.state.calls.clear()
    return world


def target_of(world: World) -> launch.Target:
    target = launch.find(world.user, world.team.slug)
    assert target is not None
    return target


def map_role(world: World, role: str, priority: int = 0) -> RoleMapping:
    """Let the member be in a group that gives `role`."""
    mapping = make_mapping(f"group-{role}", world.team, role=role, priority=priority)
    group = Group.objects.create(source="saml", external_id=mapping.group)
    Membership.objects.create(user=world.user, team=world.team, source="saml", group=group, mapping=mapping)
    return mapping


class TestFind:
    def test_one_query(self, ready: World, django_assert_num_queries: Callable[..., Any]) -> None:
        target_of(ready)
        with django_assert_num_queries(1):
            target = target_of(ready)
        domain = ready.team.domain
        assert target == launch.Target(
            user_id=ready.user.pk,
            team_id=ready.team.pk,
            slug="team1",
            session_duration=ready.team.session_duration,
            url_lifetime=ready.team.url_lifetime,
            account=target.account,
            account_id=domain.account.account_id,
            region=domain.region,
            domain_id=domain.domain_id,
            execution_role_arn=ready.team.execution_role_arn,
            profile_id=ready.profile.pk,
            profile_name="user1-team1",
            ready=True,
        )

    def test_a_team_of_somebody_else(self, ready: World) -> None:
        assert launch.find(make_user("user2"), "team1") is None

    def test_a_team_that_does_not_exist(self, ready: World) -> None:
        assert launch.find(ready.user, "nothing") is None

    @pytest.mark.parametrize("slug", ["TEAM1", "team1 ", "team1'--", "%", "the slug", ""])
    def test_odd_slugs(self, ready: World, slug: str) -> None:
        assert launch.find(ready.user, slug) is None

    @pytest.mark.parametrize("gone", ["deleted", "over", "user", "team"])
    def test_access_is_read_anew_each_time(self, ready: World, gone: str) -> None:
        target_of(ready)
        if gone == "deleted":
            Membership.objects.all().delete()
        elif gone == "over":
            Membership.objects.update(valid_until=timezone.now())
        elif gone == "user":
            type(ready.user).objects.update(is_active=False)
        else:
            type(ready.team).objects.update(is_active=False)
        assert launch.find(ready.user, "team1") is None

    def test_the_moment_is_not_that_of_the_first_query(self, ready: World) -> None:
        target_of(ready)
        Membership.objects.update(valid_until=timezone.now() + timedelta(seconds=0.3))
        assert launch.find(ready.user, "team1") is not None
        deadline = time.monotonic() + 5
        while launch.find(ready.user, "team1") is not None:
            assert time.monotonic() < deadline

    def test_without_a_row_there_is_nothing_ready(self, ready: World) -> None:
        Profile.objects.all().delete()
        target = target_of(ready)
        assert (target.ready, target.profile_id, target.profile_name) == (False, None, "")

    @pytest.mark.parametrize("state", [State.WANTED, State.CREATING, State.FAILED, State.CONFLICT])
    def test_only_ready_is_ready(self, ready: World, state: str) -> None:
        ready.change(state=state)
        assert not target_of(ready).ready

    def test_another_role_by_mapping_is_not_ready(self, ready: World) -> None:
        map_role(ready, "special-role")
        target = target_of(ready)
        assert not target.ready
        assert target.execution_role_arn == role_arn(ready.team.domain, "special-role")

    def test_another_role_of_the_team_is_not_ready(self, ready: World) -> None:
        ready.team.execution_role_arn = role_arn(ready.team.domain, "other-role")
        ready.team.save()
        assert not target_of(ready).ready

    def test_another_domain_is_not_ready(self, ready: World) -> None:
        ready.team.domain = make_domain(ready.team.domain.account)
        ready.team.save()
        assert not target_of(ready).ready

    def test_the_profile_of_a_colleague_is_not_mine(self, ready: World) -> None:
        colleague = make_user("user2")
        Membership.objects.create(user=colleague, team=ready.team, source="saml")
        target = launch.find(colleague, "team1")
        assert target is not None
        assert (target.ready, target.profile_id) == (False, None)

    @pytest.mark.parametrize("priorities", [(0, 0), (1, 0), (0, 1), (-1, -2)])
    def test_it_decides_the_role_as_the_rest_of_the_portal_does(
        self, ready: World, priorities: tuple[int, int]
    ) -> None:
        for number, priority in enumerate(priorities):
            map_role(ready, f"role{number}", priority)
        found = access.find(ready.user, "team1")
        assert found is not None
        assert target_of(ready).execution_role_arn == found.execution_role_arn


class TestOpen:
    def test_exactly_one_call_with_the_teams_limits(self, ready: World) -> None:
        ready.team.session_duration, ready.team.url_lifetime = 3600, 30
        ready.team.save()
        presigned = launch.open_studio(target_of(ready))
        assert presigned.url.startswith(ready.aws.url)
        (call,) = ready.aws.calls()
        assert call.operation == "CreatePresignedDomainUrl"
        assert call.params["SessionExpirationDurationInSeconds"] == 3600
        assert call.params["ExpiresInSeconds"] == 30
        assert call.request_id == presigned.request_id

    def test_a_profile_that_disappeared_is_wanted_again(self, ready: World, hints: list[int],
                                                        django_capture_on_commit_callbacks: Any) -> None:  # fmt: skip
        ready.aws.state.forget_profile(ready.domain_id, ready.profile.name)
        target = target_of(ready)
        with django_capture_on_commit_callbacks(execute=True), pytest.raises(launch.NotReady):
            launch.open_studio(target)
        profile = ready.profile
        assert (profile.state, profile.arn) == (State.WANTED, "")
        assert profile.due_at is not None
        assert hints == [profile.pk]
        missing = AuditEvent.objects.get(action="profile_missing")
        assert missing.aws_request_id == ready.aws.calls()[0].request_id
        assert ready.steps(State.READY)

    def test_two_clicks_at_a_lost_profile_are_one_line_in_the_log(self, ready: World, hints: list[int]) -> None:
        ready.aws.state.forget_profile(ready.domain_id, ready.profile.name)
        target = target_of(ready)
        for _ in range(2):
            with pytest.raises(launch.NotReady):
                launch.open_studio(target)
        assert ready.audited().count("profile_missing") == 1

    def test_what_aws_never_opens_ends_as_a_failure(self, ready: World, hints: list[int]) -> None:
        for expected in ([State.WANTED] * launch.MAX_LOOKS) + [State.FAILED]:
            ready.aws.personality.fail_next = {"CreatePresignedDomainUrl": ["ResourceNotFound"]}
            with pytest.raises(launch.NotReady):
                launch.open_studio(target_of(ready))
            assert ready.profile.state == expected
            Profile.objects.update(state=State.READY)
        assert "does not open" in ready.profile.error
        assert ready.audited().count("profile_failed") == 1

    def test_what_opened_in_between_counts_anew(self, ready: World, hints: list[int]) -> None:
        for _ in range(launch.MAX_LOOKS + 1):
            launch.record(target_of(ready), launch.open_studio(target_of(ready)))
            ready.aws.personality.fail_next = {"CreatePresignedDomainUrl": ["ResourceNotFound"]}
            with pytest.raises(launch.NotReady):
                launch.open_studio(target_of(ready))
            assert ready.profile.state == State.WANTED
            Profile.objects.update(state=State.READY)

    @pytest.mark.parametrize("status", ["Pending", "Updating", "Deleting", "Failed"])
    def test_a_profile_that_is_not_in_service_is_looked_at_again(
        self, ready: World, hints: list[int], status: str
    ) -> None:
        ready.in_aws.begin(status, "", until=None)
        with pytest.raises(launch.NotReady):
            launch.open_studio(target_of(ready))
        assert ready.profile.state == State.WANTED

    @pytest.mark.parametrize(
        "answer",
        [
            {"code": "ResourceInUse", "message": "UserProfile is in use"},
            {"code": "ValidationException", "message": "UserProfile [x] is not in InService state."},
            {"code": "ValidationException", "message": "RecordNotFound"},
            {"code": "ResourceNotFound", "message": "gone"},
        ],
    )
    def test_the_undocumented_ways_to_say_so(self, ready: World, hints: list[int], answer: dict[str, str]) -> None:
        ready.aws.personality.fail_next = {"CreatePresignedDomainUrl": [answer]}
        with pytest.raises(launch.NotReady):
            launch.open_studio(target_of(ready))

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [
            ("ThrottlingException", errors.Throttled),
            ("AccessDeniedException", errors.Denied),
            ("ValidationException", errors.Invalid),
            (503, errors.Transient),
        ],
    )
    def test_other_failures_are_the_callers_and_change_nothing(
        self, ready: World, outcome: object, kind: type[errors.AwsError]
    ) -> None:
        ready.aws.personality.fail_next = {"CreatePresignedDomainUrl": [outcome]}
        with pytest.raises(kind):
            launch.open_studio(target_of(ready))
        assert ready.profile.state == State.READY

    def test_aws_down(self, ready: World) -> None:
        ready.aws.personality.down = True
        with pytest.raises(errors.Transient):
            launch.open_studio(target_of(ready))
        assert ready.profile.state == State.READY


class TestRecord:
    def test_the_log_tells_everything_but_the_url(self, ready: World) -> None:
        target = target_of(ready)
        presigned = launch.open_studio(target)
        launch.record(target, presigned)
        row = AuditEvent.objects.get(action="launch")
        assert (row.target, row.team, row.aws_request_id) == ("user1-team1", "team1", presigned.request_id)
        assert row.data["execution_role"] == ready.team.execution_role_arn
        assert row.data["domain"] == ready.domain_id
        stored = str([getattr(row, field.name) for field in row._meta.fields])
        assert presigned.url not in stored
        assert "token" not in stored


@pytest.mark.django_db(transaction=True)
class TestConnections:
    def test_none_is_held_while_aws_is_called(
        self, aws: Any, make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from provisioning.aws.studio import Studio

        held: list[bool] = []
        call = Studio._call

        def watch(studio: Studio, operation: str, **request: Any) -> Any:
            held.append(connection.connection is not None)
            return call(studio, operation, **request)

        world = make_world()
        monkeypatch.setattr(Studio, "_call", watch)
        world.steps(State.READY)
        launch.open_studio(target_of(world))
        assert held == [False] * 4

    def test_clients_are_warmed_for_every_domain_without_a_call(
        self, aws: Any, make_world: Callable[..., World]
    ) -> None:
        from provisioning.aws import client

        make_world()
        make_team("elsewhere", domain=make_domain(region="us-east-1"))
        launch.warm_clients()
        assert {key[1] for key in client._clients} == {"eu-west-1", "us-east-1"}
        assert aws.calls() == []
