"""Messages that no identity provider sends: trees spoiled before or after they are signed."""

from collections.abc import Callable
from copy import deepcopy

from lxml import etree

from portal.demo.idp import Keys, Response
from portal.demo.idp import signer as demo_signer
from portal.demo.idp.messages import ASSERTION, PROTOCOL, SIGNATURE, response_tree

A = f"{{{ASSERTION}}}"
P = f"{{{PROTOCOL}}}"
DS = f"{{{SIGNATURE}}}"

Spoil = Callable[[etree._Element], None]


def signed_after(answer: Response, keys: Keys, spoil: Spoil, *, sign: str = "assertion") -> bytes:
    """Return a message that the identity provider itself signed in this odd form."""
    root = response_tree(answer)
    spoil(root)
    for name, tag in (("assertion", f"{A}Assertion"), ("response", f"{P}Response")):
        if sign in {name, "both"}:
            root = demo_signer._sign(root, tag, keys, answer)
    return etree.tostring(root)


def spoiled_after(xml: bytes, spoil: Spoil) -> bytes:
    """Return a signed message that somebody changed on its way."""
    root = etree.fromstring(xml)
    spoil(root)
    return etree.tostring(root)


def the(root: etree._Element, path: str) -> etree._Element:
    """Return the element at a path of `saml:`, `samlp:` and `ds:` names."""
    found = root.find(path, {"saml": ASSERTION, "samlp": PROTOCOL, "ds": SIGNATURE})
    assert found is not None
    return found


def evil(assertion: etree._Element, *, keep_signature: bool = False) -> etree._Element:
    """Return a copy of an assertion that names the administrator, under an ID of its own."""
    copy = deepcopy(assertion)
    copy.tail = None
    copy.set("ID", "_evil")
    for value in copy.iter(f"{A}AttributeValue", f"{A}NameID"):
        value.text = "admin"
    if not keep_signature:
        for signature in copy.findall(f"{DS}Signature"):
            copy.remove(signature)
    return copy
