"""The identity providers whose assertions are taken, and on which terms; reading them never waits for a network.

Rows decide. What SAML_IDP_METADATA names stays in charge of the metadata of its own rows, and stands in for them where
there are none yet: before the first migration, or while the database does not answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography import x509
from django.conf import settings
from django.db import DatabaseError

from portal.saml import registry, sources
from portal.saml.causes import Cause, Refused
from portal.saml.flavours import AttributeNames, preset
from portal.saml.metadata import IdpMetadata, LogoutLocation, MetadataError, is_expired
from portal.saml.registry import Row
from portal.saml.sources import Copy
from teams.models import DEFAULT_REALM, IdentityProvider

__all__ = ["AttributeNames", "Provider", "active", "default_provider", "offered", "problems", "provider_for"]


@dataclass(frozen=True)
class Provider:
    """One identity provider and its terms.

    Providers of one realm name the same people by the same subjects. `only_team` is the SAML team id of the one team
    that a provider may speak for, None where it may speak for all; `label` is what people choose it by.
    """

    entity_id: str
    flavour: str
    sign_on_locations: Mapping[str, str]
    logout_locations: Mapping[str, LogoutLocation]
    certificates: tuple[x509.Certificate, ...]
    valid_until: datetime | None
    realm: str
    attributes: AttributeNames
    allow_unsolicited: bool
    gives_roles: bool = True
    only_team: str | None = None
    label: str = ""

    @property
    def expired(self) -> bool:
        """Whether its metadata must no longer be used."""
        return is_expired(self.valid_until)


def provider_for(issuer: str) -> Provider | None:
    """Return the active provider with this entity id, expired or not; None for an unknown one.

    Raises `Refused` while it is unknown what admins decided: a database that has not answered since the process
    started cannot say that a provider was switched off.
    """
    rows, copy = registry.rows(), sources.current()
    if rows is None:
        raise Refused(Cause.DATABASE_DOWN)
    if issuer in rows:
        return _of_row(rows[issuer], copy)
    known = copy.find(issuer)
    return _without_row(known) if known else None


def active() -> list[Provider]:
    """Return every active provider, by name."""
    return sorted(_all(), key=lambda each: (each.label.casefold(), each.entity_id))


def offered() -> list[Provider]:
    """Return the providers that people can be sent to, by name."""
    return [each for each in active() if not each.expired and each.sign_on_locations]


def default_provider() -> Provider | None:
    """Return the provider that people are sent to: the first that can be used, None when no metadata are known."""
    return min(active(), key=lambda each: (each.expired, not each.sign_on_locations), default=None)


def problems() -> list[tuple[str, str]]:
    """Return what is wrong with the configured metadata, as (message, hint); fetches an address not known yet."""
    source = sources.configured()
    if source is None:
        return _problems_without_setting()
    if _has_row_of_address():
        return []
    try:
        known = source.load().providers
    except MetadataError as error:
        return [(str(error), error.hint)]
    if all(is_expired(each.valid_until) for each in known):
        return [("The identity provider's metadata have expired.", "Download them again; validUntil is in the past.")]
    now = datetime.now(UTC)
    if not any(now <= certificate.not_valid_after_utc for each in known for certificate in each.certificates):
        return [
            (
                "Every signing certificate in the identity provider's metadata has expired.",
                "Renew the certificate at the identity provider and download the metadata again.",
            )
        ]
    return []


def _problems_without_setting() -> list[tuple[str, str]]:
    try:
        if IdentityProvider.objects.filter(is_active=True).exists():
            return []
    except DatabaseError:
        # Whether there are any, only the database knows.
        pass
    return [
        (
            "SAML_IDP_METADATA is not set: nobody could sign on.",
            "Set it to the file or the https URL of your identity provider's metadata.",
        )
    ]


def _has_row_of_address() -> bool:
    """Whether a row has a copy of what the address answers, so that a start does not depend on the address."""
    if not sources.is_url(settings.SAML_IDP_METADATA):
        return False
    try:
        return IdentityProvider.objects.filter(seeded=True, metadata_url=settings.SAML_IDP_METADATA).exists()
    except DatabaseError:
        return False


def _all() -> Iterator[Provider]:
    rows, copy = registry.rows() or {}, sources.current()
    for row in rows.values():
        provider = _of_row(row, copy)
        if provider:
            yield provider
    for known in copy.providers:
        if known.entity_id not in rows:
            yield _without_row(known)


def _of_row(row: Row, copy: Copy) -> Provider | None:
    """Return the provider of a row, None where it is switched off, unusable, or no longer what the setting names."""
    known, allow_unsolicited = row.known, row.allow_unsolicited
    if row.seeded and settings.SAML_IDP_METADATA:
        allow_unsolicited = settings.SAML_ALLOW_UNSOLICITED
        if sources.is_url(settings.SAML_IDP_METADATA):
            known = known if row.metadata_url == settings.SAML_IDP_METADATA else None
        elif copy.providers or row.metadata_url:
            known = copy.find(row.entity_id)
    if known is None or not row.is_active:
        return None
    return replace(
        _without_row(known),
        flavour=row.flavour,
        realm=row.realm,
        attributes=row.attributes,
        allow_unsolicited=allow_unsolicited,
        gives_roles=row.gives_roles,
        only_team=row.only_team,
        label=row.team_name or row.name,
    )


def _without_row(known: IdpMetadata) -> Provider:
    """Return a provider on the terms of the settings."""
    return Provider(
        entity_id=known.entity_id,
        flavour=IdentityProvider.Flavour.GENERIC.value,
        sign_on_locations=known.sign_on_locations,
        logout_locations=known.logout_locations,
        certificates=known.certificates,
        valid_until=known.valid_until,
        realm=DEFAULT_REALM,
        attributes=preset(IdentityProvider.Flavour.GENERIC),
        allow_unsolicited=settings.SAML_ALLOW_UNSOLICITED,
        label=known.entity_id,
    )
