"""Rows for tests, with sensible defaults; every default can be overridden by keyword."""

from itertools import count
from typing import Any

from teams.models import AwsAccount, Domain, RoleMapping, Team, User

_numbers = count(1)


def make_user(subject: str | None = None, **fields: Any) -> User:
    """Create a person of the default realm: `user1`, `user2`, …"""
    number = next(_numbers)
    subject = subject if subject is not None else f"user{number}"
    realm = fields.setdefault("realm", "default")
    defaults = {
        "username": User.username_for(realm, subject),
        "name": f"User {number}",
        "email": f"user{number}@example.com",
    }
    return User.objects.create(subject=subject, **defaults | fields)


def make_account(**fields: Any) -> AwsAccount:
    """Create an AWS account whose portal role is the process's own credentials."""
    number = next(_numbers)
    defaults = {"account_id": f"{111111110000 + number:012d}", "name": f"Account {number}"}
    return AwsAccount.objects.create(**defaults | fields)


def make_domain(account: AwsAccount | None = None, **fields: Any) -> Domain:
    """Create an IAM domain in eu-west-1, in an account of its own unless one is given."""
    number = next(_numbers)
    defaults = {"region": "eu-west-1", "domain_id": f"d-test{number:08d}", "name": f"Domain {number}"}
    return Domain.objects.create(account=account or make_account(), **defaults | fields)


def make_team(slug: str | None = None, *, domain: Domain | None = None, **fields: Any) -> Team:
    """Create an active team whose SAML id is `<slug>-id` and whose role is in the account of its domain."""
    slug = slug or f"team{next(_numbers)}"
    domain = domain or make_domain()
    defaults = {
        "saml_id": f"{slug}-id",
        "name": slug.replace("-", " ").title(),
        "execution_role_arn": role_arn(domain, f"{slug}-role"),
    }
    return Team.objects.create(slug=slug, domain=domain, **defaults | fields)


def make_mapping(group: str, team: Team, *, role: str = "", **fields: Any) -> RoleMapping:
    """Create a mapping from a group's name or id to a team, with the execution role called `role` where one is given.

    Memberships do not follow by themselves; call `teams.memberships.remap`.
    """
    if role:
        fields.setdefault("execution_role_arn", role_arn(team.domain, role))
    return RoleMapping.objects.create(group=group, team=team, **fields)


def role_arn(domain: Domain, name: str) -> str:
    """Return the ARN of a role called `name` in the account of `domain`."""
    return f"arn:aws:iam::{domain.account.account_id}:role/{name}"
