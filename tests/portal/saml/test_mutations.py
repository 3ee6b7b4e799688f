"""Whatever happens to a valid message on its way, it signs on the person whom the provider named, or nobody."""

import random
from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from portal.demo.idp import Keys, Response, encode, make_response
from portal.saml import registry, replay
from portal.saml.causes import Cause, Refused
from portal.saml.state import SamlStateStore
from portal.saml.verify import verify
from teams.models import User
from tests.portal.saml.conftest import Browser
from tests.portal.saml.forging import A, evil

Answer = Callable[..., Response]

VICTIM = "admin"
SNIPPETS = [
    b"admin",
    b"<!---->",
    b"<!-- x",
    b"]]>",
    b"<![CDATA[",
    b"<?x?>",
    b"<!DOCTYPE x>",
    b"&#97;",
    b"&lt;",
    b'"',
    b"'",
    b"</saml2:NameID>",
    b"<saml2:NameID>admin</saml2:NameID>",
    b' ID="_evil"',
    b' Id="_evil"',
    b"\x00",
    b"\xff",
    b"\xe2\x80\xae",
    b' xmlns:saml2="urn:x"',
    b' xmlns="urn:x"',
    b"<saml2:Assertion/>",
    b"</saml2:Assertion>",
]


@pytest.fixture(scope="module")
def messages(keys: Keys) -> list[bytes]:
    """One message of each kind, for somebody who is not the victim."""
    from portal.demo.idp import FLAVOURS, response_for
    from tests.portal.saml.conftest import ISSUER, PORTAL

    made = []
    for flavour in FLAVOURS.values():
        good = response_for(
            issuer=ISSUER, portal_url=PORTAL, name_id="alice", attributes={"ssouserid": ["alice"]}, flavour=flavour
        )
        made.append(make_response(keys, good))
    return made


@pytest.fixture
def unspent(monkeypatch: pytest.MonkeyPatch, metadata_file: object) -> None:
    """Let one message be shown again and again, so that each mutation is judged for itself, without a database."""
    monkeypatch.setattr(registry, "rows", dict)
    monkeypatch.setattr(replay, "spend_assertion", lambda **_: None)


def _subject(xml: bytes) -> str | None:
    try:
        verified = verify(encode(xml), SamlStateStore(None))
    except Refused as refused:
        # A surprise is refused as well, but the verification should know what it refuses.
        return None if refused.cause is not Cause.UNEXPECTED else "a surprise"
    return verified.identity.subject


kinds = st.sampled_from(["cut", "double", "insert", "flip"])
edit = st.tuples(kinds, st.floats(0, 1), st.integers(1, 60), st.integers(0, 255))
Edits = list[tuple[str, float, int, int]]


def _edited(xml: bytes, edits: Edits) -> bytes:
    for kind, where, length, value in edits:
        at = int(where * len(xml))
        if kind == "cut":
            xml = xml[:at] + xml[at + length :]
        elif kind == "double":
            xml = xml[: at + length] + xml[at : at + length] + xml[at + length :]
        elif kind == "insert":
            xml = xml[:at] + SNIPPETS[value % len(SNIPPETS)] + xml[at:]
        else:
            xml = xml[:at] + bytes([value]) + xml[at + 1 :]
    return xml


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(which=st.integers(0, 3), edits=st.lists(edit, min_size=1, max_size=4))
def test_edited_bytes(messages: list[bytes], unspent: None, which: int, edits: Edits) -> None:
    assert _subject(_edited(messages[which], edits)) in {"alice", None}


def _move(chance: random.Random, root: etree._Element) -> None:
    elements = list(root.iter(etree.Element))
    one, other = chance.choice(elements), chance.choice(elements)
    if one is not root and one not in other.iterancestors() and one is not other:
        other.insert(chance.randrange(len(other) + 1), one)


def _copy(chance: random.Random, root: etree._Element) -> None:
    elements = list(root.iter(etree.Element))
    other = chance.choice(elements)
    other.insert(chance.randrange(len(other) + 1), deepcopy(chance.choice(elements)))


def _rename(chance: random.Random, root: etree._Element) -> None:
    elements = list(root.iter(etree.Element))
    chance.choice(elements).tag = chance.choice(elements).tag


def _write(chance: random.Random, root: etree._Element) -> None:
    chance.choice(list(root.iter(etree.Element))).text = VICTIM


def _mark(chance: random.Random, root: etree._Element) -> None:
    elements = list(root.iter(etree.Element))
    identity = chance.choice([each.get("ID", "") for each in elements if each.get("ID")] or ["_x"])
    name = chance.choice(["ID", "Id", "id", "{urn:x}ID", "{http://www.w3.org/XML/1998/namespace}id", "URI"])
    chance.choice(elements).set(name, chance.choice(["", "#"]) + str(identity))


def _forge(chance: random.Random, root: etree._Element) -> None:
    assertions = list(root.iter(f"{A}Assertion"))
    if assertions:
        forged = evil(chance.choice(assertions), keep_signature=chance.random() < 0.5)
        if chance.random() < 0.5:
            forged.set("ID", assertions[0].get("ID", ""))
        other = chance.choice(list(root.iter(etree.Element)))
        other.insert(chance.randrange(len(other) + 1), forged)


STEPS = [_move, _copy, _rename, _write, _mark, _forge]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(which=st.integers(0, 3), seed=st.integers(0, 2**32), count=st.integers(1, 5))
@example(which=0, seed=0, count=1)
def test_rearranged_trees(messages: list[bytes], unspent: None, which: int, seed: int, count: int) -> None:
    chance, root = random.Random(seed), etree.fromstring(messages[which])
    for _ in range(count):
        chance.choice(STEPS)(chance, root)

    assert _subject(etree.tostring(root)) in {"alice", None}


def test_the_messages_are_good_before_they_are_spoiled(messages: list[bytes], unspent: None) -> None:
    assert [_subject(xml) for xml in messages] == ["alice"] * 4


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(which=st.integers(0, 3), edits=st.lists(edit, min_size=1, max_size=3))
def test_no_mutation_ends_in_an_error_of_ours(
    messages: list[bytes], unspent: None, keys: Keys, which: int, edits: Edits
) -> None:
    browser = Browser(keys)

    response = browser.bring_xml(_edited(messages[which], edits))

    assert response.status_code in {302, 403}
    assert browser.signed_on == (response.status_code == 302)
    assert not User.objects.exclude(subject="alice").exists()
