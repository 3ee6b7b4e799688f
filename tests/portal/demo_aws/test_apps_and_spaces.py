"""Apps and spaces."""

from typing import Any

import pytest

from portal.demo.aws.seed import ACCOUNT, DOMAIN, REGION
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import NAME, PROFILE, refusal

SPACE = {"DomainId": DOMAIN, "SpaceName": "mine"}
OWNED = {"OwnershipSettings": {"OwnerUserProfileName": NAME}, "SpaceSharingSettings": {"SharingType": "Private"}}
APP = {**SPACE, "AppType": "JupyterLab", "AppName": "default"}


@pytest.fixture(autouse=True)
def _profile(studio: Any) -> None:
    studio.create_user_profile(**PROFILE, Tags=[{"Key": "Team", "Value": "one"}])


def test_a_space_of_a_profile(studio: Any) -> None:
    arn = studio.create_space(**SPACE, **OWNED, SpaceSettings={"AppType": "JupyterLab"}, SpaceDisplayName="My space")[
        "SpaceArn"
    ]
    assert arn == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:space/{DOMAIN}/mine"
    described = studio.describe_space(**SPACE)
    assert described["Status"] == "InService"
    assert described["OwnershipSettings"] == OWNED["OwnershipSettings"]
    assert described["SpaceSharingSettings"] == OWNED["SpaceSharingSettings"]
    (row,) = studio.list_spaces(DomainIdEquals=DOMAIN, SpaceNameContains="MI")["Spaces"]
    assert row["OwnershipSettingsSummary"] == {"OwnerUserProfileName": NAME}
    assert row["SpaceSettingsSummary"] == {"AppType": "JupyterLab"}
    assert studio.list_spaces(DomainIdEquals="d-other")["Spaces"] == []
    assert refusal(studio.create_space, **SPACE) == ("ResourceInUse", f"Space [{arn}] already exists.")


def test_ownership_and_sharing_go_together(standin: Handle, studio: Any) -> None:
    assert (
        refusal(studio.create_space, **SPACE, OwnershipSettings=OWNED["OwnershipSettings"])[0] == "ValidationException"
    )
    nobody = {**OWNED, "OwnershipSettings": {"OwnerUserProfileName": "nobody"}}
    assert refusal(studio.create_space, **SPACE, **nobody)[0] == "ResourceNotFound"
    standin.state.accounts[ACCOUNT].max_spaces = 0
    assert refusal(studio.create_space, **SPACE)[0] == "ResourceLimitExceeded"


def test_an_app_lives_and_is_remembered_for_a_day(standin: Handle, studio: Any) -> None:
    studio.create_space(**SPACE)
    arn = studio.create_app(**APP, ResourceSpec={"InstanceType": "ml.t3.medium"})["AppArn"]
    assert arn == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:app/{DOMAIN}/mine/jupyterlab/default"
    assert refusal(studio.create_app, **APP) == ("ResourceInUse", f"App [{arn}] already exists.")
    assert studio.describe_app(**APP)["Status"] == "InService"
    assert refusal(studio.delete_space, **SPACE)[1].endswith("because App(s) are associated with it.")
    standin.personality.delete_delay = 60
    studio.delete_app(**APP)
    assert studio.describe_app(**APP)["Status"] == "Deleting"
    assert refusal(studio.delete_app, **APP)[0] == "ResourceInUse"
    standin.state.clock.advance(61)
    assert refusal(studio.delete_app, **APP) == ("ValidationException", f"App [{arn}] has already been deleted.")
    assert [row["Status"] for row in studio.list_apps(SpaceNameEquals="mine")["Apps"]] == ["Deleted"]
    standin.state.clock.advance(24 * 3600)
    assert studio.list_apps()["Apps"] == []
    assert refusal(studio.describe_app, **APP)[0] == "ResourceNotFound"
    studio.delete_space(**SPACE)


def test_a_failed_app_cannot_be_deleted(standin: Handle, studio: Any) -> None:
    studio.create_space(**SPACE)
    standin.personality.create_fails = True
    studio.create_app(**APP)
    assert studio.describe_app(**APP)["FailureReason"]
    code, message = refusal(studio.delete_app, **APP)
    assert code == "ValidationException"
    assert message.endswith("previously failed and was automatically deleted.")


def test_an_app_needs_a_space_in_service(standin: Handle, studio: Any) -> None:
    assert refusal(studio.create_app, **APP)[0] == "ResourceNotFound"
    standin.personality.create_delay = 60
    studio.create_space(**SPACE)
    code, message = refusal(studio.create_app, **APP)
    assert code == "ValidationException"
    assert "is not in InService state" in message
    assert refusal(studio.delete_space, **SPACE)[0] == "ResourceInUse"


def test_apps_are_listed_by_their_owner(studio: Any) -> None:
    studio.create_space(**SPACE, **OWNED)
    studio.create_app(**APP)
    studio.create_app(**PROFILE, AppType="JupyterServer", AppName="default")
    mine = studio.list_apps(DomainIdEquals=DOMAIN, UserProfileNameEquals=NAME)["Apps"]
    assert [(row["UserProfileName"], row["AppType"]) for row in mine] == [(NAME, "JupyterServer")]
    assert len(studio.list_apps()["Apps"]) == 2
    both = {"UserProfileNameEquals": NAME, "SpaceNameEquals": "mine"}
    assert refusal(studio.list_apps, **both)[0] == "ValidationException"


def test_an_app_has_one_owner(studio: Any) -> None:
    app = {"DomainId": DOMAIN, "AppType": "JupyterLab", "AppName": "default"}
    for owner in ({}, {"UserProfileName": NAME, "SpaceName": "mine"}):
        for call in (studio.create_app, studio.describe_app, studio.delete_app):
            assert refusal(call, **app, **owner)[0] == "ValidationException"


def test_the_tags_of_a_profile_reach_its_apps(studio: Any) -> None:
    arn = studio.create_app(**PROFILE, AppType="JupyterServer", AppName="default")["AppArn"]
    assert studio.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "Team", "Value": "one"}]
