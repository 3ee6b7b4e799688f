"""What AWS says of one app at this moment: whether it still runs, and when its person last did something in it."""

from django.utils import timezone

from provisioning.aws.client import Account
from provisioning.aws.errors import NotFound
from provisioning.aws.studio import App, Studio
from provisioning.database import give_back_connection
from provisioning.models import RunningApp


def studio_of(app: RunningApp, *, first: bool = False) -> Studio:
    """Return AWS in the account and Region of an app; `first`: a person waits."""
    return Studio(Account.of(app.domain.account), app.domain.region, first=first)


def names_of(app: RunningApp) -> App:
    """Return an app as AWS's verbs take it."""
    return App(app.app_type, app.name, app.status, app.profile_name, app.space_name)


def look(app: RunningApp, studio: Studio) -> App | None:
    """Describe an app and note its last activity; None when AWS does not know it. Raises AwsError otherwise.

    Whether the description is about this run is for the caller to see.
    """
    asked_at = timezone.now()
    give_back_connection()
    try:
        found = studio.describe_app(app.domain.domain_id, names_of(app))
    except NotFound:
        _note(app, looked_at=asked_at)
        return None
    active = [moment for moment in (app.active_at, found.active) if moment]
    _note(app, looked_at=asked_at, active_at=max(active, default=None), arn=found.arn or app.arn)
    return found


def _note(app: RunningApp, **changes: object) -> None:
    RunningApp.objects.filter(pk=app.pk).update(**changes)
    for name, value in changes.items():
        setattr(app, name, value)
