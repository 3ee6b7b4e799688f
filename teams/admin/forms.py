"""The forms of the admin: what the models' own validators cannot say."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.text import slugify

from teams import role_names, single_sign_on, strict_json
from teams.admin.generic import InlineFormSet, ModelForm
from teams.models import Domain, Group, RoleMapping, Team

SLUG_LENGTH = 40


class SettingsField(forms.JSONField):
    """A JSON object, kept as it was typed until it is good; refuses what PostgreSQL could not store."""

    widget = forms.Textarea(attrs={"rows": 16, "cols": 80, "class": "code", "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values or not str(value).strip():
            return {}
        try:
            return strict_json.read(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Show again exactly what was typed."""
        return initial if self.disabled else InvalidJSONInput(data or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2) if value else ""


class TeamForm(ModelForm):
    """A team; the slug and the SAML team id follow from the name where they are left empty."""

    user_settings = SettingsField(
        label="UserSettings",
        required=False,
        help_text="SageMaker's UserSettings as JSON, without ExecutionRole; checked against AWS's own definition. "
        "Empty: the domain's defaults.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "slug" in self.fields:
            self.fields["slug"].required = False
            self.fields["slug"].help_text += " Empty: made from the name."
        if "saml_id" in self.fields:
            self.fields["saml_id"].required = False
            self.fields["saml_id"].help_text += " Empty: the same as the slug."

    def clean_slug(self) -> str:
        """Return the slug, made from the name where none was typed."""
        slug: str = self.cleaned_data.get("slug") or slugify(self.cleaned_data.get("name", ""))[:SLUG_LENGTH].strip("-")
        slug = slug.replace("_", "-")
        if not slug and self.cleaned_data.get("name"):
            raise ValidationError("No slug can be made from this name; give one.")
        if Team.objects.exclude(pk=self.instance.pk).filter(slug=slug).exists():
            # Told here, because the model would tell it twice: two constraints keep slugs apart.
            raise ValidationError("Team with this Slug already exists.")
        return slug

    def clean_saml_id(self) -> str:
        """Return the SAML team id, the slug where none was typed."""
        return self.cleaned_data.get("saml_id") or self.cleaned_data.get("slug") or self.instance.slug

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        domain = cleaned.get("domain")
        if domain is not None and self.instance.pk:
            strangers = [
                mapping.group
                for mapping in self.instance.role_mappings.exclude(execution_role_arn="")
                if f"::{domain.account.account_id}:" not in _in_account(mapping, domain)
            ]
            if strangers:
                names = ", ".join(strangers[:5])
                self.add_error("domain", f"Role mappings of this team name roles of another account: {names}.")
        return cleaned


def _in_account(mapping: RoleMapping, domain: Domain) -> str:
    return mapping.execution_role_arn.replace("{account}", domain.account.account_id)


class RoleMappingForm(ModelForm):
    """A role mapping; its role must be one for every group on record that it is about."""

    MOST_TOLD = 5

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        team: Team | None = cleaned.get("team")
        if team is not None and team.is_active and (fault := single_sign_on.fault_of_team(team)):
            self.add_error("team", f"Nobody can work in this team. {fault}")
        return cleaned

    def _post_clean(self) -> None:
        """Expand the template for the known groups, once everything else is right."""
        super()._post_clean()  # type: ignore[misc]
        mapping: RoleMapping = self.instance
        if self.errors or not mapping.execution_role_arn:
            return
        known = role_names.known_groups(source=mapping.source, group=mapping.group)
        wrong = [line for group in known.iterator() if (line := self._wrong(mapping, group))]
        if not wrong and (line := self._wrong(mapping, Group(name="group"))):
            wrong = [line]
        for line in wrong[: self.MOST_TOLD]:
            self.add_error("execution_role_arn", line)
        if more := wrong[self.MOST_TOLD :]:
            self.add_error("execution_role_arn", f"And {len(more)} more groups.")

    @staticmethod
    def _wrong(mapping: RoleMapping, group: Group) -> str:
        """Return what is wrong with the role of a group's members, empty when nothing is."""
        arn = role_names.for_group(mapping, group)
        found = role_names.faults(arn, account=mapping.team.domain.account.account_id)
        if not found:
            return ""
        whom = f"For the group “{group}” of {group.source} this gives" if group.source else "This gives"
        return f"{whom} {arn}. {found[0]}"


class TagForm(ModelForm):
    """One tag; whether its key is free is for all tags together to say: some may be going away right now."""


class TagFormSet(InlineFormSet):
    """The tags of one team: keys differ in more than case, as IAM wants it."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """Name each box for those who hear the page: the table's headings are no labels."""
        super().add_fields(form, index)
        for field in form.fields.values():
            field.widget.attrs.setdefault("aria-label", f"Tag: {field.label or 'delete'}".lower().capitalize())

    def clean(self) -> None:
        super().clean()
        seen: set[str] = set()
        for form in self.forms:
            key = form.cleaned_data.get("key", "").lower() if hasattr(form, "cleaned_data") else ""
            if not key or self._should_delete_form(form):  # type: ignore[attr-defined]
                continue
            if key in seen:
                form.add_error("key", "This team has a tag with this key already; case does not count.")
            seen.add(key)


class DomainForm(ModelForm):
    """A domain, which stays the domain that it is once teams use it."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        identity = [name for name in ("account", "region", "domain_id") if name in self.changed_data]
        if self.instance.pk and identity and (teams := self.instance.teams.count()):
            self.add_error(identity[0], _in_use("team", teams, "Add the other domain and move them there."))
        elif self.instance.pk and identity:
            # What AWS said of the domain that the row was before says nothing of this one.
            for name in ("url", "application_arn", "real_auth_mode", "look_error"):
                setattr(self.instance, name, "")
            self.instance.looked_at = None
        self._check_mode(cleaned)
        return cleaned

    def _check_mode(self, cleaned: dict[str, Any]) -> None:
        """Refuse what cannot work in the mode."""
        single = cleaned.get("auth_mode") == Domain.AuthMode.SSO
        if single and self.instance.pk and (fault := single_sign_on.fault_of_mode(self.instance)):
            self.add_error("auth_mode", fault)
        if "auth_mode" in cleaned and not single and cleaned.get("assigns_application"):
            self.add_error("assigns_application", "Only a domain in SSO mode has an application to assign people to.")


class AccountForm(ModelForm):
    """An account, whose number stays once domains are in it."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.instance.pk and "account_id" in self.changed_data and (domains := self.instance.domains.count()):
            self.add_error("account_id", _in_use("domain", domains, "Add the other account instead."))
        return cleaned


def _in_use(what: str, number: int, advice: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'} depend{'s' if number == 1 else ''} on this value. {advice}"


def changed(before: Mapping[str, Any] | None, after: Mapping[str, Any], name: str) -> bool:
    """Whether the value called `name` is another one now, or the row is new."""
    return before is None or before.get(name) != after.get(name)
