"""What a browser or an API client meets: settings, sign-on, tiles and launch."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
