"""Policies for AWS: whole, no wider than they have to be, and enough for what the portal really asks for."""

import fnmatch
import json
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import botocore.session
import pytest
from django.core.management import CommandError, call_command

from provisioning import desired, profiles
from provisioning.models import Directory, Profile
from provisioning.policies import documents, facts, options, statements
from provisioning.policies.documents import Everything
from provisioning.policies.options import OptionError, Options
from teams.models import AwsAccount, Domain, Group, TagConstant, TeamTag
from tests.factories import make_account, make_domain, make_mapping, make_team, make_user, role_arn
from tests.provisioning.conftest import World

PORTAL = "arn:aws:iam::999988887777:role/portal/StudioPortal"
STUDIO = "111122223333"
OTHER = "444455556666"
# Names of actions that no operation has: IAM checks them on the way.
PERMISSION_ONLY = {"iam:PassRole", "sts:SetSourceIdentity", "sts:TagSession"}
SERVICES = {"servicequotas": "service-quotas", "sso": "sso-admin"}
KNOWN_CONDITIONS = re.compile(
    r"aws:(RequestTag|ResourceTag|PrincipalTag)/[\w-]+|aws:(TagKeys|PrincipalArn|SourceIp|VpcSourceIp|SourceVpce)"
    r"|sagemaker:(ResourceTag/[\w-]+|TaggingAction|OwnerUserProfileArn|SpaceSharingType)"
    r"|iam:PassedToService|sts:ExternalId"
)
OPERATORS = {
    *("StringEquals", "StringNotEquals", "ForAllValues:StringEquals", "ForAnyValue:StringEquals"),
    *("ArnLike", "ArnNotLike", "ArnNotEquals", "IpAddress", "Null"),
    *("StringEqualsIfExists", "ForAllValues:StringNotEqualsIgnoreCase"),
}

pytestmark = pytest.mark.django_db


@pytest.fixture(name="rows")
def _rows() -> None:
    """Two accounts, one of them behind a role; teams with roles of their own, of mappings and of templates."""
    other = make_account(account_id=OTHER, name="Other", role_arn=role(OTHER, "paths/Portal"), external_id="ex-4444")
    studio = make_account(account_id=STUDIO, name="Studio")
    first = make_domain(studio, domain_id="d-first")
    second = make_domain(other, domain_id="d-second", region="eu-central-1")
    make_domain(other, domain_id="d-sso", auth_mode="SSO")
    team1 = make_team("team1", domain=first)
    TeamTag.objects.create(team=team1, key="cost centre", value="4711")
    team2 = make_team("team2", domain=second)
    TeamTag.objects.create(team=team2, key="team", value="Language")
    make_team("closed", domain=first, is_active=False)
    make_mapping("scientists", team1, role="scientist-role")
    make_mapping("g-1", team2, execution_role_arn="arn:aws:iam::{account}:role/{team}-{group}")
    make_mapping("unheard", team2, execution_role_arn="arn:aws:iam::{account}:role/x-{group}")
    Group.objects.create(source="saml", external_id="g-1", name="Linguists")
    make_directory("main", account=other)


def role(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def make_directory(slug: str, **fields: Any) -> Directory:
    url = "https://sqs.eu-west-1.amazonaws.com/444455556666/changes"
    store = {"identity_store_id": "d-1234567890", "region": "eu-west-1", "queue_url": url}
    return Directory.objects.create(name=slug, slug=slug, **store | fields)


def made(account: str = "", **given: Any) -> Everything:
    return documents.everything(facts.read(account), options.read(**{"portal_principal": PORTAL, **given}))


def body(name: str, **given: Any) -> list[dict[str, Any]]:
    """Return the statements of a document."""
    return {each.name: each.body["Statement"] for each in made(**given).documents}[name]


def statement(name: str, sid: str, **given: Any) -> dict[str, Any]:
    return {each["Sid"]: each for each in body(name, **given)}[sid]


def every_statement(found: Everything) -> Iterator[dict[str, Any]]:
    for each in found.documents:
        yield from each.body["Statement"]


def resources_of(found: Everything, action: str, effect: str = "Allow") -> list[str]:
    return [
        resource
        for each in every_statement(found)
        if each["Effect"] == effect and action in each["Action"]
        for resource in each.get("Resource", ())
    ]


EVERY_OPTION: dict[str, Any] = {
    "source_ips": ["192.0.2.0/24"],
    "vpc_source_ips": ["10.0.0.0/8"],
    "endpoints": ["vpce-0123456789abcdef0"],
    "tag_session": True,
    "source_identity": True,
}


@pytest.mark.parametrize("given", [{}, EVERY_OPTION, {"portal_principal": ""}])
class TestEveryDocument:
    def test_is_what_iam_takes(self, rows: None, given: dict[str, Any]) -> None:
        found = made(**given)
        assert len({each.name for each in found.documents}) == len(found.documents) > 5
        for each in found.documents:
            assert json.loads(each.text) == each.body
            assert each.body["Version"] == "2012-10-17"
            assert len(re.sub(r"\s", "", each.text)) <= each.size <= each.limit
            sids = [one["Sid"] for one in each.body["Statement"]]
            assert len(set(sids)) == len(sids)
            for one in each.body["Statement"]:
                assert re.fullmatch(r"[A-Za-z0-9]+", one["Sid"])
                assert set(one) - {"Condition"} in (
                    {"Sid", "Effect", "Action", "Resource"},
                    {"Sid", "Effect", "Action", "Principal"},
                )
                assert one["Effect"] in {"Allow", "Deny"}
                assert one["Action"]
                assert one.get("Resource", one.get("Principal"))

    def test_names_actions_that_exist(self, rows: None, given: dict[str, Any]) -> None:
        session = botocore.session.Session()
        for each in every_statement(made(**given)):
            for action in each["Action"]:
                prefix, _, operation = action.partition(":")
                if operation == "*" and each["Effect"] == "Deny":
                    continue
                model = session.get_service_model(SERVICES.get(prefix, prefix))
                assert operation in model.operation_names or action in PERMISSION_ONLY, action

    def test_asks_for_conditions_that_exist(self, rows: None, given: dict[str, Any]) -> None:
        for each in every_statement(made(**given)):
            for operator, keys in each.get("Condition", {}).items():
                assert operator in OPERATORS
                assert keys
                assert all(KNOWN_CONDITIONS.fullmatch(key) for key in keys), keys

    def test_allows_nothing_everywhere_but_lists(self, rows: None, given: dict[str, Any]) -> None:
        for each in every_statement(made(**given)):
            if each["Effect"] == "Allow" and "*" in each.get("Resource", ()):
                assert all(re.fullmatch(r"sagemaker:(List|Describe)\w+", action) for action in each["Action"])
                assert each["Sid"] in {"List", "LookAround"}

    def test_passes_exactly_the_roles_that_people_may_have(self, rows: None, given: dict[str, Any]) -> None:
        found = made(**given)
        expected = [role(STUDIO, name) for name in ("scientist-role", "team1-role")]
        expected += [role(OTHER, name) for name in ("team2-Linguists", "team2-role")]
        assert resources_of(found, "iam:PassRole") == expected
        for each in every_statement(found):
            if "iam:PassRole" in each["Action"]:
                assert each["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}

    def test_is_the_same_every_time(self, rows: None, given: dict[str, Any]) -> None:
        first, second = made(**given), made(**given)
        assert [each.text for each in first.documents] == [each.text for each in second.documents]
        assert [each.text for each in first.templates] == [each.text for each in second.templates]
        assert first.remarks == second.remarks

    def test_templates_hold_the_same_policies(self, rows: None, given: dict[str, Any]) -> None:
        found = made(**given)
        bodies = [each.body for each in found.documents]
        for template in found.templates:
            assert json.loads(template.text)["AWSTemplateFormatVersion"] == "2010-09-09"
            for name, resource in template.body["Resources"].items():
                assert re.fullmatch(r"[A-Za-z0-9]+", name)
                properties = resource["Properties"]
                policy = properties.get("PolicyDocument") or properties.get("Content")
                assert (policy or properties["AssumeRolePolicyDocument"]) in bodies
                if condition := resource.get("Condition"):
                    assert condition in template.body["Conditions"]
            text = json.dumps(template.body)
            known = {*template.body["Resources"], *template.body.get("Parameters", ())}
            assert set(re.findall(r'"Ref": "(\w+)"', text)) <= known
            assert set(re.findall(r'"Fn::If": \["(\w+)"', text)) <= set(template.body.get("Conditions", ()))


class TestPortalRole:
    def test_makes_profiles_with_the_tags_of_the_domains_teams_only(self, rows: None) -> None:
        conditions = statement(f"{STUDIO}-portal-role-permissions", "CreateProfiles")["Condition"]
        assert conditions == {
            "StringEquals": {"aws:RequestTag/managed-by": "studio-portal", "aws:RequestTag/Team": ["team1"]},
            "Null": {"aws:RequestTag/owner": "false"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "cost centre", "managed-by", "owner"]},
        }
        other = statement(f"{OTHER}-portal-role-permissions", "CreateProfiles")
        assert other["Resource"] == [f"arn:aws:sagemaker:eu-central-1:{OTHER}:user-profile/d-second/*"]
        assert other["Condition"]["StringEquals"]["aws:RequestTag/Team"] == ["Language"]

    def test_changes_only_what_carries_its_tag(self, rows: None) -> None:
        name = f"{OTHER}-portal-role-permissions"
        ours = {"StringEquals": {"sagemaker:ResourceTag/managed-by": "studio-portal"}}
        assert statement(name, "ChangeOwnProfiles")["Condition"] == ours
        assert statement(name, "OpenOwnProfiles")["Condition"] == ours
        tagging = {"StringEquals": {"sagemaker:TaggingAction": "CreateUserProfile"}}
        assert statement(name, "TagNewProfiles")["Condition"] == tagging

    def test_tags_its_own_and_never_makes_them_anybody_elses(self, rows: None) -> None:
        name = f"{STUDIO}-portal-role-permissions"
        ours = {"sagemaker:ResourceTag/managed-by": "studio-portal"}
        assert statement(name, "TagOwnProfiles")["Condition"] == {
            "StringEquals": ours,
            "StringEqualsIfExists": {"aws:RequestTag/managed-by": "studio-portal"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "cost centre", "managed-by", "owner"]},
        }
        assert statement(name, "UntagOwnProfiles")["Condition"] == {
            "StringEquals": ours,
            "ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": ["managed-by", "owner"]},
        }

    def test_tags_of_teams_may_be_templates(self, world: World) -> None:
        TagConstant.objects.create(name="unit", value="7")
        TeamTag.objects.create(team=world.team, key="Team", value="{unit}/{team}")
        TeamTag.objects.create(team=world.team, key="mail", value="{email}")
        account = world.team.domain.account.account_id
        asked = statement(f"{account}-portal-role-permissions", "CreateProfiles")["Condition"]
        assert asked["StringEquals"]["aws:RequestTag/Team"] == ["7/team1"]
        assert "mail" in asked["ForAllValues:StringEquals"]["aws:TagKeys"]

    def test_adoption_is_a_document_of_its_own_and_names_each_profile(self, world: World) -> None:
        account = world.team.domain.account.account_id
        name = f"{account}-portal-role-adoption"
        assert name not in {each.name for each in made().documents}
        world.make_foreign(tags={"owner": "user1"})
        world.steps(Profile.State.READY)
        found = statement(name, "TagAdoptedProfiles")
        assert (found["Action"], found["Resource"]) == (["sagemaker:AddTags"], [world.profile.arn])
        assert found["Condition"]["StringEquals"] == {"aws:RequestTag/managed-by": "studio-portal"}

    def test_mints_no_urls_where_aws_has_none(self, rows: None) -> None:
        found = resources_of(made(OTHER), "sagemaker:CreatePresignedDomainUrl")
        assert found == [f"arn:aws:sagemaker:eu-central-1:{OTHER}:user-profile/d-second/*"]

    def test_profiles_that_were_found_are_named_one_by_one(self, world: World) -> None:
        world.make_foreign(tags={"owner": "user1"})
        assert not world.steps(Profile.State.READY).managed
        account = world.team.domain.account.account_id
        found = statement(f"{account}-portal-role-permissions", "OpenFoundProfiles")
        assert found["Resource"] == [world.profile.arn]
        assert "Condition" not in found

    def test_is_enough_for_what_the_portal_asks_for(self, world: World) -> None:
        """Have the portal work against AWS, and look every call up in the policy."""
        TeamTag.objects.create(team=world.team, key="project", value="p 1")
        world.steps(Profile.State.READY)
        account = world.team.domain.account.account_id
        given = body(f"{account}-portal-role-permissions")
        calls = [call for call in world.aws.calls() if call.service == "sagemaker"]
        assert "CreateUserProfile" in {call.operation for call in calls}
        for call in calls:
            wanted = f"arn:aws:sagemaker:eu-west-1:{account}:user-profile/{world.domain_id}/{world.profile.name}"
            matching = [
                each
                for each in given
                if f"sagemaker:{call.operation}" in each["Action"]
                and any(fnmatch.fnmatchcase(wanted, resource) for resource in each["Resource"])
            ]
            assert matching, call.operation
        sent = {tag["Key"]: tag["Value"] for tag in world.aws.calls("CreateUserProfile")[0].params["Tags"]}
        asked = next(each for each in given if each["Sid"] == "CreateProfiles")["Condition"]
        assert set(sent) <= set(asked["ForAllValues:StringEquals"]["aws:TagKeys"])
        assert sent["Team"] in asked["StringEquals"]["aws:RequestTag/Team"]
        assert sent["managed-by"] == asked["StringEquals"]["aws:RequestTag/managed-by"]
        assert sent["owner"]

    def test_trusts_the_portal_with_the_accounts_external_id(self, rows: None) -> None:
        found = body(f"{OTHER}-portal-role-trust", **EVERY_OPTION)
        assert found == [
            {
                "Sid": "Portal",
                "Effect": "Allow",
                "Principal": {"AWS": PORTAL},
                "Action": ["sts:AssumeRole"],
                "Condition": {"StringEquals": {"sts:ExternalId": "ex-4444"}},
            },
            {
                "Sid": "PortalSessions",
                "Effect": "Allow",
                "Principal": {"AWS": PORTAL},
                "Action": ["sts:SetSourceIdentity", "sts:TagSession"],
            },
        ]

    def test_follows_the_switches_of_the_account(self, rows: None) -> None:
        AwsAccount.objects.filter(account_id=OTHER).update(uses_source_identity=True)
        found = body(f"{OTHER}-portal-role-trust")
        assert found[1]["Action"] == ["sts:SetSourceIdentity"]
        (caller,) = body("portal-principal")
        assert caller["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]

    def test_the_portal_itself_may_assume_these_roles_only(self, rows: None) -> None:
        (found,) = body("portal-principal")
        assert (found["Action"], found["Resource"]) == (["sts:AssumeRole"], [role(OTHER, "paths/Portal")])

    def test_without_a_principal_nobody_is_trusted(self, rows: None) -> None:
        found = made(portal_principal="")
        assert not [each for each in found.documents if each.name.endswith("portal-role-trust")]
        assert [each for each in found.remarks if "trust policies" in each]

    def test_networks_are_alternatives(self, rows: None) -> None:
        found = [each for each in body(f"{STUDIO}-portal-role-permissions", **EVERY_OPTION) if "Open" in each["Sid"]]
        ours = {"sagemaker:ResourceTag/managed-by": "studio-portal"}
        assert [each["Condition"] for each in found] == [
            {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}, "StringEquals": ours},
            {
                "StringEquals": {"aws:SourceVpce": ["vpce-0123456789abcdef0"], **ours},
                "IpAddress": {"aws:VpcSourceIp": ["10.0.0.0/8"]},
            },
        ]
        notes = {each.name: each.notes for each in made(**EVERY_OPTION).documents}
        assert "every request" in notes[f"{STUDIO}-portal-role-permissions"][0]


class TestExecutionRoles:
    def test_people_keep_to_their_own_spaces(self, rows: None) -> None:
        name = f"{STUDIO}-execution-roles-guard"
        own = f"arn:aws:sagemaker:*:{STUDIO}:user-profile/${{sagemaker:DomainId}}/${{sagemaker:UserProfileName}}"
        assert statement(name, "UseOwnSpaces")["Condition"]["ArnLike"] == {"sagemaker:OwnerUserProfileArn": own}
        denied = statement(name, "NoForeignSpaces")
        assert denied["Effect"] == "Deny"
        assert denied["Condition"]["ArnNotLike"] == {"sagemaker:OwnerUserProfileArn": own}

    @pytest.mark.parametrize(
        "action", ["CreateUserProfile", "UpdateUserProfile", "DeleteUserProfile", "CreatePresignedDomainUrl", "AddTags"]
    )
    def test_profiles_are_the_portals(self, rows: None, action: str) -> None:
        denied = statement(f"{STUDIO}-execution-roles-guard", "LeaveProfilesToThePortal")
        assert denied["Effect"] == "Deny"
        assert f"sagemaker:{action}" in denied["Action"]
        assert denied["Resource"] == [f"arn:aws:sagemaker:*:{STUDIO}:user-profile/*"]

    def test_teams_are_told_apart_by_the_tag_of_the_role(self, rows: None) -> None:
        name = f"{OTHER}-execution-roles-guard"
        for sid, key in (
            ("NoResourcesOfOtherTeams", "aws:ResourceTag/Team"),
            ("NoTagsOfOtherTeams", "aws:RequestTag/Team"),
        ):
            condition = statement(name, sid)["Condition"]
            assert condition["StringNotEquals"] == {key: "${aws:PrincipalTag/Team}"}
        where = {each.name: each.attach_to for each in made().documents}[name]
        assert f"{role(OTHER, 'team2-role')} (tag Team=Language)" in where

    def test_a_role_of_two_teams_is_remarked(self, rows: None) -> None:
        domain = make_domain(make_account(account_id="777777777777"))
        for slug in ("left", "right"):
            make_team(slug, domain=domain, execution_role_arn=role_arn(domain, "both"))
        assert "The role both is given to several teams (left, right): it cannot keep them apart." in made().remarks
        template = next(each for each in made().templates if each.account_id == "777777777777")
        assert "Team" not in str(template.body["Resources"]["ExecutionRole1"]["Properties"]["Tags"])

    def test_are_trusted_to_sagemaker(self, rows: None) -> None:
        (found,) = body(f"{STUDIO}-execution-roles-trust", **EVERY_OPTION)
        assert found["Principal"] == {"Service": "sagemaker.amazonaws.com"}
        assert found["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]


class TestServiceControlPolicy:
    def test_everybody_but_the_portal_is_denied(self, rows: None) -> None:
        found = {each["Sid"]: each for each in body("service-control-policy")}
        assert set(found) == {f"OnlyThePortal{STUDIO}", f"OnlyThePortal{OTHER}"}
        behind_role = found[f"OnlyThePortal{OTHER}"]
        assert behind_role["Effect"] == "Deny"
        assert behind_role["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": role(OTHER, "paths/Portal")}}
        assert "sagemaker:CreatePresignedDomainUrl" in behind_role["Action"]
        assert len(behind_role["Resource"]) == 2
        assert found[f"OnlyThePortal{STUDIO}"]["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": PORTAL}}

    def test_an_account_whose_door_is_not_known_is_left_alone(self, rows: None) -> None:
        (found,) = body("service-control-policy", portal_principal="")
        assert found["Sid"] == f"OnlyThePortal{OTHER}"
        (template,) = [each for each in made(portal_principal="").templates if not each.account_id]
        assert template.body["Resources"]["OnlyThePortal1"]["Properties"]["TargetIds"] == [OTHER]


def test_a_directory_is_only_read(rows: None) -> None:
    reads, queue = body("directory-main")
    assert all(re.match(r"identitystore:(Describe|Get|IsMember|List)", action) for action in reads["Action"])
    assert "arn:aws:identitystore::*:identitystore/d-1234567890" in reads["Resource"]
    assert queue["Resource"] == ["arn:aws:sqs:eu-west-1:444455556666:changes"]


def test_people_are_assigned_to_the_applications_of_single_sign_on_alone(rows: None) -> None:
    ours = "arn:aws:sso::444455556666:application/ssoins-1234567890abcdef/apl-1234567890abcdef"
    Domain.objects.filter(domain_id="d-sso").update(assigns_application=True)
    assert any("d-sso: AWS has not told its application yet" in each for each in made().remarks)
    Domain.objects.filter(domain_id="d-sso").update(application_arn=ours)
    (document,) = [each for each in made().documents if each.name.startswith("directory-main")]
    (statement,) = [each for each in document.body["Statement"] if each["Sid"] == "AssignPeople"]
    assert statement["Resource"] == [ours]
    verbs = ("Create", "Delete", "Describe")
    assert statement["Action"] == [f"sso:{verb}ApplicationAssignment" for verb in verbs]
    model = botocore.session.get_session().get_service_model("sso-admin")
    assert {f"{verb}ApplicationAssignment" for verb in verbs} <= set(model.operation_names)
    # Of another Identity Center instance: not this directory's.
    Domain.objects.filter(domain_id="d-sso").update(application_arn=ours.replace("444455556666", "111122223333"))
    assert "AssignPeople" not in str([each.body for each in made().documents])


def test_only_one_account_is_asked_for(rows: None) -> None:
    assert STUDIO not in "".join(each.text for each in made(OTHER).documents)


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")]
)
def test_partitions(region: str, partition: str) -> None:
    account = make_account(role_arn="", account_id=STUDIO)
    make_team(
        "team1", domain=make_domain(account, region=region), execution_role_arn=f"arn:{partition}:iam::{STUDIO}:role/x"
    )
    make_directory("main", region=region, queue_url="")
    for each in every_statement(made(portal_principal="")):
        for resource in each.get("Resource", ()):
            assert resource == "*" or resource.startswith(f"arn:{partition}:"), resource


def test_a_template_that_gives_no_role_is_left_out_and_remarked(rows: None) -> None:
    domain = make_domain(make_account())
    team = make_team("wild", domain=domain)
    make_mapping("stars", team, execution_role_arn="arn:aws:iam::{account}:role/{group}")
    Group.objects.create(source="saml", external_id="stars", name="*")
    found = made()
    assert "*" not in "".join(resources_of(found, "iam:PassRole"))
    assert [each for each in found.remarks if each.startswith("Team wild: nobody can work as")]
    assert [each for each in found.remarks if "no source has named the group “unheard” yet" in each]


def test_many_teams_take_several_documents(rows: None) -> None:
    domain = make_domain(make_account(account_id="777777777777", name="Big"))
    for number in range(150):
        make_team(f"a-team-with-a-long-name-{number:03d}", domain=domain)
    found = made("777777777777", portal_principal="")
    permissions = [each for each in found.documents if "-portal-role-permissions-" in each.name]
    assert len(permissions) > 2
    assert all(each.fits for each in found.documents)
    assert len(set(resources_of(found, "iam:PassRole"))) == 150
    values = [
        value
        for each in every_statement(found)
        if "sagemaker:CreateUserProfile" in each["Action"] and each["Effect"] == "Allow"
        for value in each["Condition"]["StringEquals"]["aws:RequestTag/Team"]
    ]
    assert len(values) == len(set(values)) == 150


def test_what_cannot_be_divided_is_told() -> None:
    long = statements.allow("Long", ["iam:PassRole"], ["arn:" + "x" * 7000])
    (only,) = statements.policies([long], statements.MANAGED)
    assert statements.size(only) > statements.MANAGED


class TestOptions:
    @pytest.mark.parametrize(
        "given",
        [
            {"portal_principal": "*"},
            {"portal_principal": "arn:aws:iam::999988887777:root"},
            {"portal_principal": "arn:aws:iam::999988887777:role/*"},
            {"source_ips": ["everywhere"]},
            {"source_ips": ["192.0.2.1/24"]},
            {"vpc_source_ips": ["10.0.0.0/40"]},
            {"endpoints": ["vpce-*"]},
        ],
    )
    def test_nonsense_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(OptionError):
            options.read(**given)

    def test_a_session_stands_for_its_role(self) -> None:
        session = "arn:aws:sts::999988887777:assumed-role/StudioPortal/i-0123"
        assert options.read(portal_principal=session).portal_principal == "arn:aws:iam::999988887777:role/StudioPortal"

    def test_order_does_not_matter(self) -> None:
        found = options.read(source_ips=["198.51.100.0/24", "2001:db8::/32", "192.0.2.1", "192.0.2.1/32"])
        assert found == Options(source_ips=("192.0.2.1/32", "198.51.100.0/24", "2001:db8::/32"))


class TestCommand:
    def run(self, *args: str) -> tuple[str, str]:
        out, err = StringIO(), StringIO()
        call_command("policies", *args, stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_prints_every_document_and_tells_what_is_missing(self, rows: None) -> None:
        out, err = self.run()
        assert f"{STUDIO}-portal-role-permissions" in json.loads(out)
        assert "Say who the portal is" in err

    def test_prints_one_account_as_cloudformation(self, rows: None) -> None:
        out, _ = self.run("--account", OTHER, "--format", "cloudformation", "--portal-principal", PORTAL)
        templates = json.loads(out)
        assert set(templates) == {f"{OTHER}-cloudformation", "organisation-cloudformation"}
        resources = templates[f"{OTHER}-cloudformation"]["Resources"]
        assert resources["PortalRole"]["Properties"]["Path"] == "/paths/"
        assert resources["PortalRole"]["Properties"]["RoleName"] == "Portal"
        assert resources["PortalDirectories"]["Type"] == "AWS::IAM::ManagedPolicy"

    def test_prints_one_document_as_it_is_pasted(self, rows: None) -> None:
        out, _ = self.run("--only", "portal-principal")
        assert json.loads(out)["Version"] == "2012-10-17"

    @pytest.mark.parametrize("args", [["--account", "1"], ["--only", "nothing"], ["--vpce", "x"]])
    def test_refuses_what_is_not_there(self, rows: None, args: list[str]) -> None:
        with pytest.raises(CommandError):
            self.run(*args)


def test_the_owners_name_is_no_part_of_the_documents(rows: None) -> None:
    team = make_team("team9", domain=make_domain(make_account()))
    user = make_user("somebody")
    profiles.prepare([user.pk])
    assert team.slug in str(made().documents)
    assert "somebody" not in str(made().documents)
    assert desired.OWNER in str(made().documents)
