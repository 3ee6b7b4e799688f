"""Assignments to the applications of domains in SSO mode, as strict as the service's model."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from portal.demo.aws.seed import directory_id
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import connect, refusal

USER = {"PrincipalType": "USER", "PrincipalId": directory_id("user1")}


@pytest.fixture(name="admin")
def _admin(standin: Handle) -> Iterator[Any]:
    client = connect(standin.url, "sso-admin")
    yield client
    client.close()


@pytest.fixture(name="application")
def _application(standin: Handle, studio: Any) -> str:
    standin.state.add_domain("d-sso", auth_mode="SSO")
    return str(studio.describe_domain(DomainId="d-sso")["SingleSignOnApplicationArn"])


def test_made_described_listed_and_taken_away(admin: Any, application: str) -> None:
    admin.create_application_assignment(ApplicationArn=application, **USER)
    assert (
        admin.describe_application_assignment(ApplicationArn=application, **USER)["PrincipalId"] == USER["PrincipalId"]
    )
    group = {"PrincipalType": "GROUP", "PrincipalId": directory_id("team-1-scientists")}
    admin.create_application_assignment(ApplicationArn=application, **group)
    page = admin.list_application_assignments(ApplicationArn=application, MaxResults=1)
    rest = admin.list_application_assignments(ApplicationArn=application, NextToken=page["NextToken"], MaxResults=1)
    rows = page["ApplicationAssignments"] + rest["ApplicationAssignments"]
    assert sorted(row["PrincipalType"] for row in rows) == ["GROUP", "USER"]
    admin.delete_application_assignment(ApplicationArn=application, **USER)
    refused = refusal(admin.describe_application_assignment, ApplicationArn=application, **USER)
    assert refused[0] == "ResourceNotFoundException"


def test_what_is_refused(admin: Any, application: str) -> None:
    create, delete = admin.create_application_assignment, admin.delete_application_assignment
    create(ApplicationArn=application, **USER)
    assert refusal(create, ApplicationArn=application, **USER)[0] == "ConflictException"
    stranger = {**USER, "PrincipalId": "00000000-0000-0000-0000-000000000000"}
    assert refusal(create, ApplicationArn=application, **stranger)[0] == "ResourceNotFoundException"
    assert refusal(delete, ApplicationArn=application, **stranger)[0] == "ResourceNotFoundException"
    other = application[:-1] + ("0" if application[-1] != "0" else "1")
    assert refusal(create, ApplicationArn=other, **USER)[0] == "ResourceNotFoundException"
    foreign = application.replace("111122223333", "444455556666")
    assert refusal(create, ApplicationArn=foreign, **USER)[0] == "AccessDeniedException"
    assert refusal(create, ApplicationArn="arn:aws:sso::1:application/x", **USER)[0] == "ValidationException"
    assert refusal(create, ApplicationArn=application, **{**USER, "PrincipalType": "ROLE"})[0] == "ValidationException"


def test_one_profile_for_each_person(studio: Any, application: str) -> None:
    alice = {"DomainId": "d-sso", "SingleSignOnUserIdentifier": "UserName", "SingleSignOnUserValue": "alice"}
    studio.create_user_profile(UserProfileName="one", **alice)
    alice["SingleSignOnUserValue"] = "ALICE"
    assert refusal(studio.create_user_profile, UserProfileName="two", **alice)[0] == "ResourceInUse"


def test_the_address_is_a_page(standin: Handle, studio: Any, application: str) -> None:
    url = studio.describe_domain(DomainId="d-sso")["Url"]
    with urllib.request.urlopen(url, timeout=10) as page:
        assert "Studio of domain d-sso (SSO)" in page.read().decode()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{standin.url}/domains/d-demo0studio1", timeout=10)
