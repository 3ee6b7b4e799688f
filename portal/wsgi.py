"""The WSGI application: `gunicorn portal.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_wsgi_application()

from portal.checks import require_valid_configuration  # noqa: E402  (needs the app registry)

require_valid_configuration()
