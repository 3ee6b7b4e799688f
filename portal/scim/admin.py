"""The admin pages of SCIM clients, their tokens, and what they have pushed."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_variables

from portal.scim import answers, tokens
from teams import audit, memberships
from teams.admin.base import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline
from teams.admin.generic import ModelForm
from teams.models import ScimClient, ScimGroup, ScimToken, ScimUser, slug_validator

# The names of the buttons on a client's page.
MAKE, REVOKE = "_make_token", "_revoke_token"
MAX_DAYS = 3650
# What pushed resources rest on; to change it is to make another client.
_SETTLED = ("realm", "subject_attribute")


class ScimClientForm(ModelForm):
    """Who pushes, and whom its people are."""

    class Meta:
        model = ScimClient
        fields = ("name", "slug", "realm", "subject_attribute", "is_active")

    def clean_realm(self) -> str:
        realm: str = self.cleaned_data["realm"]
        slug_validator(realm)
        if realm == "local":
            raise ValidationError("The accounts of this realm are made here; no identity provider speaks for them.")
        return realm


class TokenForm(forms.Form):
    """How long a new token is good for."""

    days = forms.IntegerField(min_value=1, max_value=MAX_DAYS, required=False)

    def expires_at(self) -> datetime | None:
        """Return the end of the token, None where it has none."""
        days = self.cleaned_data["days"]
        return None if days is None else timezone.now() + timedelta(days=days)


class TokenInline(ReadOnlyInline):
    """The tokens of a client, by how they begin."""

    model = ScimToken
    fields = ("hint", "state", "created_at", "created_by", "expires_at", "last_used_at", "revoked_at")
    readonly_fields = fields
    verbose_name_plural = "tokens"

    def state(self, token: ScimToken) -> str:
        """Return whether the token is good now."""
        if token.revoked_at is not None:
            return "revoked"
        return "good" if tokens.is_good(token) else "expired"


@admin.register(ScimClient)
class ScimClientAdmin(AuditedAdmin):
    """Identity providers that push, and their tokens."""

    form = ScimClientForm
    inlines = (TokenInline,)
    list_display = ("name", "slug", "realm", "is_active", "last_used_at")
    list_filter = ("is_active",)
    search_fields = ("name", "slug", "realm")
    search_help_text = "Name, slug or realm"
    fields = ("name", "slug", "realm", "subject_attribute", "is_active", "last_used_at")
    change_form_template = "admin/teams/scimclient/change_form.html"
    instead_of_deleting = "Untick “active” instead: nothing is taken from it then."

    def get_fields(self, request: HttpRequest, obj: ScimClient | None = None) -> Any:
        """Show when it was last heard once there is something to hear from."""
        return self.fields if obj else self.fields[:-1]

    def get_readonly_fields(self, request: HttpRequest, obj: ScimClient | None = None) -> tuple[str, ...]:
        """The source's name stays; what people are known by stays, once there are people."""
        if obj is None:
            return ()
        return ("slug", "last_used_at", *(_SETTLED if obj.users.exists() else ()))

    def losses(self, row: ScimClient) -> list[str]:
        """Return what goes away with a client."""
        return [
            f"{row.tokens.count()} tokens",
            f"{row.groups.count()} groups, with the access that rests on them",
            f"{row.users.count()} pushed users; the people themselves stay, as active as they are",
        ]

    def remove(self, row: ScimClient) -> None:
        """Take the access back that rests on what this client said, then forget it."""
        memberships.hold()
        for group in row.groups.order_by("pk").iterator():
            memberships.drop_group(row.source, str(group.scim_id))
        row.delete()

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show and save the form; the other buttons save nothing, and make or revoke a token."""
        if request.method != "POST" or not {MAKE, REVOKE} & request.POST.keys():
            return super().changeform_view(request, object_id, form_url, extra_context)
        client = self.get_object(request, object_id or "")
        if client is None:
            raise Http404
        if not self.has_change_permission(request, client):
            raise PermissionDenied
        if MAKE in request.POST:
            return self._make_token(request, client)
        self._revoke_token(request, client)
        return HttpResponseRedirect(request.path)

    @sensitive_variables("secret")
    def _make_token(self, request: HttpRequest, client: ScimClient) -> HttpResponse:
        """Make a token and show it, on this page and never again."""
        form = TokenForm(request.POST)
        if not form.is_valid():
            text = f"No token was made: a token is good for 1 to {MAX_DAYS} days, or for ever."
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.path)
        secret = tokens.issue(client, by=audit.who(), expires_at=form.expires_at())
        context = {**self.admin_site.each_context(request), "opts": self.opts, "client": client, "secret": secret}
        response = TemplateResponse(request, "admin/teams/scimclient/token.html", {**context, "title": "New token"})
        add_never_cache_headers(response)
        return response

    def _revoke_token(self, request: HttpRequest, client: ScimClient) -> None:
        key = request.POST[REVOKE]
        token = client.tokens.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 19 else None
        if token is None:
            raise Http404
        done = tokens.revoke(token)
        text = f"Revoked: {token}" if done else f"{token} was revoked before."
        self.message_user(request, text, messages.SUCCESS if done else messages.WARNING)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page with the tokens that may be revoked."""
        client = self.get_object(request, object_id)
        good = client.tokens.filter(revoked_at=None) if client else ()
        more = {"good_tokens": good, "address": answers.location(), "max_days": MAX_DAYS}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})


@admin.register(ScimUser)
class ScimUserAdmin(ReadOnlyAdmin):
    """Users as they were pushed, to read."""

    list_display = ("user_name", "client", "user", "active", "changed_at")
    list_filter = ("client",)
    list_select_related = ("client", "user")
    search_fields = ("user_name", "external_id", "user__username")
    search_help_text = "userName, externalId or user name"
    ordering = ("-id",)


@admin.register(ScimGroup)
class ScimGroupAdmin(ReadOnlyAdmin):
    """Groups as they were pushed, to read."""

    list_display = ("display_name", "client", "scim_id", "external_id", "changed_at")
    list_filter = ("client",)
    list_select_related = ("client",)
    search_fields = ("display_name", "external_id")
    search_help_text = "displayName or externalId"
    ordering = ("-id",)
