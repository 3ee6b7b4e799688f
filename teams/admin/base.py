"""What all admin pages share: edits audited in their own transaction, deletions that explain, plain reading."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from django.contrib import admin, messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db import IntegrityError, models, transaction
from django.db.models import ProtectedError, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import capfirst

from teams import audit, snapshots
from teams.admin.generic import ModelAdmin, TabularInline
from teams.models import AuditEvent

Row: TypeAlias = Any  # whichever model a page is for


class PortalAdmin(ModelAdmin):
    """Pages that never count more than they show and keep no log beside the audit log."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    view_on_site = False

    def log_addition(self, request: HttpRequest, obj: Row, message: Any) -> Any:
        """Django's own log stays empty: the audit log is the only one."""

    def log_change(self, request: HttpRequest, obj: Row, message: Any) -> Any:
        """Django's own log stays empty: the audit log is the only one."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Django's own log stays empty: the audit log is the only one."""

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer to add or look at what a field points to; to change or delete it there is its own page."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, ModelChoiceField) and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_change_related = field.widget.can_delete_related = False
        return field

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Let addresses ask for equality only: others could scan the table, or feel their way to a password's hash."""
        parts = lookup.split("__")
        if "password" in parts or (len(parts) > 1 and parts[-1] not in {"exact", "isnull", "id"}):
            return False
        return super().lookup_allowed(lookup, value, request)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the row's history in the audit log."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_or_change_permission(request, row):
            return HttpResponseRedirect(reverse("admin:index"))
        query = urlencode({"target__exact": snapshots.target(row)})
        return HttpResponseRedirect(f"{reverse('admin:teams_auditevent_changelist')}?{query}")


class ReadOnlyAdmin(PortalAdmin):
    """Pages on which nobody adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


class AuditedAdmin(PortalAdmin):
    """Pages whose every edit writes its audit row in the same transaction."""

    # What to do instead where a row cannot be deleted.
    instead_of_deleting = "Delete or move those first."

    def saved(self, row: Row, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Called in the transaction after a row and its inlines were saved; `before` is None for a new row."""

    def before_save(self) -> None:
        """Called first in the transaction of a save, before any row is locked."""

    def keep(self, row: Row, locked: Row) -> None:
        """Take over, from the row as it is in the database now and locked, what no form decides."""

    def remove(self, row: Row) -> None:
        """Delete the row, by the door that its kind has; called in a transaction that begins with it."""
        row.delete()

    def losses(self, row: Row) -> list[str]:
        """Return what goes away with a row, for the page that asks."""
        return []

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show and save the form. Whoever is second of two at once gets the form back with the reason."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            # The row of the other one is there now, so that the second validation can name the field.
            pass
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            self.message_user(request, "Nothing was saved: somebody else changed the same thing.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Row, form: Any, change: bool) -> None:
        """Save the row, and remember what it was; the row stays locked until the audit row is written too."""
        self.before_save()
        rows = self.model._default_manager.select_for_update()
        locked = rows.get(pk=obj.pk) if change else None
        form.before = snapshots.take(locked) if locked else None
        if locked:
            self.keep(obj, locked)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Iterable[Any], change: bool) -> None:
        """Save the inlines, then record row and inlines together."""
        super().save_related(request, form, formsets, change)
        row, before = form.instance, form.before
        after = snapshots.take(row)
        if before != after:
            self.record(row, before, after)
            self.saved(row, before, after)

    def record(self, row: Row, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Write the audit row of a save that changed something."""
        audit.record(
            AuditEvent.Action.CREATED if before is None else AuditEvent.Action.CHANGED,
            target=snapshots.target(row),
            team=snapshots.team_of(row),
            data=snapshots.difference(before or {}, after),
        )

    def delete_model(self, request: HttpRequest, obj: Row) -> None:
        """Delete one row with its audit row."""
        with transaction.atomic():
            before, target, team = snapshots.take(obj), snapshots.target(obj), snapshots.team_of(obj)
            self.remove(obj)
            audit.record(AuditEvent.Action.DELETED, target=target, team=team, data={"before": before, "after": {}})

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Row]) -> None:
        """Delete all selected rows, each with its audit row, or none."""
        with transaction.atomic():
            for row in queryset.order_by("pk"):
                self.delete_model(request, row)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Return what a deletion takes with it and what forbids it, in counts: never hundreds of thousands of rows."""
        rows = list(objs)
        protected = [line for row in rows for line in self._obstacles(row)]
        nested: list[Any] = []
        for row in rows:
            nested.append(f"{capfirst(str(self.opts.verbose_name))}: {row}")
            nested.extend([lost] if (lost := self.losses(row)) else [])
        return nested, {str(self.opts.verbose_name_plural): len(rows)}, set(), protected

    def _obstacles(self, row: Row) -> list[str]:
        found = []
        for relation in self.opts.related_objects:
            if relation.on_delete is not models.PROTECT:
                continue
            number = relation.related_model._default_manager.filter(**{relation.field.name: row}).count()
            if number:
                what = relation.related_model._meta
                noun = what.verbose_name if number == 1 else what.verbose_name_plural
                found.append(f"{row} has {number} {noun}. {self.instead_of_deleting}")
        return found

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, then delete; what has come to depend on the row meanwhile keeps it."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except (ProtectedError, IntegrityError):
            return self._still_in_use(request, request.get_full_path())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List, and run actions; a bulk deletion that something forbids deletes nothing."""
        try:
            return super().changelist_view(request, extra_context)
        except (ProtectedError, IntegrityError):
            return self._still_in_use(request, request.get_full_path())

    def _still_in_use(self, request: HttpRequest, url: str) -> HttpResponse:
        text = f"Nothing was deleted: something still needs it. {self.instead_of_deleting}"
        self.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(url)


class ReadOnlyInline(TabularInline):
    """Rows that belong to the row on the page, to read."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
