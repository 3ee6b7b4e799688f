"""What is to be checked, from the rows; nothing of it is read again once AWS is asked."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from provisioning.aws.assignments import Assignments
from provisioning.aws.client import Account
from provisioning.aws.identity import IdentityStore
from provisioning.aws.sqs import Queue, region_of
from provisioning.directory import stores
from provisioning.models import Directory, Profile
from provisioning.policies import facts
from provisioning.policies.facts import AccountFacts, DomainFacts, RoleUse
from teams.models import Team

# Where neither a row nor the environment names a Region: STS and IAM answer anywhere.
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True)
class Refusal:
    """The last time that AWS refused to pass a role, which no success has followed since."""

    profile: str
    request_id: str


@dataclass(frozen=True)
class DomainPlan:
    """A domain as the row has it; `bare_teams` bring no security groups of their own.

    `assigns`: the portal assigns its people to the domain's application.
    """

    facts: DomainFacts
    bare_teams: tuple[str, ...]
    assigns: bool = False

    @property
    def auth_mode(self) -> str:
        """The authentication mode that the row says."""
        return "IAM" if self.facts.mints else "SSO"


@dataclass(frozen=True)
class RolePlan:
    """An execution role, and whether AWS refused to pass it."""

    use: RoleUse
    refusal: Refusal | None


@dataclass(frozen=True)
class AccountPlan:
    """An account, how to get in, and what is in it; `region` is one of its Regions."""

    name: str
    account_id: str
    account: Account
    region: str
    domains: tuple[DomainPlan, ...]
    roles: tuple[RolePlan, ...]

    @property
    def group(self) -> str:
        """The heading of its results."""
        return f"{self.name} ({self.account_id})"

    @property
    def regions(self) -> list[str]:
        """The Regions of its domains."""
        return sorted({domain.facts.region for domain in self.domains})


@dataclass(frozen=True)
class DirectoryPlan:
    """A directory, its queue, where it has one, and the assignments in its Identity Center instance."""

    slug: str
    store: IdentityStore
    queue: Queue | None
    assignments: Assignments
    # Of domains in SSO mode to which the portal assigns people.
    applications: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything that is checked; `remarks` are what the rows alone say is wrong."""

    region: str
    accounts: tuple[AccountPlan, ...]
    directories: tuple[DirectoryPlan, ...]
    remarks: tuple[str, ...]


def read() -> Plan:
    """Read the rows."""
    found = facts.read()
    bare, refusals = _bare_teams(), _refusals()
    applications = {each.slug: each.applications for each in found.directories}
    rows = Directory.objects.filter(is_active=True).select_related("account")
    directories = tuple(_directory(row, applications.get(row.slug, ())) for row in rows)
    regions = [domain.region for account in found.accounts for domain in account.domains]
    regions += [directory.store.region for directory in directories]
    region = next(iter(regions), settings.AWS_REGION or DEFAULT_REGION)
    accounts = tuple(_account(each, region, bare, refusals) for each in found.accounts)
    return Plan(region, accounts, directories, found.remarks)


def _account(
    row: AccountFacts, region: str, bare: dict[tuple[str, str], list[str]], refusals: list[tuple[str, Refusal]]
) -> AccountPlan:
    return AccountPlan(
        name=row.name,
        account_id=row.account_id,
        account=Account(row.role_arn, row.external_id),
        region=row.domains[0].region if row.domains else region,
        domains=tuple(DomainPlan(each, tuple(bare[each.region, each.domain_id]), each.assigns) for each in row.domains),
        roles=tuple(RolePlan(use, _refusal(use.arn, refusals)) for use in row.roles),
    )


def _bare_teams() -> dict[tuple[str, str], list[str]]:
    """Return the teams whose UserSettings have no security groups, by their domain."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    teams = Team.objects.filter(is_active=True).order_by("slug").select_related("domain")
    for team in teams:
        if not (team.user_settings or {}).get("SecurityGroups"):
            found[team.domain.region, team.domain.domain_id].append(team.slug)
    return found


def _refusals() -> list[tuple[str, Refusal]]:
    """Return AWS's refusals to pass a role with their words, newest first; a success empties the column."""
    rows = Profile.objects.filter(error__contains="iam:PassRole").order_by("-changed_at", "pk")
    return [
        (error, Refusal(name, request_id))
        for error, name, request_id in rows.values_list("error", "name", "aws_request_id")
    ]


def _refusal(arn: str, refusals: Iterable[tuple[str, Refusal]]) -> Refusal | None:
    # Followed by something else than the rest of a longer name.
    return next((refusal for words, refusal in refusals if f"{arn} " in f"{words} "), None)


def _directory(row: Directory, applications: tuple[str, ...]) -> DirectoryPlan:
    queue = None
    if row.queue_url:
        queue = Queue(stores.account_of(row), region_of(row.queue_url, row.region), row.queue_url)
    assignments = Assignments(stores.account_of(row), row.region)
    return DirectoryPlan(row.slug, stores.store_of(row), queue, assignments, applications)
