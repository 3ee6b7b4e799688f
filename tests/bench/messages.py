"""The messages that both sides are given: honest ones, each signed anew, and garbage."""

import os
import zlib
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

from lxml import etree

from portal.demo import idp
from portal.demo.idp.flavours import Signed
from portal.demo.idp.messages import response_tree
from tests.fixtures import ISSUER, identity_provider

MODES: tuple[Signed, ...] = ("assertion", "response", "both")
PEOPLE = 10
GROUPS = [f"group-{number}" for number in range(8)]

_numbers = count()


class Messages:
    """The forms that browsers bring to the assertion consumer service of the portal."""

    def __init__(self, metadata_file: Path, portal_url: str) -> None:
        self._provider = identity_provider(metadata_file)
        self._portal_url = portal_url

    def honest(self, signed: Signed, number: int) -> list[str]:
        """Return `number` sign-ons of a few people in turn, at most ten values of attributes each."""
        return [_form(idp.make_response(self._provider.keys, self._answer(signed))) for _ in range(number)]

    def garbage(self) -> dict[str, str]:
        """Return one message of each kind that has to be refused, by what it is."""
        signed = idp.make_response(self._provider.keys, self._answer("assertion"))
        spaces = b"".join(b' xmlns:n%d="urn:%d"' % (number, number) for number in range(11_500))
        return {
            "random bytes, 4 KB": _form(os.urandom(4096)),
            "deflate bomb, 100 MB": _form(_deflated(100 * 1024 * 1024)),
            f"namespaces, {len(spaces) // 1000} KB": _form(
                signed.replace(b"Response ", b"Response" + spaces + b" ", 1)
            ),
            "unsigned": _form(etree.tostring(response_tree(self._answer("assertion")))),
            "valid, replayed": _form(signed),
        }

    def _answer(self, signed: Signed) -> idp.Response:
        person = f"person{next(_numbers) % PEOPLE}"
        right = idp.response_for(
            issuer=ISSUER,
            portal_url=self._portal_url,
            name_id=f"{person}@example.com",
            attributes={
                "ssouserid": [person],
                "email": [f"{person}@example.com"],
                "name": [f"Person {person}"],
                "groups": GROUPS,
            },
            lifetime=timedelta(minutes=30),
        )
        return replace(right, sign=signed)


def _form(message: bytes) -> str:
    return urlencode({"SAMLResponse": idp.encode(message), "RelayState": "/"})


def _deflated(length: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([packer.compress(b"<" + b" " * (length - 1)), packer.flush()])
