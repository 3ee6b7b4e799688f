"""The portal's role in each account: what it may do, who may assume it; and what the portal itself needs. Pure.

An action is allowed only on what it is for: the domains that the portal knows, the profiles that carry its tag, and the
execution roles that teams and mappings give at present.
"""

from collections.abc import Iterable, Sequence

from provisioning import desired
from provisioning.policies import document, statements
from provisioning.policies.document import Document
from provisioning.policies.facts import AccountFacts, DomainFacts
from provisioning.policies.options import Options
from provisioning.policies.statements import Conditions, Statement, allow

SAGEMAKER = "sagemaker.amazonaws.com"
PROFILE_QUOTA = "L-AC46C40F"
# Profiles that were found and are used as they are carry no tag of ours, and are named one by one up to this many.
MAX_NAMED_PROFILES = 50

_OURS = {"StringEquals": {f"sagemaker:ResourceTag/{desired.MANAGED_BY}": desired.MANAGER}}
_NETWORK_NOTE = (
    "AWS evaluates the right to mint a URL again for every request that the person's browser then makes to Studio, so "
    "the addresses or endpoints must fit the browsers as well as the portal's servers. Behind a VPC endpoint "
    "aws:SourceIp is absent; then the URL must be minted and opened through one of the endpoints."
)
_ADOPTION_NOTE = (
    "It allows the portal's tags on profiles that the portal did not make, each by its name. Attach it while an admin "
    "adopts profiles, and take out what is not to be adopted."
)
_OWN = "the portal's own role (the account has no portal role)"


def documents(account: AccountFacts, options: Options) -> list[Document]:
    """Return the documents of the portal's role in one account."""
    attach_to = f"the role {account.role_arn}" if account.role_arn else _OWN
    made = _trust(account, options)
    given = permissions(account, options)
    notes = (_NETWORK_NOTE,) if alternatives(options) != [{}] else ()
    made += document.divided(
        f"{account.account_id}-portal-role-permissions",
        f"Portal role in {account.name}: permissions",
        given,
        account_id=account.account_id,
        attach_to=attach_to,
        notes=notes,
    )
    made += document.divided(
        f"{account.account_id}-portal-role-preflight",
        f"Portal role in {account.name}: more for the preflight (optional)",
        preflight(account),
        account_id=account.account_id,
        attach_to=attach_to,
        notes=("Without it the preflight says “unknown” of the quota and of the execution roles.",),
    )
    if adopting := adoption(account):
        made += document.divided(
            f"{account.account_id}-portal-role-adoption",
            f"Portal role in {account.name}: more to adopt profiles (optional)",
            adopting,
            account_id=account.account_id,
            attach_to=attach_to,
            notes=(_ADOPTION_NOTE,),
        )
    return made


def permissions(account: AccountFacts, options: Options) -> list[Statement]:
    """Return what the portal's role needs in an account; nothing where the account has no domain."""
    domains = account.domains
    if not domains:
        return []
    return [
        allow(
            "List",
            [
                f"sagemaker:List{what}"
                for what in ("Apps", "Domains", "Spaces", "StudioLifecycleConfigs", "UserProfiles")
            ],
            ["*"],
        ),
        allow("DescribeDomains", ["sagemaker:DescribeDomain"], _all(domains, "domain")),
        *(_create(domain) for domain in domains if domain.team_values),
        allow(
            "TagNewProfiles",
            ["sagemaker:AddTags"],
            _all(domains, "user-profile", "/*"),
            {"StringEquals": {"sagemaker:TaggingAction": "CreateUserProfile"}},
        ),
        *(_tag_own(domain) for domain in domains if domain.team_values),
        _untag_own(domains),
        allow(
            "DescribeProfiles",
            ["sagemaker:DescribeUserProfile", "sagemaker:ListTags"],
            _all(domains, "user-profile", "/*"),
        ),
        allow(
            "ChangeOwnProfiles",
            ["sagemaker:UpdateUserProfile", "sagemaker:DeleteUserProfile"],
            _all(domains, "user-profile", "/*"),
            _OURS,
        ),
        *_mint(domains, options),
        allow(
            "StopApps",
            ["sagemaker:DescribeApp", "sagemaker:DeleteApp", "sagemaker:ListTags"],
            _all(domains, "app", "/*"),
        ),
        allow("DescribeSpaces", ["sagemaker:DescribeSpace"], _all(domains, "space", "/*")),
        *(_delete_spaces(domain) for domain in domains),
        *_pass_roles(account),
    ]


def preflight(account: AccountFacts) -> list[Statement]:
    """Return what the preflight can use on top: to read the quota of profiles and the execution roles."""
    regions = sorted({domain.region for domain in account.domains})
    quotas = [
        f"arn:{account.partition}:servicequotas:{region}:{account.account_id}:sagemaker/{PROFILE_QUOTA}"
        for region in regions
    ]
    made = [allow("ReadProfileQuota", ["servicequotas:GetServiceQuota"], quotas)] if quotas else []
    if account.roles:
        made.append(allow("ReadExecutionRoles", ["iam:GetRole"], [role.arn for role in account.roles]))
    return made


def adoption(account: AccountFacts) -> list[Statement]:
    """Return what it takes on top to adopt the profiles that were found; nothing where there are none."""
    return [
        allow(
            "TagAdoptedProfiles",
            ["sagemaker:AddTags"],
            domain.found_profiles,
            {
                "StringEquals": {f"aws:RequestTag/{desired.MANAGED_BY}": desired.MANAGER},
                "ForAllValues:StringEquals": {"aws:TagKeys": list(domain.tag_keys)},
            },
        )
        for domain in account.domains
        if domain.found_profiles and domain.tag_keys
    ]


def alternatives(options: Options) -> list[Conditions]:
    """Return the conditions of which one must hold for a URL: from an address, or through an endpoint; [{}] for any."""
    made: list[Conditions] = []
    if options.source_ips:
        made.append({"IpAddress": {"aws:SourceIp": list(options.source_ips)}})
    through: dict[str, dict[str, list[str]]] = {}
    if options.endpoints:
        through["StringEquals"] = {"aws:SourceVpce": list(options.endpoints)}
    if options.vpc_source_ips:
        through["IpAddress"] = {"aws:VpcSourceIp": list(options.vpc_source_ips)}
    return [*made, *([through] if through else [])] or [{}]


def principal_policy(accounts: Iterable[AccountFacts], options: Options) -> list[Document]:
    """Return what the portal's own role or user needs: to assume the accounts' roles, and nothing else."""
    arns = [account.role_arn for account in accounts if account.role_arn]
    if not arns:
        return []
    return document.divided(
        "portal-principal",
        "The portal itself: assume the portal roles",
        [allow("AssumePortalRoles", ["sts:AssumeRole", *options.session_actions], arns)],
        account_id="",
        attach_to=options.portal_principal or "the role or user as which the portal's processes run",
    )


def trust_policy(account: AccountFacts, options: Options) -> dict[str, object]:
    """Return who may assume the portal's role of an account; needs `options.portal_principal`."""
    principal = {"AWS": options.portal_principal}
    asked = {"StringEquals": {"sts:ExternalId": account.external_id}} if account.external_id else None
    given = [statements.trust("Portal", ["sts:AssumeRole"], principal, asked)]
    if options.session_actions:
        given.append(statements.trust("PortalSessions", options.session_actions, principal))
    return statements.policy(given)


def _trust(account: AccountFacts, options: Options) -> list[Document]:
    if not (account.role_arn and options.portal_principal):
        return []
    notes = () if account.external_id else ("The account has no external id; give it one of its own.",)
    return [
        Document(
            name=f"{account.account_id}-portal-role-trust",
            title=f"Portal role in {account.name}: trust",
            account_id=account.account_id,
            attach_to=f"the role {account.role_arn}, as its trust policy",
            body=trust_policy(account, options),
            limit=statements.TRUST,
            notes=notes,
        )
    ]


def _all(domains: Sequence[DomainFacts], kind: str, below: str = "") -> list[str]:
    return [domain.arn(kind, below) for domain in domains]


def _create(domain: DomainFacts) -> Statement:
    """Return the right to make profiles with exactly the tags that the teams of this domain give them."""
    return allow(
        "CreateProfiles",
        ["sagemaker:CreateUserProfile"],
        [domain.arn("user-profile", "/*")],
        {
            "StringEquals": {
                f"aws:RequestTag/{desired.MANAGED_BY}": desired.MANAGER,
                f"aws:RequestTag/{desired.TEAM}": list(domain.team_values),
            },
            "Null": {f"aws:RequestTag/{desired.OWNER}": "false"},
            "ForAllValues:StringEquals": {"aws:TagKeys": list(domain.tag_keys)},
        },
    )


def _tag_own(domain: DomainFacts) -> Statement:
    """Return the right to set the tags of the domain's teams on the portal's own profiles, which stay its own."""
    return allow(
        "TagOwnProfiles",
        ["sagemaker:AddTags"],
        [domain.arn("user-profile", "/*")],
        {
            **_OURS,
            "StringEqualsIfExists": {f"aws:RequestTag/{desired.MANAGED_BY}": desired.MANAGER},
            "ForAllValues:StringEquals": {"aws:TagKeys": list(domain.tag_keys)},
        },
    )


def _untag_own(domains: Sequence[DomainFacts]) -> Statement:
    """Return the right to take tags away from them, but for those that say whose they are."""
    kept = {"ForAllValues:StringNotEqualsIgnoreCase": {"aws:TagKeys": [desired.MANAGED_BY, desired.OWNER]}}
    return allow("UntagOwnProfiles", ["sagemaker:DeleteTags"], _all(domains, "user-profile", "/*"), {**_OURS, **kept})


def _mint(domains: Sequence[DomainFacts], options: Options) -> list[Statement]:
    """Return the right to mint URLs, in IAM domains only: AWS refuses it in others."""
    action = ["sagemaker:CreatePresignedDomainUrl"]
    minting = [domain for domain in domains if domain.mints]
    found = [arn for domain in minting for arn in _found(domain)]
    made = []
    for network in alternatives(options) if minting else []:
        conditions = {**network, "StringEquals": {**network.get("StringEquals", {}), **_OURS["StringEquals"]}}
        made.append(allow("OpenOwnProfiles", action, _all(minting, "user-profile", "/*"), conditions))
        if found:
            made.append(allow("OpenFoundProfiles", action, found, network))
    return made


def _found(domain: DomainFacts) -> Sequence[str]:
    """Return profiles that carry no tag of ours by their names; as all of the domain where they are too many."""
    return (
        domain.found_profiles
        if len(domain.found_profiles) <= MAX_NAMED_PROFILES
        else [domain.arn("user-profile", "/*")]
    )


def _delete_spaces(domain: DomainFacts) -> Statement:
    return allow(
        "DeletePrivateSpaces",
        ["sagemaker:DeleteSpace"],
        [domain.arn("space", "/*")],
        {
            "StringEquals": {"sagemaker:SpaceSharingType": "Private"},
            "ArnLike": {"sagemaker:OwnerUserProfileArn": domain.arn("user-profile", "/*")},
        },
    )


def _pass_roles(account: AccountFacts) -> list[Statement]:
    arns = [role.arn for role in account.roles]
    passed_to = {"StringEquals": {"iam:PassedToService": SAGEMAKER}}
    return [allow("PassExecutionRoles", ["iam:PassRole"], arns, passed_to)] if arns else []
