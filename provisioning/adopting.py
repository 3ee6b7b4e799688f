"""What AWS has of profiles that an admin thinks of adopting, read while the admin waits."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from provisioning import forms, found, permissions
from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError
from provisioning.aws.studio import ProfileDescription, Studio
from provisioning.database import give_back_connection
from provisioning.desired import DesiredProfile, TooManyTagsError
from provisioning.models import Profile
from teams import access
from teams.tag_templates import UnknownTagNameError

# An admin's page waits for no more than this, give or take two calls.
SECONDS = 8.0


@dataclass(frozen=True)
class Seen:
    """A profile as AWS has it: `fault` says why that is not known, `against` which tag gives it to somebody else."""

    profile: Profile
    status: str = ""
    execution_role_arn: str = ""
    wanted_role_arn: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    against: str = ""
    fault: str = ""


def look(profiles: Iterable[Profile], *, seconds: float = SECONDS) -> list[Seen]:
    """Look at profiles whose `user`, `team` and `domain__account` are loaded, for at most `seconds`.

    Raises nothing of AWS: a failure is in `fault`.
    """
    until = time.monotonic() + seconds
    seen = []
    for profile in profiles:
        if time.monotonic() > until:
            seen.append(Seen(profile, fault="AWS took too long; select fewer profiles."))
        else:
            seen.append(_look(profile))
    return seen


def _look(profile: Profile) -> Seen:
    role = access.role_for(profile.user_id, profile.team_id)
    if role is None:
        return Seen(profile, fault="Nobody has access by it at the moment.")
    try:
        wanted = forms.wanted(profile, role)
        description, tags = _ask(profile)
    except (TooManyTagsError, UnknownTagNameError) as error:
        return Seen(profile, fault=str(error))
    except AwsError as error:
        return Seen(profile, fault=permissions.explain(error.message))
    return _seen(profile, wanted, description, tags)


def _ask(profile: Profile) -> tuple[ProfileDescription, dict[str, str]]:
    studio = Studio(Account.of(profile.domain.account), profile.domain.region, "launch")
    give_back_connection()
    description = studio.describe_profile(profile.domain.domain_id, profile.name)
    return description, studio.list_tags(description.arn)


def _seen(profile: Profile, wanted: DesiredProfile, description: ProfileDescription, tags: dict[str, str]) -> Seen:
    return Seen(
        profile,
        status=description.status,
        execution_role_arn=description.execution_role_arn,
        wanted_role_arn=wanted.execution_role_arn,
        tags=dict(sorted(tags.items())),
        against=found.belongs_to_another(tags, wanted) or "",
    )
