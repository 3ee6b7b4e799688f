"""Two pages of the admin site about AWS: the policies that the present rows ask for, and the preflight.

Portal admins and auditors see both; only portal admins have the portal ask AWS. What it last said is kept for a day in
the shared cache, so that all of them see it. Nothing is changed, and nothing audited.
"""

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from redis.exceptions import RedisError

from provisioning.policies import documents, facts, options
from provisioning.policies.cloudformation import Template
from provisioning.policies.document import Document
from provisioning.policies.documents import Everything
from provisioning.policies.options import OptionError
from provisioning.preflight import results, running
from provisioning.preflight.results import Level, Result
from teams.models import AwsAccount

logger = logging.getLogger(__name__)

LAST = "preflight:last"
KEPT_SECONDS = 24 * 3600
RUNNING = "preflight:running"
# Longer than a run may take, for a process that died meanwhile.
RUNNING_SECONDS = 60
WORDS = {
    Level.FAIL: "missing",
    Level.WARN: "look at it",
    Level.UNKNOWN: "not known",
    Level.OK: "fine",
}


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of both pages."""

    @require_safe
    def policies_page(request: HttpRequest) -> HttpResponse:
        return policies(request, site)

    @require_http_methods(["GET", "HEAD", "POST"])
    def preflight_page(request: HttpRequest) -> HttpResponse:
        return preflight(request, site)

    return [
        path("policies/", site.admin_view(policies_page), name="policies"),
        path("preflight/", site.admin_view(preflight_page), name="preflight"),
    ]


def policies(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show the documents for the options that the address gives; one of them as a file with `download`."""
    asked = {name: request.GET.get(name, "").strip() for name in ("account", "principal", "ips", "vpc_ips", "vpces")}
    asked |= {name: "on" if request.GET.get(name) else "" for name in ("tags", "source")}
    found, fault = None, ""
    try:
        found = documents.everything(facts.read(asked["account"]), _options(asked))
    except (OptionError, AwsAccount.DoesNotExist) as error:
        fault = str(error)
    if wanted := request.GET.get("download"):
        return _download(found, wanted)
    query = request.GET.copy()
    query.pop("download", None)
    context = {
        **site.each_context(request),
        "title": "IAM policies",
        "asked": asked,
        "fault": fault,
        "found": found,
        "query": query.urlencode(),
        "accounts": list(AwsAccount.objects.order_by("name").values_list("account_id", "name")),
    }
    return TemplateResponse(request, "admin/policies.html", context)


def _options(asked: dict[str, str]) -> options.Options:
    """Return the options; lists may be divided by commas or spaces. Raises OptionError."""
    lists = {name: asked[name].replace(",", " ").split() for name in ("ips", "vpc_ips", "vpces")}
    return options.read(
        portal_principal=asked["principal"],
        source_ips=lists["ips"],
        vpc_source_ips=lists["vpc_ips"],
        endpoints=lists["vpces"],
        tag_session=bool(asked["tags"]),
        source_identity=bool(asked["source"]),
    )


def _download(found: Everything | None, name: str) -> HttpResponse:
    every: list[Document | Template] = [*found.documents, *found.templates] if found else []
    document = next((each for each in every if each.name == name), None)
    if document is None:
        raise Http404
    return HttpResponse(
        document.text,
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{document.name}.json"'},
    )


def preflight(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Show what AWS last said; ask it anew by POST, which is for portal admins."""
    if request.method != "POST":
        return _preflight_page(request, site, _last())
    if not request.user.is_superuser:
        raise PermissionDenied
    if not _begin():
        return _preflight_page(request, site, _last(), busy=True)
    try:
        found = running.run()
    finally:
        _end()
    told = {
        "at": timezone.now().isoformat(),
        "by": request.user.get_username(),
        "results": [asdict(each) for each in found],
    }
    if not _keep(told):
        return _preflight_page(request, site, told)
    return HttpResponseRedirect(reverse("admin:preflight"))


def _preflight_page(
    request: HttpRequest, site: AdminSite, told: dict[str, Any] | None, *, busy: bool = False
) -> HttpResponse:
    found = [Result(**{**each, "level": Level(each["level"])}) for each in told["results"]] if told else []
    groups = [
        (group, [(each, WORDS[each.level]) for each in sorted(members, key=lambda each: _rank(each.level))])
        for group, members in results.grouped(found)
    ]
    context = {
        **site.each_context(request),
        "title": "Preflight",
        "busy": busy,
        "told": told,
        "at": datetime.fromisoformat(told["at"]) if told else None,
        "groups": groups,
        "failures": results.failures(found),
        "may_run": request.user.is_superuser,
    }
    return TemplateResponse(request, "admin/preflight.html", context)


def _rank(level: Level) -> int:
    """Return where results of a level stand: the worst first."""
    return list(WORDS).index(level)


def _last() -> dict[str, Any] | None:
    try:
        told: dict[str, Any] | None = cache.get(LAST)
    except RedisError:
        return None
    return told


def _keep(told: dict[str, Any]) -> bool:
    """Keep results for everybody; False when the cache cannot."""
    try:
        cache.set(LAST, told, timeout=KEPT_SECONDS)
    except RedisError as error:
        logger.warning("The results of the preflight could not be kept: %s", type(error).__name__)
        return False
    return True


def _begin() -> bool:
    """Whether nobody else is at it; without the cache nobody knows, and it is harmless."""
    try:
        return bool(cache.add(RUNNING, 1, timeout=RUNNING_SECONDS))
    except RedisError:
        return True


def _end() -> None:
    try:
        cache.delete(RUNNING)
    except RedisError as error:
        logger.warning("The end of the preflight could not be noted: %s", type(error).__name__)
