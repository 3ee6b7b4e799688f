"""The form of an identity provider: metadata are pasted or fetched, and what is wrong with them is told there."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings

from portal.saml import fetch, metadata, upkeep
from portal.saml.flavours import preset
from portal.saml.metadata import IdpMetadata, MetadataError
from portal.saml.presets import PRESETS
from teams.admin.generic import ModelForm
from teams.models import IdentityProvider

_URL_HELP = "An https address. It is asked now, and every hour by a worker; the last good copy is kept."
_REPLACE_HELP = "Paste newer metadata of this provider to replace what is below; empty the URL then."
_NAMES = ("user", "team", "groups", "email", "name")


class ProviderForm(ModelForm):
    """A provider; `fetched` is what its address answered: forms run in a transaction, and fetching must not."""

    fetched: ClassVar[bytes | MetadataError | None] = None

    metadata_xml = forms.CharField(
        label="Metadata XML",
        required=False,
        strip=True,
        widget=forms.Textarea(attrs={"rows": 10, "cols": 80, "class": "code", "spellcheck": "false"}),
        help_text="Paste the identity provider's metadata here, or give their address below.",
    )
    chosen = forms.CharField(
        label="Entity id",
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Only where the metadata describe several identity providers: which one is meant.",
    )

    class Meta:
        model = IdentityProvider
        fields = (
            "name",
            "flavour",
            "is_active",
            "metadata_url",
            "realm",
            "allow_unsolicited",
            "gives_roles",
            "only_team",
            *(f"attribute_{name}" for name in _NAMES),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            self.fields["name"].required = bool(self.instance.pk)
            self.fields["name"].help_text += "" if self.instance.pk else " Empty: the host of its entity id."
        if self.instance.pk and "metadata_xml" in self.fields:
            self.fields["metadata_xml"].help_text = _REPLACE_HELP
        if self.instance.pk and "flavour" in self.fields:
            self.fields["flavour"].help_text += f" {PRESETS[self.instance.flavour].help}"
        if "metadata_url" in self.fields:
            self.fields["metadata_url"].help_text = _URL_HELP
        for name in _NAMES:
            if f"attribute_{name}" in self.fields:
                self.fields[f"attribute_{name}"].help_text = self._usual(name)
        # Whether this form brought metadata, so that saving it replaces those of the row.
        self.brings_metadata = False

    def _usual(self, name: str) -> str:
        flavour = self.data.get("flavour") or self.initial.get("flavour") or IdentityProvider.Flavour.GENERIC
        usual = " or ".join(getattr(preset(str(flavour)), name))
        return f"Empty: {usual or 'the NameID'}." if self.instance.pk else "Empty: as usual for its kind."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not is_environments(self.instance):
            self._read_metadata(cleaned)
        if self.brings_metadata and not cleaned.get("name") and "name" not in self.errors:
            cleaned["name"] = upkeep.name_of(self.known)
        return cleaned

    def _read_metadata(self, cleaned: dict[str, Any]) -> None:
        """Find the one provider in what was pasted or fetched, and put it into the row."""
        url, pasted = cleaned.get("metadata_url", "").strip(), cleaned.get("metadata_xml", "")
        if url and pasted:
            self.add_error("metadata_xml", "Give the metadata or their address, not both.")
            return
        field = "metadata_xml" if pasted or not url else "metadata_url"
        if not pasted and (not url or (self.instance.pk and url == self.initial.get("metadata_url"))):
            if not self.instance.pk:
                self.add_error(field, "Paste the metadata, or give their https address.")
            return
        try:
            document = self._document(pasted)
            known = self._choose(metadata.parse(document), cleaned.get("chosen", "").strip())
            upkeep.require_usable(known)
        except MetadataError as error:
            self.add_error(field, f"{error} {error.hint}")
            return
        self._take(field, document, known)

    def _document(self, pasted: str) -> bytes:
        if pasted:
            document = pasted.encode()
            if len(document) > fetch.MAX_BYTES:
                raise MetadataError("The metadata are larger than 1 MB.", "Paste those of the one provider only.")
            return document
        if isinstance(self.fetched, bytes):
            return self.fetched
        raise self.fetched or MetadataError("The address was not asked.", "Save again.")

    def _choose(self, found: tuple[IdpMetadata, ...], chosen: str) -> IdpMetadata:
        wanted = self.instance.entity_id or chosen
        names = ", ".join(each.entity_id for each in found[:10])
        for known in found:
            if known.entity_id == wanted or (not wanted and len(found) == 1):
                return known
        if self.instance.pk:
            raise MetadataError(f"These are the metadata of another provider: {names}.", "Add it as a provider.")
        if wanted:
            raise MetadataError(f"{wanted} is not in them; they describe {names}.", "Correct the entity id.")
        raise MetadataError(
            f"They describe {len(found)} identity providers: {names}.", "Write the one you mean in “Entity id”."
        )

    def _take(self, field: str, document: bytes, known: IdpMetadata) -> None:
        other = IdentityProvider.objects.exclude(pk=self.instance.pk).filter(entity_id=known.entity_id).first()
        if other is not None:
            self.add_error(field, f"{known.entity_id} is here already, as “{other.name}”.")
            return
        upkeep.fill(self.instance, document, known)
        self.brings_metadata = True
        self.known = known


def is_environments(row: IdentityProvider | None) -> bool:
    """Whether SAML_IDP_METADATA is in charge of the metadata of a row."""
    return row is not None and row.seeded and bool(settings.SAML_IDP_METADATA)
