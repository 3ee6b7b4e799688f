"""The ledger: each run of an app in each hour once, with its seconds and what they are estimated to cost.

A run is counted from its start up to its end; while it runs, up to the last time it was seen. Counting again from the
same rows gives the same ledger, so that a worker that died loses nothing, and two at once never count twice: whoever
holds the lock of a run's row counts it, and everything of a batch commits together.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from provisioning.costs import months
from provisioning.models import BudgetMonth, RunningApp, UsageHour

# How many runs are counted in one transaction: a month of each is some 150,000 rows.
BATCH = 200
# How many hours are deleted in one transaction.
PURGE_BATCH = 20_000

# Up to when a run is to be counted. What was counted is taken back only where the run's own times say so, never
# because the clock of another worker is behind.
_UNTIL = """
    GREATEST(app.started_at, LEAST(
        COALESCE(app.ended_at, app.seen_at),
        GREATEST(%(now)s, COALESCE(app.counted_until, %(now)s))
    ))
"""

# Runs that hours without a price belong to, for which there is a price by now.
_PRICED_LATE = """
    SELECT late.id FROM provisioning_runningapp late JOIN teams_domain place ON place.id = late.domain_id
    WHERE late.counted_until > %(month)s
      AND EXISTS (
        SELECT FROM provisioning_price price
        WHERE price.instance_type = late.instance_type AND price.region IN (place.region, '')
      ) AND EXISTS (
        SELECT FROM provisioning_usagehour hour
        WHERE hour.app_id = late.id AND hour.per_hour IS NULL AND hour.hour >= %(month)s
      )
"""

_DUE = f"""
    SELECT app.id, app.id IN ({_PRICED_LATE}), app.counted_until > {_UNTIL} FROM provisioning_runningapp app
    WHERE app.id > %(after)s
      AND (app.counted_until IS DISTINCT FROM {_UNTIL} OR app.id IN ({_PRICED_LATE}))
    ORDER BY app.id LIMIT %(batch)s
    FOR NO KEY UPDATE OF app SKIP LOCKED
"""  # noqa: S608  (nothing but the constants above)

# Hours behind the end of a run that is over earlier than was thought; all of them where nothing is left.
_CUT = f"""
    DELETE FROM provisioning_usagehour old USING (
        SELECT app.id, date_trunc('second', app.started_at) AS first, date_trunc('second', {_UNTIL}) AS last
        FROM provisioning_runningapp app WHERE app.id = ANY(%(cut)s)
    ) run
    WHERE old.app_id = run.id AND old.hour >= CASE WHEN run.first < run.last THEN run.last ELSE '-infinity' END
"""  # noqa: S608  (nothing but the constants above)

# A statement of its own, so that it sees what others committed before the locks were taken. Times are cut to whole
# seconds first, so that the seconds of a run's hours add up to those of the run.
_COUNT = f"""
    WITH run AS (
        SELECT app.id, app.instance_type, app.user_id, app.team_id, domain.region, {_UNTIL} AS until,
               date_trunc('second', app.started_at) AS first,
               date_trunc('second', {_UNTIL}) AS last,
               LEAST(
                   COALESCE(app.counted_until, app.started_at),
                   CASE WHEN app.id = ANY(%(late)s) THEN %(month)s END
               ) AS counted
        FROM provisioning_runningapp app JOIN teams_domain domain ON domain.id = app.domain_id
        WHERE app.id = ANY(%(ids)s)
    ), counted AS (
        INSERT INTO provisioning_usagehour AS known (app_id, hour, seconds, per_hour, cost, user_id, team_id)
        SELECT run.id, each.hour, each.seconds, price.per_hour,
               COALESCE(round(price.per_hour * each.seconds / 3600, 6), 0), run.user_id, run.team_id
        FROM run
        CROSS JOIN LATERAL (
            SELECT hour, EXTRACT(epoch FROM
                LEAST(hour + interval '1 hour', run.last) - GREATEST(hour, run.first))::integer AS seconds
            FROM generate_series(
                date_trunc('hour', GREATEST(run.first, %(oldest)s, LEAST(run.counted, run.last))),
                run.last, interval '1 hour') AS hour
        ) each
        LEFT JOIN LATERAL (
            SELECT found.per_hour FROM provisioning_price found
            WHERE found.instance_type = run.instance_type AND found.region IN (run.region, '')
            ORDER BY found.region DESC LIMIT 1
        ) price ON TRUE
        WHERE each.seconds > 0
        ON CONFLICT (app_id, hour) DO UPDATE SET
            seconds = EXCLUDED.seconds,
            per_hour = COALESCE(known.per_hour, EXCLUDED.per_hour),
            cost = COALESCE(round(COALESCE(known.per_hour, EXCLUDED.per_hour) * EXCLUDED.seconds / 3600, 6), 0),
            user_id = COALESCE(known.user_id, EXCLUDED.user_id),
            team_id = COALESCE(known.team_id, EXCLUDED.team_id)
    )
    UPDATE provisioning_runningapp app SET counted_until = run.until FROM run WHERE run.id = app.id
"""  # noqa: S608  (nothing but the constants above)


def count(now: datetime | None = None) -> int:
    """Bring the ledger up to date, and return how many runs there was something to count of.

    Runs that another worker is counting are left to it. Hours that began more than USAGE_DAYS before `now` are not
    counted, and hours of the present month that had no price get one as soon as there is one.
    """
    now = now or timezone.now()
    done, after = 0, 0
    while ids := _count_batch(now, after):
        done, after = done + len(ids), ids[-1]
    return done


def _count_batch(now: datetime, after: int) -> list[int]:
    """Count the next runs behind the id `after` in one transaction, and return their ids in order."""
    values: dict[str, Any] = {"now": now, "month": months.begins(months.of(now)), "oldest": _oldest(now)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DUE, {**values, "after": after, "batch": BATCH})
        due = cursor.fetchall()
        ids = [app_id for app_id, _late, _shorter in due]
        if cut := [app_id for app_id, _late, is_shorter in due if is_shorter]:
            cursor.execute(_CUT, {**values, "cut": cut})
        if ids:
            late = [app_id for app_id, is_late, _shorter in due if is_late]
            cursor.execute(_COUNT, {**values, "ids": ids, "late": late})
    return ids


def _oldest(now: datetime) -> datetime:
    """Return the first hour that is kept."""
    kept = now - timedelta(days=settings.USAGE_DAYS)
    return kept.replace(minute=0, second=0, microsecond=0)


def purge(now: datetime | None = None) -> int:
    """Delete hours, ended runs and budget alarms that are older than USAGE_DAYS; return the number of hours."""
    now = now or timezone.now()
    oldest = _oldest(now)
    done = 0
    while True:
        some = UsageHour.objects.filter(hour__lt=oldest).order_by().values("pk")[:PURGE_BATCH]
        number, _by_model = UsageHour.objects.filter(pk__in=some).delete()
        done += number
        if number < PURGE_BATCH:
            break
    hours = UsageHour.objects.filter(app=OuterRef("pk"))
    RunningApp.objects.filter(~Exists(hours), ended_at__lt=oldest).delete()
    BudgetMonth.objects.filter(month__lt=months.of(oldest)).delete()
    return done
