"""What a sign-on asks of the database, in statements: each is a round trip."""

from collections.abc import Callable
from typing import Any

import pytest

from portal.demo.idp import Response
from tests.portal.saml.conftest import Browser

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("metadata_file")]


def test_a_known_person_signs_on_with_few_statements(
    browser: Browser, other_browser: Browser, answer: Callable[..., Response], django_assert_max_num_queries: Any
) -> None:
    attributes = {"ssouserid": ["alice"], "groups": [f"group-{number}" for number in range(20)]}
    browser.bring(answer(attributes))
    message = answer(attributes)
    # Person, groups, memberships, audit row, session, what single logout needs; a savepoint is two in a test.
    with django_assert_max_num_queries(6 + 2):
        response = other_browser.bring(message)
    assert response.status_code == 302
