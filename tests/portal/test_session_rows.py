"""Sessions are written by one statement each time, and only when there is something to write."""

from typing import Any

import pytest
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.sessions import SessionStore

pytestmark = pytest.mark.django_db


def stored(**values: Any) -> SessionStore:
    store = SessionStore()
    store.update(values)
    store.save()
    return store


def test_a_new_session_is_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        store = stored(a=1)
    assert Session.objects.get().get_decoded() == {"a": 1}
    assert len(store.session_key or "") == 32


def test_what_is_stored_is_not_stored_again(django_assert_num_queries: Any) -> None:
    store = stored(a=1)
    with django_assert_num_queries(0):
        store.save()
    store["a"] = 2
    with django_assert_num_queries(1):
        store.save()
    assert Session.objects.get().get_decoded() == {"a": 2}


def test_a_change_inside_a_value_is_stored() -> None:
    store = stored(a={"b": 1})
    store["a"]["b"] = 2
    store.save()
    assert Session.objects.get().get_decoded() == {"a": {"b": 2}}


def test_a_key_that_is_taken_is_not_overwritten() -> None:
    first = stored(a=1)
    second = SessionStore(first.session_key)
    second._session_cache = {"a": 2}  # type: ignore[attr-defined]
    with pytest.raises(CreateError):
        second.save(must_create=True)
    assert Session.objects.get().get_decoded() == {"a": 1}


def test_a_session_that_was_ended_does_not_come_back() -> None:
    store = stored(a=1)
    Session.objects.all().delete()
    store["a"] = 2
    with pytest.raises(UpdateError):
        store.save()
    assert not Session.objects.exists()


def test_a_new_key_keeps_the_data_and_drops_the_old_row() -> None:
    store = stored(a=1)
    old = store.session_key
    store.cycle_key()
    store.save()
    assert Session.objects.get().session_key == store.session_key != old
    assert Session.objects.get().get_decoded() == {"a": 1}


def test_a_session_without_a_row_gets_none_by_a_new_key() -> None:
    store = SessionStore()
    with CaptureQueriesContext(connection) as made:
        store.cycle_key()
    assert (len(made), store.modified, store.session_key) == (0, True, None)
