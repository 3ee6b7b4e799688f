"""The checks. Each asks AWS a few questions, changes nothing, and raises nothing of AWS."""

import time
from collections.abc import Iterator

from provisioning import desired, sso_domains
from provisioning.aws import preflight as aws
from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError, Denied, NotFound
from provisioning.aws.preflight import Caller, DomainDescription, RoleDescription
from provisioning.policies.facts import RoleUse
from provisioning.preflight.plan import AccountPlan, DirectoryPlan, DomainPlan, Refusal, RolePlan
from provisioning.preflight.results import Level, Result, Subject, said

PORTAL = "The portal itself"
DIRECTORIES = "Directories"
# A user whom no Identity Center instance has.
NOBODY = "00000000-0000-0000-0000-000000000000"
# As many as an admin waits for: ten thousand profiles.
MAX_PAGES = 100
# So few profiles, or such a share, left of the quota are worth a warning.
FEW = 10
FEW_SHARE = 0.05


def check_portal(region: str) -> tuple[list[Result], Caller | None]:
    """Say as whom AWS knows the portal, None where it does not."""
    subject = Subject(PORTAL, "Credentials")
    try:
        found = aws.caller(Account(), region)
    except AwsError as error:
        return [subject.refused(error, action="sts:GetCallerIdentity")], None
    return [subject.ok(f"AWS knows the portal as {found.arn}.", found.request_id)], found


def check_account(plan: AccountPlan, own: Caller | None) -> list[Result]:
    """Say whether the portal gets into an account."""
    if not plan.account.role_arn:
        return [_own_account(plan, own)]
    subject = Subject(plan.group, "Portal role")
    role, external_id = plan.account.role_arn, plan.account.external_id
    if own is None:
        return [subject.fail("It could not be tried: AWS does not know the portal.")]
    try:
        found = aws.assume(role, plan.region, external_id=external_id)
    except Denied as error:
        asks = "asks for another external id than the account has here" if external_id else "asks for an external id"
        line = (
            f"{role} cannot be assumed: it is not there, its trust policy does not name {own.arn} or {asks}, or the "
            "portal's own policy lacks sts:AssumeRole for it."
        )
        return [subject.fail(line, error.request_id)]
    except AwsError as error:
        return [subject.refused(error, action="sts:AssumeRole")]
    if found.account_id != plan.account_id:
        line = f"The role leads into the account {found.account_id or '(none)'}, not into {plan.account_id}."
        return [subject.fail(line, found.request_id)]
    good = subject.ok(f"{role} can be assumed.", found.request_id)
    return [good, *([_asks_for_external_id(plan)] if external_id else [])]


def _own_account(plan: AccountPlan, own: Caller | None) -> Result:
    subject = Subject(plan.group, "Credentials")
    if own is None:
        return subject.fail("The portal's own credentials are used here, and they do not work.")
    if own.account_id != plan.account_id:
        return subject.fail(
            f"The portal's own credentials belong to the account {own.account_id}: give this one a portal role."
        )
    return subject.ok("The portal's own credentials belong to this account.")


def _asks_for_external_id(plan: AccountPlan) -> Result:
    """Return whether the role is safe from those who know its name only."""
    subject = Subject(plan.group, "External id")
    try:
        found = aws.assume(plan.account.role_arn, plan.region)
    except Denied as error:
        return subject.ok("The role cannot be assumed without it.", error.request_id)
    except AwsError as error:
        return subject.unknown(f"Nobody knows whether the role asks for it. {said(error)}", error.request_id)
    line = "The role can be assumed without it: its trust policy lacks the condition on sts:ExternalId."
    return subject.warn(line, found.request_id)


def check_domain(plan: AccountPlan, domain: DomainPlan) -> list[Result]:
    """Say whether a domain is there, in service, and as its row has it."""
    facts = domain.facts
    subject = Subject(plan.group, f"Domain {facts.domain_id} in {facts.region}")
    try:
        found = aws.describe_domain(plan.account, facts.region, facts.domain_id)
    except AwsError as error:
        absent = f"There is no such domain in {facts.region} of this account."
        return [subject.refused(error, action="sagemaker:DescribeDomain", absent=absent)]
    faults = list(_domain_faults(subject, domain, found))
    told = faults or [subject.ok(f"In service, authentication mode {found.auth_mode}.", found.request_id)]
    return told + ([_entrance(plan, domain, found)] if domain.auth_mode == found.auth_mode == "SSO" else [])


def _entrance(plan: AccountPlan, domain: DomainPlan, found: DomainDescription) -> Result:
    """Return whether people can enter a domain in SSO mode."""
    subject = Subject(plan.group, f"Entrance of {domain.facts.domain_id}")
    if not sso_domains.is_safe(found.url):
        return subject.fail("AWS tells no https address of this domain, so that nobody can enter.", found.request_id)
    if domain.assigns and not found.application_arn:
        return subject.fail("AWS tells no application to which people could be assigned.", found.request_id)
    who = "the portal assigns people" if domain.assigns else "somebody else assigns people to its application"
    return subject.ok(f"People enter at {found.url}; {who}.", found.request_id)


def _domain_faults(subject: Subject, domain: DomainPlan, found: DomainDescription) -> Iterator[Result]:
    if found.status == "Update_Failed":
        yield subject.warn(f"Its last update failed. {found.failure_reason}".strip(), found.request_id)
    elif found.status != "InService":
        yield subject.fail(f"Its status is {found.status}. {found.failure_reason}".strip(), found.request_id)
    if found.auth_mode != domain.auth_mode:
        yield subject.fail(
            f"Its authentication mode is {found.auth_mode}; here it is set to {domain.auth_mode}.", found.request_id
        )
    if found.network == "VpcOnly" and not found.security_groups and domain.bare_teams:
        yield subject.warn(
            "It is VpcOnly, and neither its default settings nor those of these teams have security groups: "
            f"{', '.join(domain.bare_teams)}.",
            found.request_id,
        )
    if not found.execution_role_arn:
        yield subject.warn("Its default settings have no execution role.", found.request_id)


def check_profiles(plan: AccountPlan, region: str) -> list[Result]:
    """Say whether profiles can be listed, and how many more the quota allows."""
    subject = Subject(plan.group, f"Profiles in {region}")
    try:
        count = aws.count_profiles(plan.account, region, pages=MAX_PAGES)
    except AwsError as error:
        return [subject.refused(error, action="sagemaker:ListUserProfiles")]
    used = f"{'' if count.complete else 'at least '}{count.number}"
    try:
        quota = aws.profile_quota(plan.account, region)
    except AwsError as error:
        line = f"There are {used}; how many there may be is not known (servicequotas:GetServiceQuota). {said(error)}"
        return [subject.unknown(line, error.request_id)]
    left = quota - count.number
    line = f"There are {used} of {quota}, the quota of the account ({aws.PROFILE_QUOTA})."
    if left <= 0:
        return [subject.fail(f"No more profiles can be made. {line}", count.request_id)]
    if left <= max(FEW, quota * FEW_SHARE):
        return [subject.warn(f"Only {left} more profiles can be made. {line}", count.request_id)]
    return [subject.ok(line, count.request_id)]


def check_roles(plan: AccountPlan, *, until: float) -> list[Result]:
    """Say what AWS tells of the execution roles, one after the other until the monotonic clock says `until`.

    Whether a role may be passed cannot be tried without passing it: what counts is what happened last.
    """
    results = [_passing(plan, role.use, role.refusal) for role in plan.roles if role.refusal]
    for number, role in enumerate(plan.roles):
        rest = Subject(plan.group, f"Execution roles ({len(plan.roles) - number})")
        if time.monotonic() > until:
            return [*results, rest.unknown("They were not looked at: the time was up.")]
        subject = Subject(plan.group, f"Execution role {role.use.name}")
        try:
            results.append(_role(subject, role, aws.describe_role(plan.account, plan.region, role.use.arn)))
        except Denied as error:
            line = f"The portal may not look at them (iam:GetRole), and does not need to. {said(error)}"
            return [*results, rest.unknown(line, error.request_id)]
        except NotFound as error:
            results.append(subject.fail(f"There is no role {role.use.arn} in this account.", error.request_id))
        except AwsError as error:
            results.append(subject.unknown(f"iam:GetRole failed. {said(error)}", error.request_id))
    return results


def _passing(plan: AccountPlan, role: RoleUse, refusal: Refusal) -> Result:
    subject = Subject(plan.group, f"Execution role {role.name}")
    who = plan.account.role_arn or "the portal's own role"
    line = f"iam:PassRole for {role.arn} is missing in the policies of {who}: refused for {refusal.profile}."
    return subject.fail(line, refusal.request_id)


def _role(subject: Subject, role: RolePlan, found: RoleDescription) -> Result:
    if found.arn != role.use.arn:
        return subject.fail(f"The role of this name has another path: {found.arn}.", found.request_id)
    if not found.trusts_sagemaker:
        return subject.fail(f"Its trust policy does not let {aws.SAGEMAKER} assume it.", found.request_id)
    value = desired.value_of(found.tags, desired.TEAM)
    if len(role.use.tag_values) == 1 and value != role.use.tag_values[0]:
        wanted = f"{desired.TEAM}={role.use.tag_values[0]}"
        has = "no such tag" if value is None else f"{desired.TEAM}={value}"
        return subject.warn(f"It should have the tag {wanted} and has {has}; the guard goes by it.", found.request_id)
    return subject.ok("SageMaker may assume it.", found.request_id)


def check_directory(plan: DirectoryPlan) -> list[Result]:
    """Say whether a directory and its queue can be read."""
    subject = Subject(DIRECTORIES, f"Directory {plan.slug}")
    try:
        plan.store.groups_page()
        results = [subject.ok("Its groups can be listed.")]
    except AwsError as error:
        absent = f"There is no identity store {plan.store.store_id} in {plan.store.region}."
        results = [subject.refused(error, action="identitystore:ListGroups", absent=absent)]
    if plan.queue:
        subject = Subject(DIRECTORIES, f"Queue of {plan.slug}")
        try:
            results.append(subject.ok(f"It can be looked at; {plan.queue.waiting()} messages are in it."))
        except AwsError as error:
            absent = f"There is no queue {plan.queue.url}."
            results.append(subject.refused(error, action="sqs:GetQueueAttributes", absent=absent))
    return results + [_assigning(plan, application) for application in plan.applications]


def _assigning(plan: DirectoryPlan, application: str) -> Result:
    """Return whether assignments to an application can be looked at; the portal changes none to find out."""
    subject = Subject(DIRECTORIES, f"Application {application.rpartition('/')[2]} of {plan.slug}")
    try:
        plan.assignments.exists(application, NOBODY)
    except AwsError as error:
        return subject.refused(error, action="sso:DescribeApplicationAssignment")
    return subject.ok("Assignments to it can be looked at; whether they can be made shows with the first one.")


def is_open(results: list[Result]) -> bool:
    """Whether the portal gets into the account of which these results tell."""
    return all(result.level != Level.FAIL for result in results)
