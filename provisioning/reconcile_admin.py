"""The admin pages of comparisons: what differs in a domain, what waits for a word of an admin, and what to adopt."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from provisioning.models import ReconcileItem, Reconciliation
from provisioning.reconcile import adopting, finishing, runs
from provisioning.reconcile.adopting import NotAdoptableError
from provisioning.reconcile.finishing import NotHeldError
from teams.admin.aws import DomainAdmin as PlainDomainAdmin
from teams.admin.base import ReadOnlyAdmin
from teams.admin.giving import PersonField
from teams.models import Domain, Team, User

State = Reconciliation.State
Trigger = Reconciliation.Trigger
Kind = ReconcileItem.Kind

WAITING = (State.HELD, State.PLANNED)
NOT_WAITING = "Nothing was changed: somebody decided already, or another comparison of this domain is under way."
NOTHING = mark_safe("–")
LIST = "admin:provisioning_reconcileitem_changelist"
RUN = "admin:provisioning_reconciliation_change"

admin.site.unregister(Domain)


def may_act(request: HttpRequest) -> bool:
    """Whether this person may begin and decide upon comparisons: portal admins, not auditors."""
    return isinstance(request.user, User) and request.user.has_perm("provisioning.change_reconciliation")


@admin.register(Domain)
class DomainAdmin(PlainDomainAdmin):
    """Domains, with their comparisons."""

    actions = ("compare", "compare_only")

    @admin.action(description="Compare with AWS now, and repair", permissions=["change"])
    def compare(self, request: HttpRequest, queryset: QuerySet[Domain]) -> None:
        """Begin a comparison of the selected domains."""
        self._start(request, queryset, dry_run=False)

    @admin.action(description="Compare with AWS only (dry run)", permissions=["change"])
    def compare_only(self, request: HttpRequest, queryset: QuerySet[Domain]) -> None:
        """Begin a comparison of the selected domains that stops at the plan."""
        self._start(request, queryset, dry_run=True)

    def _start(self, request: HttpRequest, queryset: QuerySet[Domain], *, dry_run: bool) -> None:
        for domain in queryset:
            run, is_new = runs.start(domain, Trigger.DEMAND, by=request.user.get_username(), dry_run=dry_run)
            text = "is being compared now" if is_new else "was being compared already"
            told = format_html('{} {}: <a href="{}">see how far it is</a>.', domain, text, reverse(RUN, args=[run.pk]))
            self.message_user(request, told, messages.SUCCESS if is_new else messages.INFO)


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    """Comparisons to read; those that are held back or only compared to decide upon."""

    list_display = ("domain", "started_at", "state", "trigger", "dry_run", "listed", "differences", "finished_at")
    list_filter = ("state", "dry_run", "domain")
    list_select_related = ("domain",)
    change_form_template = "admin/provisioning/reconciliation/change_form.html"
    fieldsets = (
        (None, {"fields": ("domain", "state", "reason", "error", "dry_run", "trigger", "by", "decided_by")}),
        ("Differences", {"fields": ("kinds", "outcomes")}),
        ("Reading", {"fields": ("stage", "is_full", "listed", "looked_at", "left_alone", "attempts", "due_at")}),
        ("Times", {"fields": ("started_at", "finished_at")}),
    )
    readonly_fields = ("kinds", "outcomes")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of a decision."""
        own = [
            path("<path:object_id>/apply/", self.admin_site.admin_view(self.apply_view), name=_name("apply")),
            path("<path:object_id>/discard/", self.admin_site.admin_view(self.discard_view), name=_name("discard")),
        ]
        return own + super().get_urls()

    @admin.display(description="differences")
    def differences(self, run: Reconciliation) -> int:
        """Return how many differences were found."""
        return sum(run.counts.values())

    @admin.display(description="by kind")
    def kinds(self, run: Reconciliation) -> SafeString:
        """Return how many differences there are of each kind, with the way to their list."""
        rows = [(kind.value, kind.label, run.counts[kind]) for kind in Kind if run.counts.get(kind)]
        return _links(run, "kind", rows)

    @admin.display(description="what became of them")
    def outcomes(self, run: Reconciliation) -> SafeString:
        """Return how many differences are in which state."""
        numbers = dict(run.items.order_by().values_list("state").annotate(number=Count("pk")))
        rows = [(state.value, state.label, numbers[state]) for state in ReconcileItem.State if state in numbers]
        return _links(run, "state", rows)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one, with the way to a decision where one is to be made."""
        run = self.get_object(request, unquote(object_id)) if object_id else None
        more = {"undecided": run is not None and run.state in WAITING and may_act(request)}
        return super().changeform_view(request, object_id, form_url, {**more, **(extra_context or {})})

    def apply_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to carry a plan out; do it on POST."""
        return self._decide(request, object_id, "apply")

    def discard_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to throw a plan away; do it on POST."""
        return self._decide(request, object_id, "discard")

    def _decide(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        run = _found(self, request, object_id)
        page = reverse(RUN, args=[run.pk])
        if request.method == "POST":
            self._carry_out(request, run, decision)
        elif run.state in WAITING:
            numbers = run.items.order_by().values_list("action").annotate(number=Count("pk"))
            does = [(ReconcileItem.Action(action).label, number) for action, number in numbers]
            context = {**self.admin_site.each_context(request), "title": "Are you sure?", "opts": self.opts}
            context |= {"run": run, "decision": decision, "page": page, "does": does}
            return TemplateResponse(request, "admin/provisioning/reconciliation/decide.html", context)
        else:
            self.message_user(request, NOT_WAITING, messages.WARNING)
        return HttpResponseRedirect(page)

    def _carry_out(self, request: HttpRequest, run: Reconciliation, decision: str) -> None:
        by = request.user.get_username()
        try:
            if decision == "apply":
                finishing.apply_held(run.pk, by=by)
                runs.hint(run.pk)
                text = "The repairs are being begun."
            else:
                finishing.throw_away(run.pk, by=by)
                text = "Thrown away: nothing was changed."
        except NotHeldError:
            self.message_user(request, NOT_WAITING, messages.WARNING)
        else:
            self.message_user(request, text, messages.SUCCESS)


class AdoptForm(forms.Form):
    """For whom a profile is adopted."""

    user = PersonField(label="User name")
    team = forms.ModelChoiceField(Team.objects.none(), label="Team")

    def __init__(self, *args: Any, item: ReconcileItem, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["team"]
        field.queryset = Team.objects.filter(domain=item.run.domain, is_active=True)


@admin.register(ReconcileItem)
class ReconcileItemAdmin(ReadOnlyAdmin):
    """Differences one by one."""

    list_display = ("name", "kind", "action", "state", "reason", "outcome", "run")
    list_filter = ("kind", "action", "state", "run__domain")
    list_select_related = ("run__domain__account",)
    search_fields = ("name",)
    search_help_text = "Profile name"
    change_form_template = "admin/provisioning/reconcileitem/change_form.html"
    fieldsets = (
        (None, {"fields": ("run", "name", "profile", "kind", "reason", "action", "state", "outcome")}),
        ("What differs", {"fields": ("in_aws", "wanted")}),
    )
    readonly_fields = ("in_aws", "wanted")

    def get_urls(self) -> list[URLPattern]:
        """Add the page on which a profile is adopted."""
        view = self.admin_site.admin_view(self.adopt_view)
        return [path("<path:object_id>/adopt/", view, name="provisioning_reconcileitem_adopt"), *super().get_urls()]

    @admin.display(description="AWS has")
    def in_aws(self, item: ReconcileItem) -> SafeString:
        """Return what AWS has, as far as it differs."""
        return _json(item.detail.get("has"))

    @admin.display(description="should be")
    def wanted(self, item: ReconcileItem) -> SafeString:
        """Return what should be there instead."""
        return _json(item.detail.get("wanted"))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one, with the way to adopt a profile that is not ours."""
        item = self.get_object(request, unquote(object_id)) if object_id else None
        more = {"adoptable": item is not None and adopting.is_offered(item) and may_act(request)}
        return super().changeform_view(request, object_id, form_url, {**more, **(extra_context or {})})

    def adopt_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for whom a profile is adopted; do it on POST."""
        item = _found(self, request, object_id)
        known = item.profile
        initial = {"user": known.user_id, "team": known.team_id} if known else {}
        form = AdoptForm(request.POST if request.method == "POST" else None, item=item, initial=initial)
        page = reverse("admin:provisioning_reconcileitem_change", args=[item.pk])
        if form.is_valid():
            try:
                chosen = form.cleaned_data
                profile = adopting.adopt(item, user=chosen["user"], team=chosen["team"], by=request.user.get_username())
            except NotAdoptableError as error:
                form.add_error(None, str(error))
            else:
                told = f"{profile.name} belongs to {chosen['user'].username} from now on; a worker is looking at it."
                self.message_user(request, told, messages.SUCCESS)
                return HttpResponseRedirect(page)
        context = {**self.admin_site.each_context(request), "title": f"Adopt {item.name}", "opts": self.opts}
        context |= {"item": item, "form": form, "page": page}
        return TemplateResponse(request, "admin/provisioning/reconcileitem/adopt.html", context)


def _found(page: ReadOnlyAdmin, request: HttpRequest, object_id: str) -> Any:
    """Return the row of a page on which something is done; raises PermissionDenied for auditors, and Http404."""
    row = page.get_object(request, unquote(object_id))
    if not page.has_view_permission(request, row) or not may_act(request):
        raise PermissionDenied
    if row is None:
        raise Http404
    return row


def _links(run: Reconciliation, column: str, rows: list[tuple[str, str, int]]) -> SafeString:
    links = (
        (f"{reverse(LIST)}?run__exact={run.pk}&{column}__exact={value}", number, label) for value, label, number in rows
    )
    return format_html_join("", '<div><a href="{}">{} {}</a></div>', links) or NOTHING


def _json(value: Any) -> SafeString:
    return (
        format_html("<pre>{}</pre>", json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True))
        if value
        else NOTHING
    )


def _name(view: str) -> str:
    return f"provisioning_reconciliation_{view}"
