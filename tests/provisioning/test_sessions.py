"""Sessions named after people: begun once, kept and renewed, signed with by shared clients, never exchanged."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.demo.aws.seed import OTHER_ACCOUNT, OTHER_DOMAIN, OTHER_EXTERNAL_ID, OTHER_PORTAL_ROLE
from portal.demo.aws.server import Handle
from provisioning import launch, profiles
from provisioning.aws import client, errors, sessions
from provisioning.aws.client import Account, Session
from provisioning.aws.sessions import Kept, Sessions
from provisioning.aws.studio import Presigned, Studio
from provisioning.models import Profile
from teams.models import AuditEvent, AwsAccount, Membership, User
from tests.factories import make_account, make_domain, make_team, make_user
from tests.provisioning.conftest import World

REGION = "eu-west-1"
OTHER = Account(OTHER_PORTAL_ROLE, OTHER_EXTERNAL_ID)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the minutes since the start."""

    def move(minutes: float) -> None:
        monkeypatch.setattr(sessions, "now", lambda: START + timedelta(minutes=minutes))

    move(0)
    return move


def good(value: str, minutes: float = 60) -> Callable[[], Kept[str]]:
    return lambda: Kept(value, START + timedelta(minutes=minutes))


def fails(error: errors.AwsError) -> Callable[[], Kept[str]]:
    def begin() -> Kept[str]:
        raise error

    return begin


class TestKeeping:
    def test_they_are_kept_until_minutes_before_they_run_out(self, clock: Callable[[float], None]) -> None:
        kept: Sessions[str, str] = Sessions()
        assert kept.get("user1", good("first")) == "first"
        clock(49)
        assert kept.get("user1", good("second", 109)) == "first"
        clock(51)
        assert kept.get("user1", good("second", 109)) == "second"
        assert kept.get("user1", good("third")) == "second"

    @pytest.mark.parametrize("error", [errors.Transient("down"), errors.Throttled("slow")])
    def test_a_renewal_that_fails_leaves_the_old_ones_while_they_last(
        self, clock: Callable[[float], None], error: errors.AwsError
    ) -> None:
        kept: Sessions[str, str] = Sessions()
        kept.get("user1", good("first"))
        clock(51)
        assert kept.get("user1", fails(error)) == "first"
        assert kept.get("user1", good("too soon")) == "first"
        clock(53)
        assert kept.get("user1", good("second", 113)) == "second"

    def test_close_to_their_end_a_failure_is_one(self, clock: Callable[[float], None]) -> None:
        kept: Sessions[str, str] = Sessions()
        kept.get("user1", good("first"))
        clock(55.5)
        with pytest.raises(errors.Transient):
            kept.get("user1", fails(errors.Transient("down")))

    def test_a_refusal_is_one_at_once(self, clock: Callable[[float], None]) -> None:
        kept: Sessions[str, str] = Sessions()
        kept.get("user1", good("first"))
        clock(51)
        with pytest.raises(errors.Denied):
            kept.get("user1", fails(errors.Denied("no")))

    def test_those_used_last_are_kept(self) -> None:
        kept: Sessions[str, str] = Sessions(most=2)
        later = datetime.now(UTC) + timedelta(hours=1)
        for name in ("user1", "user2", "user1", "user3"):
            kept.get(name, lambda: Kept("first", later))
        assert len(kept) == 2
        assert kept.get("user1", lambda: Kept("second", later)) == "first"
        assert kept.get("user2", lambda: Kept("second", later)) == "second"

    def test_who_waits_for_a_try_that_fails_is_told_so(self) -> None:
        kept: Sessions[str, str] = Sessions()
        tries, entered, go_on = [], threading.Barrier(9), threading.Event()
        told: list[str] = []

        def begin() -> Kept[str]:
            tries.append(1)
            go_on.wait(10)
            raise errors.Transient("AWS did not answer in time.", code="ReadTimeoutError")

        def ask() -> None:
            entered.wait(10)
            with pytest.raises(errors.Transient) as caught:
                kept.get("user1", begin)
            told.append(caught.value.code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        entered.wait(10)
        # Whoever has not asked by now tries for themselves, which would be right too.
        threading.Timer(0.3, go_on.set).start()
        for thread in threads:
            thread.join()
        assert told == ["ReadTimeoutError"] * 8
        assert len(tries) < 8
        with pytest.raises(errors.Transient):
            kept.get("user1", begin)

    def test_secrets_are_not_shown(self) -> None:
        assert "secret" not in repr(Kept("secret", START))
        assert OTHER_EXTERNAL_ID not in repr(OTHER)


def mint(name: str, account: Account = OTHER, tags: tuple[tuple[str, str], ...] = ()) -> Presigned:
    studio = Studio(account, REGION, "launch", Session(name, tags))
    return studio.presigned_url(OTHER_DOMAIN, "user1", session_duration=1800, url_lifetime=60)


@pytest.fixture(name="made")
def _made(aws: Handle) -> Handle:
    """The stand-in with a profile, which the portal made by itself."""
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/Team"
    Studio(OTHER, REGION).create_profile(OTHER_DOMAIN, "user1", user_settings={"ExecutionRole": role}, tags={})
    aws.state.calls.clear()
    return aws


def callers(aws: Handle) -> list[str]:
    return [call.caller.rsplit("/", 1)[-1] for call in aws.calls("CreatePresignedDomainUrl")]


class TestSigning:
    def test_each_signs_as_themselves_over_the_same_client(self, made: Handle) -> None:
        for name in ("jane", "joe", "jane", "joe"):
            mint(name)
        assert callers(made) == ["jane", "joe", "jane", "joe"]
        assert [call.params["RoleSessionName"] for call in made.calls("AssumeRole")] == ["jane", "joe"]
        assert len([key for key in client._clients if key[2:] == ("sagemaker", "launch")]) == 1

    def test_threads_never_sign_as_somebody_else(self, made: Handle) -> None:
        barrier = threading.Barrier(8)

        def work(number: int) -> None:
            barrier.wait(10)
            for _ in range(5):
                Studio(OTHER, REGION, "launch", Session(f"user{number}")).describe_profile(OTHER_DOMAIN, "user1")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = [call.caller.rsplit("/", 1)[-1] for call in made.calls("DescribeUserProfile")]
        assert {name: names.count(name) for name in names} == {f"user{number}": 5 for number in range(8)}
        assert len(made.calls("AssumeRole")) == 8

    def test_the_portals_own_session_is_another_one(self, made: Handle) -> None:
        mint("jane")
        Studio(OTHER, REGION).describe_profile(OTHER_DOMAIN, "user1")
        (described,) = made.calls("DescribeUserProfile")
        assert described.caller.endswith("/studio-portal")

    def test_name_tags_and_source_identity(self, made: Handle) -> None:
        mint("jane", Account(OTHER_PORTAL_ROLE, OTHER_EXTERNAL_ID, True), (("team", "team1"), ("user", "jane")))
        (assumed,) = made.calls("AssumeRole")
        assert (assumed.params["RoleSessionName"], assumed.params["SourceIdentity"]) == ("jane", "jane")
        assert assumed.params["Tags"] == [{"Key": "team", "Value": "team1"}, {"Key": "user", "Value": "jane"}]

    def test_without_switches_neither_tags_nor_source_identity(self, made: Handle) -> None:
        mint("jane")
        (assumed,) = made.calls("AssumeRole")
        assert {"Tags", "SourceIdentity"}.isdisjoint(assumed.params)

    @pytest.mark.parametrize(
        ("outcome", "kind"),
        [("AccessDenied", errors.Denied), ("Throttling", errors.Throttled), (503, errors.Transient)],
    )
    def test_without_a_session_nothing_is_minted(self, made: Handle, outcome: object, kind: type[Exception]) -> None:
        mint("joe")
        made.state.calls.clear()
        made.personality.fail_next = {"AssumeRole": [outcome]}
        with pytest.raises(kind, match="could not be assumed"):
            mint("jane")
        assert made.calls("CreatePresignedDomainUrl") == []
        assert mint("jane").url

    def test_a_session_that_ran_out_is_begun_anew_and_no_other_one(self, made: Handle) -> None:
        mint("jane")
        made.state.clock.advance(4000)
        with pytest.raises(errors.CredentialsExpired):
            mint("jane")
        mint("jane")
        assert callers(made)[-1] == "jane"
        assert len(made.calls("AssumeRole")) == 2

    def test_botocore_still_checks_what_is_sent(self, made: Handle) -> None:
        with pytest.raises(errors.Invalid, match="Parameter validation failed"):
            Studio(OTHER, REGION, "launch", Session("jane")).describe_profile(OTHER_DOMAIN, 1)  # type: ignore[arg-type]

    def test_no_secret_is_logged(self, made: Handle, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        mint("jane")
        (credentials,) = [place.kept.value for place in client._people._places.values() if place.kept]
        for secret in (credentials.secret_key, str(credentials.token), OTHER_EXTERNAL_ID):
            assert secret not in caplog.text


@pytest.fixture(name="world")
def _world(aws: Handle, db: None) -> World:
    """User1 in team1, ready, in an account behind a role."""
    account = make_account(account_id=OTHER_ACCOUNT, role_arn=OTHER_PORTAL_ROLE, external_id=OTHER_EXTERNAL_ID)
    team = make_team("team1", domain=make_domain(account, domain_id=OTHER_DOMAIN))
    world = World(aws, team, make_user("user1"))
    Membership.objects.create(user=world.user, team=team, source="saml")
    profiles.prepare([world.user.pk])
    world.steps(Profile.State.READY)
    return world


def open_as(user: User) -> tuple[launch.Target, Presigned]:
    target = launch.find(user, "team1")
    assert target is not None
    return target, launch.open_studio(target)


class TestLaunch:
    def test_workers_act_as_the_portal_and_launches_as_the_person(self, world: World) -> None:
        assert {call.caller.rsplit("/", 1)[-1] for call in world.aws.calls("CreateUserProfile")} == {"studio-portal"}
        open_as(world.user)
        assert callers(world.aws) == ["user1"]

    def test_one_call_once_the_session_is_there(self, world: World) -> None:
        open_as(world.user)
        world.aws.state.calls.clear()
        open_as(world.user)
        assert world.operations() == ["CreatePresignedDomainUrl"]

    def test_the_log_tells_the_name_that_cloudtrail_has(self, world: World) -> None:
        launch.record(*open_as(world.user))
        assert AuditEvent.objects.get(action="launch").data["session_name"] == "user1"

    def test_a_name_that_aws_would_not_take(self, world: World) -> None:
        User.objects.update(username="partner/user 1")
        world.user.refresh_from_db()
        open_as(world.user)
        assert callers(world.aws)[0].startswith("partner-user-1-")

    def test_an_account_may_have_one_session_for_everybody(self, world: World) -> None:
        AwsAccount.objects.update(names_sessions=False)
        target, _ = open_as(world.user)
        assert target.session is None
        assert callers(world.aws) == ["studio-portal"]

    def test_tags_where_the_account_has_them(self, world: World) -> None:
        AwsAccount.objects.update(session_tags=True, uses_source_identity=True)
        open_as(world.user)
        params = world.aws.calls("AssumeRole")[-1].params
        assert params["Tags"] == [{"Key": "team", "Value": "team1"}, {"Key": "user", "Value": "user1"}]
        assert params["SourceIdentity"] == "user1"

    def test_without_a_role_there_is_no_session(self, world: World) -> None:
        AwsAccount.objects.update(role_arn="")
        target = launch.find(world.user, "team1")
        assert target is not None
        assert target.session is None

    def test_a_refusal_of_sts_is_shown_and_audited(self, world: World, client: Any) -> None:
        world.aws.personality.fail_next = {"AssumeRole": ["AccessDenied"]}
        client.force_login(world.user, backend="portal.saml.backend.SamlBackend")
        response = client.post("/teams/team1/open/")
        assert response.status_code == 503
        assert "ask for help" in response.content.decode()
        assert world.aws.calls("CreatePresignedDomainUrl") == []
        failed = AuditEvent.objects.get(action="launch")
        assert (failed.outcome, OTHER_PORTAL_ROLE in failed.reason) == ("failed", True)
