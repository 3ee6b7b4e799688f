"""Whose an app is: that of its profile, or of the profile that owns its space."""

from collections.abc import Iterable

from django.db.models import Q
from django.db.models.functions import Lower

from provisioning.aws.studio import App
from provisioning.models import Profile, StudioSpace
from teams.models import Domain

# The ids of a person and a team.
Owner = tuple[int, int]


class Owners:
    """The people and teams of some apps of a domain, read with two queries; names are compared without case."""

    def __init__(self, domain: Domain, apps: Iterable[App]) -> None:
        apps = list(apps)
        spaces = {app.space.lower() for app in apps if app.space}
        owned = StudioSpace.objects.filter(domain=domain).annotate(key=Lower("name")).filter(key__in=spaces)
        self._spaces = {key: owner.lower() for key, owner in owned.values_list("key", "owner") if owner}
        names = {app.profile.lower() for app in apps if app.profile and not app.space} | set(self._spaces.values())
        # A profile that is somebody else's, or that nobody has looked for yet, gives no app to anybody.
        foreign = Q(state=Profile.State.CONFLICT) | Q(state=Profile.State.WANTED, arn="")
        profiles = Profile.objects.filter(domain=domain).exclude(foreign).annotate(key=Lower("name"))
        profiles = profiles.filter(key__in=names)
        self._profiles: dict[str, Owner] = {
            key: (user_id, team_id) for key, user_id, team_id in profiles.values_list("key", "user_id", "team_id")
        }

    def of(self, app: App) -> Owner | None:
        """Return the person and the team of an app; None where no profile of the portal has it."""
        name = self._spaces.get(app.space.lower(), "") if app.space else app.profile.lower()
        return self._profiles.get(name)
