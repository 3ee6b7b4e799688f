"""The Celery application: `celery -A portal worker` and `celery -A portal beat`."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def _refuse_broken_configuration(**_: Any) -> None:
    from portal.checks import require_valid_configuration

    require_valid_configuration()


@setup_logging.connect
def _leave_logging_to_django(**_: Any) -> None:
    """Being there is enough: with a receiver, Celery does not raise the root logger's level to WARNING."""
