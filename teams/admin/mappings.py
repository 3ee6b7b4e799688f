"""Role mappings: whom they give access, what a change does to people, and nothing of it before somebody agreed."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.options import IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_protect

from teams import decisions, memberships, role_names, snapshots
from teams.admin.base import AuditedAdmin
from teams.admin.forms import RoleMappingForm
from teams.decisions import Reach
from teams.models import RoleMapping, Team
from teams.outcomes import Outcome, Watch

# What a browser sends back to say that this very outcome was shown and agreed to.
AGREED = "_agreed"
SAID = ("group", "source", "team", "execution_role_arn", "priority")
DOES = ("known_groups", "reach", "losers")
MAX_GROUPS = 50
MAX_OVERRULED = 50


class NotAgreed(Exception):  # noqa: N818  (a turn of the story, not a fault)
    """A deletion does something to people that nobody was shown; it is taken back, and asked about."""


class MappingList(ChangeList):
    """The list with what each mapping on the page does, from one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        found = decisions.reach(rows)
        for row in rows:
            row.reach = found.get(row.pk, Reach())
        self.result_list = rows


@admin.register(RoleMapping)
class RoleMappingAdmin(AuditedAdmin):
    """Role mappings; the memberships that rest on them follow in the same transaction."""

    form = RoleMappingForm
    list_display = ("group", "team", "source", "execution_role_arn", "priority", "people", "overruled")
    list_filter = ("team",)
    list_select_related = ("team",)
    search_fields = ("group", "team__name", "team__slug", "execution_role_arn")
    search_help_text = "Group, team or role"
    actions = ("delete_selected",)
    delete_confirmation_template = "admin/teams/rolemapping/delete_confirmation.html"
    delete_selected_confirmation_template = "admin/teams/rolemapping/delete_selected_confirmation.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MappingList

    def get_fieldsets(self, request: HttpRequest, obj: RoleMapping | None = None) -> Any:
        """Show what a mapping does below what it says."""
        said = (None, {"fields": SAID})
        return (said, ("What it does", {"fields": DOES})) if obj else (said,)

    def get_readonly_fields(self, request: HttpRequest, obj: RoleMapping | None = None) -> tuple[str, ...]:
        return DOES if obj else ()

    @admin.display(description="people")
    def people(self, mapping: Any) -> SafeString:
        """Return how many people have access by it, which leads to the evidence."""
        page = f"{reverse('admin:teams_membership_changelist')}?mapping__id__exact={mapping.pk}"
        return format_html('<a href="{}">{}</a>', page, mapping.reach.people)

    @admin.display(description="overruled")
    def overruled(self, mapping: Any) -> int:
        """Return for how many of them another mapping decides the role."""
        return int(mapping.reach.overruled)

    @admin.display(description="groups on record")
    def known_groups(self, mapping: RoleMapping) -> SafeString | str:
        """Return the groups that it is about, with the role of their members."""
        known = role_names.known_groups(source=mapping.source, group=mapping.group).order_by("source", "external_id")
        rows = [
            (f"{group} of {group.source}", f" (id {group.external_id})" if group.name else "", _role(mapping, group))
            for group in known[:MAX_GROUPS]
        ]
        if not rows:
            return "None yet: it counts as soon as a source names the group."
        return format_html_join("", "<div>{}{}: <code>{}</code></div>", rows)

    @admin.display(description="people")
    def reach(self, mapping: RoleMapping) -> str:
        """Return how many people it gives access, and for how many it does not decide."""
        found = decisions.reach([mapping]).get(mapping.pk, Reach())
        if not found.overruled:
            return f"{found.people} with access by it."
        return f"{found.people} with access by it; for {found.overruled} of them another mapping decides the role."

    @admin.display(description="overruled")
    def losers(self, mapping: RoleMapping) -> SafeString | str:
        """Return the people for whom another mapping decides, with that mapping and their role."""
        rows = decisions.overruled(mapping, MAX_OVERRULED)
        if not rows:
            return "Nobody."
        person, other = "admin:teams_user_change", "admin:teams_rolemapping_change"
        return format_html_join(
            "",
            '<div><a href="{}">{}</a>: <a href="{}">{}</a> (priority {}) gives <code>{}</code></div>',
            (
                (
                    *(reverse(person, args=[row.user_id]), row.username),
                    *(reverse(other, args=[row.winner_id]), row.winner, row.priority, row.role),
                )
                for row in rows
            ),
        ) + _more(decisions.reach([mapping]).get(mapping.pk, Reach()).overruled - len(rows))

    def before_save(self) -> None:
        memberships.hold()

    def save_model(self, request: HttpRequest, obj: RoleMapping, form: Any, change: bool) -> None:
        """Save, and watch the people of the team, and of the one that the mapping was for before."""
        memberships.hold()
        teams = RoleMapping.objects.filter(pk=obj.pk).values_list("team_id", flat=True)
        form.watch = Watch({obj.team_id, *teams})
        request.mapping_form = form  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def saved(self, row: RoleMapping, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Work the memberships of the team out again, and of the team that the mapping was for before."""
        slugs = {after["team"], (before or after)["team"]}
        memberships.remap(team_ids=Team.objects.filter(slug__in=slugs).values_list("pk", flat=True))

    def response_add(self, request: HttpRequest, obj: RoleMapping, post_url_continue: str | None = None) -> Any:
        return self._question(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: RoleMapping) -> Any:
        return self._question(request, obj) or super().response_change(request, obj)

    def _question(self, request: HttpRequest, obj: RoleMapping) -> HttpResponse | None:
        """Take everything back and ask, where people are concerned and nobody has agreed; else return None."""
        form: Any = request.mapping_form  # type: ignore[attr-defined]
        outcome: Outcome = form.watch.outcome()
        # What was agreed to are these values with this outcome.
        digest = hashlib.sha256(repr((outcome.digest, form.before, snapshots.take(obj))).encode()).hexdigest()
        if _agreed(request, outcome, digest):
            return None
        page = TemplateResponse(
            request,
            "admin/teams/rolemapping/confirm.html",
            {
                **self.admin_site.each_context(request),
                "title": "Save this role mapping?",
                "opts": self.opts,
                "mapping": str(obj),
                "outcome": outcome,
                "agreed": (AGREED, digest),
                "anew": AGREED in request.POST,
                "values": _values(request.POST),
                "back": self._form_again(request, new=form.before is None),
                "is_popup": IS_POPUP_VAR in request.POST,
            },
        )
        # The transaction of the form goes, and with it the audit rows and what waits for the commit.
        transaction.set_rollback(True)
        return page

    def _form_again(self, request: HttpRequest, *, new: bool) -> str:
        """Return the address of the form; a new mapping's is filled in again."""
        if not new:
            return request.get_full_path()
        kept = [name for name in (*SAID, IS_POPUP_VAR) if name in request.POST]
        return f"{request.path}?{urlencode([(name, request.POST[name]) for name in kept])}"

    def remove(self, row: RoleMapping) -> None:
        memberships.drop_mapping(row)

    def losses(self, row: RoleMapping) -> list[str]:
        return [f"memberships that rest on it: {row.memberships.count()}"]

    def delete_model(self, request: HttpRequest, obj: RoleMapping) -> None:
        """Delete one mapping. Raises NotAgreed, with nothing changed."""
        self._delete_as_agreed(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoleMapping]) -> None:
        """Delete all selected mappings or none. Raises NotAgreed, with nothing changed."""
        self._delete_as_agreed(request, queryset.order_by("pk"))

    def _delete_as_agreed(self, request: HttpRequest, rows: Iterable[RoleMapping]) -> None:
        with transaction.atomic():
            outcome = self._delete(request, rows)
            if not _agreed(request, outcome, outcome.digest):
                raise NotAgreed

    def _delete(self, request: HttpRequest, rows: Iterable[RoleMapping]) -> Outcome:
        memberships.hold()
        rows = list(rows)
        watch = Watch(row.team_id for row in rows)
        for row in rows:
            super().delete_model(request, row)
        return watch.outcome()

    def _preview(self, request: HttpRequest, ids: Iterable[int]) -> dict[str, Any]:
        """Return what the page must show about a deletion: made, looked at and taken back."""
        with transaction.atomic():
            outcome = self._delete(request, RoleMapping.objects.select_related("team").filter(pk__in=ids))
            transaction.set_rollback(True)
        return {"outcome": outcome, "agreed": (AGREED, outcome.digest), "anew": AGREED in request.POST}

    @method_decorator(csrf_protect)
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, with the people concerned, then delete."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except NotAgreed:
            context = {
                "anew": AGREED in request.POST,
                "is_popup": IS_POPUP_VAR in request.POST,
                "to_field": request.POST.get(TO_FIELD_VAR),
            }
        request.POST = QueryDict()
        return super().delete_view(request, object_id, {**(extra_context or {}), **context})

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> Any:
        preview = self._preview(request, [context["object"].pk])
        return super().render_delete_form(request, {**preview, **context})

    @admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, queryset: QuerySet[RoleMapping]) -> HttpResponse | None:
        """Ask, with the people concerned, then delete the selected mappings."""
        try:
            page = delete_selected(self, request, queryset)
        except NotAgreed:
            again = request.POST.copy()
            again.pop("post")
            request.POST = again  # type: ignore[assignment]
            page = delete_selected(self, request, queryset)
        if isinstance(page, TemplateResponse):
            preview = self._preview(request, queryset.values_list("pk", flat=True))
            page.context_data = {**(page.context_data or {}), **preview}
        return page


def _agreed(request: HttpRequest, outcome: Outcome, digest: str) -> bool:
    """Whether this outcome was shown, or concerns nobody and none was."""
    return request.POST[AGREED] == digest if AGREED in request.POST else not outcome


def _values(posted: QueryDict) -> list[tuple[str, str]]:
    own = {"csrfmiddlewaretoken", AGREED}
    return [(name, str(value)) for name, values in posted.lists() if name not in own for value in values]


def _role(mapping: RoleMapping, group: Any) -> str:
    return role_names.for_group(mapping, group)


def _more(number: int) -> SafeString:
    return format_html("<div>and {} more</div>", number) if number > 0 else SafeString("")
