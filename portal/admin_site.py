"""The admin site: who gets in, how its pages are grouped, and the panel that says how the portal is doing."""

from http import HTTPStatus
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Group as AuthGroup
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.cache import never_cache

from portal import admin_aws, admin_costs, admin_form, admin_status, admin_views, passwords
from teams import audit
from teams.models import AuditEvent, User

# Heading, anchor and models of each group, in the order of the index page and the navigation.
GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Teams", "teams", ("teams.team", "teams.rolemapping", "teams.tagconstant")),
    ("AWS", "aws", ("teams.awsaccount", "teams.domain")),
    ("People", "people", ("teams.user", "teams.membership", "teams.grant", "teams.accessrequest")),
    ("Sign-on", "sign-on", ("teams.identityprovider",)),
    (
        "Directory",
        "directory",
        (
            *("provisioning.directory", "provisioning.directorysync", "provisioning.dirtymark"),
            *("provisioning.deadletter", "teams.scimclient", "teams.scimuser", "teams.scimgroup", "teams.group"),
        ),
    ),
    (
        "Provisioning",
        "provisioning",
        (
            *("provisioning.profile", "provisioning.runningapp", "provisioning.studiospace", "provisioning.domainscan"),
            *("provisioning.reconciliation", "provisioning.reconcileitem", "provisioning.quotaalarm"),
        ),
    ),
    ("Costs", "costs", ("provisioning.price", "provisioning.budgetmonth")),
    ("Log", "log", ("teams.auditevent",)),
)


# Pages that belong to no model, by the group in which they stand: name of the address, and what the link says.
PAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "aws": (("policies", "IAM policies"), ("preflight", "Preflight")),
    "costs": (("costs", "What apps cost"),),
    "people": (("why", "Why has somebody access?"), ("access_review", "Who had access?")),
}


class PortalAdminSite(AdminSite):
    """Django's admin for portal admins, and for auditors to read."""

    site_header = "Studio Portal"
    site_title = "Studio Portal admin"
    index_title = "Administration"
    site_url = "/"
    empty_value_display = "–"
    # Django's own groups and permissions mean nothing here: the role of the user decides.
    not_ours: ClassVar[frozenset[type]] = frozenset({AuthGroup})

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register models as Django does, but for those whose pages would have no effect."""
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        super().register([model for model in models if model not in self.not_ours], admin_class, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Send strangers to the sign-on page as Django does, but tell who is signed on without a role."""
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated and not self.has_permission(request):
                return self._no_access(request)
            return inner(request, *args, **kwargs)

        guarded.__dict__.update(inner.__dict__)
        return guarded

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the way to the identity provider, and the form for local accounts where passwords are switched on."""
        context = {"password_login": settings.ADMIN_PASSWORD_LOGIN, **(extra_context or {})}
        if request.method != "POST":
            if request.user.is_authenticated and not self.has_permission(request):
                return self._no_access(request)
            return super().login(request, context)
        if not settings.ADMIN_PASSWORD_LOGIN:
            # Nothing of the form is read, nothing is written: there is nothing to guess here.
            return self._sign_on_page(request, HTTPStatus.FORBIDDEN, "Passwords are switched off.")
        return self._password_login(request, context)

    def _password_login(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """Try a name and a password within the limits; every attempt within them is audited."""
        username = request.POST.get("username", "")
        attempt = passwords.Attempt(username, audit.current().address)
        try:
            within = attempt.begin()
        except passwords.UnavailableError:
            return self._sign_on_page(
                request, HTTPStatus.SERVICE_UNAVAILABLE, "Passwords cannot be tried at the moment. Try again later."
            )
        if not within:
            attempt.record_locked()
            return self._sign_on_page(
                request, HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords. Try again in a quarter of an hour."
            )
        with transaction.atomic():
            response = super().login(request, context)
            signed_on = response.status_code == HTTPStatus.FOUND
            audit.record(
                AuditEvent.Action.SIGN_ON,
                outcome=AuditEvent.Outcome.SUCCESS if signed_on else AuditEvent.Outcome.REFUSED,
                actor=username if signed_on else "anonymous",
                target=username,
                reason="" if signed_on else "wrong name or password of a local account, or no role in the portal",
                data={"by": "local account"},
            )
        if signed_on:
            attempt.succeeded()
        return response

    def _sign_on_page(self, request: HttpRequest, status: HTTPStatus, fault: str) -> HttpResponse:
        context = {**self.each_context(request), "title": "Sign on", "fault": fault, "next": reverse("admin:index")}
        response = TemplateResponse(request, "admin/login.html", context, status=status)
        add_never_cache_headers(response)
        return response

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """End the session and go to the portal's landing page."""
        # The site is made while Django starts; the views come later.
        from portal.views import sign_out

        return sign_out(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Change the password of a local account; people of the identity provider have none here."""
        if not isinstance(request.user, User) or not request.user.has_usable_password():
            return HttpResponseRedirect(reverse("admin:index"))
        with transaction.atomic():
            response = super().password_change(request, extra_context)
            if response.status_code == HTTPStatus.FOUND:
                audit.record(AuditEvent.Action.CHANGED, target=request.user.username, reason="password changed")
        return response

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the models that this person may see, under the headings of `GROUPS`."""
        found = {
            f"{label}.{model['object_name'].lower()}": model
            for label, app in self._build_app_dict(request, app_label).items()
            for model in app["models"]
        }
        index = reverse("admin:index")
        groups = [
            {
                "name": name,
                "app_label": anchor,
                "app_url": f"{index}#{anchor}",
                "has_module_perms": True,
                "models": [*(found[model] for model in models if model in found), *self._pages(request, anchor)],
            }
            for name, anchor, models in GROUPS
        ]
        return [group for group in groups if group["models"]]

    def _pages(self, request: HttpRequest, group: str) -> list[dict[str, Any]]:
        """Return the pages of a group in the form of models that can only be looked at."""
        if not self.has_permission(request):
            return []
        return [
            {"name": label, "object_name": name, "admin_url": reverse(f"admin:{name}"), "add_url": None}
            for name, label in PAGES.get(group, ())
        ]

    def get_urls(self) -> list[Any]:
        """Return the addresses of the pages that belong to no model, and Django's."""
        own = (admin_views, admin_aws, admin_form, admin_costs)
        return [*(url for pages in own for url in pages.urls(self)), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the groups of models and how the portal is doing."""
        status = admin_status.read()
        told = {"status": status, "notices": admin_status.notices(status)}
        return super().index(request, {**told, **(extra_context or {})})

    def app_index(self, *_: Any, **__: Any) -> HttpResponse:  # type: ignore[override]
        """The groups do not follow Django's apps, so that a page for each app has nothing to say."""
        return HttpResponseRedirect(reverse("admin:index"))

    @staticmethod
    @never_cache
    def _no_access(request: HttpRequest) -> HttpResponse:
        return TemplateResponse(request, "admin/no_access.html", {"title": "Not for you"}, status=HTTPStatus.FORBIDDEN)
