"""Retention: deletes stored responses, sessions and sign-in records that have expired."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, delete, select, tuple_
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database

SECONDS_BETWEEN_PASSES = 60.0
RESPONSES_KEPT_FOR = timedelta(hours=24)
"""How long a repeated request_id returns the stored response. Clients rely on it."""
ROWS_A_BATCH = 250
"""Rows deleted in one transaction: few enough not to delay bookings."""


async def delete_expired(database: Database) -> None:
    """Delete all expired records, in small batches.

    Raises:
        StorageUnavailable: The database can't be reached.
        Overloaded: The queue to the database is too long.
    """
    at_once = timedelta(0)
    for time, age in (
        (schema.stored_response.c.create_time, RESPONSES_KEPT_FOR),
        (schema.session.c.expire_time, at_once),
        (schema.sign_in.c.expire_time, at_once),
    ):
        while await _delete(database, time, age) == ROWS_A_BATCH:
            pass


async def _delete(database: Database, time: Column[Any], age: timedelta) -> int:
    """Delete a batch of the rows whose time is at least `age` ago, by the index of that column; return how many."""
    table = time.table
    keys = list(table.primary_key.columns)

    def work(connection: Connection) -> int:
        old = select(*keys).where(time <= database.time(connection) - age).order_by(time).limit(ROWS_A_BATCH)
        # Rows that another replica is deleting are skipped.
        found = [tuple(row) for row in connection.execute(old.with_for_update(skip_locked=True))]
        if found:
            connection.execute(delete(table).where(tuple_(*keys).in_(found)))
        return len(found)

    return await database.transact(work, must_run=True)
