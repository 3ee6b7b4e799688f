"""What a person has in a domain at this moment, read from AWS while an admin waits: what a deletion would take away."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from provisioning.aws.client import Account
from provisioning.aws.errors import AwsError
from provisioning.aws.studio import App, Space, Studio
from provisioning.database import give_back_connection
from provisioning.models import Profile

HEADINGS = ("what", "name", "space", "type", "status", "instance", "volume (GB)", "made", "when the profile is deleted")
SHARED = "Shared"
# An admin's page waits for no more than this, give or take one call.
SECONDS = 8.0


@dataclass(frozen=True)
class Inventory:
    """Apps that are not over and spaces of one profile; `fault` says why it is not all there is, empty if it is."""

    apps: tuple[App, ...] = ()
    spaces: tuple[Space, ...] = ()
    fault: str = ""

    @property
    def volume_gb(self) -> int:
        """GB in the volumes of the spaces that a deletion takes away, as far as AWS tells their sizes."""
        return sum(space.volume_gb or 0 for space in self.spaces if space.sharing != SHARED)


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


def lines(profile: Profile, found: Inventory) -> Iterator[Sequence[str]]:
    """Yield what a deletion of this profile takes away and what it leaves, one line each, in the order of `HEADINGS`.

    The last line says so where it is not all.
    """
    yield (
        "profile",
        profile.name,
        "",
        "",
        profile.get_state_display(),
        "",
        "",
        "",
        "is deleted with its home directory",
    )
    for app in found.apps:
        yield (
            *("app", app.name, app.space, app.app_type, app.status, app.instance_type, "", _moment(app.created)),
            "is stopped",
        )
    for space in found.spaces:
        stays = space.sharing == SHARED
        size = "" if space.volume_gb is None else str(space.volume_gb)
        yield (
            *("space", space.name, "", space.app_type, space.status, "", size, _moment(space.created)),
            "stays, and keeps the profile" if stays else "is deleted with its files",
        )
    if found.fault:
        yield ("not all", found.fault, *[""] * 7)


def _moment(moment: datetime | None) -> str:
    return timezone.localtime(moment).isoformat(timespec="seconds") if moment else ""


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
