"""The top floor's Django apps."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Studio Portal"

    def ready(self) -> None:
        from portal import checks, mail  # noqa: F401  (registers the system checks, connects the receiver)


class PortalAdminConfig(AdminConfig):
    default_site = "portal.admin_site.PortalAdminSite"
