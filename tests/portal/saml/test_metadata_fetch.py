"""Metadata are fetched from where an admin says, and from nowhere inside unless the settings allow it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import LazySettings

from portal.saml import fetch
from portal.saml.metadata import MetadataError
from tests.portal.saml.remote import Remote


@pytest.fixture
def remote() -> Iterator[Remote]:
    """A web server on loopback."""
    remote = Remote(b"<metadata/>")
    yield remote
    remote.stop()


@pytest.fixture
def inside(settings: LazySettings) -> LazySettings:
    """The settings of a portal whose identity provider is inside."""
    settings.SAML_METADATA_ALLOW_PRIVATE = True
    return settings


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses that names resolve to; nobody else is asked."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **more: Any) -> Any:
        if host in known:
            return [
                (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
                for each in known[host]
            ]
        if host.endswith(".example.com"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail on any connection."""
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))


def test_the_answer_is_returned(remote: Remote, inside: LazySettings) -> None:
    assert fetch.fetch(f"{remote.url}?a=b") == b"<metadata/>"
    assert remote.hosts == [f"127.0.0.1:{remote.port}"]


PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[2002:7f00:1::]",
    "[2001:0:0:0:0:0:80ff:fffe]",
]


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.usefixtures("no_connection")
def test_addresses_inside_are_not_asked(host: str) -> None:
    with pytest.raises(MetadataError, match="leads to a private network"):
        fetch.fetch(f"https://{host}/metadata")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "224.0.0.1", "0.0.0.0", "[::ffff:169.254.169.254]"])
@pytest.mark.usefixtures("no_connection", "inside")
def test_link_local_and_multicast_addresses_are_never_asked(host: str) -> None:
    with pytest.raises(MetadataError, match="leads to a private network"):
        fetch.fetch(f"https://{host}/latest/meta-data/")


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.0.1", "100.64.0.1", "[fd00::1]", "127.0.0.1", "[::1]"])
@pytest.mark.usefixtures("inside")
def test_private_addresses_are_asked_where_the_settings_allow_it(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(address: tuple[str, int], **_: object) -> Any:
        asked.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(MetadataError, match="ConnectionRefusedError"):
        fetch.fetch(f"https://{host}/")
    assert asked == [host.strip("[]")]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::1", "93.184.215.14"]])
@pytest.mark.usefixtures("no_connection")
def test_a_name_that_leads_inside_is_not_asked(names: dict[str, list[str]], addresses: list[str]) -> None:
    names["idp.example.com"] = addresses

    with pytest.raises(MetadataError, match="leads to a private network"):
        fetch.fetch("https://idp.example.com/metadata")


def test_the_connection_goes_to_the_address_that_was_looked_at(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to another address a moment later helps nobody: it is asked for once."""
    names["idp.example.com"] = ["2606:2800:21f::1", "93.184.215.14"]
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], **_: object) -> Any:
        connected.append(address)
        names["idp.example.com"] = ["127.0.0.1"]
        raise ConnectionResetError

    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(MetadataError, match="ConnectionResetError"):
        fetch.fetch("https://idp.example.com:8443/metadata")

    assert connected == [("93.184.215.14", 8443)]


def test_a_name_that_nobody_has_is_told(names: dict[str, list[str]]) -> None:
    with pytest.raises(MetadataError, match="does not resolve"):
        fetch.fetch("https://nobody.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "idp.example.com",
        "ftp://idp.example.com/",
        "file:///etc/passwd",
        "http://idp.example.com/",
        "http://127.0.0.1.example.com/",
        "https://",
        "https:///metadata",
        "https://user:secret@idp.example.com/",
        "https://idp.example.com/ä",
        "https://idp.example.com/a b",
        "https://idp.example.com:99999/",
        "https://[",
        f"https://idp.example.com/{'x' * 2048}",
    ],
)
@pytest.mark.usefixtures("no_connection", "inside")
def test_only_https_addresses_are_asked(url: str) -> None:
    with pytest.raises(MetadataError) as caught:
        fetch.fetch(url)
    assert "secret" not in str(caught.value)


def test_plain_http_is_for_loopback_on_a_loopback_portal(remote: Remote, inside: LazySettings) -> None:
    inside.LOOPBACK_HTTP = False

    with pytest.raises(MetadataError, match="https://"):
        fetch.fetch(remote.url)
    assert remote.asked == 0


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("https://169.254.169.254/latest", "private network"),
        ("https://[::ffff:a9fe:a9fe]/", "private network"),
        ("http://idp.example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("//224.0.0.1/", "https://"),
    ],
)
def test_a_redirect_is_looked_at_like_the_first_address(
    remote: Remote, inside: LazySettings, target: str, wrong: str
) -> None:
    remote.status, remote.location = 302, target

    with pytest.raises(MetadataError, match=wrong):
        fetch.fetch(remote.url)
    assert remote.asked == 1


def test_a_redirect_to_a_name_that_leads_inside(
    remote: Remote, inside: LazySettings, names: dict[str, list[str]]
) -> None:
    names["evil.example.com"] = ["169.254.169.254"]
    remote.status, remote.location = 307, "https://evil.example.com/"

    with pytest.raises(MetadataError, match="private network"):
        fetch.fetch(remote.url)


def test_redirects_are_followed_and_end(remote: Remote, inside: LazySettings) -> None:
    second = Remote(b"<second/>")
    try:
        remote.status, remote.location = 302, second.url
        assert fetch.fetch(remote.url) == b"<second/>"
        remote.location = "/again"
        asked = remote.asked
        with pytest.raises(MetadataError, match="redirects too often"):
            fetch.fetch(remote.url)
        assert remote.asked == asked + fetch.MAX_REDIRECTS + 1
    finally:
        second.stop()


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_anything_but_an_answer_is_told(remote: Remote, inside: LazySettings, status: int) -> None:
    remote.status, remote.body = status, b""

    with pytest.raises(MetadataError, match=f"answered {status}"):
        fetch.fetch(remote.url)


def test_a_long_answer_is_cut_off(remote: Remote, inside: LazySettings) -> None:
    remote.body = b"x" * (fetch.MAX_BYTES + 1)

    with pytest.raises(MetadataError, match="too much"):
        fetch.fetch(remote.url)


def test_half_an_answer_is_none(remote: Remote, inside: LazySettings) -> None:
    remote.claimed_length = 1000

    with pytest.raises(MetadataError):
        fetch.fetch(remote.url)


class Dripping:
    """A server that answers one byte at a time for ever, or never at all."""

    def __init__(self, drop: bytes) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/"
        self.over = threading.Event()
        self.drop = drop
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        connected, _ = self.listening.accept()
        with connected:
            connected.sendall(b"HTTP/1.1 200 OK\r\n" if self.drop else b"")
            while not self.over.wait(0.02):
                try:
                    connected.sendall(self.drop)
                except OSError:
                    return

    def stop(self) -> None:
        self.over.set()
        self.thread.join(5)
        self.listening.close()


@pytest.mark.parametrize("drop", [b"", b"X: y\r\n", b"X"], ids=["silence", "headers", "one header"])
def test_a_slow_answer_ends_at_the_deadline(inside: LazySettings, monkeypatch: pytest.MonkeyPatch, drop: bytes) -> None:
    monkeypatch.setattr(fetch, "DEADLINE", 0.4)
    server = Dripping(drop)
    try:
        with pytest.raises(MetadataError):
            fetch.fetch(server.url)
    finally:
        server.stop()


def test_a_slow_name_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(fetch, "DEADLINE", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30) and [])

    with pytest.raises(MetadataError, match="takes too long"):
        fetch.fetch("https://idp.example.com/")
    over.set()


def _authority(directory: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """Return a file with a certificate for this host that vouches for itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


@pytest.fixture
def secure(tmp_path: Path, names: dict[str, list[str]]) -> Iterator[tuple[int, Path]]:
    """A TLS server of idp.example.com on loopback, and the file with its certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<{self.headers['Host']}/>".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no error."""

    file, context = _authority(tmp_path, "idp.example.com")
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    names["idp.example.com"] = names["other.example.com"] = ["127.0.0.1"]
    yield server.server_address[1], file
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_tls_is_verified_against_the_name(
    secure: tuple[int, Path], inside: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, file = secure
    with pytest.raises(MetadataError, match="certificate that is not valid"):
        fetch.fetch(f"https://idp.example.com:{port}/")

    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert fetch.fetch(f"https://idp.example.com:{port}/") == f"<idp.example.com:{port}/>".encode()
    with pytest.raises(MetadataError, match="certificate that is not valid"):
        fetch.fetch(f"https://other.example.com:{port}/")
