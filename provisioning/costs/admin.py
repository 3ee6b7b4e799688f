"""Prices, with their import and export, and the budgets that are nearly or wholly spent."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from provisioning.costs import budgets, money, prices
from provisioning.models import BudgetMonth, Price
from teams.admin.base import AuditedAdmin, ReadOnlyAdmin
from teams.admin.generic import ModelForm
from teams.models import User

# How many prices of a file the page lists; the numbers are those of all.
SHOWN = 200


class PriceForm(ModelForm):
    """A price, for what may be an instance type in what may be a Region."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, told in prices.name_faults(cleaned.get("instance_type", ""), cleaned.get("region", "")):
            if name in cleaned:
                self.add_error(name, told)
        return cleaned


@admin.register(Price)
class PriceAdmin(AuditedAdmin):
    """What an hour of each instance type costs."""

    form = PriceForm
    list_display = ("instance_type", "where", "amount")
    list_filter = ("region",)
    search_fields = ("instance_type",)
    search_help_text = "Instance type"
    fields = ("instance_type", "region", "per_hour")
    change_list_template = "admin/provisioning/price/change_list.html"

    @admin.display(description="Region", ordering="region")
    def where(self, price: Price) -> str:
        """Return the Region, or that there is no better price."""
        return price.region or "everywhere else"

    @admin.display(description="price per hour", ordering="per_hour")
    def amount(self, price: Price) -> str:
        """Return the price with its currency, without the zeros at its end."""
        return f"{price.per_hour.normalize():f} {settings.CURRENCY}"

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        """Save; a type that SageMaker's list does not have may be new, and is only wondered at."""
        super().save_model(request, obj, form, change)
        if not prices.is_known_type(obj.instance_type):
            self.message_user(request, prices.doubt(obj.instance_type), messages.WARNING)

    def get_urls(self) -> list[Any]:
        """Return the addresses of import and export, and Django's."""
        site = self.admin_site
        return [
            path("import/", site.admin_view(self.import_page), name="provisioning_price_import"),
            path("export/", site.admin_view(self.export), name="provisioning_price_export"),
            *super().get_urls(),
        ]

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """Send the whole table as CSV that can be imported again."""
        return _export(request, self)

    def import_page(self, request: HttpRequest) -> HttpResponse:
        """Show what a file would do, then save it; nothing is saved while a line is faulty."""
        return _import(request, self)


@require_safe
def _export(request: HttpRequest, page: PriceAdmin) -> HttpResponseBase:
    if not page.has_view_permission(request):
        raise PermissionDenied
    headers = {"Content-Disposition": 'attachment; filename="prices.csv"'}
    return StreamingHttpResponse(prices.as_csv(), content_type="text/csv; charset=utf-8", headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
def _import(request: HttpRequest, page: PriceAdmin) -> HttpResponse:
    if not (page.has_add_permission(request) and page.has_change_permission(request)):
        raise PermissionDenied
    if request.method != "POST":
        return _import_page(request, page)
    text, fault = request.POST.get("text", ""), ""
    if chosen := request.FILES.get("file"):
        try:
            # One byte more than is allowed is enough to know that it is too much.
            text = prices.decode(chosen.read(prices.MAX_BYTES + 1))
        except prices.NotTextError as error:
            fault = str(error)
    elif not text:
        fault = "Choose a file."
    if fault:
        return _import_page(request, page, fault=fault)
    planned = prices.plan(text)
    seen = _digest(planned)
    if planned.faults or request.POST.get("seen") != seen:
        return _import_page(request, page, planned=planned, text=text, seen=seen, again=bool(request.POST.get("seen")))
    return _save(request, page, text)


def _save(request: HttpRequest, page: PriceAdmin, text: str) -> HttpResponse:
    done = prices.apply(text)
    if done.faults:
        return _import_page(request, page, planned=done, text=text)
    told = f"Imported: {len(done.added)} new, {len(done.changed)} changed, {len(done.unchanged)} as they were."
    page.message_user(request, told, messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:provisioning_price_changelist"))


def _digest(planned: prices.Plan) -> str:
    """Return what a plan is known by: when it is another one by the time somebody agrees, it is shown again."""
    lines = sorted(f"{each.name} {each.before} {each.per_hour}" for each in (*planned.added, *planned.changed))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _import_page(request: HttpRequest, page: PriceAdmin, **more: Any) -> HttpResponse:
    planned: prices.Plan | None = more.get("planned")
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "Import prices",
        "columns": prices.COLUMNS,
        "currency": settings.CURRENCY,
        "shown": SHOWN,
        "parts": _parts(planned) if planned else (),
        **more,
    }
    return TemplateResponse(request, "admin/provisioning/price/import.html", context)


def _parts(planned: prices.Plan) -> Iterable[tuple[str, int, list[prices.Line]]]:
    parts = (("New", planned.added), ("Changed", planned.changed), ("As they were", planned.unchanged))
    return [(name, len(lines), lines[:SHOWN]) for name, lines in parts if lines]


@admin.register(BudgetMonth)
class BudgetMonthAdmin(ReadOnlyAdmin):
    """Budgets that were nearly or wholly spent in a month: the workers write them, admins lift them."""

    list_display = ("whom", "when", "part", "spent_of", "warned_at", "exceeded_at", "lifted_at")
    list_filter = (("month", admin.AllValuesFieldListFilter), "team")
    list_select_related = ("team", "user")
    search_fields = ("user__username", "user__name", "team__slug", "team__name")
    search_help_text = "User name, name or team"
    fields = ("whom", "when", "spent_of", "part", "warned_at", "exceeded_at", "lifted_at", "lifted_by")
    readonly_fields = ("whom", "when", "spent_of", "part")
    actions = ("lift",)

    @admin.display(description="whose", ordering="user")
    def whom(self, row: BudgetMonth) -> str:
        """Return whom the budget is about."""
        if row.user is None:
            return f"everybody in {row.team}"
        return f"{row.user} in {row.team}" if row.team else f"{row.user} in all teams"

    @admin.display(description="month", ordering="month")
    def when(self, row: BudgetMonth) -> str:
        """Return the month."""
        return f"{row.month:%Y-%m}"

    @admin.display(description="spent")
    def spent_of(self, row: BudgetMonth) -> str:
        """Return what was spent of how much."""
        return f"{money.shown(row.spent)} of {money.shown(row.budget)}"

    @admin.display(description="share")
    def part(self, row: BudgetMonth) -> str:
        """Return how much of the budget that is."""
        return f"{money.percent(row.spent, row.budget or Decimal(0))} %"

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Whether this person may lift budgets: portal admins, not auditors."""
        return isinstance(request.user, User) and request.user.has_perm("provisioning.lift_budgetmonth")

    @admin.action(description="Lift for this month", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[BudgetMonth]) -> None:
        """Let the people concerned work on until the month turns."""
        by = request.user.get_username()
        selected = list(queryset.select_related("team", "user").order_by("pk"))
        with transaction.atomic():
            lifted = sum(budgets.lift(row, by=by) for row in selected)
        told = f"{lifted} lifted until the month is over."
        if left := len(selected) - lifted:
            told += f" {left} left alone: not spent, lifted already, or of a month that is over."
        self.message_user(request, told, messages.SUCCESS if lifted else messages.WARNING)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what the log has of the person or team whose budget it is."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            return HttpResponseRedirect(reverse("admin:index"))
        query = urlencode({"target__exact": budgets.about(row)})
        return HttpResponseRedirect(f"{reverse('admin:teams_auditevent_changelist')}?{query}")
