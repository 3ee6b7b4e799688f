"""Hints to the workers: “look at this row now”. Losing one costs seconds, because the sweep goes by the rows.

A web request must never wait for a Redis that is down: nothing is retried here, time limits are short, and after a
failure nobody tries again for some seconds.
"""

import logging
import time
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError
from kombu.pools import producers

from teams import audit

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
ENSURE = "provisioning.tasks.ensure_profile"
RETIRE = "provisioning.tasks.retire_profile"
END_ACCESS = "provisioning.tasks.end_access"
PREPARE = "provisioning.tasks.prepare_missing"
# Redis hands out all messages without a priority, 0, before those with this one.
AFTER_OTHERS = 6

_paused_until = 0.0


def enqueue_ensure(profile_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
    """Ask a worker to look at a profile in `countdown` seconds; the request's id goes along for the audit log."""
    return enqueue(ENSURE, profile_id, audit.current().request_id, countdown=countdown, expires=expires)


def enqueue_retire(profile_id: int, *, countdown: float = 0, expires: float | None = None) -> bool:
    """Ask a worker to go on retiring a profile in `countdown` seconds."""
    return enqueue(RETIRE, profile_id, audit.current().request_id, countdown=countdown, expires=expires)


def enqueue(task: str, *args: Any, countdown: float = 0, expires: float | None = None) -> bool:
    """Send a task by its name; return whether Redis took it. Never raises because Redis is down.

    `countdown` and `expires` are seconds from now. Call it after commit: the row must be there before the hint. What
    expires is one of many that the sweep hands out, and makes room for everything else.
    """
    global _paused_until
    if time.monotonic() < _paused_until:
        return False
    try:
        with producers[_connection()].acquire(block=True, timeout=2) as producer:
            current_app.send_task(
                task,
                args=args,
                countdown=countdown or None,
                expires=expires,
                priority=AFTER_OTHERS if expires else None,
                producer=producer,
                retry=False,
            )
    except (OperationalError, OSError) as error:
        _paused_until = time.monotonic() + PAUSE_SECONDS
        logger.warning("Redis does not take tasks (%s); the sweep will find the rows.", type(error).__name__)
        return False
    return True


def _connection() -> Any:
    # Without `max_retries` kombu would try the connection again for seconds, while a person waits.
    options = {**current_app.conf.broker_transport_options, "max_retries": 0}
    return current_app.connection_for_write(transport_options=options)
