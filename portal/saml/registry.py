"""The rows of identity providers as each process knows them: a snapshot, and a look every few seconds at what changed.

PostgreSQL stamps each version of a row (`xmin` and `ctid`), so that a look is one small query, and a change counts
whoever made it and however. Only rows with another stamp are read and parsed again.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.db import DatabaseError, connection
from psycopg.errors import UndefinedTable

from portal.saml import metadata
from portal.saml.flavours import AttributeNames, attribute_names
from portal.saml.metadata import IdpMetadata, MetadataError
from teams.models import IdentityProvider

logger = logging.getLogger(__name__)

# A row that is switched off must be out of use within five seconds.
LOOK_EVERY = 3.0

# The version of each row; the team's SAML id is part of what a row means.
_STAMPS = """
    SELECT provider.id, provider.xmin::text || provider.ctid::text, team.saml_id, team.name
    FROM teams_identityprovider AS provider LEFT JOIN teams_team AS team ON team.id = provider.only_team_id
"""


@dataclass(frozen=True)
class Row:
    """A row and the parsed copy of its metadata, None where they cannot be used. `only_team` is a SAML team id."""

    pk: int
    name: str
    entity_id: str
    flavour: str
    realm: str
    attributes: AttributeNames
    allow_unsolicited: bool
    gives_roles: bool
    only_team: str | None
    team_name: str
    is_active: bool
    seeded: bool
    metadata_url: str
    known: IdpMetadata | None


Rows = Mapping[str, Row]
_NO_ROWS: Rows = MappingProxyType({})


class _Snapshot:
    """The rows by entity id, None until the database has told them once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rows: Rows | None = None
        self._stamps: dict[int, tuple[str, ...]] = {}
        self._looked = -LOOK_EVERY

    def current(self) -> Rows | None:
        # One thread looks while the others go on with what is known; only where nothing is known they wait for it.
        if (self.rows is None or self._due()) and self._lock.acquire(blocking=self.rows is None):
            try:
                if self._due():
                    self._looked = time.monotonic()
                    self._look()
            finally:
                self._lock.release()
        return self.rows

    def forget(self) -> None:
        with self._lock:
            self.rows, self._stamps, self._looked = None, {}, -LOOK_EVERY

    def look_soon(self) -> None:
        self._looked = -LOOK_EVERY

    def _due(self) -> bool:
        return time.monotonic() - self._looked >= LOOK_EVERY

    def _look(self) -> None:
        try:
            stamps = _read_stamps()
            changed = [pk for pk, stamp in stamps.items() if self._stamps.get(pk) != stamp]
            read = {row.pk: _row(row) for row in _read_rows(changed)} if changed else {}
        except DatabaseError as error:
            if isinstance(error.__cause__, UndefinedTable):
                # Before the first migration nobody can have restricted a provider.
                self.rows = _NO_ROWS
            logger.warning("The identity providers' rows cannot be read: %s", type(error).__name__)
            return
        kept = {row.pk: row for row in (self.rows or _NO_ROWS).values() if row.pk in stamps}
        self._stamps = stamps
        self.rows = MappingProxyType({row.entity_id: row for row in (kept | read).values()})


_snapshot = _Snapshot()


def rows() -> Rows | None:
    """Return the rows by entity id; None while the database has not answered since the process started."""
    return _snapshot.current()


def look_soon() -> None:
    """Have the next reader in this process look at the rows: one of them was just changed here."""
    _snapshot.look_soon()


def forget() -> None:
    """Know nothing, as at the start of a process."""
    _snapshot.forget()


def _read_stamps() -> dict[int, tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_STAMPS)
        return {pk: tuple(rest) for pk, *rest in cursor.fetchall()}


def _read_rows(pks: list[int]) -> list[IdentityProvider]:
    return list(IdentityProvider.objects.filter(pk__in=pks).select_related("only_team"))


def _row(row: IdentityProvider) -> Row:
    return Row(
        pk=row.pk,
        name=row.name,
        entity_id=row.entity_id,
        flavour=row.flavour,
        realm=row.realm,
        attributes=attribute_names(row),
        allow_unsolicited=row.allow_unsolicited,
        gives_roles=row.gives_roles,
        only_team=row.only_team.saml_id if row.only_team else None,
        team_name=row.only_team.name if row.only_team else "",
        is_active=row.is_active,
        seeded=row.seeded,
        metadata_url=row.metadata_url,
        known=_parsed(row),
    )


def _parsed(row: IdentityProvider) -> IdpMetadata | None:
    try:
        found = metadata.parse(row.metadata.encode())
    except MetadataError as error:
        logger.error("The metadata of %s cannot be used: %s", row.entity_id, error)  # noqa: TRY400
        return None
    return next((each for each in found if each.entity_id == row.entity_id), None)
