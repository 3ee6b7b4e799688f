"""The audit log to read: fast on ten million rows, because every page is one walk along one index."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from teams.admin.base import ReadOnlyAdmin
from teams.models import AuditEvent
from teams.moments import DISORDER, first_id_since

BEFORE = "before"
SEARCHED = ("actor", "target", "team", "request_id", "aws_request_id")
_REQUEST_ID = re.compile(r"^[0-9a-f]{8,64}$")


class DateRangeFilter(admin.ListFilter):
    """Two dates, both included, in the time zone of the portal."""

    title = "date"
    template = "admin/date_range_filter.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in ("from", "to"):
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def expected_parameters(self) -> list[str | None]:
        return ["from", "to"]

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Any:
        """Yield what the form in the template needs: the dates, and what else is chosen."""
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in {"from", "to", BEFORE}
            for value in values
        ]
        yield {
            "since": self.used_parameters.get("from", ""),
            "until": self.used_parameters.get("to", ""),
            "others": others,
            "clear": changelist.get_query_string(remove=["from", "to"]),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """Narrow the log to the days asked for."""
        since, until = self._day("from"), self._day("to")
        if since is not None:
            queryset = queryset.filter(at__gte=since, pk__gte=first_id_since(since) or 0)
        if until is not None:
            end = until + timedelta(days=1)
            queryset = queryset.filter(at__lt=end)
            beyond = first_id_since(end + 2 * DISORDER)
            if beyond is not None:
                queryset = queryset.filter(pk__lt=beyond)
        return queryset

    def _day(self, name: str) -> datetime | None:
        text = str(self.used_parameters.get(name, ""))
        if not text:
            return None
        try:
            day = date.fromisoformat(text)
            moment = timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 (made aware here)
            # The search looks a little beyond both ends of the day.
            _ = moment.astimezone(UTC) - 2 * DISORDER, moment.astimezone(UTC) + timedelta(days=2)
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(f"{name} is no date") from error
        return moment


class LogPages(ChangeList):
    """Pages that go on from an id instead of counting: each costs the same, however far back."""

    next_page: str = ""

    def get_filters_params(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(BEFORE, None)
        return found

    def get_query_string(self, new_params: Any = None, remove: Iterable[str] | None = None) -> str:
        """Return the address of a list; another filter begins on the newest page again."""
        new = dict(new_params or {})
        new.setdefault(BEFORE, None)
        return str(super().get_query_string(new, remove))

    def get_results(self, request: HttpRequest) -> None:
        """Read one page and one row more, which tells whether there is an older page."""
        rows = self.queryset
        if before := request.GET.get(BEFORE, ""):
            if not before.isascii() or not before.isdigit() or len(before) > 18:
                raise IncorrectLookupParameters("before is no id")
            rows = rows.filter(pk__lt=int(before))
        found = list(rows[: self.list_per_page + 1])
        page = found[: self.list_per_page]
        self.next_page = self.get_query_string({BEFORE: page[-1].pk}) if len(found) > len(page) else ""
        self.first_page = self.get_query_string() if before else ""
        self.result_list = page
        self.result_count = len(page)
        # Django shows no number of results where there is no other number beside it.
        self.full_result_count = self.result_count
        self.show_full_result_count = self.can_show_all = self.multi_page = self.show_admin_actions = False
        self.paginator = Paginator(page, self.list_per_page)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """The audit log; nobody adds, changes or deletes here, and the database would refuse it."""

    list_display = ("when", "action", "outcome", "actor", "target", "team", "address", "reason")
    list_filter = (DateRangeFilter, "action", "outcome")
    search_fields = ("actor",)
    search_help_text = "A whole user name, target (“team: team1”), team or AWS request id; the start of a request id"
    sortable_by = ()
    actions = None
    ordering = ("-id",)
    fields = (
        *("when", "action", "outcome", "actor", "target", "team", "reason"),
        *("address", "request_id", "aws_request_id", "changes"),
    )
    exact = frozenset({"actor", "target", "team", "request_id", "aws_request_id", "action", "outcome", "from", "to"})

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Allow equality on indexed columns, nothing that reads the whole table."""
        return lookup.removesuffix("__exact") in self.exact

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LogPages

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Find whole values, each by its index; a request id also by its beginning, which is what error pages show."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = [Q(**{column: term}) for column in SEARCHED if _next_value(column, term) == term]
        if _REQUEST_ID.match(term) and _next_value("request_id", term).startswith(term):
            # “g” comes after every hexadecimal digit.
            wanted.append(Q(request_id__gte=term, request_id__lt=f"{term}g"))
        return (queryset.filter(reduce(or_, wanted)) if wanted else queryset.none()), False

    @admin.display(description="when")
    def when(self, event: AuditEvent) -> str:
        """Return date and time to the second, with the time zone."""
        return f"{timezone.localtime(event.at):%Y-%m-%d %H:%M:%S %Z}"

    @admin.display(description="what changed")
    def changes(self, event: AuditEvent) -> SafeString | str:
        """Return a table of values before and after, or of whatever the event says."""
        data = event.data if isinstance(event.data, dict) else {"data": event.data}
        if not data:
            return "–"
        before, after = data.get("before"), data.get("after")
        if isinstance(before, dict) and isinstance(after, dict):
            return _table(
                ("Value", "Before", "After"),
                [(key, _text(before.get(key)), _text(after.get(key))) for key in sorted({*before, *after})],
            )
        return _table(("Value", "Is"), [(key, _text(value)) for key, value in sorted(data.items())])


def _next_value(column: str, term: str) -> str:
    """Return the first value from `term` on in a column's index, empty where there is none.

    One step in the index, whatever PostgreSQL believes about the column. Only columns that hold the term are searched
    then: one that does not hold it could be read from the newest row back to the first.
    """
    rows = AuditEvent.objects.exclude(**{column: ""}).filter(**{f"{column}__gte": term})
    return rows.order_by(column).values_list(column, flat=True).first() or ""


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> SafeString:
    head = format_html_join("", '<th scope="col">{}</th>', ((heading,) for heading in headings))
    body = format_html_join(
        "",
        "<tr>{}{}</tr>",
        (
            (
                format_html('<th scope="row">{}</th>', row[0]),
                format_html_join("", "<td><pre>{}</pre></td>", ((cell,) for cell in row[1:])),
            )
            for row in rows
        ),
    )
    return format_html('<table class="changes"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
