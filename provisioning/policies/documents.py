"""All documents, in an order that is always the same, and what is missing for others. Pure."""

from collections import Counter
from dataclasses import dataclass

from provisioning.policies import cloudformation, directories, execution_role, organisation, portal_role, statements
from provisioning.policies.cloudformation import Template
from provisioning.policies.document import Document
from provisioning.policies.facts import Facts
from provisioning.policies.options import Options


@dataclass(frozen=True)
class Everything:
    """The policies, the same as CloudFormation templates, and sentences about what is missing."""

    documents: tuple[Document, ...]
    templates: tuple[Template, ...]
    remarks: tuple[str, ...]


# IAM's managed policies on one role, unless the quota is raised; bytes of a template that is pasted.
MAX_POLICIES = 10
MAX_TEMPLATE = 51_200


def everything(facts: Facts, options: Options) -> Everything:
    """Return every document that these rows and options give."""
    made: list[Document] = []
    for account in facts.accounts:
        made += portal_role.documents(account, options.meeting(account))
        made += execution_role.documents(account, options.meeting(account))
    made += portal_role.principal_policy(facts.accounts, options.meeting(*facts.accounts))
    made += directories.documents(facts.directories)
    made += organisation.documents(facts.accounts, options)
    templates = cloudformation.templates(facts, options)
    remarks = [*_remarks(facts, options), *_too_much(made, templates)]
    return Everything(tuple(made), tuple(templates), tuple(remarks))


def _remarks(facts: Facts, options: Options) -> list[str]:
    found = list(facts.remarks)
    for account in facts.accounts:
        found += filter(None, map(execution_role.shared, account.roles))
        if not account.role_arn and account.domains and not options.portal_principal:
            found.append(
                f"{account.name} ({account.account_id}) is reached with the portal's own credentials: say who the "
                "portal is, and the service control policy has the account too."
            )
    if not options.portal_principal and any(account.role_arn for account in facts.accounts):
        found.append("Say who the portal is, and the trust policies of the portal roles are written too.")
    return found


def _too_much(made: list[Document], templates: list[Template]) -> list[str]:
    found = [
        f"{each.title}: {each.size} characters, {each.limit} are allowed, and it cannot be divided further."
        for each in made
        if not each.fits
    ]
    roles = Counter(each.attach_to for each in made if each.limit == statements.MANAGED)
    found += [
        f"{number} policies for {where}: more than {MAX_POLICIES} need a higher quota of managed policies per role."
        for where, number in roles.items()
        if number > MAX_POLICIES
    ]
    found += [
        f"{each.title} has more than {MAX_TEMPLATE} bytes: CloudFormation takes it from S3 only."
        for each in templates
        if len(each.text.encode()) > MAX_TEMPLATE
    ]
    return found
