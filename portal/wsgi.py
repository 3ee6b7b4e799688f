"""The WSGI application: `gunicorn portal.wsgi`; warm before the port answers, so that no visitor waits for imports."""

import gc
import logging
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_wsgi_application()

from django.db import DatabaseError, connections  # noqa: E402  (all of this needs the app registry)
from django.db.backends.postgresql.base import DatabaseWrapper  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from portal.checks import require_valid_configuration  # noqa: E402
from portal.saml import upkeep  # noqa: E402
from provisioning.launch import warm_clients  # noqa: E402


def _warm_up() -> None:
    _ = get_resolver().url_patterns
    upkeep.seed()
    try:
        warm_clients()
    except DatabaseError as error:
        logging.getLogger(__name__).warning("Started without the database: %s", type(error).__name__)
    finally:
        # Nothing opened here may be shared with the processes that a preloading server forks.
        connection = connections["default"]
        connection.close()
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()
    # What has been loaded by now stays: the garbage collector need not walk it again and again.
    gc.collect()
    gc.freeze()


require_valid_configuration()
_warm_up()
