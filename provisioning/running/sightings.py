"""What pages of AWS's lists say, written to the rows of spaces and apps.

Only the claimed scan of a domain calls these, so that nobody else inserts rows of it at the same time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower

from provisioning.aws.studio import App, Space
from provisioning.models import RunningApp, StudioSpace
from provisioning.running.owners import Owners
from teams.models import Domain

# AWS's words for apps that run no longer, and never will again.
OVER = frozenset({"Deleted", "Failed"})
# Two calls of AWS may tell the same creation time with different precision.
SAME = timedelta(seconds=2)
# What ended while nobody looked for longer than this is taken to have ended so long after it was last seen.
UNSEEN = timedelta(hours=1)
# The columns that say that an app is to be stopped, as they are when it is not.
NOT_TO_BE_STOPPED: dict[str, Any] = {"stop_reason": "", "stop_at": None, "stop_by": "", "warned_at": None}

Identity = tuple[str, str, str, str]
_FIELDS = ("status", "instance_type", "user", "team", "seen_at", "ended_at")


def see_spaces(domain: Domain, spaces: Sequence[Space], *, seen_at: datetime) -> None:
    """Write one page of spaces; `seen_at` is when the scan began."""
    known = _spaces_by_name(domain, spaces)
    new, changed = {}, []
    for space in spaces:
        values = {
            "owner": space.owner, "sharing": space.sharing, "status": space.status, "app_type": space.app_type,
            "volume_gb": space.volume_gb, "created_at": space.created, "seen_at": seen_at,
        }  # fmt: skip
        row = known.get(space.name.lower())
        if row is None:
            new[space.name.lower()] = StudioSpace(domain=domain, name=space.name, **values)
        else:
            for name, value in values.items():
                setattr(row, name, value)
            changed.append(row)
    StudioSpace.objects.bulk_create(new.values())
    StudioSpace.objects.bulk_update(
        changed, ["owner", "sharing", "status", "app_type", "volume_gb", "created_at", "seen_at"]
    )


def _spaces_by_name(domain: Domain, spaces: Iterable[Space]) -> dict[str, StudioSpace]:
    names = {space.name.lower() for space in spaces}
    rows = StudioSpace.objects.filter(domain=domain).annotate(key=Lower("name")).filter(key__in=names)
    return {row.name.lower(): row for row in rows}


def forget_spaces(domain: Domain, *, seen_before: datetime) -> None:
    """Delete the rows of spaces that a complete list did not have."""
    StudioSpace.objects.filter(domain=domain, seen_at__lt=seen_before).delete()


def see_apps(domain: Domain, apps: Sequence[App], *, seen_at: datetime, asked_at: datetime) -> None:
    """Write one page of apps; `seen_at` is when the scan began, `asked_at` when the page was asked for.

    An app that is over ends the row of its run, and one with another creation time ends those of earlier runs.
    """
    owners, known = Owners(domain, apps), _known(domain, apps)
    new: list[RunningApp] = []
    changed: dict[int, RunningApp] = {}
    for app in apps:
        rows = known.setdefault(_identity(app), [])
        row = run_of(app, rows)
        if app.status in OVER:
            if row is not None and app.created is not None:
                end(row, asked_at, status=app.status)
            continue
        _end_earlier(app, rows, row)
        if row is None:
            row = _new(domain, app, asked_at)
            rows.append(row)
            new.append(row)
        elif row.ended_at and row.status in OVER:
            # The list lags behind.
            continue
        elif row.pk:
            changed[row.pk] = row
        row.status, row.instance_type = app.status, app.instance_type or row.instance_type
        row.seen_at, row.ended_at = seen_at, None
        if owner := owners.of(app):
            row.user_id, row.team_id = owner
    RunningApp.objects.bulk_create(new, ignore_conflicts=True)
    RunningApp.objects.bulk_update(changed.values(), _FIELDS)


def run_of(app: App, rows: Iterable[RunningApp]) -> RunningApp | None:
    """Return the row of exactly this run of an app; where AWS does not tell when it was made, of the one that runs."""
    if app.created is None:
        return next((row for row in rows if row.ended_at is None), None)
    return next((row for row in rows if is_same_run(row, app)), None)


def is_same_run(row: RunningApp, app: App) -> bool:
    """Whether what AWS tells is about the run of this row, and not about a later one of the same name."""
    return app.created is None or abs(row.started_at - app.created) < SAME


def is_about(row: RunningApp, found: App) -> bool:
    """Whether a description, which is of what now has the name, is about the run of this row.

    What runs and is older than the row is: the list did not tell when it was made, and the row has the time of a look.
    """
    older = found.created is not None and found.created < row.started_at
    return is_same_run(row, found) or (older and found.status not in OVER)


def end(app: RunningApp, moment: datetime, *, status: str = "") -> None:
    """Note that an app was found to be over at `moment`; `status` is AWS's word for it, empty where it has none.

    The end is never later than `moment`, and much earlier where nobody had looked for long.
    """
    last = max(app.seen_at, app.started_at)
    changes: dict[str, Any] = {"ended_at": max(app.started_at, min(moment, last + UNSEEN))}
    if status:
        changes["status"] = status
    rows = RunningApp.objects.filter(pk=app.pk, ended_at__isnull=True)
    # Where AWS was asked to stop it, whoever asked still has to tell of it.
    if not rows.filter(stop_asked_at__isnull=True).update(**changes, **NOT_TO_BE_STOPPED):
        rows.update(**changes)
    for name, value in changes.items():
        setattr(app, name, value)


def end_missing(app: RunningApp) -> None:
    """Note that AWS has an app no longer: it is over since it was last seen, for all that anybody knows."""
    end(app, max(app.seen_at, app.started_at))


def _end_earlier(app: App, rows: Iterable[RunningApp], row: RunningApp | None) -> None:
    """End the earlier runs of an app that runs: they were over before this one was made."""
    for other in rows:
        if other is not row and other.ended_at is None and app.created and other.started_at < app.created:
            end(other, app.created)


def _new(domain: Domain, app: App, asked_at: datetime) -> RunningApp:
    return RunningApp(
        domain=domain, app_type=app.app_type, name=app.name, profile_name="" if app.space else app.profile,
        space_name=app.space, started_at=app.created or asked_at,
    )  # fmt: skip


def _identity(app: App) -> Identity:
    return app.app_type, "" if app.space else app.profile.lower(), app.space.lower(), app.name.lower()


def _known(domain: Domain, apps: Sequence[App]) -> dict[Identity, list[RunningApp]]:
    """Return the rows that these apps may be about: those that run, and those of the same moments."""
    profiles = {app.profile.lower() for app in apps if not app.space}
    spaces = {app.space.lower() for app in apps if app.space}
    made = {app.created for app in apps if app.created}
    rows = (
        RunningApp.objects.filter(domain=domain)
        .alias(profile=Lower("profile_name"), space=Lower("space_name"))
        .filter(Q(profile__in=profiles, space="") | Q(profile="", space__in=spaces))
        .filter(Q(ended_at__isnull=True) | Q(started_at__in=made))
    )
    known: dict[Identity, list[RunningApp]] = {}
    for row in rows:
        key = (row.app_type, row.profile_name.lower(), row.space_name.lower(), row.name.lower())
        known.setdefault(key, []).append(row)
    return known
