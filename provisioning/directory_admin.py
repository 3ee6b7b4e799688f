"""The admin pages of directories: what is read, and what waits for a word of an admin."""

import csv
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from provisioning.directory import finishing, stores, syncs
from provisioning.directory.finishing import NotHeldError
from provisioning.models import DeadLetter, Directory, DirectorySync, DirtyMark
from teams import audit, snapshots
from teams.admin.base import AuditedAdmin, ReadOnlyAdmin
from teams.admin.forms import changed
from teams.models import Group, Membership, User

State = DirectorySync.State
Trigger = DirectorySync.Trigger

# What readings and consumers write while somebody has the form open.
_BACKGROUND = (
    *("last_success_at", "failing_since", "last_error", "polled_at", "queue_failing_since", "queue_error"),
    "created_at",
)
# What makes another directory of it: what was read before says nothing any more.
_IDENTITY = ("identity_store_id", "region", "account", "subject_attribute")
NOT_HELD = "It is not held back any more: somebody decided already, or a newer one took its place."
NOTHING = mark_safe("–")
NUMBERS = {
    "people_losing": "people who would lose, or lost, something",
    "people_of_source": "people who have access by this directory",
    "people_added": "people who would gain, or gained, something",
    "added": "memberships added",
    "removed": "memberships removed",
    "created": "people created",
    "deactivated": "people deactivated",
    "reactivated": "people activated again",
    "skipped": "rows skipped: nobody's, or not to be stored",
}


@admin.register(Directory)
class DirectoryAdmin(AuditedAdmin):
    """Directories of IAM Identity Center."""

    list_display = ("name", "slug", "identity_store_id", "region", "is_active", "last_success_at", "state")
    list_filter = ("is_active",)
    search_fields = ("name", "slug", "identity_store_id")
    search_help_text = "Name, slug or identity store id"
    prepopulated_fields = {"slug": ("name",)}
    actions = ("synchronise", "plan")
    instead_of_deleting = "Untick “active” instead."

    def get_fieldsets(self, request: HttpRequest, obj: Directory | None = None) -> Any:
        """Show how it is going once there is something to show."""
        shown = (
            (None, {"fields": ("name", "slug", "is_active")}),
            ("Where it is", {"fields": ("identity_store_id", "region", "account", "queue_url")}),
            ("Who its people are", {"fields": ("realm", "subject_attribute")}),
            ("Synchronisation", {"fields": ("sync_every", "limit_share", "limit_number")}),
        )
        return (*shown, ("How it is going", {"fields": ("source", *_BACKGROUND[:-1])})) if obj else shown

    def get_readonly_fields(self, request: HttpRequest, obj: Directory | None = None) -> tuple[str, ...]:
        """What names its people and its groups stays what it is."""
        return ("slug", "realm", "source", *_BACKGROUND[:-1]) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Directory | None = None) -> dict[str, Any]:
        return {} if obj else super().get_prepopulated_fields(request, obj)

    @admin.display(description="source in role mappings")
    def source(self, directory: Directory) -> str:
        """Return the name of the directory's groups' source."""
        return directory.source

    @admin.display(description="state")
    def state(self, directory: Directory) -> str:
        """Return what an admin has to know in a few words."""
        if not directory.is_active:
            return "inactive"
        if directory.failing_since:
            return "cannot be read"
        if directory.queue_failing_since:
            return "its events cannot be read"
        return "ok" if directory.last_success_at else "not read yet"

    def save_model(self, request: HttpRequest, obj: Directory, form: Any, change: bool) -> None:
        """Save, but leave to the readings what they wrote meanwhile."""
        if change:
            now = Directory.objects.select_for_update().get(pk=obj.pk)
            for column in _BACKGROUND:
                setattr(obj, column, getattr(now, column))
        super().save_model(request, obj, form, change)

    def saved(self, row: Directory, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Have a directory read at once that is new, another one, or active again."""
        if before is not None and any(changed(before, after, name) for name in _IDENTITY):
            finishing.discard_open(row, reason="The directory is another one now.")
        elif not changed(before, after, "is_active"):
            return
        if row.is_active:
            syncs.start(row, Trigger.DEMAND, by=audit.who())

    def remove(self, row: Directory) -> None:
        """Take back what the directory gives, then forget it."""
        stores.lock(row.pk)
        giving = Group.objects.filter(source=row.source, memberships__isnull=False).distinct()
        stores.forget_access(row, giving.values_list("external_id", flat=True))
        row.delete()

    def losses(self, row: Directory) -> list[str]:
        people = Membership.objects.filter(source=row.source).values("user").distinct().count()
        return [f"what its groups give to {people} people"] if people else []

    @admin.action(description="Synchronise now", permissions=["change"])
    def synchronise(self, request: HttpRequest, queryset: QuerySet[Directory]) -> None:
        """Begin a synchronisation of the selected directories."""
        self._start(request, queryset, dry_run=False)

    @admin.action(description="Plan a synchronisation (dry run)", permissions=["change"])
    def plan(self, request: HttpRequest, queryset: QuerySet[Directory]) -> None:
        """Work out what a synchronisation of the selected directories would change."""
        self._start(request, queryset, dry_run=True)

    def _start(self, request: HttpRequest, queryset: QuerySet[Directory], *, dry_run: bool) -> None:
        for directory in queryset:
            if not directory.is_active:
                self.message_user(request, f"{directory} is not active.", messages.WARNING)
                continue
            by = request.user.get_username()
            sync, is_new = syncs.start(directory, Trigger.DEMAND, by=by, dry_run=dry_run)
            page = reverse("admin:provisioning_directorysync_change", args=[sync.pk])
            text = "is being read now" if is_new else "was being read already"
            told = format_html('{} {}: <a href="{}">see how far it is</a>.', directory, text, page)
            self.message_user(request, told, messages.SUCCESS if is_new else messages.INFO)


@admin.register(DirectorySync)
class DirectorySyncAdmin(ReadOnlyAdmin):
    """Synchronisations to read; those that are held back to decide upon."""

    list_display = ("directory", "started_at", "state", "trigger", "losing", "by", "finished_at")
    list_filter = ("state", "trigger", "directory")
    list_select_related = ("directory",)
    change_form_template = "admin/provisioning/directorysync/change_form.html"
    fieldsets = (
        (None, {"fields": ("directory", "state", "trigger", "by", "decided_by", "started_at", "finished_at")}),
        ("Reading", {"fields": ("stage", "groups", "members", "users", "attempts", "error", "due_at")}),
        ("What changes", {"fields": ("numbers", "changes")}),
    )
    readonly_fields = ("numbers", "changes")

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of a decision, and the list as a file."""
        own = [
            path("<path:object_id>/apply/", self.admin_site.admin_view(self.apply_view), name=_name("apply")),
            path("<path:object_id>/discard/", self.admin_site.admin_view(self.discard_view), name=_name("discard")),
            path("<path:object_id>/list.csv", self.admin_site.admin_view(self.list_view), name=_name("list")),
        ]
        return own + super().get_urls()

    @admin.display(description="people losing access")
    def losing(self, sync: DirectorySync) -> Any:
        """Return how many people lose something, where that is known."""
        return sync.plan.get("people_losing", "–")

    @admin.display(description="in numbers")
    def numbers(self, sync: DirectorySync) -> SafeString:
        """Return what changed or would change, in numbers."""
        known = ((sync.plan[name], label) for name, label in NUMBERS.items() if name in sync.plan)
        return format_html_join("", "<div>{} {}</div>", known) or NOTHING

    @admin.display(description="first changes")
    def changes(self, sync: DirectorySync) -> SafeString:
        """Return the first changes one by one, losses first."""
        lines = sync.plan.get("lines", [])
        if not lines:
            return NOTHING
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            ((each["change"], each["username"], each["team"], each["group"]) for each in lines),
        )
        head = format_html("<tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr>", "change", "user", "team", "group")
        return format_html("<table><thead>{}</thead><tbody>{}</tbody></table>", head, rows)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whether this person may apply or throw away what is held back: portal admins, not auditors."""
        return isinstance(request.user, User) and request.user.has_perm("provisioning.change_directorysync")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one, with the way to a decision where one is to be made."""
        sync = self.get_object(request, unquote(object_id)) if object_id else None
        held = sync is not None and sync.state == State.HELD
        more = {"undecided": held and self.has_decide_permission(request)}
        return super().changeform_view(request, object_id, form_url, {**more, **(extra_context or {})})

    def apply_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to apply what is held back; apply it on POST."""
        return self._decide(request, object_id, "apply")

    def discard_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to throw away what is held back; throw it away on POST."""
        return self._decide(request, object_id, "discard")

    def list_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the list of changes as CSV."""
        sync = self._found(request, object_id)
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="synchronisation-{sync.pk}.csv"'
        writer = csv.writer(response)
        writer.writerow(("change", "user", "team", "group"))
        for each in sync.plan.get("lines", []):
            writer.writerow(_harmless(each[name]) for name in ("change", "username", "team", "group"))
        return response

    def _found(self, request: HttpRequest, object_id: str) -> DirectorySync:
        sync = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, sync):
            raise PermissionDenied
        if sync is None:
            raise Http404
        return sync

    def _decide(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        sync = self._found(request, object_id)
        if not self.has_decide_permission(request):
            raise PermissionDenied
        page = reverse("admin:provisioning_directorysync_change", args=[sync.pk])
        if request.method == "POST":
            self._carry_out(request, sync, decision)
        elif sync.state == State.HELD:
            context = {**self.admin_site.each_context(request), "title": "Are you sure?", "opts": self.opts}
            context |= {"sync": sync, "decision": decision, "page": page, "losing": sync.plan.get("people_losing", 0)}
            return TemplateResponse(request, "admin/provisioning/directorysync/decide.html", context)
        else:
            self.message_user(request, NOT_HELD, messages.WARNING)
        return HttpResponseRedirect(page)

    def _carry_out(self, request: HttpRequest, sync: DirectorySync, decision: str) -> None:
        by = request.user.get_username()
        try:
            if decision == "apply":
                applied = finishing.apply_held(sync.pk, by=by)
                text = f"Applied: {applied.people_losing} people lost something."
            else:
                finishing.throw_away(sync.pk, by=by)
                text = "Thrown away: nothing was changed."
        except NotHeldError:
            self.message_user(request, NOT_HELD, messages.WARNING)
        else:
            self.message_user(request, text, messages.SUCCESS)


@admin.register(DirtyMark)
class DirtyMarkAdmin(ReadOnlyAdmin):
    """What is to be read again, or was."""

    list_display = ("directory", "kind", "external_id", "noted_at", "due_at", "attempts", "error", "done_at")
    list_filter = ("directory", "kind", ("done_at", admin.EmptyFieldListFilter))
    list_select_related = ("directory",)
    search_fields = ("external_id",)
    search_help_text = "Id of a group, a user or a membership"
    exclude = ("claim", "claimed_until")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages that could not be understood."""

    list_display = ("received_at", "directory", "reason", "message_id")
    list_filter = ("directory",)
    list_select_related = ("directory",)
    search_fields = ("message_id", "reason")
    search_help_text = "Message id or reason"
    fields = ("directory", "received_at", "message_id", "reason", "body")


def _name(view: str) -> str:
    return f"provisioning_directorysync_{view}"


def _harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
