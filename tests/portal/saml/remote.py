"""An identity provider's web server on loopback, which answers with metadata."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Remote:
    """A web server whose answer each test decides; `asked` counts the requests."""

    def __init__(self, body: bytes = b"") -> None:
        self.body, self.status, self.asked, self.location = body, 200, 0, ""
        self.claimed_length: int | None = None
        self.hosts: list[str] = []
        remote = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                remote.asked += 1
                remote.hosts.append(self.headers["Host"])
                self.send_response(remote.status)
                if remote.location:
                    self.send_header("Location", remote.location)
                length = len(remote.body) if remote.claimed_length is None else remote.claimed_length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(remote.body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/metadata"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()
