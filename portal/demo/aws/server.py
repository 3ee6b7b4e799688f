"""The HTTP server of the AWS stand-in. It listens on loopback and nowhere else."""

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from portal.demo.aws import control, pages
from portal.demo.aws.endpoint import Endpoint
from portal.demo.aws.personality import Personality
from portal.demo.aws.rows import Call
from portal.demo.aws.seed import REGION, seed, seed_directory, seed_execution_roles
from portal.demo.aws.services import SERVICES
from portal.demo.aws.state import State
from portal.demo.aws.wire import Reply

HOST = "127.0.0.1"
# A message for a queue may have 1 MiB, and more as JSON.
BODY_BYTES = 4 * 1024 * 1024
STOP_SECONDS = 5.0


class Server(ThreadingHTTPServer):
    """One thread per connection; all connections are closed when the server stops."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, state: State, personality: Personality) -> None:
        """Listen on `port` (0: any free one). Raises OSError when it is taken."""
        super().__init__((HOST, port), Handler)
        self.stopping = threading.Event()
        self.endpoint = Endpoint(state, personality, f"http://{HOST}:{self.server_port}", self.stopping)
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection and serve it."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up; anything else is a fault of the stand-in and is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """Hang up on everybody, and wait until the threads have noticed."""
        self.stopping.set()
        self.endpoint.state.wake()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, STOP_SECONDS)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, passes it on, writes the answer."""

    protocol_version = "HTTP/1.1"
    server_version = "AwsStandIn"
    sys_version = ""
    disable_nagle_algorithm = True
    # Head and body leave in one packet.
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        """Show a page, or what the control paths tell."""
        url = urlsplit(self.path)
        if url.path == "/auth":
            token = parse_qs(url.query).get("token", [""])[0]
            self._answer(lambda: pages.studio(self._endpoint.state, token))
        elif url.path.startswith("/domains/"):
            self._answer(lambda: pages.domain(self._endpoint.state, url.path.rpartition("/")[2]))
        elif url.path == "/studio.css":
            self._answer(pages.stylesheet)
        elif url.path.startswith("/_"):
            self._control(lambda: control.get(self._endpoint.state, self._endpoint.personality, url.path))
        else:
            self._answer(pages.not_found)

    def do_POST(self) -> None:
        """Answer an API call, or change the personality."""
        body = self._body()
        if body is None:
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._answer(lambda: self._endpoint.answer(self.headers, body))
        elif path.startswith("/_"):
            content_type, endpoint = self.headers.get("Content-Type", ""), self._endpoint
            self._control(lambda: control.post(endpoint.state, endpoint.personality, path, content_type, body))
        else:
            self._answer(pages.not_found)

    def do_DELETE(self) -> None:
        """Make something disappear."""
        self._control(lambda: control.delete(self._endpoint.state, urlsplit(self.path).path))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: paths hold tokens."""

    @property
    def _endpoint(self) -> Endpoint:
        return self.server.endpoint

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(Reply(413, b"", "text/plain"))
            return None
        return self.rfile.read(int(length))

    def _answer(self, find: Callable[[], Reply | None]) -> None:
        reply = None if self._endpoint.personality.down else find()
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    def _control(self, find: Callable[[], Reply]) -> None:
        if control.is_local(self.headers.get("Host", "")):
            self._send(find())
        else:
            self._send(pages.not_found())

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)


class Handle:
    """A running stand-in: where it is, what it knows, how it behaves."""

    def __init__(self, server: Server) -> None:
        self._server = server
        # A short poll interval makes `stop` quick.
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="aws-stand-in", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The endpoint's URL, without a slash at the end."""
        return self._server.endpoint.url

    @property
    def state(self) -> State:
        """Accounts, domains, profiles, directories, queues, calls; may be changed."""
        return self._server.endpoint.state

    @property
    def personality(self) -> Personality:
        """How the stand-in behaves; its fields may be changed."""
        return self._server.endpoint.personality

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead boto3 here."""
        names = (service.name.upper().replace("-", "_") for service in SERVICES)
        return {f"AWS_ENDPOINT_URL_{name}": self.url for name in names}

    def calls(self, operation: str = "") -> list[Call]:
        """Return the calls so far, all or those of one operation."""
        return [call for call in list(self.state.calls) if operation in ("", call.operation)]

    def stop(self) -> None:
        """Hang up, stop listening and write the state; harmless when repeated."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(STOP_SECONDS)
            self._server.close_connections()
            self._server.server_close()
            self.state.save()


def start(
    port: int = 0,
    state_file: str | Path | None = None,
    personality: Personality | dict[str, Any] | None = None,
    *,
    region: str = REGION,
    people_work: bool = False,
) -> Handle:
    """Start the stand-in on a loopback port (any free one by default).

    `people_work`: who enters Studio begins to work there. The state comes from `state_file`; without a file, or with a
    new one, it is the demo's (see `seed`). Raises OSError when the port is taken, StateFileError when the file makes no
    sense, ValueError for an unknown personality.
    """
    state = State(Path(state_file) if state_file else None)
    if not isinstance(personality, Personality):
        changes, personality = personality or {}, Personality()
        personality.update(changes)
    state.people_work = people_work
    is_new = not state.load()
    if is_new:
        seed(state, region=region)
    elif not state.identity_stores:
        # The file is of an earlier version.
        seed_directory(state, region=region)
    seed_execution_roles(state)
    return Handle(Server(port, state, personality))
