"""Domains, and tags of all resources."""

from typing import Any

from portal.demo.aws.seed import ACCOUNT, DENIED_ROLE, DOMAIN, REGION, TEAM_ROLES
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import NAME, PROFILE, refusal

NEW = {"DomainName": "new", "AuthMode": "SSO", "DefaultUserSettings": {"ExecutionRole": TEAM_ROLES[0]}}


def test_a_domain_describes_itself(studio: Any) -> None:
    described = studio.describe_domain(DomainId=DOMAIN)
    assert (described["Status"], described["AuthMode"]) == ("InService", "IAM")
    assert described["DomainArn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:domain/{DOMAIN}"
    code, message = refusal(studio.describe_domain, DomainId="d-unknown")
    assert code == "ResourceNotFound"
    assert "domain/d-unknown" in message


def test_a_domain_is_made_and_deleted(standin: Handle, studio: Any) -> None:
    standin.personality.create_delay = 60
    domain_id = studio.create_domain(**NEW, VpcId="vpc-1", Tags=[{"Key": "a", "Value": "b"}])["DomainId"]
    assert refusal(studio.delete_domain, DomainId=domain_id)[0] == "ResourceInUse"
    standin.state.clock.advance(61)
    described = studio.describe_domain(DomainId=domain_id)
    assert (described["Status"], described["AuthMode"], described["VpcId"]) == ("InService", "SSO", "vpc-1")
    assert described["DefaultUserSettings"] == NEW["DefaultUserSettings"]
    assert {row["DomainName"] for row in studio.list_domains()["Domains"]} == {"studio-demo", "new"}
    assert refusal(studio.create_domain, **NEW)[0] == "ResourceInUse"
    studio.delete_domain(DomainId=domain_id)
    assert refusal(studio.describe_domain, DomainId=domain_id)[0] == "ResourceNotFound"


def test_a_domain_in_use_stays(studio: Any) -> None:
    studio.create_user_profile(**PROFILE)
    code, message = refusal(studio.delete_domain, DomainId=DOMAIN)
    assert code == "ResourceInUse"
    assert "UserProfile(s)" in message


def test_domains_have_a_quota_and_roles_to_pass(standin: Handle, studio: Any) -> None:
    denied = {**NEW, "DefaultUserSettings": {"ExecutionRole": DENIED_ROLE}}
    assert refusal(studio.create_domain, **denied)[0] == "AccessDeniedException"
    standin.state.accounts[ACCOUNT].max_domains = 1
    assert refusal(studio.create_domain, **NEW)[0] == "ResourceLimitExceeded"


def test_tags_are_added_overwritten_and_taken_away(studio: Any) -> None:
    arn = studio.create_user_profile(**PROFILE, Tags=[{"Key": "Team", "Value": "one"}])["UserProfileArn"]
    given = [{"Key": "Team", "Value": "two"}, {"Key": "Ärger", "Value": ""}]
    assert studio.add_tags(ResourceArn=arn, Tags=given)["Tags"] == given
    shouted = arn.removesuffix(NAME) + NAME.upper()
    assert studio.list_tags(ResourceArn=shouted)["Tags"] == given
    studio.delete_tags(ResourceArn=arn, TagKeys=["Ärger", "absent"])
    assert studio.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "Team", "Value": "two"}]


def test_tags_that_are_refused(studio: Any) -> None:
    def refused(*tags: tuple[str, str]) -> str:
        pairs = [{"Key": key, "Value": value} for key, value in tags]
        code, message = refusal(studio.create_user_profile, **PROFILE, Tags=pairs)
        assert code == "ValidationException"
        return message

    assert "Duplicate tag keys" in refused(("a", "1"), ("a", "2"))
    assert "aws: prefixed" in refused(("AWS:x", "1"))
    assert "'tags.1.member.key'" in refused(("#", "1"))
    assert "'tags.1.member.value'" in refused(("a", "x" * 257))
    assert "length less than or equal to 50" in refused(*((f"k{n}", "") for n in range(51)))
    arn = studio.create_user_profile(**PROFILE, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])[
        "UserProfileArn"
    ]
    assert (
        refusal(studio.add_tags, ResourceArn=arn, Tags=[{"Key": "one-more", "Value": ""}])[0] == "ValidationException"
    )


def test_tags_are_listed_by_fifty_at_least(studio: Any) -> None:
    arn = studio.describe_domain(DomainId=DOMAIN)["DomainArn"]
    code, message = refusal(studio.list_tags, ResourceArn=arn, MaxResults=49)
    assert code == "ValidationException"
    assert "Member must have value greater than or equal to 50" in message


def test_tags_of_nothing(studio: Any) -> None:
    base = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    unknown = [f"{base}:user-profile/{DOMAIN}/nobody", f"{base}:app/{DOMAIN}/a/b/c", f"{base}:model/x"]
    for arn in [*unknown, "arn:aws:sagemaker:eu-west-1:444455556666:domain/d-demo0studio2"]:
        assert refusal(studio.list_tags, ResourceArn=arn)[0] == "ResourceNotFound"
    studio.create_space(DomainId=DOMAIN, SpaceName="shared", Tags=[{"Key": "a", "Value": "b"}])
    assert studio.list_tags(ResourceArn=f"{base}:space/{DOMAIN}/shared")["Tags"] == [{"Key": "a", "Value": "b"}]
