"""The same policies as CloudFormation templates, one for each account and one for the organisation. Pure.

Roles that exist already are left as they are: a parameter says whether the stack makes them, and its policies are
attached either way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provisioning import desired
from provisioning.policies import directories, execution_role, organisation, portal_role, statements
from provisioning.policies.facts import AccountFacts, Facts, RoleUse
from provisioning.policies.options import Options

FORMAT = "2010-09-09"
_CHOICE = {"Type": "String", "AllowedValues": ["yes", "no"], "Default": "no"}

Resource = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """A template; `name` is unique and fit for a file name."""

    name: str
    title: str
    account_id: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """The template as JSON."""
        return statements.text(self.body)


def templates(facts: Facts, options: Options) -> list[Template]:
    """Return the templates of all accounts that there is something to make in, and that of the organisation."""
    made = [_of_account(account, facts, options.meeting(account)) for account in facts.accounts]
    made += [_of_organisation(facts, options)]
    return [template for template in made if template.body["Resources"]]


def _of_account(account: AccountFacts, facts: Facts, options: Options) -> Template:
    resources: dict[str, Resource] = {}
    makes_portal_role = bool(account.role_arn and options.portal_principal)
    if makes_portal_role:
        trust = portal_role.trust_policy(account, options)
        resources["PortalRole"] = _role(account.role_arn, trust, condition="MakesPortalRole")
    if account.role_arn:
        resources |= _portal_policies(account, facts, options, made=makes_portal_role)
    for number, role in enumerate(account.roles, 1):
        resources[f"ExecutionRole{number}"] = _role(
            role.arn, execution_role.trust_policy(options), condition="MakesExecutionRoles", tags=_tags(role)
        )
    if account.roles:
        names = [_either("MakesExecutionRoles", f"ExecutionRole{n}", role) for n, role in enumerate(account.roles, 1)]
        guard = statements.policies(execution_role.guard_statements(account), statements.MANAGED)
        resources |= _policies("ExecutionRolesGuard", "Keeps people in Studio within their own team.", guard, names)
    return Template(
        name=f"{account.account_id}-cloudformation",
        title=f"CloudFormation for {account.name} ({account.account_id})",
        account_id=account.account_id,
        body=_template(
            f"Studio Portal in the AWS account {account.account_id}",
            resources,
            portal=makes_portal_role,
            execution=bool(account.roles),
        ),
    )


def _portal_policies(account: AccountFacts, facts: Facts, options: Options, *, made: bool) -> dict[str, Resource]:
    name = account.role_arn.rpartition("/")[2]
    names = [{"Fn::If": ["MakesPortalRole", {"Ref": "PortalRole"}, name]} if made else name]
    resources: dict[str, Resource] = {}
    for logical, told, given in (
        ("PortalPermissions", "What the portal does.", portal_role.permissions(account, options)),
        ("PortalPreflight", "What the portal's preflight reads.", portal_role.preflight(account)),
        (
            "PortalDirectories",
            "What the portal reads of directories.",
            [
                statement
                for directory in facts.directories
                if directory.role_arn == account.role_arn
                for statement in directories.statements_of(directory)
            ],
        ),
    ):
        bodies = statements.policies(given, statements.MANAGED)
        resources |= _policies(logical, told, bodies, names)
    return resources


def _of_organisation(facts: Facts, options: Options) -> Template:
    documents = organisation.documents(facts.accounts, options)
    accounts = [account.account_id for account in organisation.covered(facts.accounts, options)]
    resources = {
        f"OnlyThePortal{number}": {
            "Type": "AWS::Organizations::Policy",
            "Properties": {
                "Name": document.name,
                "Description": "Only the portal opens Studio.",
                "Type": "SERVICE_CONTROL_POLICY",
                "TargetIds": accounts,
                "Content": document.body,
            },
        }
        for number, document in enumerate(documents, 1)
    }
    body = _template("Studio Portal: nobody else opens Studio; for the organisation's management account", resources)
    return Template("organisation-cloudformation", "CloudFormation for the organisation", "", body)


def _template(
    description: str, resources: dict[str, Resource], *, portal: bool = False, execution: bool = False
) -> dict[str, Any]:
    choices = [("PortalRole", portal, "portal role"), ("ExecutionRoles", execution, "execution roles")]
    parameters = {
        f"Make{name}": {**_CHOICE, "Description": f"Whether this stack makes the {told}; no: there already."}
        for name, wanted, told in choices
        if wanted
    }
    conditions = {
        f"Makes{name}": {"Fn::Equals": [{"Ref": f"Make{name}"}, "yes"]} for name, wanted, _ in choices if wanted
    }
    return {
        "AWSTemplateFormatVersion": FORMAT,
        "Description": description,
        **({"Parameters": parameters, "Conditions": conditions} if parameters else {}),
        "Resources": resources,
    }


def _role(arn: str, trust: dict[str, Any], *, condition: str, tags: Iterable[tuple[str, str]] = ()) -> Resource:
    path, _, name = arn.partition(":role")[2].rpartition("/")
    return {
        "Type": "AWS::IAM::Role",
        "Condition": condition,
        "Properties": {
            "RoleName": name,
            "Path": f"{path}/",
            "AssumeRolePolicyDocument": trust,
            "Tags": [{"Key": key, "Value": value} for key, value in (*tags, (desired.MANAGED_BY, desired.MANAGER))],
        },
    }


def _tags(role: RoleUse) -> list[tuple[str, str]]:
    """Return the tag that tells the role's team, none where several teams have the role."""
    return [(desired.TEAM, role.tag_values[0])] if len(role.tag_values) == 1 else []


def _policies(logical: str, description: str, bodies: list[dict[str, Any]], roles: list[Any]) -> dict[str, Resource]:
    many = len(bodies) > 1
    return {
        f"{logical}{number}" if many else logical: {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"Description": description, "Roles": roles, "PolicyDocument": body},
        }
        for number, body in enumerate(bodies, 1)
    }


def _either(condition: str, logical: str, role: RoleUse) -> dict[str, Any]:
    return {"Fn::If": [condition, {"Ref": logical}, role.name]}
