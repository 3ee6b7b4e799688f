"""As much of IAM and of Service Quotas as a preflight looks at."""

from pathlib import Path
from typing import Any

import pytest

from portal.demo.aws.seed import OTHER_ACCOUNT, TEAM_ROLES
from portal.demo.aws.server import Handle, start
from portal.demo.environment import Ports, product
from portal.demo.home import Home
from tests.portal.demo_aws.conftest import connect, refusal


@pytest.fixture(name="iam")
def _iam(standin: Handle) -> Any:
    return connect(standin.url, "iam")


def test_a_role_with_its_trust_policy_and_tags(iam: Any) -> None:
    role = iam.get_role(RoleName="StudioTeam1")["Role"]
    assert role["Arn"] == TEAM_ROLES[0]
    assert role["Path"] == "/"
    assert role["Tags"] == [{"Key": "Team", "Value": "Team1"}]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}


def test_a_role_that_is_not_there(iam: Any) -> None:
    code, message = refusal(iam.get_role, RoleName="Nobody")
    assert code == "NoSuchEntity"
    assert message == "The role with name Nobody cannot be found."


def test_roles_of_another_account_are_not_there(standin: Handle, iam: Any) -> None:
    standin.state.add_execution_role(f"arn:aws:iam::{OTHER_ACCOUNT}:role/path/Theirs")
    assert refusal(iam.get_role, RoleName="Theirs")[0] == "NoSuchEntity"


def test_a_refusal_has_the_code_of_a_query_service(standin: Handle, iam: Any) -> None:
    standin.personality.fail_next = {"GetRole": ["AccessDeniedException"]}
    assert refusal(iam.get_role, RoleName="StudioTeam1")[0] == "AccessDenied"


def test_the_quota_is_the_accounts(standin: Handle) -> None:
    standin.state.add_account(standin.state.home_account).max_profiles = 7
    quotas = connect(standin.url, "service-quotas")
    assert quotas.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-AC46C40F")["Quota"]["Value"] == 7.0
    code, _ = refusal(quotas.get_service_quota, ServiceCode="sagemaker", QuotaCode="L-00000000")
    assert code == "NoSuchResourceException"


def test_roles_survive_a_restart(tmp_path: Path) -> None:
    arn = "arn:aws:iam::111122223333:role/deep/down/Kept"
    first = start(state_file=tmp_path / "state.json")
    first.state.add_execution_role(arn, services=["lambda.amazonaws.com"], tags={"Team": "x"})
    first.state.save()
    first.stop()
    second = start(state_file=tmp_path / "state.json")
    try:
        role = connect(second.url, "iam").get_role(RoleName="Kept")["Role"]
    finally:
        second.stop()
    assert (role["Arn"], role["Path"]) == (arn, "/deep/down/")


def test_the_demo_asks_the_stand_in_for_every_service(standin: Handle, tmp_path: Path) -> None:
    given = product(Home(tmp_path), Ports.read({}), database_url="", redis_url="")
    assert set(standin.environment) <= set(given)
    assert "AWS_ENDPOINT_URL_SERVICE_QUOTAS" in given
