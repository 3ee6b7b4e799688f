"""A domain in SSO mode with one team and one person, whom a directory knows and the portal assigns."""

from portal.demo.aws.seed import IDENTITY_STORE, directory_id
from portal.demo.aws.server import Handle
from provisioning import profiles, sso_domains
from provisioning.models import Directory, DirectoryPerson
from teams.models import AuditEvent, Domain, Membership, Team, User
from tests.factories import make_account, make_domain, make_team, make_user
from tests.provisioning.test_retire import Studios

DOMAIN = "d-singlesignon"
PRINCIPAL = directory_id("user1")


class SingleSignOn(Studios):
    """As `Studios`, in SSO mode."""

    @property
    def domain(self) -> Domain:
        return Domain.objects.select_related("account").get(domain_id=DOMAIN)

    @property
    def assigned(self) -> list[str]:
        """Whom the stand-in has assigned to the domain's application."""
        return self.aws.state.domains[DOMAIN].assigned

    @property
    def stage(self) -> str:
        """How far the row says that the assignment is."""
        return str(self.profile.assigned_to.get("stage", ""))

    def look(self) -> None:
        """Have the portal know what AWS says of the domain."""
        sso_domains.look(self.domain)

    def data_of(self, action: str) -> AuditEvent:
        """The last line of the log about this."""
        return AuditEvent.objects.filter(action=action).latest("id")


def single_sign_on(aws: Handle, *, assigns: bool = True) -> SingleSignOn:
    """Make the rows here and what belongs to them in AWS."""
    account = make_account(account_id=aws.state.home_account)
    domain = make_domain(account, domain_id=DOMAIN, auth_mode="SSO", assigns_application=assigns)
    in_aws = aws.state.add_domain(DOMAIN, account_id=account.account_id, auth_mode="SSO")
    in_aws.sso_users = ["user1", "user2"]
    team = make_team("team1", domain=domain)
    user = make_user("user1")
    directory = make_directory()
    DirectoryPerson.objects.create(directory=directory, external_id=PRINCIPAL, subject="user1")
    Membership.objects.create(user=user, team=team, source="saml")
    profiles.prepare([user.pk])
    return SingleSignOn(aws, team, user)


def make_directory(**fields: object) -> Directory:
    """Make the row of the stand-in's directory, which knows people by their user names."""
    defaults = {
        "name": "Company", "slug": "company", "identity_store_id": IDENTITY_STORE, "region": "eu-west-1",
        "subject_attribute": Directory.Subject.USER_NAME,
    }  # fmt: skip
    return Directory.objects.create(**defaults | fields)


def join(world: SingleSignOn, user: User, team: Team) -> None:
    """Put somebody into a team, with the row of the profile."""
    Membership.objects.create(user=user, team=team, source="saml")
    profiles.prepare([user.pk])
