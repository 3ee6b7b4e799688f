"""The admin page of identity providers; it stands on this floor because it reads metadata."""

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_protect

from portal.saml import fetch, metadata, registry, standing, upkeep
from portal.saml.flavours import attribute_names
from portal.saml.metadata import IdpMetadata, MetadataError
from portal.saml.provider_form import ProviderForm, is_environments
from portal.scim import admin as _scim_admin  # noqa: F401  (registers its pages)
from provisioning.database import give_back_connection
from teams import snapshots
from teams.admin.base import AuditedAdmin
from teams.models import IdentityProvider

# Each may take ten seconds, while somebody waits for the page.
MAX_REFRESHED_AT_ONCE = 5

_FOUND = ("entity_id", "addresses", "signing_certificates", "valid_until", "refreshed_at", "refresh_error")
_NAMES = ("attribute_user", "attribute_team", "attribute_groups", "attribute_email", "attribute_name")
# What a refresh in the background may change while somebody has the form open.
_BACKGROUND = (
    "metadata",
    "valid_until",
    "certificates",
    "certificates_until",
    "refreshed_at",
    "tried_at",
    "refresh_error",
)


@admin.register(IdentityProvider)
class IdentityProviderAdmin(AuditedAdmin):
    """Identity providers: their metadata, and what is believed of what they say."""

    form = ProviderForm
    list_display = ("name", "entity_id", "flavour", "realm", "only_team", "is_active", "state")
    list_filter = ("is_active", "flavour")
    list_select_related = ("only_team",)
    search_fields = ("name", "entity_id", "realm")
    search_help_text = "Name, entity id or realm"
    actions = ("refresh_now",)
    instead_of_deleting = "Untick “active” instead: nobody signs on through it then."

    def get_fieldsets(self, request: HttpRequest, obj: IdentityProvider | None = None) -> Any:
        """Show what was found in the metadata, and the boxes for other ones to those who may use them."""
        terms = ("realm", "allow_unsolicited", "gives_roles", "only_team")
        about = (None, {"fields": ("name", "flavour", "is_active")})
        boxes: tuple[str, ...] = ("metadata_xml", "metadata_url", "chosen")
        if obj is not None:
            boxes = ("metadata_url",)
            if self.has_change_permission(request, obj) and not is_environments(obj):
                boxes = ("metadata_url", "metadata_xml")
            boxes = ("origin", *boxes, *_FOUND)
        return (
            about,
            ("Metadata", {"fields": boxes}),
            ("What is believed", {"fields": terms}),
            ("Attribute names", {"fields": ("in_force", *_NAMES) if obj else _NAMES}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: IdentityProvider | None = None) -> tuple[str, ...]:
        """What metadata say is read; so is what SAML_IDP_METADATA is in charge of."""
        shown = ("origin", *_FOUND, "in_force") if obj else ()
        return (*shown, "metadata_url", "allow_unsolicited") if is_environments(obj) else shown

    def get_form(
        self, request: HttpRequest, obj: IdentityProvider | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Return the form, which knows what the address answered."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.fetched = getattr(request, "fetched_metadata", None)
        return form

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Ask the address, before the transaction of the form begins; then show and save the form."""
        if request.method == "POST" and (url := self._url_to_ask(request, object_id)):
            give_back_connection()
            request.fetched_metadata = _fetched(url)  # type: ignore[attr-defined]
        return super().changeform_view(request, object_id, form_url, extra_context)

    def _url_to_ask(self, request: HttpRequest, object_id: str | None) -> str:
        """Return the address to ask for this form; empty for an unchanged one, and for those who may not save."""
        row = self.get_object(request, unquote(object_id)) if object_id else None
        allowed = self.has_change_permission(request, row) if object_id else self.has_add_permission(request)
        url = request.POST.get("metadata_url", "").strip()
        if not allowed or (object_id and row is None) or is_environments(row):
            return ""
        return "" if row is not None and row.metadata_url == url else url

    def save_model(self, request: HttpRequest, obj: IdentityProvider, form: Any, change: bool) -> None:
        """Save, but leave metadata that the form did not bring to whoever refreshed them meanwhile."""
        if change and not form.brings_metadata:
            now = IdentityProvider.objects.select_for_update().get(pk=obj.pk)
            for column in _BACKGROUND:
                setattr(obj, column, getattr(now, column))
            if not obj.metadata_url:
                obj.refresh_error = ""
        super().save_model(request, obj, form, change)

    def saved(self, row: IdentityProvider, before: snapshots.Snapshot | None, after: snapshots.Snapshot) -> None:
        """Have this process look at the row at once; the others do within seconds."""
        transaction.on_commit(registry.look_soon)

    def remove(self, row: IdentityProvider) -> None:
        super().remove(row)
        transaction.on_commit(registry.look_soon)

    def losses(self, row: IdentityProvider) -> list[str]:
        return ["the way of its people to sign on; they themselves and their memberships stay"]

    def _obstacles(self, row: IdentityProvider) -> list[str]:
        if is_environments(row):
            return [f"{row} is named by SAML_IDP_METADATA. {self.instead_of_deleting}"]
        return super()._obstacles(row)

    def response_add(self, request: HttpRequest, obj: IdentityProvider, post_url_continue: str | None = None) -> Any:
        """Show what was found in the metadata, so that somebody compares the fingerprints."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        text = f"“{obj}” was added. Compare the fingerprints below with those that the identity provider shows."
        self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:teams_identityprovider_change", args=[obj.pk]))

    @admin.action(description="Refresh now", permissions=["change"])
    def refresh_now(self, request: HttpRequest, queryset: QuerySet[IdentityProvider]) -> None:
        """Ask the addresses of the selected providers for their metadata."""
        rows = list(queryset.exclude(metadata_url="")[: MAX_REFRESHED_AT_ONCE + 1])
        if not rows or len(rows) > MAX_REFRESHED_AT_ONCE:
            wrong = f"Choose at most {MAX_REFRESHED_AT_ONCE}" if rows else "None of these has a metadata URL"
            self.message_user(request, f"{wrong}; nothing was refreshed.", messages.WARNING)
            return
        give_back_connection()
        for row in rows:
            error = upkeep.refresh(row.pk)
            text = f"{row}: {error} The last good copy stays." if error else f"{row}: refreshed."
            self.message_user(request, text, messages.ERROR if error else messages.SUCCESS)

    @admin.display(description="state")
    def state(self, row: IdentityProvider) -> str:
        """Return what an admin has to know about the copy of the metadata."""
        return _state(row)

    @admin.display(description="where the metadata come from")
    def origin(self, row: IdentityProvider) -> str:
        """Return who keeps the metadata up to date."""
        if is_environments(row):
            return "SAML_IDP_METADATA, which is in charge of them and of whether sign-on may start there"
        return "the address below, asked every hour" if row.metadata_url else "pasted here"

    @admin.display(description="addresses")
    def addresses(self, row: IdentityProvider) -> SafeString:
        """Return where people and logout messages are sent, by binding."""
        known = _parsed(row)
        if known is None:
            return format_html("{}", "–")
        lines = [("sign-on", binding, location) for binding, location in known.sign_on_locations.items()]
        lines += [("logout", binding, each.location) for binding, each in known.logout_locations.items()]
        return format_html_join("", "<div>{}, {}: <code>{}</code></div>", ((a, _short(b), c) for a, b, c in lines))

    @admin.display(description="signing certificates")
    def signing_certificates(self, row: IdentityProvider) -> SafeString:
        """Return the end and the SHA-256 fingerprint of each certificate, as `openssl x509` writes them."""
        lines = ((each["until"][:10], _fingerprint(each["sha256"])) for each in row.certificates)
        return format_html_join("", "<div>until {}: <code>{}</code></div>", lines)

    @admin.display(description="in force")
    def in_force(self, row: IdentityProvider) -> SafeString:
        """Return the attribute names that sign-on uses; of several the first that an assertion has counts."""
        names = attribute_names(row)
        told = [("user", (*names.user, "the NameID")), ("team", names.team), ("groups", names.groups)]
        told += [("mail", names.email), ("name", names.name)]
        return format_html_join("", "<div>{}: {}</div>", ((kind, ", else ".join(each)) for kind, each in told))


def _fetched(url: str) -> bytes | MetadataError:
    try:
        return fetch.fetch(url)
    except MetadataError as error:
        return error


def _parsed(row: IdentityProvider) -> IdpMetadata | None:
    try:
        return metadata.parse(row.metadata.encode())[0]
    except MetadataError:
        return None


def _short(binding: str) -> str:
    """Return the last part of a binding's name: “HTTP-POST”."""
    return binding.rpartition(":")[2]


def _fingerprint(digest: str) -> str:
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2)).upper()


def _state(row: IdentityProvider) -> str:
    """Return the worst that is to be said of a row in a few words."""
    if not row.is_active:
        return "inactive"
    now = datetime.now(UTC)
    ends = [datetime.fromisoformat(each["until"]) for each in row.certificates]
    if metadata.is_expired(row.valid_until) or not any(end > now for end in ends):
        return "expired"
    soon = now + standing.WARN_BEFORE
    if any(now < end <= soon for end in ends) or (row.valid_until and row.valid_until <= soon):
        return "expires within 30 days"
    return "not refreshed" if row.refresh_error else "ok"
