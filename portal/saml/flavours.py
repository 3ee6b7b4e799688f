"""The attribute names that are in force for a provider: its own, else its preset's, else those of the settings."""

from dataclasses import dataclass

from django.conf import settings

from portal.saml.presets import PRESETS
from teams.models import IdentityProvider


@dataclass(frozen=True)
class AttributeNames:
    """What one provider calls the attributes that sign-on reads; of several names the first that is there counts.

    Where none of the `user` names is there, the NameID names the person. An attribute called one of `unknown_groups`
    says that the groups are not told.
    """

    user: tuple[str, ...]
    team: tuple[str, ...]
    groups: tuple[str, ...]
    email: tuple[str, ...]
    name: tuple[str, ...]
    unknown_groups: tuple[str, ...] = ()


def preset(flavour: str) -> AttributeNames:
    """Return the attribute names of a flavour, those of the settings for any other provider."""
    usual = PRESETS[flavour]
    return AttributeNames(
        user=usual.user or (settings.SAML_ATTRIBUTE_USER,),
        team=usual.team or (settings.SAML_ATTRIBUTE_TEAM,),
        groups=usual.groups or (settings.SAML_ATTRIBUTE_GROUPS,),
        email=usual.email or (settings.SAML_ATTRIBUTE_EMAIL,),
        name=usual.name or (settings.SAML_ATTRIBUTE_NAME,),
        unknown_groups=usual.unknown_groups,
    )


def attribute_names(row: IdentityProvider) -> AttributeNames:
    """Return the names that are in force for a provider: its own, and the preset's where it has none."""
    usual = preset(row.flavour)
    return AttributeNames(
        user=_own(row.attribute_user) or usual.user,
        team=_own(row.attribute_team) or usual.team,
        groups=_own(row.attribute_groups) or usual.groups,
        email=_own(row.attribute_email) or usual.email,
        name=_own(row.attribute_name) or usual.name,
        unknown_groups=usual.unknown_groups,
    )


def _own(name: str) -> tuple[str, ...]:
    return (name.strip(),) if name.strip() else ()
