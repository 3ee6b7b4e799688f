"""`python -m tests.bench.visitor`: a site in a process of its own, and what each request costs its processor.

The site is the WSGI application of DJANGO_SETTINGS_MODULE. Orders come as JSON, one a line, on standard input, and
each is answered with a line. Programs that the site runs count as its own.
"""

import gc
import io
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import connection


def processor_seconds() -> float:
    """Return what this process and the children that have ended have used so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_megabytes() -> float:
    """Return the most memory that this process has ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Visitor:
    """Brings requests to the application as a server would."""

    def __init__(self) -> None:
        self.application = get_wsgi_application()
        self.cookies = self.seen = ""

    def visit(self, order: dict[str, Any]) -> dict[str, Any]:
        """Post the forms of an order, or open its `path` `times` times; return costs per request and the statuses."""
        bodies = [form.encode() for form in order.get("forms", [])] or [b""] * order.get("times", 1)
        environs = [self._environ(order["path"], body) for body in bodies]
        statuses: Counter[int] = Counter()
        gc.collect()
        peak, wall, used = peak_megabytes(), time.perf_counter(), processor_seconds()
        for environ in environs:
            statuses[self._ask(environ)] += 1
        used, wall = processor_seconds() - used, time.perf_counter() - wall
        each = 1000 / len(environs)
        return {
            "cpu": used * each,
            "wall": wall * each,
            "memory": peak_megabytes() - peak,
            "statuses": sorted(statuses),
        }

    def keep_cookies(self, _order: dict[str, Any]) -> dict[str, Any]:
        """Go on as the one who signed on last."""
        self.cookies = self.seen
        return {}

    def count_queries(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the statements of one request."""
        connection.force_debug_cursor = True
        connection.queries_log.clear()
        self._ask(self._environ(order["path"], order.get("form", "").encode()))
        found = [query["sql"] for query in connection.queries_log]
        connection.force_debug_cursor = False
        return {"queries": found}

    def _environ(self, path: str, body: bytes) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": "POST" if body else "GET",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_COOKIE": self.cookies,
            "CONTENT_TYPE": "application/x-www-form-urlencoded" if body else "",
            "CONTENT_LENGTH": str(len(body)) if body else "",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }

    def _ask(self, environ: dict[str, Any]) -> int:
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _: Any = None, /) -> Callable[[bytes], object]:
            answered.append((status, headers))
            return b"".__add__

        response = self.application(environ, start)
        b"".join(response)
        response.close()
        status, headers = answered[0]
        jar = SimpleCookie("; ".join(value.partition(";")[0] for name, value in headers if name == "Set-Cookie"))
        self.seen = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
        return int(status.split()[0])


def main() -> None:
    """Obey until the input ends."""
    visitor = Visitor()
    orders = {"visit": visitor.visit, "cookies": visitor.keep_cookies, "queries": visitor.count_queries}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(orders[order["do"]](order)), flush=True)


if __name__ == "__main__":
    main()
