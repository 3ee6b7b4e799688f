"""Names of profiles: golden examples, legality, and that two people never share one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.aws.shapes import faults
from provisioning.naming import HASH_LENGTH, profile_name, session_name

LEGAL = re.compile(r"[a-z0-9](-*[a-z0-9]){0,62}")

realms = st.sampled_from(["default", "other"])
# Few letters, so that parts meet at their borders and look like each other.
subjects = st.one_of(
    st.text("ab-1", min_size=1, max_size=6), st.text("aA-.@é", min_size=1, max_size=6), st.text(min_size=1)
)
slugs = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).map(lambda slug: slug[:40].strip("-") or "t")
close_slugs = st.sampled_from(["a", "b", "a-b", "b-a", "b-b", "1", "0" * HASH_LENGTH])
identities = st.tuples(realms, subjects, st.one_of(close_slugs, slugs))


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (("default", "user1", "team1"), "user1-team1"),
        (("default", "a-b", "team1"), "a-b-team1"),
        (("default", "0815", "2"), "0815-2"),
        (("default", "x" * 57, "team1"), "x" * 57 + "-team1"),
        (("default", "x" * 58, "team1"), "x" * 40 + "-team1-2a806c6c1219c967"),
        (("default", "User1", "team1"), "user1-team1-cf8fee54097ed0a8"),
        (("default", "jane.doe@example.com", "team1"), "jane-doe-example-com-team1-71995ff15c4c4117"),
        (("default", "user1", "data-science"), "user1-data-science-c7c5d28bd3aa2f08"),
        (("other", "user1", "team1"), "user1-team1-95289744e409fa84"),
        (("default", "山田", "team1"), "user-team1-ed047db7c331b808"),
        (("default", "user1", "0123456789abcdef"), "user1-0123456789abcdef-bde384f79b72accb"),
    ],
)
def test_golden_examples(identity: tuple[str, str, str], name: str) -> None:
    assert profile_name(*identity) == name


@given(identities)
def test_every_name_is_legal_lower_case_and_stable(identity: tuple[str, str, str]) -> None:
    name = profile_name(*identity)
    assert LEGAL.fullmatch(name)
    assert len(name) <= 63
    assert faults("UserProfileName", name) == []
    assert profile_name(*identity) == name


@given(identities, identities)
def test_two_people_never_share_a_name(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (profile_name(*one) == profile_name(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("default", "a-b", "c"), ("default", "a", "b-c")),
        (("default", "User1", "team1"), ("default", "user1", "team1")),
        (("default", "user1", "team1"), ("other", "user1", "team1")),
        (("default", "user.1", "team1"), ("default", "user-1", "team1")),
        (("default", "user1 ", "team1"), ("default", "user1", "team1")),
        (("default", "x" * 200, "team1"), ("default", "x" * 201, "team1")),
        (("default", "é", "team1"), ("default", "e", "team1")),
        (("a", "b/c", "t"), ("a/b", "c", "t")),
    ],
)
def test_pairs_that_look_alike(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert profile_name(*one) != profile_name(*other)


@given(identities)
def test_nobody_can_take_a_hashed_name_by_calling_themselves_so(identity: tuple[str, str, str]) -> None:
    name = profile_name(*identity)
    subject, _, team = name.rpartition("-")
    if ("default", subject, team) != identity:
        assert profile_name("default", subject, team) != name
    assert profile_name("default", name, "team1") != name


@pytest.mark.parametrize(
    ("username", "name"),
    [
        ("user1", "user1"),
        ("Jane.Doe+lab@example.com", "Jane.Doe+lab@example.com"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 47 + "-1c9c4cf03b33aa2e"),
        ("partner/jane", "partner-jane-fe4861a5c25958c7"),
        ("x", "x-cd65ea2c2ad99e94"),
        ("山田", "user-7e7be60df72e3ae8"),
        ("studio-portal", "studio-portal-dfa784d8e144d305"),
        ("user1-0123456789abcdef", "user1-0123456789abcdef-ae2e7f935329896b"),
    ],
)
def test_golden_names_of_sessions(username: str, name: str) -> None:
    assert session_name(username) == name


usernames = st.one_of(subjects, st.text("a/-0", min_size=1, max_size=4), st.text(min_size=60, max_size=70))


@given(st.lists(usernames, min_size=2, max_size=8, unique=True))
def test_names_of_sessions_are_legal_and_nobody_shares_one(names: list[str]) -> None:
    names += [session_name(name) for name in names]
    sessions = {name: session_name(name) for name in names}
    assert len(set(sessions.values())) == len(sessions)
    for session in sessions.values():
        assert re.fullmatch(r"[A-Za-z0-9_+=,.@-]{2,64}", session)
        assert session != "studio-portal"
