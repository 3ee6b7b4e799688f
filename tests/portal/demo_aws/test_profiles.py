"""User profiles: life, names, authentication modes, roles, quota, deletion."""

from typing import Any

import pytest

from portal.demo.aws.seed import ACCOUNT, DENIED_ROLE, DOMAIN, OTHER_DOMAIN, REGION, TEAM_ROLES
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import NAME, PROFILE, connect, refusal

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:user-profile/{DOMAIN}/{NAME}"


def test_a_profile_is_pending_and_then_in_service(standin: Handle, studio: Any) -> None:
    standin.personality.create_delay = 60
    settings = {
        "ExecutionRole": TEAM_ROLES[0],
        "JupyterLabAppSettings": {"DefaultResourceSpec": {"InstanceType": "ml.t3.medium"}},
    }
    assert studio.create_user_profile(**PROFILE, UserSettings=settings)["UserProfileArn"] == ARN
    described = studio.describe_user_profile(**PROFILE)
    assert described["Status"] == "Pending"
    assert described["UserSettings"] == settings
    standin.state.clock.advance(61)
    described = studio.describe_user_profile(**PROFILE)
    assert described["Status"] == "InService"
    assert described["UserProfileArn"] == ARN
    assert described["LastModifiedTime"] > described["CreationTime"]
    assert "FailureReason" not in described


def test_names_are_the_same_whatever_their_case(studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    again = {**PROFILE, "UserProfileName": NAME.upper()}
    assert refusal(studio.create_user_profile, **again) == ("ResourceInUse", f"UserProfile [{ARN}] already exists.")
    assert studio.describe_user_profile(**again)["UserProfileName"] == NAME


def test_what_does_not_exist_is_not_found(standin: Handle, studio: Any) -> None:
    not_found = ("ResourceNotFound", f"UserProfile [{ARN}] does not exist.")
    for call in (studio.describe_user_profile, studio.update_user_profile, studio.delete_user_profile):
        assert refusal(call, **PROFILE) == not_found
    elsewhere = {"DomainId": "d-unknown", "UserProfileName": NAME}
    assert refusal(studio.create_user_profile, **elsewhere)[0] == "ResourceNotFound"
    standin.personality.old_not_found = True
    code, message = refusal(studio.describe_user_profile, **PROFILE)
    assert code == "ValidationException"
    assert "RecordNotFound" in message


def test_the_modelled_errors_have_their_classes(studio: Any) -> None:
    with pytest.raises(studio.exceptions.ResourceNotFound):
        studio.describe_user_profile(**PROFILE)
    studio.create_user_profile(**PROFILE)
    with pytest.raises(studio.exceptions.ResourceInUse):
        studio.create_user_profile(**PROFILE)


def test_another_account_or_region_sees_nothing(standin: Handle, studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    assert refusal(studio.describe_domain, DomainId=OTHER_DOMAIN)[0] == "ResourceNotFound"
    elsewhere = connect(standin.url, region="us-east-1")
    assert refusal(elsewhere.describe_user_profile, **PROFILE)[0] == "ResourceNotFound"
    assert elsewhere.list_user_profiles()["UserProfiles"] == []
    elsewhere.close()


def test_an_update_replaces_the_settings_it_names(standin: Handle, studio: Any) -> None:
    standin.personality.update_delay = 60
    studio.create_user_profile(**PROFILE, UserSettings={"ExecutionRole": TEAM_ROLES[0], "StudioWebPortal": "ENABLED"})
    studio.update_user_profile(**PROFILE, UserSettings={"ExecutionRole": TEAM_ROLES[1]})
    assert studio.describe_user_profile(**PROFILE)["Status"] == "Updating"
    for call in (studio.update_user_profile, studio.delete_user_profile):
        assert refusal(call, **PROFILE)[0] == "ResourceInUse"
    standin.state.clock.advance(61)
    described = studio.describe_user_profile(**PROFILE)
    assert described["Status"] == "InService"
    assert described["UserSettings"] == {"ExecutionRole": TEAM_ROLES[1], "StudioWebPortal": "ENABLED"}


def test_a_deleted_profile_is_gone_in_the_end(standin: Handle, studio: Any) -> None:
    standin.personality.delete_delay = 60
    studio.create_user_profile(**PROFILE)
    studio.delete_user_profile(**PROFILE)
    assert studio.describe_user_profile(**PROFILE)["Status"] == "Deleting"
    for call in (studio.delete_user_profile, studio.create_user_profile):
        assert refusal(call, **PROFILE)[0] == "ResourceInUse"
    standin.state.clock.advance(61)
    assert refusal(studio.describe_user_profile, **PROFILE)[0] == "ResourceNotFound"
    assert studio.list_user_profiles()["UserProfiles"] == []
    studio.create_user_profile(**PROFILE)


def test_a_pending_profile_cannot_be_deleted_but_a_failed_one_can(standin: Handle, studio: Any) -> None:
    standin.personality.create_delay = 60
    standin.personality.create_fails = "No home directory"
    studio.create_user_profile(**PROFILE)
    assert refusal(studio.delete_user_profile, **PROFILE)[0] == "ResourceInUse"
    assert "FailureReason" not in studio.describe_user_profile(**PROFILE)
    standin.state.clock.advance(61)
    described = studio.describe_user_profile(**PROFILE)
    assert (described["Status"], described["FailureReason"]) == ("Failed", "No home directory")
    studio.delete_user_profile(**PROFILE)
    assert refusal(studio.describe_user_profile, **PROFILE)[0] == "ResourceNotFound"


@pytest.mark.parametrize("role", ["arn:aws:iam::444455556666:role/StudioTeam1", DENIED_ROLE])
def test_a_role_that_may_not_be_passed(studio: Any, role: str) -> None:
    text = (
        f"User: arn:aws:iam::{ACCOUNT}:user/studio-portal is not authorized to perform: iam:PassRole on resource: "
        f"{role} because no identity-based policy allows the iam:PassRole action"
    )
    refused = ("AccessDeniedException", text)
    assert refusal(studio.create_user_profile, **PROFILE, UserSettings={"ExecutionRole": role}) == refused
    studio.create_user_profile(**PROFILE)
    assert refusal(studio.update_user_profile, **PROFILE, UserSettings={"ExecutionRole": role}) == refused


def test_the_quota_is_the_accounts(standin: Handle, studio: Any) -> None:
    standin.state.add_domain("d-second")
    standin.state.accounts[ACCOUNT].max_profiles = 1
    studio.create_user_profile(**PROFILE)
    code, message = refusal(studio.create_user_profile, DomainId="d-second", UserProfileName="other")
    assert code == "ResourceLimitExceeded"
    assert "'Maximum number of Studio user profiles allowed per account' is 1 UserProfiles" in message
    studio.delete_user_profile(**PROFILE)
    studio.create_user_profile(DomainId="d-second", UserProfileName="other")


def test_sso_domains_want_a_user_of_the_directory(standin: Handle, studio: Any) -> None:
    standin.state.add_domain("d-sso", auth_mode="SSO").sso_users = ["alice"]
    profile = {"DomainId": "d-sso", "UserProfileName": "alice"}
    assert refusal(studio.create_user_profile, **profile)[0] == "ValidationException"
    alice = {"SingleSignOnUserIdentifier": "UserName", "SingleSignOnUserValue": "alice"}
    assert (
        refusal(studio.create_user_profile, **profile, **{**alice, "SingleSignOnUserValue": "bob"})[0]
        == "ValidationException"
    )
    assert refusal(studio.create_user_profile, **PROFILE, **alice)[0] == "ValidationException"
    studio.create_user_profile(**profile, **alice)
    assert studio.describe_user_profile(**profile)["SingleSignOnUserValue"] == "alice"


def test_a_domain_that_is_not_in_service_takes_no_profiles(standin: Handle, studio: Any) -> None:
    standin.state.domains[DOMAIN].status = "Updating"
    assert refusal(studio.create_user_profile, **PROFILE)[0] == "ResourceInUse"


def test_deletion_is_blocked_by_apps_and_spaces(studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    app = {**PROFILE, "AppType": "JupyterServer", "AppName": "default"}
    studio.create_app(**app)
    message = f"Unable to delete UserProfile [{ARN}] because App(s) are associated with it."
    assert refusal(studio.delete_user_profile, **PROFILE) == ("ResourceInUse", message)
    studio.delete_app(**app)
    space = {"DomainId": DOMAIN, "SpaceName": "mine"}
    ownership = {
        "OwnershipSettings": {"OwnerUserProfileName": NAME},
        "SpaceSharingSettings": {"SharingType": "Private"},
    }
    studio.create_space(**space, **ownership)
    message = f"Unable to delete UserProfile [{ARN}] because Space(s) are associated with it."
    assert refusal(studio.delete_user_profile, **PROFILE) == ("ResourceInUse", message)
    studio.delete_space(**space)
    studio.delete_user_profile(**PROFILE)


def test_a_failed_app_does_not_block_deletion(standin: Handle, studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    standin.personality.create_fails = True
    studio.create_app(**PROFILE, AppType="JupyterServer", AppName="default")
    studio.delete_user_profile(**PROFILE)
