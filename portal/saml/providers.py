"""The identity providers whose assertions are taken, and on which terms."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from django.conf import settings

from portal.saml.metadata import IdpMetadata, LogoutLocation, MetadataError, is_expired
from portal.saml.presets import PRESETS
from portal.saml.sources import Source, source_for
from teams.models import DEFAULT_REALM


@dataclass(frozen=True)
class AttributeNames:
    """What one provider calls the attributes that sign-on reads; of several names the first that is there counts.

    An attribute called one of `unknown_groups` says that the groups are not told.
    """

    user: tuple[str, ...]
    team: tuple[str, ...]
    groups: tuple[str, ...]
    email: tuple[str, ...]
    name: tuple[str, ...]
    unknown_groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Provider:
    """One identity provider and its terms.

    Providers of one realm name the same people by the same subjects. `only_team` is the SAML team id of the one team
    that a provider may speak for, None where it may speak for all.
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
    only_team: str | None = None

    @property
    def expired(self) -> bool:
        """Whether its metadata must no longer be used."""
        return is_expired(self.valid_until)


_lock = threading.Lock()
_sources: dict[str, Source] = {}


def provider_for(issuer: str) -> Provider | None:
    """Return the provider with this entity id, expired or not, None for an unknown one; never waits for a network."""
    for known in _source().current() if settings.SAML_IDP_METADATA else ():
        if known.entity_id == issuer:
            return _with_terms(known)
    return None


def default_provider() -> Provider | None:
    """Return the provider that people are sent to: the first that can be used, None when no metadata are known."""
    known = _source().current() if settings.SAML_IDP_METADATA else ()
    ordered = sorted(known, key=lambda each: (is_expired(each.valid_until), not each.sign_on_locations))
    return _with_terms(ordered[0]) if ordered else None


def problems() -> list[tuple[str, str]]:
    """Return what is wrong with the configured metadata, as (message, hint); fetches an address not known yet."""
    if not settings.SAML_IDP_METADATA:
        return [
            (
                "SAML_IDP_METADATA is not set: nobody could sign on.",
                "Set it to the file or the https URL of your identity provider's metadata.",
            )
        ]
    try:
        known = _source().load()
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


def _source() -> Source:
    name = settings.SAML_IDP_METADATA
    source = _sources.get(name)
    if source is None:
        with _lock:
            source = _sources.setdefault(name, source_for(name))
    return source


def _with_terms(known: IdpMetadata) -> Provider:
    return Provider(
        entity_id=known.entity_id,
        flavour="generic",
        sign_on_locations=known.sign_on_locations,
        logout_locations=known.logout_locations,
        certificates=known.certificates,
        valid_until=known.valid_until,
        realm=DEFAULT_REALM,
        attributes=AttributeNames(
            user=(settings.SAML_ATTRIBUTE_USER,),
            team=(settings.SAML_ATTRIBUTE_TEAM,),
            groups=(settings.SAML_ATTRIBUTE_GROUPS,),
            email=(settings.SAML_ATTRIBUTE_EMAIL,),
            name=(settings.SAML_ATTRIBUTE_NAME,),
            unknown_groups=PRESETS["generic"].unknown_groups,
        ),
        allow_unsolicited=settings.SAML_ALLOW_UNSOLICITED,
    )
