"""What must not happen while AWS is called, a database connection held for nothing; and the clock that all share."""

from datetime import datetime

from django.db import connection


def give_back_connection() -> None:
    """Return this thread's connection to the pool; the next query takes one again. Inside a transaction do nothing."""
    if not connection.in_atomic_block:
        connection.close()


def clock() -> datetime:
    """Return the time by the database's clock, so that moments which different workers noted can be compared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
