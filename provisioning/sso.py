"""What is different about a profile in a domain in SSO mode: whose it is there, one for each person, and who may enter.

`ensure` asks at a claimed row: before anything is done, what AWS says of whose profile it is, and before it is ready.
"""

from django.db import IntegrityError

from provisioning import sso_assignments, sso_domains, sso_people
from provisioning.aws.errors import AwsError, Invalid, NotFound
from provisioning.aws.studio import ProfileDescription
from provisioning.models import Profile
from provisioning.rows import PARKED, Next, Row, State
from provisioning.sso_people import UnknownPersonError
from teams import access, single_sign_on
from teams.models import Domain

SSO = Domain.AuthMode.SSO
# AWS says so often that a name is taken which it does not find: then it is the person who is taken.
TAKEN_AFTER = 4
# The errors of profiles in whose way another one is, and not one of the same name.
HAS_ANOTHER, SOMEBODY_ELSES = "SsoUserTaken", "AnotherPerson"
CONFLICTS = frozenset({HAS_ANOTHER, SOMEBODY_ELSES})


def before(row: Row) -> Next | None:
    """Say what stands against working at a profile of this domain, and settle for whom it is; None to go on.

    Raises ClaimLost and what `aws.errors` names.
    """
    profile, domain = row.profile, row.profile.domain
    if domain.auth_mode != SSO:
        wrong = sso_domains.mismatch(domain)
        return row.park(sso_domains.WRONG_MODE, wrong) if wrong else None
    if fault := single_sign_on.second_team(profile.team):
        return row.park("SecondTeam", fault, after=PARKED)
    if not domain.real_auth_mode:
        try:
            sso_domains.look(domain)
        except NotFound as error:
            message = f"AWS has no domain {domain.domain_id} in {domain.region}. {error.message}"
            return row.park("DomainNotFound", message, after=PARKED, request_id=error.request_id)
    if wrong := sso_domains.mismatch(domain):
        return row.park(sso_domains.WRONG_MODE, wrong)
    # Once AWS may have been asked to make it, the profile stays whose it is.
    if profile.sso_user and (profile.arn or profile.state == State.CREATING):
        return None
    return _settle_user(row)


def _settle_user(row: Row) -> Next | None:
    profile = row.profile
    try:
        name = sso_people.user_name(profile.user, profile.domain)
    except UnknownPersonError as error:
        return row.park("UnknownSsoUser", str(error), after=PARKED)
    if name == profile.sso_user:
        return None
    if rival := _rival(profile, name):
        return _has_another(row, name, rival)
    try:
        row.mark(sso_user=name)
    except IntegrityError:
        # Somebody was faster.
        return _has_another(row, name, _rival(profile, name))
    return None


def _rival(profile: Profile, name: str) -> Profile | None:
    """Return another profile of this user of IAM Identity Center in the domain that AWS has, or may have."""
    rows = Profile.objects.filter(domain=profile.domain_id, sso_user__iexact=name).exclude(pk=profile.pk)
    return rows.select_related("team").first()


def _has_another(row: Row, name: str, rival: Profile | None) -> Next:
    which = f"{rival.name} of the team {rival.team.name}" if rival else "another one"
    return row.park(
        HAS_ANOTHER,
        f"“{name}” has the profile {which} in this domain already, and IAM Identity Center has one profile for each "
        "person and domain. It is made once that one is deleted.",
        state=State.CONFLICT,
        after=PARKED,
    )


def leave(row: Row) -> Next | None:
    """Take away the assignment in a domain that the team has left; None when there is none any more."""
    if not sso_assignments.is_kept(row.profile):
        return None
    if error := sso_assignments.take_away(row, lambda: None):
        return row.failed(error, parked=State.FAILED)
    return None


def somebody_elses(row: Row, found: ProfileDescription) -> Next | None:
    """Park a profile that AWS has for somebody else in IAM Identity Center; None when it is the person's own."""
    profile = row.profile
    if profile.domain.auth_mode != SSO or found.sso_user.casefold() == profile.sso_user.casefold():
        return None
    if found.status in {"Pending", "Deleting"} and not found.sso_user:
        return None
    recorded = profile.managed and bool(found.arn) and profile.arn == found.arn
    return row.park(
        SOMEBODY_ELSES,
        f"The profile belongs to another person: to “{found.sso_user or '(nobody)'}” in IAM Identity Center, not to "
        f"“{profile.sso_user}”.",
        state=State.CONFLICT,
        request_id=found.request_id,
        managed=recorded,
        # With the next try, whose it is is settled anew: the user may have another name by now.
        arn="",
        execution_role_arn=found.execution_role_arn,
    )


def refused(row: Row, error: Invalid | NotFound) -> Next:
    """Park a profile that AWS does not make for a user whom, most likely, IAM Identity Center does not know."""
    profile = row.profile
    message = (
        f"AWS makes no profile for “{profile.sso_user}” in {profile.domain.domain_id}. {error.message} If nobody in "
        "IAM Identity Center has this user name, add them there or change “user name in IAM Identity Center” on the "
        "domain's page."
    )
    return row.park(error.code, message, after=PARKED, request_id=error.request_id)


def is_taken(profile: Profile) -> bool:
    """Whether AWS has said often enough that something is in use which it does not find under the profile's name."""
    return bool(profile.sso_user) and profile.attempts >= TAKEN_AFTER


def taken(row: Row, error: AwsError) -> Next:
    """Park a profile whose person has another one in AWS, under a name that nobody here knows."""
    return row.park(
        HAS_ANOTHER,
        f"AWS says that a profile is there already, and finds none of this name: “{row.profile.sso_user}” has another "
        f"one in this domain. Delete it in the SageMaker console if nobody needs it. {error.message}",
        state=State.CONFLICT,
        request_id=error.request_id,
    )


def is_guarded(profile: Profile) -> bool:
    """Whether the person has to be assigned before the profile is ready."""
    return profile.domain.auth_mode == SSO and profile.domain.assigns_application


def admit(row: Row) -> Next | None:
    """Let the person of a profile that is in service enter; None when it is ready.

    Raises ClaimLost.
    """
    if not is_guarded(row.profile):
        return None
    if access.role_for(row.profile.user_id, row.profile.team_id) is None:
        # It has ended just now; the row goes to `retire`.
        return row.release(due_at=None)
    return sso_assignments.settle(row)
