"""What SAML_IDP_METADATA names: a file, read again when it changes, or an address, asked once when a process starts.

Both keep the last copy that could be used. No sign-on ever waits for a network: an address is asked again by a worker,
which keeps the copy in the provider's row.
"""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from portal.saml import fetch, metadata
from portal.saml.metadata import IdpMetadata, MetadataError

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0


@dataclass(frozen=True)
class Copy:
    """A document and the identity providers in it; both empty where there is none yet."""

    document: bytes = b""
    providers: tuple[IdpMetadata, ...] = ()

    def find(self, entity_id: str) -> IdpMetadata | None:
        """Return the provider with this entity id."""
        return next((each for each in self.providers if each.entity_id == entity_id), None)


NOTHING = Copy()


class Source(Protocol):
    """Something that knows metadata."""

    def current(self) -> Copy:
        """Return the last good copy without waiting for anything."""

    def load(self) -> Copy:
        """Return a copy, fetching it where there is none yet; raise MetadataError when there is none to be had."""


class FileSource:
    """A file that an administrator or a rollover may replace while the portal runs."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._known = NOTHING
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -LOOK_EVERY

    def current(self) -> Copy:
        due = time.monotonic() - self._looked >= LOOK_EVERY
        empty = self._known is NOTHING
        # One thread looks while the others go on with what is known; only where nothing is known they wait for it.
        if (due or empty) and self._lock.acquire(blocking=empty):
            try:
                self._look()
            except MetadataError as error:
                logger.error("%s The last good copy of the metadata stays.", error)  # noqa: TRY400
            finally:
                self._lock.release()
        return self._known

    def load(self) -> Copy:
        with self._lock:
            self._stamp = None
            self._look()
        return self._known

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            # One attempt for each version of the file, so that a broken one is reported once.
            self._stamp = stamp
            with self._path.open("rb") as file:
                data = file.read(metadata.MAX_BYTES + 1)
        except OSError as error:
            self._stamp = None
            raise MetadataError(
                f"SAML_IDP_METADATA cannot be read: {error.strerror}.",
                "Name a file that the portal may read, or an https URL.",
            ) from None
        self._known = Copy(data, metadata.parse(data))


class UrlSource:
    """An address; the copy of the start is for a portal whose rows do not have it yet."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._known = NOTHING

    def current(self) -> Copy:
        return self._known

    def load(self) -> Copy:
        with self._lock:
            if self._known is NOTHING:
                data = fetch.fetch(self._url)
                self._known = Copy(data, metadata.parse(data))
        return self._known


_lock = threading.Lock()
_sources: dict[str, Source] = {}


def configured() -> Source | None:
    """Return what SAML_IDP_METADATA names, None where it is not set."""
    name = settings.SAML_IDP_METADATA
    if not name:
        return None
    with _lock:
        return _sources.setdefault(name, UrlSource(name) if is_url(name) else FileSource(name))


def is_url(name: str) -> bool:
    """Whether SAML_IDP_METADATA names an address and not a file."""
    return "://" in name


def current() -> Copy:
    """Return the last good copy of what SAML_IDP_METADATA names."""
    source = configured()
    return source.current() if source else NOTHING
