"""How the time of the scrubber and of the first look at a message grows with what a stranger sends."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from portal.saml import envelope
from portal.saml.causes import Refused
from teams.scrubbing import scrub_text
from tests.bench.tables import ms, table, times

SHORT, LONG = 20_000, 80_000
MESSAGE = 250_000

PIECES = [
    *("a", "a-", "token", "token=", 'token="', "token='\\", "<", "<a:", "<a", "&lt;", "http://", "https://a?", "AKIA"),
    *("eyJ", "A" * 59 + "\n", "A" * 60 + "\n", "eyJaaaaaaaa.", "PHNhbW", "-----BEGIN PRIVATE KEY", "Bearer ", "\\"),
    *("Bearer a", " ", '"', "'", "%3d", "cookie:", "x-amz-", "sagemaker.aws", ".sagemaker.aws/", "secret_access_"),
    *(":", "=", "token \\\\"),
]


def scrubber() -> None:
    """Print the worst strings; four times the text should take four times as long, not sixteen."""
    found = []
    for start in ("", "https://"):
        for piece in PIECES:
            short, long = (_milliseconds(scrub_text, start + piece * (size // len(piece))) for size in (SHORT, LONG))
            found.append((long, long / max(short, 0.01), repr(start + piece)[:40]))
    rows = [[text, ms(long), times(growth)] for long, growth, text in sorted(found, reverse=True)[:5]]
    columns = [f"scrubbing {LONG // 1000} KB of", "CPU ms", f"more than for {SHORT // 1000} KB"]
    table(f"The five dearest of {len(found)} hostile strings (linear: 4 ×)", columns, rows)


def parser() -> None:
    """Print what the first look at a message costs, before any signature."""
    names = [b' xmlns:n%d="urn:%d"' % (number, number) for number in range(20_000)]
    attributes = [b' a%d="x"' % number for number in range(40_000)]
    messages = {
        "namespaces on one element": b"<a" + b"".join(names)[: MESSAGE - 20].rpartition(b" ")[0] + b"/>",
        "attributes on one element": b"<a" + b"".join(attributes)[: MESSAGE - 20].rpartition(b" ")[0] + b"/>",
        "elements in each other": b"<a>" * (MESSAGE // 3),
        "elements side by side": b"<a>" + b"<b/>" * (MESSAGE // 4) + b"</a>",
        "namespaces, declared again and again": b"<a>" + b'<b xmlns:n="urn:n"/>' * (MESSAGE // 20) + b"</a>",
        "comments": b"<a>" + b"<!---->" * (MESSAGE // 7) + b"</a>",
        "character references": b"<a>" + b"&#65;" * (MESSAGE // 5) + b"</a>",
        "one long text": b"<a>" + b"x" * MESSAGE + b"</a>",
        "one long name": b"<" + b"a" * MESSAGE + b"/>",
        "a DTD": b"<!DOCTYPE a [" + b'<!ENTITY b "c">' * (MESSAGE // 15) + b"]><a/>",
    }
    rows = [[name, f"{len(xml) // 1000} KB", ms(_milliseconds(_parse, xml))] for name, xml in messages.items()]
    table("The first look at a hostile message", ["message", "length", "CPU ms"], rows)


def _parse(xml: bytes) -> None:
    with suppress(Refused):
        envelope.parse(xml)


def _milliseconds(work: Callable[[Any], object], value: str | bytes) -> float:
    spent = []
    for _ in range(3):
        before = time.process_time()
        work(value)
        spent.append(time.process_time() - before)
    return min(spent) * 1000
