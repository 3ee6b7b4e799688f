"""Pages of lists."""

from typing import Any

import pytest

from portal.demo.aws.seed import DOMAIN
from portal.demo.aws.server import Handle
from tests.portal.demo_aws.conftest import refusal

NAMES = [f"user{number:02}" for number in range(25)]


@pytest.fixture(autouse=True)
def _profiles(standin: Handle, studio: Any) -> None:
    for name in NAMES:
        studio.create_user_profile(DomainId=DOMAIN, UserProfileName=name)
        standin.state.clock.advance(1)


def names(answer: dict[str, Any]) -> list[str]:
    """Return the profile names of a page."""
    return [row["UserProfileName"] for row in answer["UserProfiles"]]


def test_ten_rows_unless_told_otherwise(studio: Any) -> None:
    first = studio.list_user_profiles()
    assert names(first) == NAMES[:10]
    second = studio.list_user_profiles(NextToken=first["NextToken"])
    assert names(second) == NAMES[10:20]
    last = studio.list_user_profiles(NextToken=second["NextToken"])
    assert names(last) == NAMES[20:]
    assert "NextToken" not in last
    assert names(studio.list_user_profiles(MaxResults=100)) == NAMES
    for wrong in (0, 101):
        assert refusal(studio.list_user_profiles, MaxResults=wrong)[0] == "ValidationException"


def test_order(standin: Handle, studio: Any) -> None:
    assert names(studio.list_user_profiles(SortOrder="Descending", MaxResults=3)) == NAMES[:-4:-1]
    studio.update_user_profile(DomainId=DOMAIN, UserProfileName=NAMES[0])
    latest = studio.list_user_profiles(SortBy="LastModifiedTime", SortOrder="Descending", MaxResults=1)
    assert names(latest) == NAMES[:1]


def test_filters(studio: Any) -> None:
    assert names(studio.list_user_profiles(UserProfileNameContains="ER1", MaxResults=100)) == NAMES[10:20]
    assert names(studio.list_user_profiles(DomainIdEquals="d-other")) == []


def test_rows_that_go_do_not_shift_pages(studio: Any) -> None:
    token = studio.list_user_profiles(MaxResults=5)["NextToken"]
    studio.delete_user_profile(DomainId=DOMAIN, UserProfileName=NAMES[0])
    assert names(studio.list_user_profiles(MaxResults=5, NextToken=token)) == NAMES[5:10]
    studio.delete_user_profile(DomainId=DOMAIN, UserProfileName=NAMES[5])
    assert names(studio.list_user_profiles(MaxResults=5, NextToken=token)) == NAMES[6:11]


@pytest.mark.parametrize("token", ["nonsense", "W10=", "ä"])
def test_tokens_that_are_refused(studio: Any, token: str) -> None:
    assert refusal(studio.list_user_profiles, NextToken=token)[0] == "ValidationException"


def test_a_token_of_another_request(studio: Any) -> None:
    token = studio.list_user_profiles()["NextToken"]
    assert refusal(studio.list_user_profiles, DomainIdEquals=DOMAIN, NextToken=token)[0] == "ValidationException"


def test_short_and_empty_pages_are_complete_in_the_end(standin: Handle, studio: Any) -> None:
    standin.personality.update({"short_pages": True, "seed": 3})
    pages = list(studio.get_paginator("list_user_profiles").paginate(MaxResults=4))
    assert [name for page in pages for name in names(page)] == NAMES
    sizes = [len(names(page)) for page in pages]
    assert 0 in sizes
    standin.personality.update({"seed": 3})
    again = studio.get_paginator("list_user_profiles").paginate(MaxResults=4)
    assert [len(names(page)) for page in again] == sizes
