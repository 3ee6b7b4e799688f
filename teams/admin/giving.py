"""Who owns a team, what was given by hand, and who has asked: written by `teams.grants` alone."""

from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from teams import grants
from teams.admin.base import ReadOnlyAdmin
from teams.admin.generic import InlineFormSet, ModelForm, TabularInline
from teams.models import AccessRequest, Grant, TeamOwner, User
from teams.owners import NotAllowedError


class PersonField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A person, typed as a user name: there may be a hundred thousand to choose from."""

    widget = forms.TextInput
    default_error_messages = {"invalid_choice": "Nobody has this user name; people are known once they signed on."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(User.objects.all(), to_field_name="username", **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Show the user name of a person on record, and what was typed as it was."""
        if isinstance(value, int):
            return self.queryset.filter(pk=value).values_list("username", flat=True).first()  # type: ignore[union-attr]
        return super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        """Find the person; white space around a user name is nobody's."""
        return super().to_python(value.strip() if isinstance(value, str) else value)


class OwnerForm(ModelForm):
    """One owner of a team."""

    user = PersonField(label="User name")


class OwnerFormSet(InlineFormSet):
    """The owners of one team."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """Name each box for those who hear the page, as `TagFormSet` does."""
        super().add_fields(form, index)
        for name, label in (("user", "Owner: user name"), ("DELETE", "Owner: delete")):
            if name in form.fields:
                form.fields[name].widget.attrs.setdefault("aria-label", label)


class OwnerInline(TabularInline):
    """The people who decide who gets access to a team; that gives them none."""

    model = TeamOwner
    verbose_name = "owner"
    verbose_name_plural = "owners"
    form = OwnerForm
    formset = OwnerFormSet
    fields = ("user",)
    extra = 0


class GrantForm(ModelForm):
    """Access to give: who, to what, until when and why."""

    # The portal admin who fills the form in; set by the page.
    editor: User

    who = forms.CharField(label="User name or mail address", max_length=330)
    until = forms.DateField(initial=grants.usual_day, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))

    class Meta:
        model = Grant
        fields = ("team", "reason")

    def clean_who(self) -> User:
        """Return the person."""
        try:
            return grants.find_person(self.cleaned_data["who"])
        except NotAllowedError as error:
            raise ValidationError(str(error)) from error

    def clean_until(self) -> datetime:
        """Return the end of the day."""
        day: date = self.cleaned_data["until"]
        try:
            return grants.end_of(day)
        except (OverflowError, ValueError):
            raise ValidationError("There is no such day.") from None

    def clean_reason(self) -> str:
        """Return the reason on one line."""
        try:
            return grants.worded(self.cleaned_data["reason"])
        except NotAllowedError as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if {"who", "team", "until"} <= cleaned.keys():
            try:
                grants.check(user=cleaned["who"], team=cleaned["team"], until=cleaned["until"], by=self.editor)
            except NotAllowedError as error:
                raise ValidationError(str(error)) from error
        return cleaned

    def validate_constraints(self) -> None:
        """Take a second time for the same person and team as a change: that is what giving again is."""


def _people_of(row: Grant | AccessRequest) -> str:
    """Return the address of the page on which the team's owners decide."""
    return reverse("people", args=[row.team.slug])


class TakeBackForm(ActionForm):
    """The list's action, with the reason that the person is told."""

    reason = forms.CharField(required=False, max_length=grants.REASON_LENGTH)


@admin.register(Grant)
class GrantAdmin(ReadOnlyAdmin):
    """Access given by hand: give it, give it anew to change it, take it back from the list."""

    list_display = ("user", "team", "valid_until", "given_by", "given_at", "reason")
    list_filter = ("team",)
    list_select_related = ("user", "team")
    search_fields = ("user__username", "user__name", "team__slug", "given_by")
    search_help_text = "User name, name, team or who gave it"
    view_on_site = staticmethod(_people_of)  # type: ignore[assignment]
    actions = ("take_back",)
    action_form = TakeBackForm
    fields = ("user", "team", "reason", "given_by", "given_at", "valid_until", "person_told_at", "reminded_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may_give(request)

    def has_give_permission(self, request: HttpRequest) -> bool:
        """Whether this person may take back: portal admins, not auditors."""
        return self._may_give(request)

    @staticmethod
    def _may_give(request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.has_perm("teams.add_grant")

    def get_fields(self, request: HttpRequest, obj: Grant | None = None) -> Any:
        """Return what is asked for, or what there is to read."""
        return self.fields if obj else ("who", "team", "until", "reason")

    def get_form(self, request: HttpRequest, obj: Grant | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, which knows who fills it in."""
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, **{**kwargs, "form": GrantForm, "fields": ("team", "reason")})
        form.editor = request.user  # type: ignore[attr-defined]
        return form

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form and give; what changed between the two is told instead."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except NotAllowedError as error:
            self.message_user(request, f"Nothing was given: {error}", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        """Give by the door that everybody goes through."""
        if change or not isinstance(request.user, User):
            raise PermissionDenied
        said = form.cleaned_data
        given = grants.give(
            user=said["who"], team=said["team"], until=said["until"], reason=said["reason"], by=request.user
        )
        for field in Grant._meta.concrete_fields:
            setattr(obj, field.attname, getattr(given, field.attname))

    @admin.action(description="Take back", permissions=["give"])
    def take_back(self, request: HttpRequest, queryset: QuerySet[Grant]) -> None:
        """Take the selected access back, all of it or none."""
        chosen = list(queryset.select_related("user", "team").order_by("user_id"))
        if not isinstance(request.user, User):
            raise PermissionDenied
        try:
            with transaction.atomic():
                for grant in chosen:
                    reason = request.POST.get("reason", "")
                    grants.take_back(user=grant.user, team=grant.team, by=request.user, reason=reason)
        except NotAllowedError as error:
            self.message_user(request, f"Nothing was taken back: {error}", messages.ERROR)
            return
        self.message_user(request, f"Taken back: {len(chosen)}.", messages.SUCCESS)


@admin.register(AccessRequest)
class AccessRequestAdmin(ReadOnlyAdmin):
    """Requests to join teams, to read; owners and portal admins decide on the page of the team's people."""

    list_display = ("user", "team", "state", "asked_at", "reason", "decided_by")
    list_filter = ("state", "team")
    list_select_related = ("user", "team")
    search_fields = ("user__username", "user__name", "team__slug", "decided_by")
    search_help_text = "User name, name, team or who decided"
    view_on_site = staticmethod(_people_of)  # type: ignore[assignment]
