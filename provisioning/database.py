"""What must not happen while AWS is called: a database connection held for nothing."""

from django.db import connection


def give_back_connection() -> None:
    """Return this thread's connection to the pool; the next query takes one again. Inside a transaction do nothing."""
    if not connection.in_atomic_block:
        connection.close()
