"""Gets metadata from an https address that an admin named, which makes the address a stranger's.

The name is resolved first, every address it has must be a public one, and the connection goes to the address that was
looked at: a name that resolves to another one a moment later helps nobody. TLS is verified against the name. No proxy
is asked. A redirect is looked at like the first address. One deadline covers everything.
"""

import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from django.conf import settings

from portal.saml.metadata import LOOPBACK, MetadataError

# Seconds for names, connections, redirects and the answer together, and for one silence.
DEADLINE = 10.0
SILENCE = 5.0
MAX_BYTES = 1024 * 1024
MAX_REDIRECTS = 3
MAX_URL_LENGTH = 2048

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# IPv6 networks whose addresses hold an IPv4 address that is reached in the end (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_HINT = "The address must answer with metadata over https; try it with curl from the portal's host."

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class _Target:
    """Where one request goes: `host` is the name that TLS is verified against, `path` what is asked for."""

    secure: bool
    host: str
    port: int
    path: str


def fetch(url: str) -> bytes:
    """Return what the address answers within DEADLINE seconds and MAX_BYTES; else raise MetadataError."""
    end = time.monotonic() + DEADLINE
    for _ in range(MAX_REDIRECTS + 1):
        body, location = _get(_target(url), end)
        if location is None:
            return body
        url = _join(url, location)
    raise MetadataError("The metadata's address redirects too often.", _HINT)


def check_url(url: str) -> None:
    """Raise MetadataError for every address but https; a loopback one may go without where the portal itself does."""
    _target(url)


def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise MetadataError("The metadata's address cannot be read.", _HINT) from None
    plain = parts.scheme == "http" and settings.LOOPBACK_HTTP and host in LOOPBACK
    if not host or not (parts.scheme == "https" or plain):
        raise MetadataError(
            "Metadata must come from a file or an https:// address.",
            "Metadata decide who is trusted, so they must not be forged on the way.",
        )
    written_plainly = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL_LENGTH
    if parts.username is not None or not written_plainly:
        raise MetadataError(
            "The metadata's address cannot be used.", "Write it without user name, in plain ASCII, without spaces."
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(secure=not plain, host=host, port=port or (80 if plain else 443), path=path)


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise MetadataError("The metadata's address redirects to nowhere.", _HINT) from None


def _get(target: _Target, end: float) -> tuple[bytes, str | None]:
    """Return the body of a 200, or where a redirect leads."""
    address = _resolve(target, end)
    try:
        connected = socket.create_connection((str(address), target.port), timeout=min(SILENCE, _left(end)))
        context = ssl.create_default_context() if target.secure else None
        if context:
            connected = context.wrap_socket(connected, server_hostname=target.host, do_handshake_on_connect=False)
        with connected, _bounded(connected, end):
            connected.settimeout(SILENCE)
            answer = _exchange(connected, target, end)
            # An answer that we cut off may look like one that ended.
            _left(end)
            return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(error) from None


@contextmanager
def _bounded(connected: socket.socket, end: float) -> Iterator[None]:
    """Hang up at the deadline: each read has its own limit, and an answer of one byte at a time would never end."""
    watch = threading.Timer(_left(end), _hang_up, (connected,))
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _exchange(connected: socket.socket, target: _Target, end: float) -> tuple[bytes, str | None]:
    if isinstance(connected, ssl.SSLSocket):
        connected.do_handshake()
    kind = http.client.HTTPSConnection if target.secure else http.client.HTTPConnection
    connection = kind(target.host, target.port)
    connection.sock = connected
    connection.request("GET", target.path, headers={"Accept": "application/samlmetadata+xml, application/xml, */*"})
    response = connection.getresponse()
    location = response.getheader("Location")
    if response.status in _REDIRECTS and location:
        return b"", location
    if response.status != http.client.OK:
        raise MetadataError(f"The metadata's address answered {response.status}.", _HINT)
    return _body(response, end), None


def _body(response: http.client.HTTPResponse, end: float) -> bytes:
    data = bytearray()
    while chunk := response.read(65536):
        data += chunk
        if len(data) > MAX_BYTES or time.monotonic() > end:
            raise MetadataError("The metadata's address answers too much or too slowly.", _HINT)
    if response.length:
        raise MetadataError("The metadata's address stopped in the middle of its answer.", _HINT)
    return bytes(data)


def _resolve(target: _Target, end: float) -> Address:
    """Return the address to connect to, the first of those that the name has; raise if any of them is forbidden."""
    addresses = _look_up(target, end)
    # Whoever sets the environment may name a host inside; an admin may not, nor may a redirect lead elsewhere.
    named = target.host == urlsplit(settings.SAML_IDP_METADATA).hostname
    for address in addresses:
        _check_address(address, allow_private=settings.SAML_METADATA_ALLOW_PRIVATE or named)
    # A host without IPv6 cannot reach such an address, and commonly knows both.
    return min(addresses, key=lambda each: each.version)


def _look_up(target: _Target, end: float) -> list[Address]:
    """Ask for the addresses of a name in a thread of its own: asking has no time limit otherwise."""
    found: queue.SimpleQueue[list[Address] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            found.put([ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers])
        except (OSError, ValueError) as error:
            found.put(OSError(str(error)))

    threading.Thread(target=ask, name="metadata-name", daemon=True).start()
    try:
        answer = found.get(timeout=_left(end))
    except queue.Empty:
        raise MetadataError("The name in the metadata's address takes too long to resolve.", _HINT) from None
    if isinstance(answer, OSError) or not answer:
        raise MetadataError("The name in the metadata's address does not resolve.", _HINT)
    return answer


def _check_address(address: Address, *, allow_private: bool) -> None:
    """Refuse what is not public; private and loopback addresses only unless they are allowed."""
    inner = _inner(address)
    if inner.is_global and not inner.is_multicast and not _is_reserved(inner):
        return
    never = inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner.is_reserved
    if allow_private and (inner.is_loopback or not never):
        return
    raise MetadataError(
        "The metadata's address leads to a private network.",
        "Paste the metadata instead, or set SAML_METADATA_ALLOW_PRIVATE where identity providers are in that network.",
    )


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


def _is_reserved(address: Address) -> bool:
    # Deprecated site-local and IPv4-compatible addresses count as global for Python.
    return address.is_reserved or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)


def _left(end: float) -> float:
    """Return the seconds until the deadline; raise when there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise MetadataError("The metadata's address answers too much or too slowly.", _HINT)
    return left


def _hang_up(connected: socket.socket) -> None:
    try:
        # Not the method of TLS sockets, which would go on in plain text.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except OSError:
        return


def _failed(error: Exception) -> MetadataError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return MetadataError(
            "The metadata's address shows a certificate that is not valid for it.",
            "The portal must trust its issuer: SSL_CERT_FILE names the authorities.",
        )
    return MetadataError(f"The metadata cannot be fetched: {type(error).__name__}.", _HINT)
