"""Studio's own idle shutdown in the UserSettings of a team's profiles; pure."""

from collections.abc import Mapping
from typing import Any

from teams.rule_models import CleanupRule

_APPS = ("JupyterLabAppSettings", "CodeEditorAppSettings")


def idle_settings(rule: CleanupRule | None, user_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a team's UserSettings with the idle shutdown that its cleanup rule asks for.

    Kinds of apps about whose idleness the team's own settings say something are left as they are.
    """
    settings = dict(user_settings)
    if rule is None or rule.idle_shutdown_minutes is None:
        return settings
    for kind in _APPS:
        of_kind = settings.get(kind) or {}
        lifecycle = of_kind.get("AppLifecycleManagement") or {}
        if not lifecycle.get("IdleSettings"):
            asked = {"LifecycleManagement": "ENABLED", "IdleTimeoutInMinutes": rule.idle_shutdown_minutes}
            settings[kind] = {**of_kind, "AppLifecycleManagement": {**lifecycle, "IdleSettings": asked}}
    return settings
