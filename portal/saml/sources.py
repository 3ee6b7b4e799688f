"""Where metadata come from: a file, read again when it changes, or an address, asked in the background only.

Both keep the last copy that could be used. No sign-on ever waits for a network.
"""

import hashlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import urllib3
from django.conf import settings
from django.core.cache import cache

from portal.saml import metadata
from portal.saml.metadata import IdpMetadata, MetadataError

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0
REFRESH_EVERY = 3600.0
RETRY_EVERY = 60.0
FETCH_DEADLINE = 15.0
MAX_REDIRECTS = 3


class Source(Protocol):
    """Something that knows metadata."""

    def current(self) -> tuple[IdpMetadata, ...]:
        """Return the last good metadata without waiting for anything; empty when there never were any."""

    def load(self) -> tuple[IdpMetadata, ...]:
        """Return metadata, fetching them where they are not known yet; raise MetadataError when there are none."""


class FileSource:
    """A file that an administrator or a rollover may replace while the portal runs."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._known: tuple[IdpMetadata, ...] = ()
        self._stamp: tuple[int, int, int] | None = None
        self._looked = -LOOK_EVERY

    def current(self) -> tuple[IdpMetadata, ...]:
        due = time.monotonic() - self._looked >= LOOK_EVERY
        # One thread looks while the others go on with what is known; only where nothing is known they wait for it.
        if (due or not self._known) and self._lock.acquire(blocking=not self._known):
            try:
                self._look()
            except MetadataError as error:
                logger.error("%s The last good copy of the metadata stays.", error)  # noqa: TRY400
            finally:
                self._lock.release()
        return self._known

    def load(self) -> tuple[IdpMetadata, ...]:
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
        self._known = metadata.parse(data)


class UrlSource:
    """An address that a background thread of each process asks every hour."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._known: tuple[IdpMetadata, ...] = ()
        self._process = 0
        self._cache_key = f"saml-metadata:{hashlib.sha256(url.encode()).hexdigest()}"

    def current(self) -> tuple[IdpMetadata, ...]:
        self._start_thread()
        if not self._known:
            self._known = self._from_cache()
        return self._known

    def load(self) -> tuple[IdpMetadata, ...]:
        with self._lock:
            if not self._known:
                try:
                    self._refresh()
                except MetadataError as error:
                    self._known = self._from_cache()
                    if not self._known:
                        raise
                    logger.error("%s The last good copy of the metadata is used.", error)  # noqa: TRY400
        return self._known

    def _start_thread(self) -> None:
        """Start the thread of this process: a server that forks after loading leaves its threads behind."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._keep_fresh, name="saml-metadata", daemon=True).start()

    def _keep_fresh(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._refresh()
                wait = REFRESH_EVERY
            except MetadataError as error:
                logger.error("%s The last good copy of the metadata stays.", error)  # noqa: TRY400
                wait = RETRY_EVERY
            except Exception:
                # The thread must outlive whatever a remote host makes of its answer.
                logger.exception("The identity provider's metadata cannot be refreshed, the last good copy stays.")
                wait = RETRY_EVERY
            pause.wait(wait)

    def _refresh(self) -> None:
        data = fetch(self._url)
        self._known = metadata.parse(data)
        try:
            cache.set(self._cache_key, data, timeout=None)
        except Exception as error:  # noqa: BLE001  (the copy in memory is enough)
            logger.warning("The identity provider's metadata cannot be kept in the cache: %s", type(error).__name__)

    def _from_cache(self) -> tuple[IdpMetadata, ...]:
        try:
            data = cache.get(self._cache_key)
            return metadata.parse(data) if isinstance(data, bytes) else ()
        except Exception as error:  # noqa: BLE001  (as good as no copy)
            logger.warning("No metadata from the cache: %s", type(error).__name__)
            return ()


def source_for(name: str) -> Source:
    """Return the source that SAML_IDP_METADATA names."""
    return UrlSource(name) if "://" in name else FileSource(name)


def fetch(url: str) -> bytes:
    """Return what an https address answers in FETCH_DEADLINE seconds and MAX_BYTES; else raise MetadataError."""
    hint = "The address must answer with metadata over https; try it with curl from the portal's host."
    end = time.monotonic() + FETCH_DEADLINE
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=5), retries=False)
    try:
        for _ in range(MAX_REDIRECTS + 1):
            check_address(url)
            response = pool.request("GET", url, redirect=False, preload_content=False)
            location = response.get_redirect_location()
            if not location:
                return _body(response, end, hint)
            response.close()
            url = urljoin(url, location)
    except urllib3.exceptions.HTTPError as error:
        raise MetadataError(f"The metadata cannot be fetched: {type(error).__name__}.", hint) from None
    finally:
        pool.clear()
    raise MetadataError("The metadata's address redirects too often.", hint)


def check_address(url: str) -> None:
    """Refuse every address but https; a loopback one may go without where the portal itself does."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and settings.LOOPBACK_HTTP and parts.hostname in metadata.LOOPBACK:
        return
    raise MetadataError(
        "SAML_IDP_METADATA must be a file or an https:// address.",
        "Metadata decide who is trusted, so they must not be forged on the way.",
    )


def _body(response: urllib3.BaseHTTPResponse, end: float, hint: str) -> bytes:
    if response.status != 200:
        response.close()
        raise MetadataError(f"The metadata's address answered {response.status}.", hint)
    data = bytearray()
    while chunk := response.read(65536):
        data += chunk
        if len(data) > metadata.MAX_BYTES or time.monotonic() > end:
            response.close()
            raise MetadataError("The metadata's address answers too much or too slowly.", hint)
    return bytes(data)
