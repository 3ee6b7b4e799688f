"""From the form field to a tree: everything that can be refused before anything is believed, cheapest first.

A streaming pass by expat counts and refuses before lxml builds a tree, so that no message costs more than its length.
"""

import base64
import binascii
from typing import Any
from xml.parsers import expat

from lxml import etree

from portal.saml.causes import Cause, Refused

MAX_DEPTH = 32
MAX_NODES = 12_000
MAX_ATTRIBUTES = 24
# In force at one place; declarations are repeated on every value by some identity providers, which costs nothing.
MAX_NAMESPACES = 32

_BOM = b"\xef\xbb\xbf"


def decode(field: str, limit: int) -> bytes:
    """Return the bytes of a base64 form field, at most `limit` of them; raise `Refused` for anything but base64 XML."""
    if len(field) > limit * 3 // 2:
        raise Refused(Cause.TOO_LARGE)
    compact = field.replace("\r", "").replace("\n", "")
    try:
        data = base64.b64decode(compact.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Refused(Cause.NOT_BASE64) from None
    if len(data) > limit:
        raise Refused(Cause.TOO_LARGE)
    data = data.removeprefix(_BOM)
    if not data.lstrip(b" \t\r\n").startswith(b"<"):
        # Deflated messages, which the POST binding does not know, end here too and are never inflated.
        raise Refused(Cause.NOT_XML)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(Cause.NOT_UTF8) from None
    return data


def parse(data: bytes) -> etree._Element:
    """Return the root of a well-formed, bounded UTF-8 document without DTD and processing instructions."""
    _Scan().run(data)
    try:
        root = etree.fromstring(data, safe_parser())
    except (etree.XMLSyntaxError, ValueError):
        raise Refused(Cause.NOT_XML) from None
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise Refused(Cause.DTD)
    return root


def safe_parser() -> etree.XMLParser:
    """Return a new parser that reads nothing but the bytes it is given."""
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )


class _Scan:
    """One pass over the document that only counts."""

    def __init__(self) -> None:
        self.depth = 0
        self.nodes = 0
        self.namespaces = [0]

    def run(self, data: bytes) -> None:
        parser = expat.ParserCreate(encoding="UTF-8")
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.CommentHandler = self._comment
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            parser.Parse(data, True)
        except expat.ExpatError:
            raise Refused(Cause.NOT_XML) from None

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise Refused(Cause.NOT_UTF8)

    def _doctype(self, *_: Any) -> None:
        raise Refused(Cause.DTD)

    def _instruction(self, *_: Any) -> None:
        raise Refused(Cause.PROCESSING_INSTRUCTION)

    def _comment(self, _: str) -> None:
        self._count()

    def _start(self, _: str, attributes: dict[str, str]) -> None:
        self._count()
        self.depth += 1
        declared = sum(name == "xmlns" or name.startswith("xmlns:") for name in attributes)
        self.namespaces.append(self.namespaces[-1] + declared)
        if self.depth > MAX_DEPTH:
            raise Refused(Cause.TOO_DEEP)
        if self.namespaces[-1] > MAX_NAMESPACES:
            raise Refused(Cause.TOO_MANY_NAMESPACES)
        if len(attributes) - declared > MAX_ATTRIBUTES:
            raise Refused(Cause.TOO_MANY_ATTRIBUTES)

    def _end(self, _: str) -> None:
        self.depth -= 1
        self.namespaces.pop()

    def _count(self) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Refused(Cause.TOO_MANY_NODES)
