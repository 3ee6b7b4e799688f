"""The places in Studio at which a launch may arrive, and which of them the settings of a team close; pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

# The members of a team's UserSettings that close places, as lookups.
HIDDEN_APPS = "user_settings__StudioWebPortalSettings__HiddenAppTypes"
WEB_PORTAL = "user_settings__StudioWebPortal"


@dataclass(frozen=True)
class Landing:
    """A place: its name in forms and for people, SageMaker's LandingUri, and the type of app that may be hidden."""

    key: str
    label: str
    uri: str
    app_type: str = ""


HOME = Landing("home", "Studio home", "studio::")
LANDINGS = {
    landing.key: landing
    for landing in (
        HOME,
        Landing("jupyterlab", "JupyterLab", "app:JupyterLab:", "JupyterLab"),
        Landing("code-editor", "Code Editor", "app:CodeEditor:", "CodeEditor"),
        Landing("canvas", "Canvas", "app:Canvas:", "Canvas"),
    )
}


def closed(hidden_apps: str | None, web_portal: str | None) -> frozenset[str]:
    """Return the keys of the places that a team's settings close; both are JSON, as the database gives it, or None."""
    hidden = json.loads(hidden_apps) if hidden_apps else None
    types = hidden if isinstance(hidden, list) else []
    shut = {each.key for each in LANDINGS.values() if each.app_type and each.app_type in types}
    return frozenset(shut | ({HOME.key} if web_portal and json.loads(web_portal) == "DISABLED" else set()))


def offered(shut: Iterable[str]) -> tuple[Landing, ...]:
    """Return the places that are not closed."""
    keys = frozenset(shut)
    return tuple(each for each in LANDINGS.values() if each.key not in keys)
