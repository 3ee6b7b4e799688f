"""The admin's page of what running apps cost, month by month, for portal admins and auditors. Only reads."""

from datetime import date

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_safe

from provisioning.costs import months, report
from provisioning.costs.report import KINDS, Kind
from teams import sheets

SHOWN = 200


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the address of the page."""

    @require_safe
    def costs_page(request: HttpRequest) -> HttpResponseBase:
        return costs(request, site)

    return [path("costs/", site.admin_view(costs_page), name="costs")]


def costs(request: HttpRequest, site: AdminSite) -> HttpResponseBase:
    """Show a month divided in one of the ways of `KINDS`; all of it as CSV with `format=csv`."""
    by = request.GET.get("by", "teams")
    kind = KINDS.get(by)
    if kind is None:
        raise Http404
    present = months.of(timezone.now())
    month, fault = present, ""
    try:
        month = months.read(request.GET.get("month", "").strip(), default=present)
    except months.NotAMonthError as error:
        fault = str(error)
    if request.GET.get("format") == "csv" and not fault:
        return _download(by, kind, month)
    lines = list(report.lines(kind, month, most=SHOWN + 1))
    context = {
        **site.each_context(request),
        "title": "Costs",
        "fault": fault,
        "month": month,
        "months": _choice(present, month),
        "by": by,
        "kind": kind,
        "kinds": KINDS,
        "total": report.total(month),
        "lines": lines[:SHOWN],
        "more": len(lines) > SHOWN,
        "shown": SHOWN,
    }
    return TemplateResponse(request, "admin/costs.html", context)


def _choice(present: date, asked: date) -> list[date]:
    """Return the months to choose from, the present one first: those of which hours are kept, and the one asked for."""
    found, month = [], min(report.first_month() or present, present)
    while month <= present:
        found.append(month)
        month = months.after(month)
    return sorted({*found, asked}, reverse=True)


def _download(by: str, kind: Kind, month: date) -> HttpResponse | StreamingHttpResponse:
    rows = (report.cells(kind, line) for line in report.lines(kind, month))
    return StreamingHttpResponse(
        sheets.rows_as_csv(report.headings(kind, settings.CURRENCY), rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="costs-{by}-{month:%Y-%m}.csv"'},
    )
