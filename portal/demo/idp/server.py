"""The identity provider over HTTP: sign-on started at a service provider or here, one page each."""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from portal.demo.idp import pages
from portal.demo.idp.keys import load_keys
from portal.demo.idp.people import APPLICATIONS, PORTAL
from portal.demo.idp.personality import Personality
from portal.demo.idp.provider import Provider, RefusalError

MAX_BODY_BYTES = 256 * 1024
STATIC = {
    "/static/idp.css": "text/css; charset=utf-8",
    "/static/idp.svg": "image/svg+xml",
    "/static/submit.js": "text/javascript; charset=utf-8",
}
_HERE = Path(__file__).parent


class _Handler(BaseHTTPRequestHandler):
    provider: Provider
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path in STATIC:
            self._send((_HERE / url.path.removeprefix("/")).read_bytes(), STATIC[url.path])
        elif url.path == "/metadata":
            self._send(self.provider.metadata(), "application/samlmetadata+xml")
        elif url.path == "/_personality":
            self._send_json(asdict(self.provider.personality))
        elif url.path == "/healthz":
            self._send_json({"status": "ok"})
        else:
            self._show(url.path, dict(parse_qsl(url.query)))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._send(b"Too much.\n", "text/plain", status=413)
            return
        body = self.rfile.read(int(length))
        path = urlsplit(self.path).path
        if path == "/_personality":
            self._change_personality(body)
        else:
            self._show(path, dict(parse_qsl(body.decode("utf-8", "replace"))))

    def _show(self, path: str, parameters: Mapping[str, str]) -> None:
        try:
            self.provider.stopping.wait(self.provider.personality.delay)
            page, status = self._page(path, parameters), 200
        except RefusalError as refused:
            page, status = pages.error(refused.title, refused.text), refused.status
        self._send(page.encode(), "text/html; charset=utf-8", status=status)

    def _page(self, path: str, parameters: Mapping[str, str]) -> str:
        match self.command, path:
            case "GET", "/":
                return pages.home()
            case ("GET" | "POST") as method, "/sso":
                return self.provider.ask(parameters, deflated=method == "GET")
            case "POST", "/choose":
                return self.provider.answer(parameters, PORTAL)
            case "POST", "/launch":
                application = APPLICATIONS.get(parameters.get("application", ""))
                if application is None:
                    raise RefusalError("No such application", "Choose one of the applications on the page.")
                return self.provider.answer({"person": parameters.get("person", "")}, application)
        raise RefusalError("Page not found", "There is nothing at this address.", 404)

    def _change_personality(self, body: bytes) -> None:
        # Asked for so that no page of another site can send it: browsers ask before they post JSON elsewhere.
        if self.headers.get_content_type() != "application/json":
            self._send_json({"error": "send application/json"}, status=415)
            return
        try:
            self.provider.personality = self.provider.personality.changed(dict(json.loads(body)))
        except (ValueError, TypeError) as error:
            self._send_json({"error": str(error)}, status=400)
            return
        self._send_json(asdict(self.provider.personality))

    def _send_json(self, values: Mapping[str, object], *, status: int = 200) -> None:
        self._send(json.dumps(values).encode(), "application/json", status=status)

    def _send(self, body: bytes, content_type: str, *, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; "
            f"frame-ancestors 'none'; form-action 'self' {self.provider.portal_url}",
        )
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Log the method and the path, without the query: it holds SAML messages."""
        status = getattr(code, "value", code)
        print(f"{datetime.now(UTC):%H:%M:%S} {self.command} {urlsplit(self.path).path} {status}", flush=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@dataclass(frozen=True)
class Handle:
    """A running identity provider."""

    provider: Provider
    server: _Server
    thread: threading.Thread

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.provider.url

    def stop(self) -> None:
        """Stop answering and wait until the port is free."""
        self.provider.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def start(*, state_dir: Path, portal_url: str, port: int = 0, personality: Personality | None = None) -> Handle:
    """Start the identity provider on a loopback port (0: any free one) in a thread; its keys are kept in `state_dir`.

    `metadata.xml` is written there too. Raises OSError when the port is taken.
    """

    class Handler(_Handler):
        provider: Provider

    server = _Server(("127.0.0.1", port), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    keys = load_keys(state_dir, "Demo identity provider")
    provider = Provider(url, keys, portal_url.rstrip("/"), personality or Personality())
    Handler.provider = provider
    draft = state_dir / "metadata.xml.new"
    draft.write_bytes(provider.metadata())
    draft.replace(state_dir / "metadata.xml")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    return Handle(provider, server, thread)
