"""The page that tells how far the profiles of a team follow a change of the team. Only reads."""

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from provisioning import following
from teams.models import Team


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the address of the page, for portal admins and auditors."""

    @require_safe
    def form_page(request: HttpRequest, slug: str) -> HttpResponseBase:
        return team_form(request, slug, site)

    return [path("team-form/<slug:slug>/", site.admin_view(form_page), name="team_form")]


def team_form(request: HttpRequest, slug: str, site: AdminSite) -> HttpResponse:
    """Tell how many profiles of a team have its present form, which failed and why; for htmx only the part that moves.

    404 for a team that does not exist.
    """
    team = get_object_or_404(Team, slug=slug)
    found = following.read(team)
    context = {"team": team, "found": found, "lines": list(following.lines(found))}
    if request.headers.get("HX-Request"):
        return TemplateResponse(request, "admin/_team_form.html", context)
    context |= {**site.each_context(request), "title": f"Do the profiles of {team} follow?"}
    return TemplateResponse(request, "admin/team_form.html", context)
