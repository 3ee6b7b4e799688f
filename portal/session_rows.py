"""Sessions whose row is written by one statement each time, and not before there is something to keep.

Django asks first whether a new random key is taken, opens a transaction around each write, and stores an empty row when
somebody signs on, which the end of the request then overwrites.
"""

import secrets
from typing import Any

from django.contrib.sessions.backends.base import VALID_KEY_CHARS, CreateError, UpdateError
from django.contrib.sessions.backends.cached_db import SessionStore as CachedStore
from django.contrib.sessions.backends.db import SessionStore as RowStore
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection

_INSERT = """
    INSERT INTO django_session (session_key, session_data, expire_date) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_KEY_LENGTH = 32


class _OneStatement(RowStore):
    """The row of a session."""

    def save(self, must_create: bool = False) -> None:
        """Write the row; raise CreateError for a key that is taken, UpdateError for a row that is gone."""
        if self.session_key is None:
            self.create()
            return
        row: Any = self.create_model_instance(self._get_session(no_load=must_create))  # type: ignore[attr-defined]
        if must_create:
            with connection.cursor() as cursor:
                cursor.execute(_INSERT, [row.session_key, row.session_data, row.expire_date])
                if not cursor.rowcount:
                    raise CreateError
            return
        try:
            kept = Session.objects.filter(pk=row.session_key).update(
                session_data=row.session_data, expire_date=row.expire_date
            )
        except DatabaseError:
            raise UpdateError from None
        if not kept:
            raise UpdateError


class OneStatementStore(CachedStore, _OneStatement):
    """`cached_db` over such rows; what has been stored as it is by the same request is not stored again."""

    _stored: tuple[str | None, bytes] | None = None

    def save(self, must_create: bool = False) -> None:
        """Store the session in the database and the cache."""
        if self.session_key is None:
            self.create()
            return
        if must_create or self._stored != self._content():
            super().save(must_create)
            self._stored = self._content()

    def cycle_key(self) -> None:
        """Change the key; a session without a row gets one when it is first stored, and none before."""
        if self.session_key is None:
            self.modified = True
        else:
            super().cycle_key()

    def _get_new_session_key(self) -> str:
        # The INSERT decides whether it is taken.
        return "".join(secrets.choice(VALID_KEY_CHARS) for _ in range(_KEY_LENGTH))

    def _content(self) -> tuple[str | None, bytes]:
        data: dict[str, object] = self._get_session()  # type: ignore[attr-defined]
        return self.session_key, self.serializer().dumps(data)
