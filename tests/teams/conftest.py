"""Fixtures for the lowest floor."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest

from teams.signals import access_changed


@pytest.fixture
def told() -> Iterator[list[frozenset[int]]]:
    """Collect the user ids of every `access_changed`."""
    sent: list[frozenset[int]] = []

    def receive(user_ids: frozenset[int], **kwargs: object) -> None:
        sent.append(user_ids)

    access_changed.connect(receive)
    yield sent
    access_changed.disconnect(receive)


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return a context manager after which what waits for the commit has run."""
    return partial(django_capture_on_commit_callbacks, execute=True)
