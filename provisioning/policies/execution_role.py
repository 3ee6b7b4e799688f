"""What keeps people in Studio within their own spaces and their own team: for every execution role. Pure.

The guard is one document for all execution roles of an account: IAM fills in the person's profile and the role's tag
`Team`. It allows what Studio itself needs; what a team may do with its data is for other policies to say.
"""

from provisioning import desired
from provisioning.policies import document, statements
from provisioning.policies.document import Document
from provisioning.policies.facts import AccountFacts, RoleUse
from provisioning.policies.options import Options
from provisioning.policies.portal_role import SAGEMAKER
from provisioning.policies.statements import Statement, allow, deny

_OWNER = "sagemaker:OwnerUserProfileArn"
_SHARING = "sagemaker:SpaceSharingType"
_OF_APPS = ("sagemaker:CreateApp", "sagemaker:DeleteApp")
_OF_SPACES = ("sagemaker:CreateSpace", "sagemaker:DeleteSpace", "sagemaker:UpdateSpace")
_PRINCIPAL_TEAM = f"aws:PrincipalTag/{desired.TEAM}"
_OWN_TEAM = f"${{{_PRINCIPAL_TEAM}}}"
_TAG_NOTE = (
    "Tell teams apart by the tag Team of the roles: give each role the tag named here first. Roles without it are kept "
    "to their own spaces, but not from other teams' resources."
)


def documents(account: AccountFacts, options: Options) -> list[Document]:
    """Return trust and guard of the execution roles of an account; nothing where it has none."""
    if not account.roles:
        return []
    trust = Document(
        name=f"{account.account_id}-execution-roles-trust",
        title=f"Execution roles in {account.name}: trust",
        account_id=account.account_id,
        attach_to="each execution role, as its trust policy: " + ", ".join(role.arn for role in account.roles),
        body=trust_policy(options),
        limit=statements.TRUST,
    )
    guard = document.divided(
        f"{account.account_id}-execution-roles-guard",
        f"Execution roles in {account.name}: guard",
        guard_statements(account),
        account_id=account.account_id,
        attach_to="each execution role: " + ", ".join(map(_tagged, account.roles)),
        notes=(_TAG_NOTE, *filter(None, map(shared, account.roles))),
    )
    return [trust, *guard]


def trust_policy(options: Options) -> dict[str, object]:
    """Return who may assume an execution role: SageMaker."""
    actions = ["sts:AssumeRole", *(["sts:SetSourceIdentity"] if options.source_identity else [])]
    return statements.policy([statements.trust("SageMaker", actions, {"Service": SAGEMAKER})])


def shared(role: RoleUse) -> str:
    """Return a sentence about a role that cannot keep its teams apart, empty where it can."""
    if len(role.teams) < 2:
        return ""
    return f"The role {role.name} is given to several teams ({', '.join(role.teams)}): it cannot keep them apart."


def guard_statements(account: AccountFacts) -> list[Statement]:
    """Return what is allowed and denied to everybody in Studio."""
    prefix = f"arn:{account.partition}:sagemaker:*:{account.account_id}"
    own = f"{prefix}:user-profile/${{sagemaker:DomainId}}/${{sagemaker:UserProfileName}}"
    apps = [domain.arn("app", "/*") for domain in account.domains]
    spaces = [domain.arn("space", "/*") for domain in account.domains]
    own_private = {"ArnLike": {_OWNER: own}, "StringEquals": {_SHARING: "Private"}}
    return [
        allow(
            "LookAround",
            [
                *("sagemaker:DescribeApp", "sagemaker:DescribeDomain", "sagemaker:DescribeSpace"),
                *("sagemaker:DescribeUserProfile", "sagemaker:ListApps", "sagemaker:ListDomains"),
                *("sagemaker:ListSpaces", "sagemaker:ListTags", "sagemaker:ListUserProfiles"),
            ],
            ["*"],
        ),
        allow("UseOwnSpaces", _OF_APPS, apps, own_private),
        allow("UseAppsWithoutSpace", _OF_APPS, apps, {"Null": {_OWNER: "true"}}),
        allow("KeepOwnSpaces", _OF_SPACES, spaces, own_private),
        # Studio tags what it makes.
        allow("TagNewThings", ["sagemaker:AddTags"], [*apps, *spaces], {"Null": {"sagemaker:TaggingAction": "false"}}),
        *_denied(prefix, own),
        *_kept_apart(),
    ]


def _denied(prefix: str, own: str) -> list[Statement]:
    everywhere = [f"{prefix}:app/*", f"{prefix}:space/*"]
    return [
        deny(
            "LeaveProfilesToThePortal",
            [
                *("sagemaker:AddTags", "sagemaker:CreatePresignedDomainUrl", "sagemaker:CreateUserProfile"),
                *("sagemaker:DeleteTags", "sagemaker:DeleteUserProfile", "sagemaker:UpdateUserProfile"),
            ],
            [f"{prefix}:user-profile/*"],
        ),
        deny(
            "LeaveDomainsToAdmins",
            ["sagemaker:CreateDomain", "sagemaker:DeleteDomain", "sagemaker:UpdateDomain"],
            [f"{prefix}:domain/*"],
        ),
        # A shared space runs with the domain's role, whichever team somebody came in by.
        deny("NoSharedSpaces", [*_OF_APPS, *_OF_SPACES], everywhere, {"StringEquals": {_SHARING: "Shared"}}),
        deny(
            "NoForeignSpaces",
            [*_OF_APPS, *_OF_SPACES],
            everywhere,
            {"ArnNotLike": {_OWNER: own}, "Null": {_OWNER: "false"}},
        ),
    ]


def _kept_apart() -> list[Statement]:
    resource, request = f"aws:ResourceTag/{desired.TEAM}", f"aws:RequestTag/{desired.TEAM}"
    return [
        deny("NoResourcesOfOtherTeams", ["sagemaker:*"], ["*"], _unlike(resource)),
        deny("NoTagsOfOtherTeams", ["sagemaker:*"], ["*"], _unlike(request)),
        deny(
            "KeepTeamTag",
            ["sagemaker:DeleteTags"],
            ["*"],
            {
                "ForAnyValue:StringEquals": {"aws:TagKeys": [desired.TEAM]},
                "Null": {_PRINCIPAL_TEAM: "false"},
            },
        ),
    ]


def _unlike(key: str) -> dict[str, dict[str, str]]:
    """Return the condition that a tag is there and is not that of the role, which has one."""
    return {"StringNotEquals": {key: _OWN_TEAM}, "Null": {key: "false", _PRINCIPAL_TEAM: "false"}}


def _tagged(role: RoleUse) -> str:
    if len(role.tag_values) == 1:
        return f"{role.arn} (tag {desired.TEAM}={role.tag_values[0]})"
    return f"{role.arn} (no tag fits: {', '.join(role.tag_values)})"
