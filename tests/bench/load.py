"""A load tool: keep-alive connections, one thread each, that send prepared requests over and over."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Answers:
    """What came back: how long each request took, in milliseconds, the statuses, and requests per second."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    rate: float = 0.0

    @property
    def middle(self) -> float:
        """The median time."""
        return median(self.milliseconds)


def request(method: str, path: str, headers: dict[str, str]) -> bytes:
    """Return a request without a body as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def put_load(port: int, requests: Sequence[bytes], *, seconds: float) -> Answers:
    """Send each of `requests` over a connection of its own, again and again for `seconds`."""
    answers, lock = Answers(), threading.Lock()
    barrier = threading.Barrier(len(requests) + 1)
    ends: list[float] = []

    def work(message: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _exchange(connection, message)
            barrier.wait()
            own: list[tuple[float, int]] = []
            stop = time.perf_counter() + seconds
            while (begun := time.perf_counter()) < stop:
                status = _exchange(connection, message)
                own.append(((time.perf_counter() - begun) * 1000, status))
            with lock:
                ends.append(time.perf_counter())
                answers.milliseconds += [took for took, _ in own]
                answers.statuses.update(status for _, status in own)

    threads = [threading.Thread(target=work, args=(message,)) for message in requests]
    for thread in threads:
        thread.start()
    barrier.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    answers.rate = len(answers.milliseconds) / max(max(ends) - begun, 0.001)
    return answers


def _exchange(connection: socket.socket, message: bytes) -> int:
    connection.sendall(message)
    data = connection.recv(65536)
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    found = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    missing = int(found or b"0") - len(body)
    while missing > 0:
        missing -= len(_more(connection))
    return int(head[9:12])


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the server hung up")
    return data
