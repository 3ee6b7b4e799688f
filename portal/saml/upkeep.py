"""The writers of identity providers' metadata: what SAML_IDP_METADATA names, and what addresses answer by and by.

The network is asked outside of transactions. What is no good leaves the last good copy where it is.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q

from portal.saml import fetch, metadata, registry, sources
from portal.saml.metadata import IdpMetadata, MetadataError
from teams import audit, snapshots
from teams.models import AuditEvent, IdentityProvider

logger = logging.getLogger(__name__)

REFRESH_EVERY = timedelta(hours=1)
RETRY_EVERY = timedelta(minutes=5)


def name_of(known: IdpMetadata) -> str:
    """Return what to call a provider that nobody has named yet: its host, or its entity id where that has none."""
    try:
        host = urlsplit(known.entity_id).hostname
    except ValueError:
        host = None
    return (host or known.entity_id)[:128]


def facts(document: bytes, known: IdpMetadata) -> dict[str, Any]:
    """Return the columns that metadata decide; `known` is one of the providers in `document`."""
    return {
        "entity_id": known.entity_id,
        "metadata": metadata.extract(document, known.entity_id).decode(),
        "valid_until": known.valid_until,
        "certificates": [
            {"sha256": each.fingerprint(hashes.SHA256()).hex(), "until": each.not_valid_after_utc.isoformat()}
            for each in known.certificates
        ],
        "certificates_until": max(each.not_valid_after_utc for each in known.certificates),
    }


def fill(row: IdentityProvider, document: bytes, known: IdpMetadata) -> None:
    """Put metadata that were got just now into a row, which is not saved."""
    now = datetime.now(UTC)
    for column, value in facts(document, known).items():
        setattr(row, column, value)
    row.refreshed_at, row.tried_at, row.refresh_error = now, now, ""


def require_usable(known: IdpMetadata) -> None:
    """Raise MetadataError for a provider whose metadata or certificates have all expired."""
    if metadata.is_expired(known.valid_until):
        raise MetadataError("The metadata have expired: validUntil is in the past.", "Download them again.")
    if all(each.not_valid_after_utc <= datetime.now(UTC) for each in known.certificates):
        raise MetadataError(
            "Every signing certificate in the metadata has expired.", "Renew the certificate at the identity provider."
        )


def seed() -> None:
    """Bring the rows of the providers that SAML_IDP_METADATA names up to date; without a database, only say so.

    The name, the realm and all other terms of a row that exists stay what admins made of them.
    """
    copy = sources.current()
    try:
        with audit.context(actor="system: SAML_IDP_METADATA"):
            for known in copy.providers:
                _seed(copy.document, known)
    except DatabaseError as error:
        logger.warning("The identity providers of SAML_IDP_METADATA have no rows yet: %s", type(error).__name__)
    registry.look_soon()


def _seed(document: bytes, known: IdpMetadata) -> None:
    """Insert or update one row; processes that start together make one row and one audit row."""
    url = settings.SAML_IDP_METADATA if sources.is_url(settings.SAML_IDP_METADATA) else ""
    now = datetime.now(UTC)
    terms = {"metadata_url": url, "allow_unsolicited": settings.SAML_ALLOW_UNSOLICITED, "seeded": True}
    first = {"name": name_of(known), "gives_roles": True, "refreshed_at": now, "tried_at": now}
    with transaction.atomic():
        rows = IdentityProvider.objects.select_for_update()
        row, created = rows.get_or_create(
            entity_id=known.entity_id, defaults={**facts(document, known), **terms, **first}
        )
        before = {} if created else snapshots.take(row)
        # The copy that a worker keeps of an address is newer than the one of our start.
        if not (created or (url and row.seeded and row.metadata_url == url)):
            fill(row, document, known)
        for column, value in terms.items():
            setattr(row, column, value)
        changes = snapshots.difference(before, snapshots.take(row))
        if changes:
            row.save()
            audit.record(AuditEvent.Action.IMPORTED, target=snapshots.target(row), data=changes)


def due() -> list[int]:
    """Return the active providers whose address is to be asked now."""
    now = datetime.now(UTC)
    last_good = Q(tried_at__isnull=True) | Q(tried_at__lte=now - REFRESH_EVERY)
    last_failed = Q(tried_at__lte=now - RETRY_EVERY) & ~Q(refresh_error="")
    rows = IdentityProvider.objects.filter(last_good | last_failed, is_active=True).exclude(metadata_url="")
    return list(rows.order_by("tried_at").values_list("pk", flat=True))


def refresh(pk: int) -> str:
    """Ask the address of one provider and keep what it answers; return what was wrong, empty when nothing was.

    Whoever changes the row meanwhile wins: then the answer is dropped.
    """
    row = IdentityProvider.objects.filter(pk=pk).first()
    if row is None or not _claim(row):
        return ""
    try:
        document = fetch.fetch(row.metadata_url)
        known = _named(document, row.entity_id)
        require_usable(known)
    except MetadataError as error:
        logger.warning("The metadata of %s were not refreshed: %s The last good copy stays.", row.entity_id, error)
        _note_failure(row, str(error))
        return str(error)
    _keep(row, document, known)
    return ""


def _claim(row: IdentityProvider) -> bool:
    """Have one worker at a time ask; the claim is the time of the try, which the next try waits for anyway."""
    rows = IdentityProvider.objects.filter(pk=row.pk, tried_at=row.tried_at, metadata_url=row.metadata_url)
    return bool(row.metadata_url and rows.update(tried_at=datetime.now(UTC)))


def _named(document: bytes, entity_id: str) -> IdpMetadata:
    found = metadata.parse(document)
    for known in found:
        if known.entity_id == entity_id:
            return known
    others = ", ".join(each.entity_id for each in found)
    raise MetadataError(f"The address answers with the metadata of another provider: {others:.300}.", "Correct it.")


def _note_failure(row: IdentityProvider, error: str) -> None:
    with transaction.atomic():
        now = IdentityProvider.objects.select_for_update().filter(pk=row.pk).first()
        if now is None or now.metadata_url != row.metadata_url:
            return
        began = not now.refresh_error
        now.refresh_error = error[:500]
        now.save(update_fields=["refresh_error"])
        if began:
            audit.record(
                AuditEvent.Action.METADATA_REFRESHED,
                target=snapshots.target(now),
                outcome=AuditEvent.Outcome.FAILED,
                reason=error,
            )


def _keep(row: IdentityProvider, document: bytes, known: IdpMetadata) -> None:
    with transaction.atomic():
        now = IdentityProvider.objects.select_for_update().filter(pk=row.pk).first()
        if now is None or now.metadata_url != row.metadata_url:
            return
        before = snapshots.take(now)
        fill(now, document, known)
        now.save()
        changes = snapshots.difference(before, snapshots.take(now))
        if changes:
            audit.record(AuditEvent.Action.METADATA_REFRESHED, target=snapshots.target(now), data=changes)
    registry.look_soon()
