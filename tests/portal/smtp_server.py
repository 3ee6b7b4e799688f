"""A mail server on loopback for tests: it takes, refuses, or breaks off, as it is told."""

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Self


@dataclass
class Mail:
    """One message as it arrived: envelope and content."""

    recipients: list[str]
    content: Message


@dataclass
class Personality:
    """How the server behaves: the answers it gives instead of “250 ok” to RCPT (by address) and DATA, and a hang-up."""

    recipients: dict[str, str] = field(default_factory=dict)
    data: str = ""
    hangs_up: bool = False


class SmtpServer:
    """Listens on `port` while it is a context; `mails` are those that it took."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.behaves = Personality()
        self.connections = 0
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                outer.connections += 1
                _Conversation(outer, self.rfile.readline, self.wfile.write).run()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Conversation:
    """One connection: the commands that smtplib sends."""

    def __init__(self, server: SmtpServer, read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
        self.server, self.read, self.write = server, read, write
        self.recipients: list[str] = []

    def run(self) -> None:
        if self.server.behaves.hangs_up:
            return
        self._say("220 test")
        while line := self.read().decode().strip():
            verb = line.split()[0].upper()
            if verb == "QUIT":
                self._say("221 bye")
                return
            self._answer(verb, line)

    def _answer(self, verb: str, line: str) -> None:
        if verb == "RCPT":
            address = line.partition("<")[2].partition(">")[0]
            answer = self.server.behaves.recipients.get(address, "250 ok")
            if answer.startswith("250"):
                self.recipients.append(address)
            self._say(answer)
        elif verb == "DATA":
            self._data()
        else:
            if verb in {"MAIL", "RSET"}:
                self.recipients = []
            self._say("250 ok")

    def _data(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.read()) not in (b".\r\n", b""):
            lines.append(line)
        if self.server.behaves.data:
            self._say(self.server.behaves.data)
            return
        self.server.mails.append(Mail(self.recipients, message_from_bytes(b"".join(lines))))
        self._say("250 ok")

    def _say(self, text: str) -> None:
        self.write(text.encode() + b"\r\n")
