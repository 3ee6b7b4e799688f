"""XML signatures over responses: enveloped, exclusive canonicalisation, placed right after the Issuer."""

from typing import Any

from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureConstructionMethod
from signxml.signer import SignatureReference, XMLSigner

from portal.demo.idp.keys import Keys
from portal.demo.idp.messages import ASSERTION, PROTOCOL, SIGNATURE, Response, response_tree

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


class _Signer(XMLSigner):
    """Signs with whatever algorithm is asked for, and names the PrefixList where the verifier needs it.

    Weak algorithms are wanted here: a test proves that they are refused.
    """

    def check_deprecated_methods(self) -> None:
        """Accept SHA-1."""

    def _build_transforms_for_reference(self, *, transforms_node: Any, reference: Any, **options: Any) -> None:
        super()._build_transforms_for_reference(transforms_node=transforms_node, reference=reference, **options)
        if reference.inclusive_ns_prefixes:
            prefixes = " ".join(reference.inclusive_ns_prefixes)
            etree.SubElement(
                transforms_node[-1],
                f"{{{EXCLUSIVE}}}InclusiveNamespaces",
                {"PrefixList": prefixes},
                nsmap={"ec": EXCLUSIVE},
            )


def make_response(keys: Keys, answer: Response) -> bytes:
    """Return the response as XML, signed as `answer.sign`, or else its flavour, says."""
    root = response_tree(answer)
    signed = answer.sign or answer.flavour.sign
    # The assertion first: the response's signature covers the assertion's.
    if signed in {"assertion", "both"} and root.find(f"{{{ASSERTION}}}Assertion") is not None:
        root = _sign(root, f"{{{ASSERTION}}}Assertion", keys, answer)
    if signed in {"response", "both"}:
        root = _sign(root, f"{{{PROTOCOL}}}Response", keys, answer)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _sign(root: etree._Element, tag: str, keys: Keys, answer: Response) -> etree._Element:
    target = root if root.tag == tag else root.find(tag)
    if target is None:
        raise ValueError(f"nothing to sign: no {tag}")
    placeholder = etree.Element(f"{{{SIGNATURE}}}Signature", {"Id": "placeholder"}, nsmap={"ds": SIGNATURE})
    target.insert(1, placeholder)
    signer = _Signer(
        SignatureConstructionMethod.enveloped,
        signature_algorithm=answer.signature_algorithm,
        digest_algorithm=answer.digest_algorithm,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    prefixes = list(answer.flavour.inclusive_prefixes)
    signed: etree._Element = signer.sign(
        root,
        key=keys.private,
        cert=keys.certificate_pem,
        reference_uri=[SignatureReference(target.get("ID", ""), inclusive_ns_prefixes=prefixes)],
        id_attribute="ID",
    )
    return signed
