"""Users, what sources say about them, and why they have access."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from teams import access, audit, snapshots, users
from teams.admin.base import ReadOnlyAdmin, ReadOnlyInline
from teams.admin.generic import ModelForm
from teams.admin.suspending import PERSON, SuspendingAdmin
from teams.models import AuditEvent, Group, GroupMembership, Membership, User
from teams.signals import send_access_changed

# The name of the button on a person's page.
SIGN_OUT = "_sign_out_everywhere"


class MembershipInline(ReadOnlyInline):
    """Why a person is in which team."""

    model = Membership
    fields = ("team", "source", "group", "mapping", "since", "valid_until", "counts", "role")
    readonly_fields = ("counts", "role")
    verbose_name_plural = "memberships"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the evidence with its role, and the one that decides about the team."""
        rivals = Membership.objects.filter(access.live(), user=OuterRef("user_id"), team=OuterRef("team_id"))
        winner = Subquery(rivals.order_by(*access.DECIDES).values("pk")[:1])
        rows = super().get_queryset(request).select_related("team", "group", "mapping__team", "user")
        return rows.annotate(role=access.ROLE, winner=winner, gives=Exists(rivals.filter(pk=OuterRef("pk"))))

    @admin.display(description="counts")
    def counts(self, membership: Any) -> str:
        """Return whether this evidence gives access, and whether it decides the role."""
        if not membership.gives:
            return "gives no access now"
        return "decides the role" if membership.winner == membership.pk else "gives access"

    @admin.display(description="role")
    def role(self, membership: Any) -> str:
        """Return the execution role that this evidence speaks for."""
        return str(membership.role)


class GroupMembershipInline(ReadOnlyInline):
    """The groups that sources put a person in."""

    model = GroupMembership
    fields = ("group", "source", "since", "valid_until")
    readonly_fields = ("source",)
    verbose_name_plural = "groups"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("group")

    def source(self, membership: GroupMembership) -> str:
        """Return who said so."""
        return membership.group.source


class UserForm(ModelForm):
    """What a portal admin decides about a person."""

    # The person who fills the form in; set by the page.
    editor: User

    class Meta:
        model = User
        fields = ("is_active", "role", "monthly_budget")
        help_texts = {
            "is_active": "Whoever is not active can neither sign on nor open anything.",
            "role": "Where PORTAL_ADMIN_GROUPS or PORTAL_AUDITOR_GROUPS is set, groups decide anew at each sign-on.",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance.pk == self.editor.pk:
            for name in ("is_active", "role"):
                if name in self.changed_data:
                    self.add_error(name, ValidationError("You cannot take your own access away; ask another admin."))
        return cleaned


@admin.register(User)
class UserAdmin(SuspendingAdmin):
    """People: made by sign-on, never here."""

    form = UserForm
    kind = PERSON
    inlines: ClassVar[tuple[type[ReadOnlyInline], ...]] = (MembershipInline, GroupMembershipInline)
    list_display = ("username", "name", "email", "role", "is_active")
    list_filter = ("role", "is_active")
    search_fields = ("username", "name", "email")
    search_help_text = "User name, name or mail address"
    ordering = ("username",)
    fieldsets = (
        (None, {"fields": ("username", "name", "email", "realm", "subject", "created_at")}),
        ("Access", {"fields": ("is_active", "role")}),
        ("Budget", {"fields": ("monthly_budget",)}),
    )
    readonly_fields = ("username", "name", "email", "realm", "subject", "created_at")
    actions = ("sign_out_everywhere", "suspend", "resume")
    change_form_template = "admin/teams/user/change_form.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, which knows who fills it in."""
        form = super().get_form(request, obj, change, **kwargs)
        form.editor = request.user  # type: ignore[attr-defined]
        return form

    def has_sign_out_permission(self, request: HttpRequest) -> bool:
        """Whether this person may sign others out: portal admins, not auditors."""
        return isinstance(request.user, User) and request.user.has_perm("teams.change_user")

    @admin.action(description="Sign out everywhere", permissions=["sign_out"])
    def sign_out_everywhere(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """End all sessions of the selected people, in every browser."""
        people = list(queryset.order_by("pk"))
        with transaction.atomic():
            for user in people:
                users.end_sessions(user)
        whom = people[0].username if len(people) == 1 else f"{len(people)} people"
        self.message_user(request, f"Signed out everywhere: {whom}.", messages.SUCCESS)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show and save the form; its second button saves nothing and signs the person out."""
        if request.method != "POST" or SIGN_OUT not in request.POST:
            return super().changeform_view(request, object_id, form_url, extra_context)
        if not self.has_sign_out_permission(request):
            raise PermissionDenied
        user = self.get_object(request, object_id or "")
        if user is None:
            raise Http404
        self.sign_out_everywhere(request, User.objects.filter(pk=user.pk))
        return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save; a person who is switched off is signed off everywhere, and stays so when switched on again."""
        if "is_active" in form.changed_data and not obj.is_active:
            obj.session_epoch += 1
        super().save_model(request, obj, form, change)

    def record(self, row: User, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """A change of the role is an entry of its own kind, next to any other change."""
        changes = snapshots.difference(before or {}, after)
        role = snapshots.only(changes, {"role"})
        if role:
            audit.record(AuditEvent.Action.ROLE_CHANGED, target=row.username, data=role)
        rest = snapshots.only(changes, changes["after"].keys() - {"role"})
        if rest:
            audit.record(AuditEvent.Action.CHANGED, target=row.username, data=rest)

    def saved(self, row: User, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        send_access_changed(user_ids=[row.pk])


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """The evidence for access, to read."""

    list_display = ("user", "team", "source", "group", "mapping", "since", "valid_until")
    list_filter = ("team",)
    list_select_related = ("user", "team", "group", "mapping__team")
    search_fields = ("user__username", "user__name", "source")
    search_help_text = "User name, name or source"
    ordering = ("-id",)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    """Groups as their sources name them, to read."""

    list_display = ("__str__", "external_id", "source")
    search_fields = ("name", "external_id", "source")
    search_help_text = "Name, id or source"
