"""What a person has in a domain at this moment, read from AWS while an admin waits: what a deletion would take away."""

import time
from dataclasses import dataclass

from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError
from provisioning.aws.studio import App, Space, Studio
from provisioning.database import give_back_connection
from provisioning.models import Profile

# An admin's page waits for no more than this, give or take one call.
SECONDS = 8.0


@dataclass(frozen=True)
class Inventory:
    """Apps that are not over and spaces of one profile; `fault` says why it is not all there is, empty if it is."""

    apps: tuple[App, ...] = ()
    spaces: tuple[Space, ...] = ()
    fault: str = ""


def take(profile: Profile, *, seconds: float = SECONDS) -> Inventory:
    """Read what AWS has of this profile, for at most `seconds`. Raises nothing of AWS: a failure is in `fault`."""
    account = profile.domain.account
    studio = Studio(Account.of(account), profile.domain.region, "launch")
    apps: list[App] = []
    spaces: list[Space] = []
    fault = ""
    give_back_connection()
    try:
        _read(studio, profile, apps, spaces, until=time.monotonic() + seconds)
    except TimeoutError:
        fault = f"AWS did not tell all of it within {seconds:.0f} seconds."
    except AwsError as error:
        fault = error.message
    return Inventory(tuple(apps), tuple(spaces), fault)


def _read(studio: Studio, profile: Profile, apps: list[App], spaces: list[Space], *, until: float) -> None:
    domain_id, name = profile.domain.domain_id, profile.name
    for space in studio.list_spaces(domain_id):
        _look_at_the_clock(until)
        if space.owner.lower() == name.lower():
            spaces.append(space)
    lists = [studio.list_apps(domain_id, profile=name)]
    lists += [studio.list_apps(domain_id, space=space.name) for space in spaces]
    for each in lists:
        _look_at_the_clock(until)
        apps += [app for app in each if app.status not in {"Deleted", "Failed"} and app not in apps]


def _look_at_the_clock(until: float) -> None:
    if time.monotonic() > until:
        raise TimeoutError
