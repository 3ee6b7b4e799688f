"""The preflight tells what is missing in AWS and where, whatever AWS does meanwhile, and changes nothing."""

import contextlib
import json
import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.demo.aws import rows
from portal.demo.aws.seed import EVENT_QUEUE, IDENTITY_STORE
from portal.demo.aws.server import Handle
from provisioning.aws import preflight as verbs
from provisioning.models import Directory, Profile
from provisioning.preflight import results, running
from provisioning.preflight.results import Level, Result
from teams.models import AwsAccount, Domain, Team
from tests.factories import make_account, make_domain, make_mapping, make_team, make_user, role_arn

PORTAL_ROLE = "arn:aws:iam::444455556666:role/Portal"
SECRET_ID = "the-external-id"
CHANGING = ("Create", "Update", "Delete", "Add", "Send", "Receive", "Change")

pytestmark = pytest.mark.django_db


class World:
    """An account behind a portal role with one domain and one team, in the rows and in AWS."""

    def __init__(self, aws: Handle) -> None:
        self.aws = aws
        aws.state.add_role(PORTAL_ROLE, external_id=SECRET_ID)
        self.account = make_account(
            account_id="444455556666", name="Studio", role_arn=PORTAL_ROLE, external_id=SECRET_ID
        )
        self.domain = make_domain(self.account, domain_id="d-preflight")
        in_aws = aws.state.add_domain("d-preflight", account_id="444455556666")
        in_aws.settings["DefaultUserSettings"] = {"ExecutionRole": role_arn(self.domain, "default")}
        self.in_aws = in_aws
        self.team = make_team("team1", domain=self.domain)
        self.role = self.team.execution_role_arn
        aws.state.add_execution_role(self.role, tags={"Team": "team1"})

    def run(self, **more: Any) -> list[Result]:
        return running.run(**more)

    def found(self, subject: str) -> Result:
        """Return the only result whose subject begins so."""
        (result,) = [each for each in self.run() if each.subject.startswith(subject)]
        return result


@pytest.fixture(name="world")
def _world(aws: Handle) -> World:
    return World(aws)


def levels(found: list[Result]) -> set[Level]:
    return {each.level for each in found}


class TestAllIsWell:
    def test_nothing_is_missing(self, world: World) -> None:
        found = world.run()
        assert [each for each in found if each.level != Level.OK] == []
        assert {each.group for each in found} == {"The portal itself", "Studio (444455556666)"}
        assert {each.subject for each in found} == {
            *("Credentials", "Portal role", "External id", "Domain d-preflight in eu-west-1"),
            *("Profiles in eu-west-1", "Execution role team1-role"),
        }
        assert all(each.request_id for each in found)

    def test_it_only_looks(self, world: World) -> None:
        world.run()
        assert world.aws.calls()
        assert not [call for call in world.aws.calls() if call.operation.startswith(CHANGING)]

    def test_its_threads_use_no_database(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        main, opened = threading.current_thread(), []
        original = BaseDatabaseWrapper.connect

        def connect(self: BaseDatabaseWrapper) -> None:
            opened.append(threading.current_thread())
            original(self)

        monkeypatch.setattr(BaseDatabaseWrapper, "connect", connect)
        world.run()
        assert [thread for thread in opened if thread is not main] == []

    def test_without_a_row_there_is_the_portal_alone(self, aws: Handle) -> None:
        assert [(each.subject, each.level) for each in running.run()] == [("Credentials", Level.OK)]

    def test_an_account_without_a_role_is_the_portals_own(self, aws: Handle) -> None:
        make_account(account_id=aws.state.home_account, name="Home")
        assert levels(running.run()) == {Level.OK}

    def test_the_portals_own_credentials_are_of_another_account(self, aws: Handle) -> None:
        make_account(account_id="999999999999", name="Elsewhere")
        found = running.run()[-1]
        assert found.level == Level.FAIL
        assert "belong to the account 111122223333: give this one a portal role" in found.line


class TestGettingIn:
    def test_the_wrong_external_id(self, world: World) -> None:
        AwsAccount.objects.update(external_id="another-one")
        found = world.run()
        (door,) = [each for each in found if each.subject == "Portal role"]
        assert door.level == Level.FAIL
        assert "asks for another external id than the account has here" in door.line
        assert "arn:aws:iam::111122223333:user/studio-portal" in door.line
        assert door.request_id
        # What is inside cannot be looked at.
        assert not [each for each in found if each.subject.startswith("Domain")]

    def test_a_role_that_does_not_ask_for_the_external_id(self, world: World) -> None:
        world.aws.state.add_role(PORTAL_ROLE)
        found = world.found("External id")
        assert found.level == Level.WARN
        assert "lacks the condition on sts:ExternalId" in found.line

    def test_a_role_that_is_not_there(self, world: World) -> None:
        AwsAccount.objects.update(role_arn="arn:aws:iam::444455556666:role/Gone")
        assert world.found("Portal role").level == Level.FAIL

    def test_a_role_that_leads_elsewhere(self, world: World) -> None:
        elsewhere = "arn:aws:iam::777777777777:role/Portal"
        world.aws.state.add_role(elsewhere, external_id=SECRET_ID)
        AwsAccount.objects.update(role_arn=elsewhere)
        found = world.found("Portal role")
        assert found.level == Level.FAIL
        assert "leads into the account 777777777777, not into 444455556666" in found.line

    def test_no_credentials_at_all(self, world: World) -> None:
        world.aws.personality.fail_next = {"GetCallerIdentity": ["InvalidClientTokenId"]}
        found = world.run()
        assert [each.level for each in found] == [Level.FAIL, Level.FAIL]
        assert "does not accept the portal's credentials" in found[0].line
        assert "AWS does not know the portal" in found[1].line

    @pytest.mark.parametrize("as_json", [True, False])
    def test_no_secret_is_told(self, world: World, as_json: bool) -> None:
        for account in ("right", "wrong"):
            AwsAccount.objects.update(external_id=SECRET_ID if account == "right" else "wrong-but-secret")
            out = StringIO()
            with contextlib.suppress(SystemExit):
                call_command("preflight", *(["--json"] if as_json else []), stdout=out)
            assert SECRET_ID not in out.getvalue()
            assert "wrong-but-secret" not in out.getvalue()
            assert "ASIA" not in out.getvalue()


class TestDomains:
    def test_a_domain_that_is_gone(self, world: World) -> None:
        del world.aws.state.domains["d-preflight"]
        found = world.found("Domain")
        assert (found.level, found.line) == (Level.FAIL, "There is no such domain in eu-west-1 of this account.")

    def test_a_domain_that_is_gone_in_the_older_form(self, world: World) -> None:
        world.aws.personality.old_not_found = True
        del world.aws.state.domains["d-preflight"]
        assert "no such domain" in world.found("Domain").line

    def test_a_domain_that_may_not_be_described(self, world: World) -> None:
        world.aws.personality.fail_next = {"DescribeDomain": ["AccessDeniedException"]}
        found = world.found("Domain")
        assert found.level == Level.FAIL
        assert found.line.startswith("sagemaker:DescribeDomain is refused.")

    @pytest.mark.parametrize(
        ("status", "level"),
        [("Pending", Level.FAIL), ("Failed", Level.FAIL), ("Delete_Failed", Level.FAIL), ("Update_Failed", Level.WARN)],
    )
    def test_a_domain_that_is_not_in_service(self, world: World, status: str, level: Level) -> None:
        world.in_aws.status = status
        assert world.found("Domain").level == level

    def test_another_authentication_mode(self, world: World) -> None:
        Domain.objects.update(auth_mode="SSO")
        found = world.found("Domain")
        assert (found.level, found.line) == (
            Level.FAIL,
            "Its authentication mode is IAM; here it is set to SSO.",
        )

    def test_a_vpc_without_security_groups(self, world: World) -> None:
        world.in_aws.settings["AppNetworkAccessType"] = "VpcOnly"
        found = world.found("Domain")
        assert found.level == Level.WARN
        assert "security groups: team1" in found.line
        Team.objects.update(user_settings={"SecurityGroups": ["sg-0123456789abcdef0"]})
        assert world.found("Domain").level == Level.OK

    def test_no_default_execution_role(self, world: World) -> None:
        world.in_aws.settings["DefaultUserSettings"] = {}
        assert "no execution role" in world.found("Domain").line


class TestQuota:
    @pytest.mark.parametrize(
        ("quota", "level", "words"),
        [
            (0, Level.FAIL, "No more profiles can be made. There are 0 of 0"),
            (10, Level.WARN, "Only 10 more profiles"),
            (50, Level.OK, "There are 0 of 50"),
        ],
    )
    def test_what_is_left(self, world: World, quota: int, level: Level, words: str) -> None:
        world.aws.state.accounts["444455556666"].max_profiles = quota
        found = world.found("Profiles")
        assert found.level == level
        assert found.line.startswith(words)

    @pytest.mark.parametrize("code", ["AccessDeniedException", "NoSuchResourceException", "ThrottlingException", 500])
    def test_a_quota_that_nobody_tells(self, world: World, code: Any) -> None:
        world.aws.personality.fail_next = {"GetServiceQuota": [code]}
        found = world.found("Profiles")
        assert found.level == Level.UNKNOWN
        assert "There are 0; how many there may be is not known" in found.line

    def test_profiles_that_may_not_be_listed(self, world: World) -> None:
        world.aws.personality.fail_next = {"ListUserProfiles": ["AccessDeniedException"]}
        assert world.found("Profiles").line.startswith("sagemaker:ListUserProfiles is refused.")

    def test_counting_goes_page_by_page_and_ends(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(verbs, "PAGE", 2)
        for number in range(5):
            profile = rows.Profile("444455556666", "eu-west-1", "d-preflight", f"user{number}", number, number)
            world.aws.state.profiles["d-preflight", profile.name] = profile
        assert world.found("Profiles").line.startswith("There are 5 of")
        monkeypatch.setattr("provisioning.preflight.checks.MAX_PAGES", 2)
        assert world.found("Profiles").line.startswith("There are at least 4 of")


class TestExecutionRoles:
    def test_a_role_that_is_not_there(self, world: World) -> None:
        world.aws.state.accounts["444455556666"].execution_roles.clear()
        found = world.found("Execution role")
        assert (found.level, found.line) == (Level.FAIL, f"There is no role {world.role} in this account.")

    def test_a_role_that_sagemaker_may_not_assume(self, world: World) -> None:
        world.aws.state.add_execution_role(world.role, services=["lambda.amazonaws.com"])
        found = world.found("Execution role")
        assert found.level == Level.FAIL
        assert "does not let sagemaker.amazonaws.com assume it" in found.line

    def test_a_role_on_another_path(self, world: World) -> None:
        roles = world.aws.state.accounts["444455556666"].execution_roles
        roles["arn:aws:iam::444455556666:role/deep/team1-role"] = roles.pop(world.role)
        assert "has another path" in world.found("Execution role").line

    @pytest.mark.parametrize("tags", [{}, {"Team": "team2"}])
    def test_a_role_without_its_teams_tag(self, world: World, tags: dict[str, str]) -> None:
        world.aws.state.add_execution_role(world.role, tags=tags)
        found = world.found("Execution role")
        assert found.level == Level.WARN
        assert "should have the tag Team=team1" in found.line

    def test_roles_that_may_not_be_looked_at_are_told_once(self, world: World) -> None:
        make_mapping("scientists", world.team, role="another")
        world.aws.personality.fail_next = {"GetRole": ["AccessDeniedException"]}
        found = world.found("Execution role")
        assert (found.level, found.subject) == (Level.UNKNOWN, "Execution roles (2)")
        assert len(world.aws.calls("GetRole")) == 1

    def test_a_refusal_to_pass_it_is_remembered(self, world: World) -> None:
        user = make_user("user1")
        words = (
            f"User: x is not authorized to perform: iam:PassRole on resource: {world.role} because no identity-based "
            "policy allows the iam:PassRole action"
        )
        Profile.objects.create(
            user=user, team=world.team, domain=world.domain, name="p", error=words, aws_request_id="req-1"
        )
        make_mapping("scientists", world.team, role="team1")
        world.aws.state.add_execution_role(role_arn(world.domain, "team1"), tags={"Team": "team1"})
        (found,) = [each for each in world.run() if each.level != Level.OK]
        assert found.level == Level.FAIL
        assert (
            found.line == f"iam:PassRole for {world.role} is missing in the policies of {PORTAL_ROLE}: refused for p."
        )
        assert found.request_id == "req-1"

    def test_a_role_of_another_account_is_told_from_the_rows(self, world: World) -> None:
        Team.objects.update(execution_role_arn="arn:aws:iam::999999999999:role/x")
        found = world.found("Role")
        assert (found.group, found.level) == ("Role mappings", Level.WARN)
        assert "belongs to another account" in found.line


class TestSingleSignOn:
    def test_the_entrance_and_the_application(self, world: World) -> None:
        arn = rows.application_arn("111122223333", "d-preflight")
        Domain.objects.update(auth_mode="SSO", assigns_application=True, application_arn=arn)
        world.in_aws.auth_mode = "SSO"
        Directory.objects.create(name="Main", slug="main", identity_store_id=IDENTITY_STORE, region="eu-west-1")
        found = world.found("Entrance")
        assert (found.level, found.line) == (Level.FAIL, "AWS tells no application to which people could be assigned.")
        world.in_aws.application_arn = arn
        assert world.found("Entrance").line.endswith("/domains/d-preflight; the portal assigns people.")
        assert world.found("Application").level == Level.OK
        world.aws.personality.fail_next = {"DescribeApplicationAssignment": ["AccessDeniedException"]}
        assert world.found("Application").line.startswith("sso:DescribeApplicationAssignment is refused.")
        Domain.objects.update(assigns_application=False)
        assert "somebody else assigns people" in world.found("Entrance").line
        assert not [each for each in world.aws.calls() if each.operation.startswith(CHANGING)]


class TestDirectories:
    @pytest.fixture(name="directory", autouse=True)
    def _directory(self, aws: Handle) -> Directory:
        url = f"{aws.url}/111122223333/{EVENT_QUEUE}"
        return Directory.objects.create(
            name="Main", slug="main", identity_store_id=IDENTITY_STORE, region="eu-west-1", queue_url=url
        )

    def test_both_can_be_read(self, world: World) -> None:
        found = [each for each in world.run() if each.group == "Directories"]
        assert [(each.subject, each.level) for each in found] == [
            ("Directory main", Level.OK),
            ("Queue of main", Level.OK),
        ]

    def test_a_store_that_may_not_be_read(self, world: World) -> None:
        world.aws.personality.fail_next = {"ListGroups": ["AccessDeniedException"]}
        assert world.found("Directory").line.startswith("identitystore:ListGroups is refused.")

    def test_what_is_not_there(self, world: World, directory: Directory) -> None:
        directory.identity_store_id, directory.queue_url = "d-0000000000", directory.queue_url + "x"
        directory.save()
        assert "There is no identity store d-0000000000" in world.found("Directory").line
        assert "There is no queue" in world.found("Queue").line


class TestAwsIsAway:
    def test_down(self, world: World) -> None:
        world.aws.personality.down = True
        found = world.run()
        assert levels(found) == {Level.FAIL}
        assert "could not be reached" in found[0].line

    def test_throttling_is_no_fault_of_anybody(self, world: World) -> None:
        world.aws.personality.fail_next = {"DescribeDomain": ["ThrottlingException"]}
        found = world.found("Domain")
        assert found.level == Level.UNKNOWN
        assert found.request_id

    def test_slow_answers_are_not_waited_for(self, world: World) -> None:
        world.aws.personality.slow = {"DescribeDomain": 5.0}
        found = [each for each in world.run(seconds=2) if each.subject.startswith("Domain")]
        assert [(each.level, each.line) for each in found] == [(Level.FAIL, "AWS did not answer in time.")]

    def test_a_check_that_breaks_does_not_take_the_others_with_it(
        self, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr("provisioning.preflight.checks.check_domain", broken)
        found = world.run()
        assert results.failures(found) == 1
        assert [each.line for each in found if each.level == Level.FAIL] == [
            "The check broke (ZeroDivisionError); the log has more."
        ]
        assert "broke" in caplog.text


class TestCommand:
    def run(self, *args: str) -> tuple[str, int]:
        out = StringIO()
        try:
            call_command("preflight", *args, stdout=out)
        except SystemExit as end:
            return out.getvalue(), int(end.code or 0)
        return out.getvalue(), 0

    def test_all_is_well(self, world: World) -> None:
        out, code = self.run()
        assert code == 0
        assert out.splitlines()[0] == "The portal itself"
        assert f"  ok      Portal role: {PORTAL_ROLE} can be assumed." in out

    def test_something_is_missing(self, world: World) -> None:
        del world.aws.state.domains["d-preflight"]
        out, code = self.run("--json")
        assert code == 1
        (failed,) = [each for each in json.loads(out) if each["level"] == "fail"]
        assert failed["subject"] == "Domain d-preflight in eu-west-1"
        assert set(failed) == {"group", "subject", "level", "line", "request_id"}

    def test_warnings_are_no_failure(self, world: World) -> None:
        world.aws.state.add_role(PORTAL_ROLE)
        assert self.run()[1] == 0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            {"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": verbs.SAGEMAKER}}},
            True,
        ),
        ({"Statement": [{"Effect": "Allow", "Action": ["sts:*"], "Principal": {"Service": [verbs.SAGEMAKER]}}]}, True),
        (
            {"Statement": [{"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": {"Service": verbs.SAGEMAKER}}]},
            False,
        ),
        (
            {"Statement": [{"Effect": "Allow", "Action": "sts:TagSession", "Principal": {"Service": verbs.SAGEMAKER}}]},
            False,
        ),
        ({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"}]}, False),
        ({}, False),
        (None, False),
        ("{}", False),
    ],
)
def test_trust_policies(policy: Any, expected: bool) -> None:
    assert verbs._trusts(policy, verbs.SAGEMAKER) is expected
