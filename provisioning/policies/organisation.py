"""Nobody but the portal opens Studio: a service control policy. Pure."""

from collections.abc import Iterable

from provisioning.policies import document, statements
from provisioning.policies.document import Document
from provisioning.policies.facts import AccountFacts
from provisioning.policies.options import Options
from provisioning.policies.statements import Statement, deny

# The right to change and delete a profile hangs on its tags, so that these are the portal's too.
_ACTIONS = (
    *("sagemaker:AddTags", "sagemaker:CreatePresignedDomainUrl", "sagemaker:CreateUserProfile"),
    *("sagemaker:DeleteTags", "sagemaker:UpdateUserProfile"),
)
_NOTE = (
    "It has no effect in the organisation's management account. It speaks of the domains that the portal knows only, "
    "so that it may be attached to the root as well as to the accounts. Attach it to one account first: whoever opened "
    "Studio from the console cannot any more."
)


def documents(accounts: Iterable[AccountFacts], options: Options) -> list[Document]:
    """Return the service control policy of these accounts; those without a known portal role are not in it."""
    given = [_statement(account, options) for account in covered(accounts, options)]
    return document.divided(
        "service-control-policy",
        "Service control policy: only the portal opens Studio",
        given,
        account_id="",
        attach_to="the accounts, in AWS Organizations",
        limit=statements.SERVICE_CONTROL,
        notes=(_NOTE,),
    )


def covered(accounts: Iterable[AccountFacts], options: Options) -> list[AccountFacts]:
    """Return the accounts that have domains and of which is known as whom the portal comes."""
    return [each for each in accounts if each.domains and (each.role_arn or options.portal_principal)]


def _statement(account: AccountFacts, options: Options) -> Statement:
    door = account.role_arn or options.portal_principal
    profiles = [domain.arn("user-profile", "/*") for domain in account.domains]
    # Of a session, `aws:PrincipalArn` is the ARN of its role.
    return deny(f"OnlyThePortal{account.account_id}", _ACTIONS, profiles, {"ArnNotEquals": {"aws:PrincipalArn": door}})
