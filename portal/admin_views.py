"""Two questions that the admin site answers: why somebody has access, and who had access at a moment. Only reads."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from teams import explain, review, sheets
from teams.explain import Explanation, UnknownNameError
from teams.models import Team
from teams.moments import NotAMomentError, read_moment
from teams.review import Line, Review, UnknownTeamError
from teams.scrubbing import storable

PEOPLE_PER_PAGE = 100


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of both pages, for portal admins and auditors."""

    @require_safe
    def why_page(request: HttpRequest) -> HttpResponseBase:
        return why(request, site)

    @require_safe
    def review_page(request: HttpRequest) -> HttpResponseBase:
        return access_review(request, site)

    return [
        path("why/", site.admin_view(why_page), name="why"),
        path("access-review/", site.admin_view(review_page), name="access_review"),
    ]


def why(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Tell which evidence gives a person access to a team, or what is missing."""
    asked = {name: _asked(request, name) for name in ("user", "team")}
    found, faults = _explanation(**asked) if any(asked.values()) else (None, [])
    context = {
        **site.each_context(request),
        "title": "Why has somebody access?",
        "asked": asked,
        "faults": faults,
        "found": found,
        "teams": _teams(),
    }
    return TemplateResponse(request, "admin/why.html", context)


def _asked(request: HttpRequest, name: str) -> str:
    """Return what was typed, without what the database cannot look for."""
    return storable(request.GET.get(name, "")).strip()


def _explanation(user: str, team: str) -> tuple[Explanation | None, list[str]]:
    """Return the explanation, or what is wrong with the names; neither while one of them is still to be given."""
    found: list[Any] = []
    faults = []
    for name, find in ((user, explain.find_user), (team, explain.find_team)):
        try:
            found += [find(name)] if name else []
        except UnknownNameError as error:
            faults.append(str(error))
    return (explain.explain(*found) if len(found) == 2 else None), faults


def access_review(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Tell who had access to a team at a moment, page by page; or as CSV, of all teams where none is chosen."""
    slug, at = _asked(request, "team"), _asked(request, "at")
    as_csv = request.GET.get("format") == "csv"
    found, fault = None, ""
    try:
        moment = read_moment(at)
        found = Review(slug, moment) if slug else None
        if as_csv:
            return _download([found] if found else review.teams(moment), slug, moment)
    except (NotAMomentError, UnknownTeamError) as error:
        fault = str(error)
    lines, next_page = _page(found, after=storable(request.GET.get("after", ""))) if found else ([], "")
    context = {
        **site.each_context(request),
        "title": "Who had access?",
        "asked": {"team": slug, "at": at},
        "fault": fault,
        "found": found,
        "lines": lines,
        "continued": bool(request.GET.get("after")),
        "next_page": next_page,
        "teams": _teams(),
    }
    return TemplateResponse(request, "admin/access_review.html", context)


def _page(found: Review, *, after: str) -> tuple[list[Line], str]:
    """Return the lines of one page, and the address of the next one, empty after the last."""
    lines = list(found.lines(after=after, people=PEOPLE_PER_PAGE + 1))
    people = list(dict.fromkeys(line.username for line in lines))
    if len(people) <= PEOPLE_PER_PAGE:
        return lines, ""
    shown = [line for line in lines if line.username != people[-1]]
    query = {"team": found.slug, "at": found.moment.isoformat(), "after": people[-2]}
    return shown, f"?{urlencode(query)}"


def _download(reviews: Any, slug: str, moment: datetime) -> StreamingHttpResponse:
    name = f"access-{slug or 'all-teams'}-{timezone.localtime(moment):%Y-%m-%dT%H%M}.csv"
    lines: Iterator[Line] = chain.from_iterable(each.lines() for each in reviews)
    return StreamingHttpResponse(
        sheets.as_csv(lines),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _teams() -> list[tuple[str, str]]:
    return list(Team.objects.order_by("name").values_list("slug", "name"))
