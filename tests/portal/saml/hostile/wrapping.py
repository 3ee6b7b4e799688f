"""Signature wrapping, made rather than listed: where the signed original hides, who carries the signature, whose ID."""

from collections.abc import Callable
from copy import deepcopy
from itertools import product

from lxml import etree

from tests.portal.saml.forging import DS, A, P
from tests.portal.saml.hostile.building import VICTIM, assertion_of
from tests.portal.saml.hostile.cases import Case, forged

Hide = Callable[[etree._Element, etree._Element, etree._Element], None]


def _forge(original: etree._Element) -> etree._Element:
    """Return a copy that names the victim."""
    copy = deepcopy(original)
    copy.tail = None
    for name in copy.iter(f"{A}NameID"):
        name.text = VICTIM
    return copy


def _drop_signature(element: etree._Element) -> None:
    for signature in element.findall(f"{DS}Signature"):
        element.remove(signature)


def _in(path: str) -> Hide:
    """Hide in the forged one, below elements that are made where they are missing."""

    def hide(root: etree._Element, forged_one: etree._Element, original: etree._Element) -> None:
        parent = forged_one
        for tag in path.split("/"):
            name = tag.replace("a:", A).replace("p:", P).replace("d:", DS)
            found = parent.find(name)
            parent = etree.SubElement(parent, name) if found is None else found
        parent.append(original)

    return hide


def _in_root(path: str) -> Hide:
    inner = _in(path)
    return lambda root, forged_one, original: inner(root, root, original)


def _before(root: etree._Element, forged_one: etree._Element, original: etree._Element) -> None:
    forged_one.addprevious(original)


def _behind(root: etree._Element, forged_one: etree._Element, original: etree._Element) -> None:
    forged_one.addnext(original)


def _around(root: etree._Element, forged_one: etree._Element, original: etree._Element) -> None:
    """The original takes the forged one in."""
    root.replace(forged_one, original)
    original.append(forged_one)


ASSERTION_PLACES: dict[str, Hide] = {
    "before": _before,
    "behind": _behind,
    "around": _around,
    "child": lambda root, forged_one, original: forged_one.append(original),
    "advice": _in("a:Advice"),
    "subject": _in("a:Subject"),
    "confirmation": _in("a:Subject/a:SubjectConfirmation/a:SubjectConfirmationData"),
    "conditions": _in("a:Conditions"),
    "condition": _in("a:Conditions/a:Condition"),
    "value": _in("a:AttributeStatement/a:Attribute/a:AttributeValue"),
    "context": _in("a:AuthnStatement/a:AuthnContext/a:AuthnContextDecl"),
    "object": _in("d:Signature/d:Object"),
    "key info": _in("d:Signature/d:KeyInfo"),
    "transform": _in("d:Signature/d:SignedInfo/d:Reference/d:Transforms/d:Transform"),
    "extensions": _in_root("p:Extensions"),
    "status": _in_root("p:Status/p:StatusDetail"),
    "status code": _in_root("p:Status/p:StatusCode"),
    "issuer": _in_root("a:Issuer"),
}
CARRIERS = ("forged", "original", "both")
IDS = ("other", "same", "lower case", "in a namespace")


def _set_id(element: etree._Element, which: str) -> None:
    identity = element.get("ID", "")
    if which == "other":
        element.set("ID", "_forged")
    elif which == "lower case":
        element.set("ID", "_forged")
        element.set("Id", identity)
    elif which == "in a namespace":
        element.set("ID", "_forged")
        element.set("{urn:canary}ID", identity)


def _wrap_assertion(hide: Hide, carrier: str, identity: str) -> Callable[[etree._Element], None]:
    def spoil(root: etree._Element) -> None:
        original = assertion_of(root)
        forged_one = _forge(original)
        root.replace(original, forged_one)
        if carrier == "forged":
            _drop_signature(original)
        elif carrier == "original":
            _drop_signature(forged_one)
        _set_id(forged_one, identity)
        hide(root, forged_one, original)

    return spoil


RESPONSE_PLACES: dict[str, Hide] = {
    "child": lambda root, forged_one, original: forged_one.append(original),
    "extensions": _in("p:Extensions"),
    "status": _in("p:Status/p:StatusDetail"),
    "object": _in("d:Signature/d:Object"),
    "key info": _in("d:Signature/d:KeyInfo"),
    "signature": _in("d:Signature"),
    "advice": _in("a:Assertion/a:Advice"),
    "value": _in("a:Assertion/a:AttributeStatement/a:Attribute/a:AttributeValue"),
}


def _wrap_response(hide: Hide, carrier: str, identity: str) -> Callable[[etree._Element], None]:
    def spoil(root: etree._Element) -> None:
        original = deepcopy(root)
        for name in root.iter(f"{A}NameID"):
            name.text = VICTIM
        if carrier == "forged":
            _drop_signature(original)
        elif carrier == "original":
            _drop_signature(root)
        _set_id(root, identity)
        hide(root, root, original)

    return spoil


WRAPPING: list[Case] = (
    [
        forged(
            f"assertion hidden: {place}, signature: {carrier}, ID: {identity}",
            _wrap_assertion(hide, carrier, identity),
            modes=modes,
        )
        for (place, hide), carrier, (identity, modes) in product(
            ASSERTION_PLACES.items(),
            CARRIERS,
            # The way the ID is doubled is the same check in every mode.
            zip(IDS, (("assertion", "both"), ("assertion",), ("assertion",), ("assertion",)), strict=True),
        )
        if not (place in {"object", "key info", "transform"} and carrier == "original")
        # How the ID is doubled matters where the forged one carries the signature that names it.
        and (carrier == "forged" or identity in {"other", "same"})
    ]
    + [
        forged(
            f"response hidden: {place}, signature: {carrier}, ID: {identity}",
            _wrap_response(hide, carrier, identity),
            modes=("response",),
        )
        for (place, hide), carrier, identity in product(RESPONSE_PLACES.items(), CARRIERS, IDS[:2])
        if not (place in {"object", "key info", "signature"} and carrier == "original")
    ]
)
