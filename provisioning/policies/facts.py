"""What the documents are written from: accounts with their domains, teams and roles, and directories, from the rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from provisioning import desired
from provisioning.aws.sqs import region_of
from provisioning.models import Directory, Profile
from teams import role_names
from teams.models import AwsAccount, Domain, Group, RoleMapping, TagConstant, Team
from teams.tag_templates import UnknownTagNameError


@dataclass(frozen=True)
class RoleUse:
    """An execution role, the slugs of the teams that work with it, and their values of the tag `Team`."""

    arn: str
    teams: tuple[str, ...]
    tag_values: tuple[str, ...]

    @property
    def name(self) -> str:
        """The role's name without its path."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True)
class DomainFacts:
    """A domain: the tags of the profiles that active teams make there, and ARNs of profiles used as they were found."""

    partition: str
    account_id: str
    region: str
    domain_id: str
    mints: bool
    team_values: tuple[str, ...] = ()
    tag_keys: tuple[str, ...] = ()
    found_profiles: tuple[str, ...] = ()
    assigns: bool = False

    def arn(self, kind: str, below: str = "") -> str:
        """Return the ARN of the domain, or of what is below it: a `user-profile`, an `app`, a `space`."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account_id}:{kind}/{self.domain_id}{below}"


@dataclass(frozen=True)
class AccountFacts:
    """An account: how the portal gets in, its domains, and the execution roles of its teams."""

    account_id: str
    name: str
    partition: str
    role_arn: str
    external_id: str = field(repr=False, default="")
    tag_session: bool = False
    source_identity: bool = False
    domains: tuple[DomainFacts, ...] = ()
    roles: tuple[RoleUse, ...] = ()


@dataclass(frozen=True)
class DirectoryFacts:
    """A directory, and the role by which it is read; `queue_arn` is empty where it has no queue.

    `applications` are those of domains in SSO mode to which the portal assigns its people.
    """

    slug: str
    partition: str
    store_id: str
    account_id: str
    role_arn: str
    queue_arn: str
    applications: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything, in order; `remarks` are sentences about what could not be taken into the documents."""

    accounts: tuple[AccountFacts, ...]
    directories: tuple[DirectoryFacts, ...]
    remarks: tuple[str, ...]


def partition_of(*arns: str, region: str = "") -> str:
    """Return the partition that the first of these ARNs names, else the Region's."""
    for arn in arns:
        parts = arn.split(":")
        if parts[0] == "arn" and len(parts) > 1:
            return parts[1]
    for prefix, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(prefix):
            return partition
    return "aws"


def read(account_id: str = "") -> Facts:
    """Read the rows of one account, or of all, with their active teams. Raises AwsAccount.DoesNotExist."""
    accounts = AwsAccount.objects.order_by("account_id")
    if account_id:
        accounts = accounts.filter(account_id=account_id)
        if not accounts:
            raise AwsAccount.DoesNotExist(f"There is no AWS account {account_id} here.")
    reader = _Reader(account_id)
    applications = _applications(reader)
    return Facts(
        accounts=tuple(map(reader.account, accounts)),
        directories=_directories(account_id, applications),
        remarks=tuple(sorted(reader.remarks)),
    )


class _Reader:
    """Rows of several tables, each read once, and put together account by account."""

    def __init__(self, account_id: str) -> None:
        only = {"domain__account__account_id": account_id} if account_id else {}
        teams = Team.objects.filter(is_active=True, **only)
        self.remarks: set[str] = set()
        self.constants = dict(TagConstant.objects.values_list("name", "value"))
        self.teams: dict[int, list[Team]] = defaultdict(list)
        for team in teams.select_related("domain__account").prefetch_related("tags").order_by("slug"):
            self.teams[team.domain_id].append(team)
        self.mappings: dict[int, list[RoleMapping]] = defaultdict(list)
        for mapping in RoleMapping.objects.filter(team__in=teams).exclude(execution_role_arn="").order_by("pk"):
            self.mappings[mapping.team_id].append(mapping)
        self.groups = _groups(mapping for each in self.mappings.values() for mapping in each)
        self.domains: dict[int, list[Domain]] = defaultdict(list)
        for domain in Domain.objects.order_by("region", "domain_id"):
            self.domains[domain.account_id].append(domain)
        self.found: dict[int, list[str]] = defaultdict(list)
        rows = Profile.objects.filter(managed=False).exclude(arn="").exclude(state=Profile.State.RETIRED)
        for domain_id, arn in rows.order_by("arn").values_list("domain_id", "arn"):
            self.found[domain_id].append(arn)

    def account(self, row: AwsAccount) -> AccountFacts:
        domains = self.domains[row.pk]
        teams = [team for domain in domains for team in self.teams[domain.pk]]
        partition = partition_of(
            row.role_arn, *(team.execution_role_arn for team in teams), region=domains[0].region if domains else ""
        )
        return AccountFacts(
            account_id=row.account_id,
            name=row.name,
            partition=partition,
            role_arn=row.role_arn,
            external_id=row.external_id,
            tag_session=row.session_tags,
            source_identity=row.uses_source_identity,
            domains=tuple(self.domain(domain, partition, row.account_id) for domain in domains),
            roles=self.roles(teams, row.account_id),
        )

    def domain(self, row: Domain, partition: str, account_id: str) -> DomainFacts:
        tags = [_tags(team, self.constants) for team in self.teams[row.pk]]
        return DomainFacts(
            partition=partition,
            account_id=account_id,
            region=row.region,
            domain_id=row.domain_id,
            mints=row.auth_mode == Domain.AuthMode.IAM,
            team_values=tuple(sorted({desired.value_of(each, desired.TEAM) or "" for each in tags})),
            tag_keys=tuple(sorted({key for each in tags for key in each})),
            found_profiles=tuple(self.found[row.pk]),
            assigns=row.assigns_application and row.auth_mode == Domain.AuthMode.SSO,
        )

    def roles(self, teams: Iterable[Team], account_id: str) -> tuple[RoleUse, ...]:
        """Return the roles by which members of these teams may work, templates filled in for the groups on record."""
        users: dict[str, set[str]] = defaultdict(set)
        values: dict[str, set[str]] = defaultdict(set)
        for team in teams:
            for arn in self.arns(team, account_id):
                if faults := role_names.faults(arn, account=account_id):
                    self.remarks.add(f"Team {team.slug}: nobody can work as “{arn}”, so it is left out. {faults[0]}")
                    continue
                users[arn].add(team.slug)
                values[arn].add(desired.value_of(_tags(team, self.constants), desired.TEAM) or "")
        return tuple(RoleUse(arn, tuple(sorted(users[arn])), tuple(sorted(values[arn]))) for arn in sorted(users))

    def arns(self, team: Team, account_id: str) -> set[str]:
        found = {team.execution_role_arn}
        for mapping in self.mappings[team.pk]:
            names = [""]
            if "{group}" in mapping.execution_role_arn:
                names = [str(group) for group in self.groups if _is_about(mapping, group)]
                if not names:
                    self.remarks.add(
                        f"Team {team.slug}: no source has named the group “{mapping.group}” yet, so that the role of "
                        f"its mapping ({mapping.execution_role_arn}) is not known and not in these documents."
                    )
            found |= {
                role_names.expand(mapping.execution_role_arn, account=account_id, team=team.slug, group=name)
                for name in names
            }
        return found


def _groups(mappings: Iterable[RoleMapping]) -> list[Group]:
    """Return the groups on record that these mappings' templates ask for by name."""
    named = {mapping.group for mapping in mappings if "{group}" in mapping.execution_role_arn}
    known = Group.objects.filter(name__in=named) | Group.objects.filter(external_id__in=named)
    return list(known.order_by("pk"))


def _is_about(mapping: RoleMapping, group: Group) -> bool:
    return mapping.source in {"", group.source} and mapping.group in {group.external_id, group.name}


def _tags(team: Team, constants: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a profile of this team, somebody's name as owner; no team of impossible tags has any."""
    try:
        wanted = desired.desired(
            name="",
            username="",
            team_slug=team.slug,
            execution_role_arn="",
            user_settings={},
            team_tags={tag.key: tag.value for tag in team.tags.all()},
            constants=constants,
        )
    except (desired.TooManyTagsError, UnknownTagNameError):
        return {desired.TEAM: team.slug}
    return wanted.tags


def _applications(reader: _Reader) -> list[str]:
    """Return the applications of all domains to which the portal assigns people, as far as AWS has told them."""
    found = []
    rows = Domain.objects.filter(auth_mode=Domain.AuthMode.SSO, assigns_application=True)
    for domain in rows.order_by("region", "domain_id"):
        if domain.application_arn:
            found.append(domain.application_arn)
        else:
            reader.remarks.add(
                f"Domain {domain.domain_id}: AWS has not told its application yet, so that the right to assign people "
                "to it is not in these documents."
            )
    return found


def _directories(account_id: str, applications: list[str]) -> tuple[DirectoryFacts, ...]:
    rows = Directory.objects.filter(is_active=True).select_related("account").order_by("slug")
    if account_id:
        rows = rows.filter(account__account_id=account_id)
    return tuple(_directory(row, applications) for row in rows)


def _directory(row: Directory, applications: list[str]) -> DirectoryFacts:
    role = row.account.role_arn if row.account else ""
    partition = partition_of(role, region=row.region)
    queue = ""
    if row.queue_url:
        account, name = urlsplit(row.queue_url).path.strip("/").split("/")
        queue = f"arn:{partition}:sqs:{region_of(row.queue_url, row.region)}:{account}:{name}"
    return DirectoryFacts(
        slug=row.slug,
        partition=partition,
        store_id=row.identity_store_id,
        account_id=row.account.account_id if row.account else "",
        role_arn=role,
        queue_arn=queue,
        # An application is in the account of its Identity Center instance; where the portal has no role, nobody knows.
        applications=tuple(
            arn for arn in applications if row.account is None or arn.split(":")[4] == row.account.account_id
        ),
    )
