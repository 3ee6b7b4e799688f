"""Text of elements, whole: neither a comment nor a nested element can cut it short."""

from lxml import etree

from portal.saml.causes import Cause, Refused


def text_of(element: etree._Element) -> str:
    """Return the text of an element without surrounding white space, comments left out; refuse nested elements."""
    parts = [element.text or ""]
    for child in element:
        # A comment's tag is a function.
        if isinstance(child.tag, str):
            raise Refused(Cause.NESTED_VALUE)
        parts.append(child.tail or "")
    return "".join(parts).strip(" \t\r\n")
